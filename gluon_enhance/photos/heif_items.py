"""What the items of HEIC and AVIF files claim: decoders take memory for all that one names.

Items may name the same bytes, and pictures the same data and properties, of which each gets a
copy of its own.

References
----------
.. [1] ISO/IEC 14496-12, sections 4.2 (boxes), 8.11.3 (iloc) and 8.11.6 (iinf).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator

from gluon_enhance.errors import ImageError

MAX_ITEMS, MAX_EXTENTS = 1000, 32
"""Items in a file, and stretches of bytes of each, as in libheif. Large photos have a few hundred
items, which are tiles."""
SHARE, SLACK = 2, 64 << 20
"""How many times the file's bytes its items may claim, and bytes besides."""
DATA = (b"Exif", b"mime", b"uri ")
"""Types of items that are no pictures."""
HIDDEN = 1
"""Flag of a picture that is a part of others, which gets no data."""


def check_items(data: bytes) -> None:
    """Refuse a file whose items claim far more bytes than it has.

    Raises
    ------
    ImageError
    struct.error
        If it is cut short.
    """
    pictures, shared = 0, 0
    sizes: Counter[int] = Counter()
    others: set[int] = set()
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind != b"meta":
            continue
        shared += end - start
        for inner, first, last in _boxes(data, start + 4, end):
            if inner == b"iloc":
                sizes.update(_sizes(data, first))
            elif inner == b"iinf":
                shown, found = _kinds(data, first, last)
                pictures += shown
                others |= found
    shared += sum(sizes[number] for number in others)
    claimed = sum(sizes.values()) + pictures * shared
    if claimed > SHARE * len(data) + SLACK:
        raise ImageError(
            f"has items that claim {claimed:,} bytes, and has {len(data):,}; save it again"
        )


def _boxes(data, start, end) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, begin and end of the content of boxes that follow each other."""
    for _ in range(MAX_ITEMS + 1):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            head, (size,) = 16, struct.unpack_from(">Q", data, start + 8)
        after = start + size if size else end
        if size and size < head:
            raise ImageError(f"is damaged: it has a box of {size} bytes; get the file again")
        yield kind, start + head, min(after, end)
        start = after
    raise ImageError(f"has over {MAX_ITEMS:,} items; save it again")


def _kinds(data, start, end) -> tuple[int, set[int]]:
    """Return how many pictures are no parts of others, and the numbers of items that are none."""
    version = data[start]
    shown, others = 0, set()
    for _, first, _ in _boxes(data, start + (8 if version else 6), end):
        layout = ">IH4s" if data[first] == 3 else ">HH4s"
        number, _, kind = struct.unpack_from(layout, data, first + 4)
        if data[first] < 2 or kind in DATA:  # old entries have no types
            others.add(number)
        elif not data[first + 3] & HIDDEN:
            shown += 1
    return shown, others


def _sizes(data, start) -> Counter[int]:
    """Return the bytes that items claim, by their numbers."""
    version, widths, more = struct.unpack_from(">B3x2B", data, start)
    wide = "I" if version == 2 else "H"
    before, length = (more & 15 if version else 0) + (widths >> 4), widths & 15
    entry = struct.Struct(f">{wide}{'H' if version else ''}2x{more >> 4}xH")
    (count,) = struct.unpack_from(f">{wide}", data, start + 6)
    if count > MAX_ITEMS:
        raise ImageError(f"has over {MAX_ITEMS:,} items; save it again")
    position = start + 6 + struct.calcsize(wide)
    sizes: Counter[int] = Counter()
    for _ in range(count):
        number, *_, extents = entry.unpack_from(data, position)
        position += entry.size
        if extents > MAX_EXTENTS:
            raise ImageError(f"has an item in over {MAX_EXTENTS} parts; save it again")
        for _ in range(extents):
            place = position + before
            position = place + length
            sizes[number] += int.from_bytes(data[place:position], "big")
    return sizes
