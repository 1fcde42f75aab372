"""Files that carry a checksum at their end, where GDAL does not look: damage is told, no forgery.

A run that is resumed makes anew what a full disk, a crash or a copy has damaged.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from gluon_enhance.errors import ImageError

SEAL = struct.Struct("<8sQI")
"""`MAGIC`, the bytes before, and their CRC-32."""
MAGIC = b"\nsealed\n"
BLOCK = 1 << 20


def seal(path: Path) -> None:
    """Add the checksum of a file to it.

    Raises
    ------
    ImageError
        If it cannot be written: GDAL may not have noticed that the disk is full.
    """
    try:
        with open(path, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.write(SEAL.pack(MAGIC, size, _checksum(file, size)))
    except OSError as error:
        raise ImageError(f"{path} cannot be written ({error.strerror}); make room") from error


def is_sealed(path: Path) -> bool:
    """Tell whether a file is there, and as it was sealed."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END) - SEAL.size
            if size < 0:
                return False
            file.seek(size)
            return file.read() == SEAL.pack(MAGIC, size, _checksum(file, size))
    except OSError:
        return False


def _checksum(file, size):
    """Return the CRC-32 of a file's first bytes; the file's position stays."""
    position, checksum = file.tell(), 0
    file.seek(0)
    for first in range(0, size, BLOCK):
        checksum = zlib.crc32(file.read(min(BLOCK, size - first)), checksum)
    file.seek(position)
    return checksum
