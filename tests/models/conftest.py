"""Let the tests of nets write PyTorch files, with the module beside the tests of the reader."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "weights"))
