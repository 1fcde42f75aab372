"""TIFF's directories, and strips and tiles that are unpacked to no more than they hold.

Nothing is read but what is asked for, and a count in a file is believed only as far as the file
goes: memory and time are bounded by the size of the file and of the picture.

References
----------
.. [1] Adobe, TIFF revision 6.0, sections 2, 9, 14 and 15; BigTIFF has the same with 64 bits.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from typing import BinaryIO, NamedTuple, Optional

import numpy as np

MAX_PAGES, MAX_ENTRIES = 64, 65535
"""Looked at; the directories of a damaged file can go on without end. BigTIFF could have more
entries, but there are no more tags."""
SUBFILE_TYPE, OLD_SUBFILE_TYPE = 254, 255
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR = 273, 277, 278, 279, 284
PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS = 317, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT, IMAGE_DEPTH = 338, 339, 32997
DEFAULTS = {COMPRESSION: 1, BITS: 1, SAMPLES: 1, PLANAR: 1, PREDICTOR: 1, PHOTOMETRIC: 0,
            FILL_ORDER: 1, SAMPLE_FORMAT: 1, ROWS_PER_STRIP: 2**32 - 1, IMAGE_DEPTH: 1,
            SUBFILE_TYPE: 0, OLD_SUBFILE_TYPE: 0}  # fmt: skip
TYPES = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 5: "2u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4",
         10: "2i4", 11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}  # fmt: skip
"""Dtypes of values, by the type's number."""
KINDS = {1: "u", 2: "i", 3: "f", 6: "c"}
"""Kinds of dtypes, by SampleFormat."""

NONE, DEFLATE, PACK_BITS = 1, (8, 32946), 32773
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Bytes with their bits in the other order."""
WASTE = 256
"""Bytes that a packed strip may have beyond those that it needs."""


class Directory:
    """The directory of one page.

    Parameters
    ----------
    file : binary file
    offset : int
        Where the directory begins.
    order : {'<', '>'}
    is_big : bool
        Whether the file is a BigTIFF.

    Raises
    ------
    ValueError
        If it lies beyond the end of the file, or has over `MAX_ENTRIES`.
    """

    def __init__(self, file: BinaryIO, offset: int, order: str, is_big: bool):
        self.order, self._file, self.file_size = order, file, file.seek(0, os.SEEK_END)
        size, word = (8, "u8") if is_big else (2, "u4")
        entry = [
            ("tag", "u2"),
            ("kind", "u2"),
            ("count", word),
            ("value", f"V{8 if is_big else 4}"),
        ]
        dtype = np.dtype(entry).newbyteorder(order)
        (number,) = _unpack(order + ("Q" if is_big else "H"), file, offset)
        if number > MAX_ENTRIES:
            raise ValueError(f"a directory has {number:,} entries")
        start = offset + size
        self._entries = np.frombuffer(_read(file, start, number * dtype.itemsize), dtype)
        self._positions = start + dtype.itemsize * np.arange(number) + dtype.fields["value"][1]
        self._word = order + ("Q" if is_big else "I")
        try:
            (self.following,) = _unpack(self._word, file, start + number * dtype.itemsize)
        except ValueError:  # some writers leave the link out
            self.following = 0

    def __contains__(self, tag: int) -> bool:
        return bool((self._entries["tag"] == tag).any())

    def values(self, tag: int) -> Optional[np.ndarray]:
        """Return a tag's values; None if there is no such tag, or they lie beyond the end."""
        (found,) = np.nonzero(self._entries["tag"] == tag)
        if not len(found):
            return None
        entry, position = self._entries[found[0]], int(self._positions[found[0]])
        dtype = np.dtype(TYPES.get(int(entry["kind"]), "V0")).newbyteorder(self.order)
        size = dtype.itemsize * int(entry["count"])
        if size > entry["value"].nbytes:
            (position,) = _unpack(self._word, self._file, position)
        if not 0 < size <= self.file_size - position:
            return None
        return np.frombuffer(_read(self._file, position, size), dtype.base)

    def number(self, tag: int) -> int:
        """Return a tag's first value, else TIFF's default for it, else 0."""
        values = self.values(tag)
        return DEFAULTS.get(tag, 0) if values is None else int(values[0])

    def bytes(self, tag: int) -> Optional[bytes]:
        """Return a tag's values as they are stored."""
        values = self.values(tag)
        return None if values is None else values.tobytes()

    @property
    def is_preview(self) -> bool:
        """Whether it is a smaller version of another page, or a mask."""
        return bool(self.number(SUBFILE_TYPE) & 0b101 or self.number(OLD_SUBFILE_TYPE) == 2)

    @property
    def dtype(self) -> Optional[np.dtype]:
        """The dtype of a sample, in the machine's byte order; None if NumPy has no such."""
        bits, formats = self.values(BITS), self.values(SAMPLE_FORMAT)
        bits = np.array([DEFAULTS[BITS]]) if bits is None else bits[: self.number(SAMPLES)]
        if (bits != bits[0]).any() or (formats is not None and (formats != formats[0]).any()):
            return None
        width = 8 << max(0, math.ceil(math.log2(max(1, int(bits[0])) / 8)))
        try:
            return np.dtype(f"{KINDS.get(self.number(SAMPLE_FORMAT), 'u')}{width // 8}")
        except TypeError:
            return None

    @property
    def value_bytes(self) -> int:
        """How many bytes all values have together, as far as the file goes."""
        sizes = np.zeros(65536, np.int64)
        sizes[list(TYPES)] = [np.dtype(name).itemsize for name in TYPES.values()]
        counts = np.minimum(self._entries["count"], self.file_size).astype(np.int64)
        sizes = sizes[self._entries["kind"]] * counts
        return int(np.minimum(sizes, self.file_size).sum())


