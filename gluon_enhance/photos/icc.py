"""ICC profiles as lcms is to see them: with the one tag that tells the colors of a picture.

Of a whole profile lcms would read what it prefers, which are chains of any length (``D2B0``, of
the type ``mpet``) that may name one element thousands of times.

References
----------
.. [1] ICC.1:2010, Image technology colour management, sections 7.2, 7.3, 10.8, 10.9 and 10.10.
"""

from __future__ import annotations

import math
import struct

HEADER = 128
ENTRY = struct.Struct(">4sII")
"""A tag in the list behind the header: name, position and size."""
MAX_TAGS = 100
"""lcms takes no more."""
TAGS = (b"A2B0", b"kTRC")
"""What turns inks or grays into colors: lcms takes a table, and a curve of grays if there is
none."""
TYPES = {b"A2B0": (b"mft1", b"mft2", b"mAB "), b"kTRC": (b"curv", b"para")}
MAX_BYTES = 16 << 20
"""Of that tag: a table of 33 steps for each of four inks has 7 MB in 16 bits."""


def reduced(profile: bytes) -> bytes:
    """Return a profile with the one tag that lcms needs to read pictures by it.

    Colors are the same as with the whole profile, unless it has tables in floats.

    Raises
    ------
    ValueError
        If there is no such tag, it is of another type, or its table claims more than there is.
    """
    name, tag = _tag_of(profile)
    kind = tag[:4]
    if kind not in TYPES[name]:
        raise ValueError(f"its tag {name.decode()} is of the type {kind!r}")
    if len(tag) > MAX_BYTES:
        raise ValueError(f"its tag {name.decode()} has over {MAX_BYTES:,} bytes")
    claimed = {b"mft1": _bytes_of_lut, b"mft2": _bytes_of_lut, b"mAB ": _bytes_of_mab}
    # lcms takes memory for a table before it reads it; all else it reads one by one to the end.
    if kind in claimed and claimed[kind](tag) > len(tag):
        raise ValueError(f"its tag {name.decode()} is cut short")
    start = HEADER + 4 + ENTRY.size
    size = struct.pack(">I", start + len(tag))
    entry = struct.pack(">I", 1) + ENTRY.pack(name, start, len(tag))
    return size + profile[4:HEADER] + entry + tag


def _tag_of(profile) -> tuple[bytes, bytes]:
    """Return name and data of the first of `TAGS` that is there."""
    try:
        (count,) = struct.unpack_from(">I", profile, HEADER)
        if count > MAX_TAGS:
            raise ValueError(f"it has {count:,} tags")
        entries = [ENTRY.unpack_from(profile, HEADER + 4 + ENTRY.size * k) for k in range(count)]
    except struct.error as error:
        raise ValueError("it is cut short") from error
    places = {name: (start, start + size) for name, start, size in reversed(entries)}
    for name in TAGS:
        if name in places:
            start, end = places[name]
            if end > len(profile):
                raise ValueError(f"its tag {name.decode()} ends beyond it")
            return name, profile[start:end]
    raise ValueError(f"it has none of the tags {' and '.join(map(bytes.decode, TAGS))}")


def _bytes_of_lut(tag) -> int:
    """Return where the tables of a tag of type ``mft1`` or ``mft2`` end."""
    inputs, outputs, steps = struct.unpack_from("8x3B", tag.ljust(52, b"\0"))
    nodes = steps**inputs * outputs
    if tag[:4] == b"mft1":
        return 48 + 256 * inputs + nodes + 256 * outputs
    before, after = struct.unpack_from(">48x2H", tag.ljust(52, b"\0"))
    return 52 + 2 * (before * inputs + nodes + after * outputs)


def _bytes_of_mab(tag) -> int:
    """Return where the table of a tag of type ``mAB`` ends."""
    inputs, outputs, place = struct.unpack_from(">8xBB14xI", tag.ljust(32, b"\0"))
    if not place:
        return 32
    *steps, width = tag[place : place + 17].ljust(17, b"\0")
    return place + 20 + math.prod(steps[:inputs]) * outputs * width
