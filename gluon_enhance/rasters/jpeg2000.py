"""How much memory a JPEG 2000 file has a decoder take, whatever its size.

A decoder makes a record of each tile's components when it opens a file, and of each code block of a
tile when it reads a window. A hundred bytes can claim a tile of 2^40 pixels.

References
----------
.. [1] ITU-T T.800, annexes A (code stream) and I (file format), and B.6 and B.7 for the numbers of
   precincts and code blocks.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from gluon_enhance.rasters.claims import fault_of_block

BOXES, CODE_STREAM = b"\0\0\0\x0cjP", b"\xffO\xffQ"
"""How files begin that have boxes, and those that have not."""
SIZE, STYLE, COMPONENT_STYLE, TILE, DATA = 0xFF51, 0xFF52, 0xFF53, 0xFF90, 0xFF93
"""Markers of a code stream: SIZ, COD, COC, SOT and SOD."""
END = 0xFFD9
OTHERS = frozenset((*range(0xFF50, 0xFF65), *range(0xFF72, 0xFF7C), TILE))
"""Markers that have a length, as all known ones of headers but SOD."""
NUMBER_BYTES = 4
"""Of a coefficient, decoded."""
RECORD_BYTES, PIECE_BYTES = 1100, 400
"""Of a component in a tile, and of a code block, in OpenJPEG."""
MAX_BOXES = 1000
"""Before the code stream; a file has some ten."""
WHOLE = 15
"""The exponent of a precinct's side where none is said."""


def fault_of(path: str | os.PathLike) -> str:
    """Say what keeps a file from being decoded; an empty text if nothing, or it is none."""
    with open(path, "rb") as file:
        head = file.read(len(BOXES))
        if head != BOXES and not head.startswith(CODE_STREAM):
            return ""
        try:
            start = 0 if head.startswith(CODE_STREAM) else _start(file)
            return fault_of_block(_Stream(file, start).claimed_bytes(), os.path.getsize(path))
        except (IndexError, struct.error, ValueError):
            return "is a damaged JPEG 2000 file"


def _start(file: BinaryIO) -> int:
    """Return where the code stream begins."""
    offset = 0
    for _ in range(MAX_BOXES):
        file.seek(offset)
        length, kind = struct.unpack(">I4s", file.read(8))
        start = 8
        if length == 1:
            (length,), start = struct.unpack(">Q", file.read(8)), 16
        if kind == b"jp2c":
            return offset + start
        if length < start:
            break
        offset += length
    raise ValueError("it has no code stream")


class _Stream:
    """The headers of a code stream, read from its start."""

    def __init__(self, file: BinaryIO, start: int):
        self._file, self._at = file, start + 2
        self._pieces = 0.0  # for each pixel, of the style that has the most
        width, height, left, top, *tile, self._components = self._sizes()
        self._area = min(tile[0], width - left) * min(tile[1], height - top)
        self._tiles = -(-width // max(1, tile[0])) * -(-height // max(1, tile[1]))

    def _segment(self) -> tuple[int, bytes]:
        """Read a marker and what it has; a tile's data are skipped with its header."""
        self._file.seek(self._at)
        marker, length = struct.unpack(">HH", self._file.read(4))
        if marker == DATA:
            return marker, b""
        if marker not in OTHERS or length < 2:  # decoders look for the next that they know
            raise ValueError(f"it has the marker {marker:X}")
        self._at += 2 + length
        return marker, self._file.read(length - 2)

    def _sizes(self):
        marker, data = self._segment()
        if marker != SIZE:
            raise ValueError("it begins with no sizes")
        width, height, left, top, across, down = struct.unpack_from(">6I", data, 2)
        return width, height, left, top, across, down, *struct.unpack_from(">H", data, 34)

    def claimed_bytes(self) -> int:
        self._read_styles()
        numbers = self._area * self._components * NUMBER_BYTES
        pieces = int(self._area * self._components * self._pieces) * PIECE_BYTES
        return max(numbers, pieces, self._tiles * self._components * RECORD_BYTES)

    def _read_styles(self):
        """Read the styles of the whole and of each part of a tile."""
        end = 0  # of the part
        while not self._is_over():
            start, (marker, data) = self._at, self._segment()
            if marker == TILE:
                (length,) = struct.unpack_from(">I", data, 2)
                end = start + length
            elif marker == STYLE:
                self._note(data[0] & 1, data[5:])
            elif marker == COMPONENT_STYLE:
                wide = 2 if self._components > 256 else 1
                self._note(data[wide] & 1, data[wide + 1 :])
            elif marker == DATA and end <= start:  # the last part has no length
                return
            elif marker == DATA:
                self._at = end

    def _is_over(self):
        """Tell whether the stream ends here, or is cut short."""
        self._file.seek(self._at)
        head = self._file.read(4)
        return len(head) < 4 or head[:2] == END.to_bytes(2, "big")

    def _note(self, has_precincts, style):
        """Note how many pieces a pixel is in, by a style: precincts or code blocks."""
        levels, across, down = style[0], style[1] + 2, style[2] + 2
        sides = style[5 : 6 + levels] if has_precincts else bytes([WHOLE * 17]) * (levels + 1)
        pieces = 0.0
        for level, side in zip(range(levels, -1, -1), sides):
            smaller = 1 if level < levels else 0  # a precinct is parted among three bands
            across_log = min(across, max(0, (side & 15) - smaller))
            down_log = min(down, max(0, (side >> 4) - smaller))
            pieces += 2.0 ** -(2 * level + across_log + down_log)
        self._pieces = max(self._pieces, pieces)
