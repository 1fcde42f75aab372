"""Pictures of the formats of photos that GDAL reads: what it would take memory and time for.

Its readers unpack more of a file than ours, which have limits that must hold for both.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Optional

from gluon_enhance.errors import ImageError
from gluon_enhance.photos import jpeg
from gluon_enhance.photos.photo import DECODING_ERRORS, MAX_PIXELS, Format
from gluon_enhance.photos.png import HEADER_AT, SIGNATURE
from gluon_enhance.photos.read import HEAD_BYTES, format_of, read_size

GIVEN = ("PNG", "JPEG", "WebP", "AVIF", "HEIC")
"""Formats that GDAL is given, besides TIFF: files beside them may give them a place."""
INTERLACED_AT = HEADER_AT + 12
PACKED, PACKED_SHARE = 1 << 16, 100
"""Bytes of packed texts and profiles that a PNG file may have, and the part of a larger file:
each unpacks to a thousand times as much."""


def picture_format(path: str | os.PathLike) -> Optional[Format]:
    """Tell the format of a file that begins as a photo; None if it is none, or a TIFF file."""
    if not os.path.isfile(path):  # to open a pipe could wait for ever
        return None
    with open(path, "rb") as file:
        form = format_of(file.read(HEAD_BYTES))
    if form is None or form.name == "TIFF":
        return None
    # Raw numbers may begin with the two letters of BMP.
    return None if form.name == "BMP" and read_size(path) is None else form


def fault_of(path: str | os.PathLike) -> str:
    """Say why GDAL is not to read a picture; an empty text if it may, or it is none."""
    form = picture_format(path)
    if form is None:
        return ""
    if form.name not in GIVEN:
        return f"is {form.name}, which is for photos only; save it as PNG or TIFF"
    missing, size = form.missing_package(), read_size(path)
    if missing:
        return f"is {form.name}, which is looked at with pip install '{missing}'"
    if size is None:
        return f"is {form.name} with a header that is damaged, or claims too much"
    if not form.may_hold(*size, os.path.getsize(path)):
        return f"is {size[0]}x{size[1]} in {os.path.getsize(path):,} bytes: no picture is as small"
    if form.name == "PNG":
        return _fault_of_png(path, *size)
    return _fault_of_jpeg(path) if form.name == "JPEG" else ""


def _fault_of_jpeg(path):
    try:
        jpeg.check_work(Path(path).read_bytes())
    except ImageError as error:
        return str(error)
    except DECODING_ERRORS:
        return "is JPEG without pixels"
    return ""


def _fault_of_png(path, width, height):
    with open(path, "rb") as file:
        head = file.read(INTERLACED_AT + 1)
        packed = _packed_bytes(file)
    if packed > max(PACKED, os.path.getsize(path) // PACKED_SHARE):
        return f"has {packed:,} bytes of packed texts and profiles"
    if head[INTERLACED_AT:] != b"\0" and width * height > MAX_PIXELS:
        return f"is an interlaced PNG of {width}x{height} pixels, which are unpacked many times"
    return ""


def _packed_bytes(file) -> int:
    """Sum the bytes of a PNG file's chunks that GDAL unpacks beside the pixels."""
    position, total = len(SIGNATURE), 0
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return total
        size, name = struct.unpack(">I4s", head)
        is_plain = name == b"iTXt" and file.read(82).partition(b"\0")[2][:1] == b"\0"
        total += size if name in (b"zTXt", b"iTXt", b"iCCP") and not is_plain else 0
        position += 12 + size
