"""JPEG's segments: what a file says beside its pixels, and where it is cut short.

References
----------
.. [1] ITU-T T.81 (JPEG), section B.1; Adobe, XMP specification part 3, section 1.1.3.
.. [2] Adobe, Photoshop file formats specification, image resource blocks.
.. [3] CIPA DC-007, Multi-Picture Format, section 5.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator

from gluon_enhance.errors import ImageError
from gluon_enhance.photos.photo import Contents
from gluon_enhance.photos.tiff import read_directories

APP1, APP2, APP11, APP13, COMMENT, START_OF_SCAN = 0xE1, 0xE2, 0xEB, 0xED, 0xFE, 0xDA
FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
READ = {
    0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC9: "arithmetic", 0xCA: "arithmetic",
}  # fmt: skip
"""Kinds of frames that are decoded; others are lossless, hierarchical or JPEG-LS."""
END = b"\xff\xd9"
NEXT_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""What ends the data of a scan; a restart does not."""
MAX_SCANS = 100
"""Each is as much work as the whole picture; progressive files have about 10."""

XMP, EXTENDED_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
PHOTOSHOP, RESOURCE = b"Photoshop 3.0\0", b"8BIM"
IPTC, PATHS = 0x0404, range(2000, 2998)
"""Photoshop's numbers of resources."""
GAIN_MAPS = (b"hdrgm:", b"HDRGainMap", b"urn:iso:std:iso:ts:21496:-1")
"""Android's, Apple's and ISO's."""
MULTI_PICTURE, ENTRIES, LARGE_THUMBNAIL = b"MPF\0", 0xB002, 0x010000
MAX_SEGMENT = 65533


def read_jpeg(data: bytes) -> Contents:
    """Take a file apart; one that lacks its end gets one, so that what is there is decoded.

    Raises
    ------
    ValueError
        If nothing of the pixels is there.
    ImageError
        If it is of a kind that is not decoded.
    """
    says, comments, resources, left_out, scan = {}, [], [], [], None
    for marker, body, position in _segments(data):
        if marker in FRAMES:
            _check_kind(marker, body)
        elif marker == COMMENT:
            comments.append(_text(body))
        elif marker == APP1 and body.startswith(XMP):
            says.setdefault("xmp", body[len(XMP) :])
        elif marker == APP1 and body.startswith(EXTENDED_XMP):
            left_out.append("extended XMP")
        elif marker == APP2 and body.startswith(MULTI_PICTURE):
            left_out += _pictures(body[len(MULTI_PICTURE) :])
        elif marker == APP11 and b"c2pa" in body:
            left_out.append("Content Credentials (C2PA)")
        elif marker == APP13 and body.startswith(PHOTOSHOP):
            resources.append(body[len(PHOTOSHOP) :])
        elif marker == START_OF_SCAN:
            scan = position
    for number, value in _resources(b"".join(resources)):
        if number == IPTC:
            says["iptc"] = value
        elif number in PATHS:
            left_out.append("clipping paths")
    end = len(data) if scan is None else _end_of_scans(data, scan)
    is_cut = end < 0
    if scan == len(data):
        raise ValueError("its pixels are missing")
    if not is_cut:
        left_out = _appended(data, end, left_out)
    if comments:
        says["comment"] = "\n".join(comments)
    says["left_out"] = tuple(dict.fromkeys(left_out))
    return Contents(data + END if is_cut else data, says, [], is_cut)


def _segments(data) -> Iterator[tuple[int, bytes, int]]:
    """Yield marker, data and the position of what follows, up to the first scan."""
    position, marker = 2, 0
    while marker != START_OF_SCAN and position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill bytes
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if length < 2 or end > len(data):
            return
        yield marker, data[position + 4 : end], end
        position = end


def _end_of_scans(data, position) -> int:
    """Return where the end is marked, from the data of the first scan on; -1 if nowhere."""
    scans = 1
    while match := NEXT_MARKER.search(data, position):
        marker, position = data[match.start() + 1], match.end()
        if marker == END[1]:
            return match.start()
        scans += marker == START_OF_SCAN
        if scans > MAX_SCANS:
            raise ImageError(f"has over {MAX_SCANS} scans; save it again")
        if position + 2 > len(data):
            break
        # Tables and texts between the scans may hold anything.
        position += struct.unpack_from(">H", data, position)[0]
    return -1


def _check_kind(marker, body):
    if marker not in READ:
        what = "a JPEG-LS file" if marker == 0xF7 else f"a JPEG of the kind SOF{marker - 0xC0}"
    elif body[:1] not in (b"", b"\x08"):
        what = f"a JPEG of {body[0]} bits"
    elif body[5:6] == b"\2":
        what = "a JPEG of 2 channels"
    else:
        return
    raise ImageError(f"is {what}, which is not supported; save it as plain JPEG or PNG")


def _text(body) -> str:
    """Decode a comment: its encoding is nowhere written."""
    body = body.rstrip(b"\0")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _resources(data) -> Iterator[tuple[int, bytes]]:
    """Yield number and data of Photoshop's resources."""
    position = 0
    while data[position : position + 4] == RESOURCE and position + 12 <= len(data):
        number, name = struct.unpack_from(">HB", data, position + 4)
        position += 6 + name + 1 + (name + 1) % 2
        if position + 4 > len(data):
            return
        (size,) = struct.unpack_from(">I", data, position)
        yield number, data[position + 4 : position + 4 + size]
        position += 4 + size + size % 2


def resource_segment(iptc: bytes) -> bytes:
    """Return the segment's data that holds IPTC data."""
    padding = bytes(len(iptc) % 2)
    return PHOTOSHOP + RESOURCE + struct.pack(">HHI", IPTC, 0, len(iptc)) + iptc + padding


def _pictures(data) -> list[str]:
    """Name the pictures of a multi-picture file that are no previews."""
    try:
        (page,) = read_directories(io.BytesIO(data), 1)
    except ValueError:
        return []
    value = page.bytes(ENTRIES) or b""
    whole = value[: len(value) // 16 * 16]
    kinds = [kind for (kind,) in struct.iter_unpack(page.order + "I12x", whole)]
    others = [kind for kind in kinds[1:] if kind & 0xFF0000 != LARGE_THUMBNAIL]
    return ["further pictures"] if others else []


def _appended(data, end, left_out) -> list[str]:
    """Name what follows the picture, of which multi-picture entries say no more than that."""
    if data.find(b"\xff\xd8\xff", end) >= 0 and any(word in data for word in GAIN_MAPS):
        left_out = ["gain map", *(name for name in left_out if name != "further pictures")]
    if data.find(b"ftyp", end) >= 0 and (b"MotionPhoto" in data or b"MicroVideo" in data):
        left_out = [*left_out, "video (motion photo)"]
    return left_out


def segment(marker: int, body: bytes) -> bytes:
    """Return a segment with at most `MAX_SEGMENT` bytes of data."""
    return struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body
