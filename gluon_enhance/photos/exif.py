"""EXIF data: what enlarging makes wrong is corrected in place, so that maker notes stay valid.

EXIF data and TIFF files have one layout [1]_: a byte order, then directories of 12-byte entries,
each a tag, a type, a count, and the value or its position in the file.

References
----------
.. [1] Adobe, TIFF revision 6.0, section 2; CIPA DC-008, section 4.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Optional

PREFIX = b"Exif\0\0"
"""What JPEG puts before EXIF data."""
ASCII, SHORT, LONG = 2, 3, 4
SIZES = {1: 1, 2: 1, SHORT: 2, LONG: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of one value, by the type's number."""

ORIENTATION, SOFTWARE = 0x0112, 0x0131
EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
"""Tags whose values are positions of further directories; the last one is in EXIF's."""
WIDTHS, HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)
"""Tags of the size in pixels, in the first directory and in EXIF's."""
X_RESOLUTION, RESOLUTION_UNIT = 0x011A, 0x0128
CENTIMETER, CENTIMETERS_PER_INCH, DEFAULT_DPI = 3, 2.54, 72.0
"""A value of the unit, and the resolution of what tells none."""
THUMBNAIL, THUMBNAIL_BYTES = 0x0201, 0x0202
"""Tags of the second directory: where the thumbnail is, a JPEG, and its length."""
DESCRIPTIVE = (
    0x010E, 0x010F, 0x0110,  # description, make, model
    0x011A, 0x011B, 0x0128,  # resolution and its unit
    0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298,  # software, date, artist, rating
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,  # what Windows writes
    EXIF, GPS,
)  # fmt: skip
"""Tags of a TIFF file's first directory that say nothing of how its pixels are stored."""


def take_orientation(data: bytes) -> tuple[int, bytes]:
    """Read the orientation of EXIF data or of a TIFF file, and set it to 1.

    Returns
    -------
    orientation : int from 1 to 8
    data : bytes
        The same with orientation 1.

    Raises
    ------
    ValueError
        If the first directory is damaged.
    """
    order, offset = _header(data)
    for tag, kind, _, position in _entries(data, order, offset):
        if tag == ORIENTATION:
            (value,) = struct.unpack_from(order + ("H" if kind == SHORT else "I"), data, position)
            result = bytearray(data)
            struct.pack_into(order + "HHIHH", result, position - 8, tag, SHORT, 1, 1, 0)
            return value if 1 <= value <= 8 else 1, bytes(result)
    return 1, data


def resolution(data: bytes) -> tuple[float, float]:
    """Read the pixels per inch; `DEFAULT_DPI` if the data tells none, or is damaged."""
    try:
        order, offset = _header(data)
        at = {tag: position for tag, _, _, position in _entries(data, order, offset)}
        (unit,) = struct.unpack_from(order + "H", data, at[RESOLUTION_UNIT])
        (position,) = struct.unpack_from(order + "I", data, at[X_RESOLUTION])
        numerator, denominator = struct.unpack_from(order + "II", data, position)
        dpi = numerator / denominator * (CENTIMETERS_PER_INCH if unit == CENTIMETER else 1)
    except (ValueError, LookupError, ZeroDivisionError, struct.error):
        dpi = DEFAULT_DPI
    return dpi, dpi


def resized(data: bytes, width: int, height: int) -> bytes:
    """Write the size in pixels into EXIF data and drop its thumbnail.

    Raises
    ------
    ValueError
        If a directory is damaged, or values overlap.
    """
    order, offset = _header(data)
    result = bytearray(data)
    inner = [
        struct.unpack_from(order + "I", data, position)[0]
        for tag, _, _, position in _entries(data, order, offset)
        if tag == EXIF
    ]
    for start in [offset, *inner[:1]]:
        _check_values(data, order, start)
        for tag, _, _, position in _entries(data, order, start):
            if tag in WIDTHS + HEIGHTS:
                size = width if tag in WIDTHS else height
                struct.pack_into(order + "HHII", result, position - 8, tag, LONG, 1, size)
    _drop_thumbnail(result, order, offset)
    return bytes(result)


def with_software(data: Optional[bytes], text: str) -> bytes:
    """Write into EXIF data which software made the picture; None gives data of that alone.

    The first directory moves to the end, with one entry more; all else stays where it is.

    Raises
    ------
    ValueError
        If the first directory is damaged.
    """
    data = data or b"II*\0" + struct.pack("<IHI", 8, 0, 0)
    order, offset = _header(data)
    # By tag, the 12 bytes of an entry, of which `at` is the position of the last 4, its value.
    entries = {tag: data[at - 8 : at + 4] for tag, _, _, at in _entries(data, order, offset)}
    (number,) = struct.unpack_from(order + "H", data, offset)
    link = data[offset + 2 + 12 * number :][:4].ljust(4, b"\0")
    value = text.encode("ascii", "replace") + b"\0"
    out = bytearray(data + bytes(len(data) % 2))
    entries[SOFTWARE] = struct.pack(order + "HHII", SOFTWARE, ASCII, len(value), len(out))
    out += value + bytes(len(value) % 2)
    struct.pack_into(order + "I", out, 4, len(out))
    out += struct.pack(order + "H", len(entries))
    return bytes(out + b"".join(entries[tag] for tag in sorted(entries)) + link)


