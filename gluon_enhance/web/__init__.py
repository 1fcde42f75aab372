"""What the package's own web pages share: who may ask, how they are served, and their look."""

from pathlib import Path

SHARED = Path(__file__).parent / "pages"
"""Files of style and script for all pages; servers have them under ``/shared``."""
