"""What imports of other packages may see."""

from __future__ import annotations

import sys
from contextlib import contextmanager


@contextmanager
def hidden(package: str):
    """Have a package count as not installed for those that are imported in this context."""
    absent = object()
    former = sys.modules.get(package, absent)
    sys.modules[package] = None
    try:
        yield
    finally:
        del sys.modules[package]
        if former is not absent:
            sys.modules[package] = former
