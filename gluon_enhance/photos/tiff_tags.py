"""TIFF's directories of tags, which EXIF data, JPEG's lists of pictures and GeoTIFF have too.

Nothing is read but what is asked for, and a count in a file is believed only as far as the file
goes: memory and time are bounded by the size of the file.

References
----------
.. [1] Adobe, TIFF revision 6.0, section 2; BigTIFF has the same with 64 bits.
.. [2] OGC GeoTIFF standard 1.1, section 7.
"""

from __future__ import annotations

import math
import os
import struct
from typing import BinaryIO, Literal, Optional

import numpy as np

HEADS: dict[bytes, tuple[Literal["<", ">"], bool]] = {
    b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True),
}  # fmt: skip
"""By a file's first bytes, its byte order, and whether it is a BigTIFF."""
MAX_PAGES, MAX_ENTRIES = 64, 65535
"""Looked at; the directories of a damaged file can go on without end. BigTIFF could have more
entries, but there are no more tags."""
SUBFILE_TYPE, OLD_SUBFILE_TYPE = 254, 255
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 273, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, PLANAR, RESOLUTION_UNIT = 282, 283, 284, 296
PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS = 317, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT, XMP, IMAGE_DEPTH = 338, 339, 700, 32997
IPTC, ICC_PROFILE, LAYERS = 33723, 34675, 37724
"""Tags by their names in the specification; the last one is Photoshop's."""
PLACES = (33550, 33922, 34264, 34735)
"""Tags of GeoTIFF [2]_: pixel scale, tie points, transformation, keys."""
ASSOCIATED, UNASSOCIATED = 1, 2
"""What ExtraSamples says of an alpha channel: multiplied into the colors, or not."""
DEFAULTS = {COMPRESSION: 1, BITS: 1, SAMPLES: 1, PLANAR: 1, PREDICTOR: 1, PHOTOMETRIC: 0,
            FILL_ORDER: 1, SAMPLE_FORMAT: 1, ROWS_PER_STRIP: 2**32 - 1, IMAGE_DEPTH: 1,
            SUBFILE_TYPE: 0, OLD_SUBFILE_TYPE: 0}  # fmt: skip
TYPES = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 5: "2u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4",
         10: "2i4", 11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}  # fmt: skip
"""Dtypes of values, by the type's number."""
KINDS = {1: "u", 2: "i", 3: "f", 6: "c"}
"""Kinds of dtypes, by SampleFormat."""


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

    def __init__(self, file: BinaryIO, offset: int, order: Literal["<", ">"], is_big: bool):
        self.order, self._file, self.file_size = order, file, file.seek(0, os.SEEK_END)
        self._is_big = is_big
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
        ends = start + dtype.itemsize * np.arange(1, number + 1)
        self._positions = ends - dtype["value"].itemsize  # in the file, of each entry's value
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
        """Return a tag's first value, else TIFF's default for it, else 0; a fraction is none."""
        values = self.values(tag)
        if values is None or values.dtype.kind == "f":
            return DEFAULTS.get(tag, 0)
        return int(values[0])

    def bytes(self, tag: int) -> Optional[bytes]:
        """Return a tag's values as they are stored."""
        values = self.values(tag)
        return None if values is None else values.tobytes()

    def at(self, offset: int) -> Directory:
        """Return another directory of the same file; errors are as of this one."""
        return Directory(self._file, offset, self.order, self._is_big)

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
        kinds = range(max(TYPES) + 2)  # the last one stands for all that are not known
        sizes = np.array([np.dtype(TYPES.get(kind, "V0")).itemsize for kind in kinds])
        counts = np.minimum(self._entries["count"], self.file_size).astype(np.int64)
        sizes = sizes[np.minimum(self._entries["kind"], kinds[-1])] * counts
        return int(np.minimum(sizes, self.file_size).sum())


def _read(file, offset, size) -> bytes:
    beyond = "a directory lies beyond the end of the data"
    try:
        file.seek(offset)
    except (OSError, OverflowError) as error:  # no file is so long
        raise ValueError(beyond) from error
    data = file.read(size)
    if len(data) < size:
        raise ValueError(beyond)
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
    if head not in HEADS:
        raise ValueError(f"it begins with {head!r}; it should with II* or MM")
    order, is_big = HEADS[head]
    (offset,) = _unpack(order + ("Q" if is_big else "I"), file, 8 if is_big else 4)
    found: list[Directory] = []
    known = set()
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


def extra_samples(page: Directory) -> tuple[int, ...]:
    """Return what a directory says of the samples beyond the colors, such as `ASSOCIATED`."""
    values = page.values(EXTRA_SAMPLES)
    return () if values is None else tuple(values.tolist())


def has_place(path: str | os.PathLike) -> bool:
    """Tell whether a file is a GeoTIFF, by its tags; a file that is not there has no place."""
    try:
        if not os.path.isfile(path):  # to open a pipe could wait for ever
            return False
        with open(path, "rb") as file:
            (page,) = read_directories(file, 1)
            return any(tag in page for tag in PLACES)
    except (OSError, ValueError):
        return False