def _read(file, offset, size) -> bytes:
    data = b""
    if offset < 1 << 63:
        file.seek(offset)
        data = file.read(size)
    if len(data) < size:
        raise ValueError("a directory lies beyond the end of the data")
    return data


def _unpack(form, file, offset) -> tuple:
    return struct.unpack(form, _read(file, offset, struct.calcsize(form)))


def read_directories(file: BinaryIO, limit: int = MAX_PAGES) -> list[Directory]:
    """Read the first directories of a TIFF or BigTIFF file.

    Raises
    ------
    ValueError
        If it is no TIFF file, or the first directory is damaged.
    """
    head = _read(file, 0, 4)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    version = struct.unpack(order + "H", head[2:])[0] if order else 0
    if version not in (42, 43):
        raise ValueError(f"it begins with {head!r}; it should with II* or MM")
    is_big = version == 43
    (offset,) = _unpack(order + ("Q" if is_big else "I"), file, 8 if is_big else 4)
    found, known = [], set()
    while offset and offset not in known and len(found) < limit:
        known.add(offset)
        try:
            found.append(Directory(file, offset, order, is_big))
        except ValueError:
            if not found:
                raise
            break
        offset = found[-1].following
    if not found:
        raise ValueError("it has no directory")
    return found


class Segments(NamedTuple):
    """The strips or tiles of a page: how they lie, and where in the file.

    Attributes
    ----------
    height, width : int
        Of one; at the edges of the picture they reach beyond it.
    down, across, planes : int
        How many there are.
    offsets, counts : ndarray of int64
        Where they begin, and their bytes; of those that the file lists.
    """

    height: int
    width: int
    down: int
    across: int
    planes: int
    offsets: np.ndarray
    counts: np.ndarray

    def box(self, index: int) -> tuple[int, slice, slice]:
        """Return plane, rows and columns of one."""
        plane, place = divmod(index, self.down * self.across)
        top, left = divmod(place, self.across)
        top, left = top * self.height, left * self.width
        return plane, slice(top, top + self.height), slice(left, left + self.width)

    @property
    def missing(self) -> np.ndarray:
        """Which of those that the file lists are not there: begin at 0, or hold nothing."""
        return (self.offsets == 0) | ((self.counts == 0) & (len(self.counts) > 1))