def directory(data: bytes) -> tuple[str, dict[int, bytes]]:
    """Return the byte order ('<' or '>'), and the sound descriptive entries, 12 bytes each."""
    order, offset = _header(data)
    return order, {
        tag: data[position - 8 : position + 4]
        for tag, kind, count, position in _entries(data, order, offset)
        if tag in DESCRIPTIVE and _span(data, order, kind, count, position)
    }


def from_tiff(data: bytes) -> Optional[bytes]:
    """Copy what describes the photo out of a TIFF file, as EXIF data; None if there is nothing.

    Raises
    ------
    ValueError
        If a directory is damaged.
    """
    order, offset = _header(data)
    out = bytearray(data[:4] + struct.pack(order + "I", 8))
    _copy_directory(data, order, offset, out, DESCRIPTIVE, (EXIF, GPS))
    return bytes(out) if len(out) > 8 + 2 + 4 else None


def _copy_directory(data, order, offset, out, tags, pointers) -> int:
    """Append a directory with its sound values and its subdirectories; return its position."""
    entries: dict[int, tuple[int, int, slice]] = {}  # by tag: type, count, where the value is
    for tag, kind, count, position in _entries(data, order, offset):
        span = _span(data, order, kind, count, position)
        if span and (not tags or tag in tags):
            entries.setdefault(tag, (kind, count, span))  # a directory has each tag once
    start = len(out)
    out += struct.pack(order + "H", len(entries)) + bytes(12 * len(entries) + 4)
    for index, (tag, (kind, count, span)) in enumerate(entries.items()):
        value = data[span]
        if tag in pointers and len(value) == 4:
            (inner,) = struct.unpack(order + "I", value)
            below = (INTEROPERABILITY,) if tag == EXIF else ()
            value = struct.pack(order + "I", _copy_directory(data, order, inner, out, (), below))
        elif len(value) > 4:
            position = len(out)
            out += value + bytes(len(value) % 2)
            value = struct.pack(order + "I", position)
        struct.pack_into(order + "HHI4s", out, start + 2 + 12 * index, tag, kind, count, value)
        _check_overlap(len(out), data)
    return start


def _check_values(data, order, offset):
    """Refuse a directory whose values overlap: who reads it takes memory for each."""
    spans = (_span(data, order, *entry) for _, *entry in _entries(data, order, offset))
    _check_overlap(sum(span.stop - span.start for span in spans if span), data)


def _check_overlap(size, data):
    """Refuse values that share their bytes: a copy of all could be far larger than the file."""
    if size > 2 * len(data):
        raise ValueError("its values overlap")


def _span(data, order, kind, count, position) -> Optional[slice]:
    """Return where a value lies; None if its type is unknown or it lies beyond the end."""
    size = SIZES.get(kind, 0) * count
    if size > 4:
        (position,) = struct.unpack_from(order + "I", data, position)
    return slice(position, position + size) if 0 < size <= len(data) - position else None


def _header(data) -> tuple[str, int]:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None or len(data) < 8:
        raise ValueError(f"it begins with {bytes(data[:4])!r}; it should with II* or MM")
    return order, struct.unpack_from(order + "I", data, 4)[0]


def _entries(data, order, offset) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, type, count and the position of the value field."""
    try:
        (number,) = struct.unpack_from(order + "H", data, offset)
        for position in range(offset + 2, offset + 2 + 12 * number, 12):
            yield *struct.unpack_from(order + "HHI4x", data, position), position + 8
    except struct.error as error:
        raise ValueError("a directory lies beyond the end of the data") from error


def _drop_thumbnail(data, order, offset):
    """Unlink the second directory, and cut off the thumbnail where it lies at the end."""
    (number,) = struct.unpack_from(order + "H", data, offset)
    link = offset + 2 + 12 * number
    if link + 4 > len(data):  # some writers leave the link out
        return
    (second,) = struct.unpack_from(order + "I", data, link)
    struct.pack_into(order + "I", data, link, 0)
    values = (
        {
            tag: struct.unpack_from(order + "I", data, position)[0]
            for tag, _, _, position in _entries(data, order, second)
        }
        if second
        else {}
    )
    start = values.get(THUMBNAIL, len(data))
    if start > second and start + values.get(THUMBNAIL_BYTES, 0) >= len(data):
        del data[start:]
