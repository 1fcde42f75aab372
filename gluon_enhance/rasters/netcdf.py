"""How many attributes a file of netCDF's own formats has, which GDAL takes quadratic time to list.

References
----------
.. [1] Unidata, "NetCDF Classic Format Specification": the header of CDF-1, CDF-2 and CDF-5.
"""

from __future__ import annotations

import os
from typing import BinaryIO, Optional

WIDTHS = {b"CDF\1": (4, 4), b"CDF\2": (4, 8), b"CDF\5": (8, 8)}
"""By a file's first bytes, those of a count, and of a position in the file."""
MAX_ITEMS = 10_000
"""Dimensions, variables and attributes together; climate models' files have some hundred."""
TAG = TYPE = 4
"""Bytes."""
TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
"""Bytes of a value of each type."""
ALIGNED = 4
"""Names and values are filled up to so many bytes."""


def fault_of(path: str | os.PathLike) -> Optional[str]:
    """Say what keeps a file from being read soon; None if nothing does, or it is no such file."""
    with open(path, "rb") as file:
        widths = WIDTHS.get(file.read(4))
        try:
            if widths:
                _Header(file, *widths).read()
        except _TooManyError:
            return f"has over {MAX_ITEMS:,} dimensions, variables and attributes"
        except (KeyError, OSError, OverflowError, ValueError):
            return "is a damaged netCDF file"
    return None


class _TooManyError(Exception):
    pass


class _Header:
    def __init__(self, file: BinaryIO, count: int, position: int):
        self._file, self._count, self._position = file, count, position
        self._left = MAX_ITEMS

    def read(self) -> None:
        """Read dimensions, attributes and variables, in the file's order."""
        self._number()  # of records
        for item in (self._dimension, self._attribute, self._variable):
            self._list(item)

    def _list(self, item):
        self._skip(TAG)
        for _ in range(self._number()):
            self._left -= 1
            if self._left < 0:
                raise _TooManyError
            item()

    def _dimension(self):
        self._skip_filled(self._number())
        self._number()

    def _attribute(self):
        self._skip_filled(self._number())
        size = TYPES[self._read(TYPE)]
        self._skip_filled(self._number() * size)

    def _variable(self):
        self._skip_filled(self._number())
        self._skip(self._number() * self._count)
        self._list(self._attribute)
        self._skip(TYPE + self._count + self._position)

    def _number(self) -> int:
        return self._read(self._count)

    def _read(self, size) -> int:
        data = self._file.read(size)
        if len(data) < size:
            raise ValueError("the header is cut short")
        return int.from_bytes(data, "big")

    def _skip(self, size):
        self._file.seek(size, os.SEEK_CUR)

    def _skip_filled(self, size):
        self._skip(size + -size % ALIGNED)