def segments_of(page: Directory) -> Segments:
    """Return a page's strips or tiles.

    Raises
    ------
    ValueError
        If there are no offsets, or a tile has no pixels.
    """
    width, length = page.number(WIDTH), page.number(LENGTH)
    is_tiled = TILE_WIDTH in page
    tile_width = page.number(TILE_WIDTH) if is_tiled else width
    tile_length = page.number(TILE_LENGTH) if is_tiled else min(page.number(ROWS_PER_STRIP), length)
    offsets, counts = page.values(TILE_OFFSETS), page.values(TILE_COUNTS)
    if offsets is None:  # some writers list tiles as strips
        offsets, counts = page.values(STRIP_OFFSETS), page.values(STRIP_COUNTS)
    if offsets is None or tile_width < 1 or tile_length < 1:
        raise ValueError("it does not say where its pixels are")
    down, across = math.ceil(length / tile_length), math.ceil(width / tile_width)
    planes = page.number(SAMPLES) if page.number(PLANAR) == 2 else 1
    offsets = offsets[: down * across * planes].astype(np.int64)
    rest = np.maximum(page.file_size - offsets, 0)
    is_told = counts is not None and counts.any()
    counts = counts[: len(offsets)].astype(np.int64) if is_told else rest
    offsets = offsets[: len(counts)]
    return Segments(tile_length, tile_width, down, across, planes, offsets, counts)


def missing_share(page: Directory, segments: Segments) -> float:
    """Return which share of a page's pixels is in strips or tiles that are not there."""
    width, length = page.number(WIDTH), page.number(LENGTH)
    (there,) = np.nonzero(~segments.missing)
    top, left = np.divmod(there % (segments.down * segments.across), segments.across)
    heights = np.minimum(segments.height, length - top * segments.height)
    widths = np.minimum(segments.width, width - left * segments.width)
    whole = width * length * segments.planes
    return (whole - int((heights * widths).sum())) / whole


def decode(page: Directory, segments: Segments, data: bytes) -> np.ndarray:
    """Decode a page that is not compressed, or by deflate or PackBits.

    Parameters
    ----------
    page : Directory
        Of a predictor of 1 or 2, and a dtype of whole bytes.
    segments : Segments
    data : bytes
        The file.

    Returns
    -------
    ndarray of shape (H, W, C), of the page's dtype
        What is missing is 0.

    Raises
    ------
    ValueError
        If a strip or tile is damaged or holds too little.
    """
    shape = page.number(LENGTH), page.number(WIDTH), page.number(SAMPLES)
    unsigned = np.dtype(f"u{page.dtype.itemsize}")  # differences of floats are those of their bits
    pixels, predictor = np.zeros(shape, unsigned), page.number(PREDICTOR)
    storage = page.number(COMPRESSION), page.number(FILL_ORDER) == 2
    for index in np.nonzero(~segments.missing)[0]:
        plane, rows, columns = segments.box(int(index))
        channels = slice(plane, plane + 1) if segments.planes > 1 else slice(None)
        part = pixels[rows, columns, channels]
        needed = len(part) * segments.width * part.shape[2] * unsigned.itemsize
        stored = data, int(segments.offsets[index]), int(segments.counts[index])
        try:
            unpacked = _unpacked(*stored, needed, *storage)
        except (ValueError, zlib.error) as error:
            raise ValueError(f"part {index + 1} of the pixels {error}") from error
        values = np.frombuffer(unpacked, unsigned)
        if page.order == ">":
            values = values.byteswap()
        values = values.reshape(len(part), segments.width, part.shape[2])
        if predictor == 2:
            values = np.cumsum(values, axis=1, dtype=unsigned)
        part[:] = values[:, : part.shape[1]]
    return pixels.view(page.dtype)


def _unpacked(data, start, count, needed, compression, is_reversed) -> bytes:
    """Unpack a strip or tile, as far as needed."""
    # Counts of what is not compressed are often wrong. Strips may share one long stretch of data.
    count = needed if compression == NONE else min(count, needed + needed // 8 + WASTE)
    packed = data[start : start + count]
    if is_reversed:
        packed = packed.translate(REVERSED)
    if compression in DEFLATE:
        # One byte more than needed, so that the checksum behind them is read.
        packed = zlib.decompressobj().decompress(packed, needed + 1)
    elif compression == PACK_BITS:
        packed = _unpack_bits(packed, needed)
    if len(packed) < needed:
        raise ValueError(f"has {len(packed):,} of {needed:,} bytes")
    return packed[:needed]


def _unpack_bits(packed, needed) -> bytes:
    """Undo PackBits: a count, then so many bytes, or one that is repeated."""
    result, position = bytearray(), 0
    while len(result) < needed and position < len(packed):
        head = packed[position]
        if head < 128:
            result += packed[position + 1 : position + 2 + head]
            position += 2 + head
        else:  # 128 says nothing
            result += packed[position + 1 : position + 2] * (257 - head if head > 128 else 0)
            position += 2 if head > 128 else 1
    return bytes(result)
