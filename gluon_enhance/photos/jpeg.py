"""JPEG: what a file says in segments beside its pixels, where it is cut short, and its writing.

Pillow joins EXIF data piece by piece, in time that is quadratic in the pieces, and old versions
take all of its values apart. So decoders get no other segments than the picture's.

References
----------
.. [1] ITU-T T.81 (JPEG), sections B.1, B.2 and F.1.1.5 (restart intervals); Adobe, XMP
   specification part 3, section 1.1.3.
.. [2] Adobe, Photoshop file formats specification, image resource blocks.
.. [3] CIPA DC-007, Multi-Picture Format, section 5.
"""

from __future__ import annotations

import io
import itertools
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from gluon_enhance.errors import ImageError
from gluon_enhance.photos import exif
from gluon_enhance.photos.photo import Encoder, Format, Photo, StoredPhoto
from gluon_enhance.photos.tiff_tags import read_directories

APP0, APP1, APP2, APP11, APP13, APP14, COMMENT = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xFE
START_OF_FRAME, START_OF_SCAN, RESTART_INTERVAL = 0xC0, 0xDA, 0xDD
RESTARTS = range(0xD0, 0xD8)
"""Markers, behind a byte of 0xFF each. The resolution is in APP0, EXIF and XMP data in APP1, a
profile and the list of further pictures in APP2, Content Credentials in APP11, what Photoshop says
in APP13, and what the channels are in APP14."""
FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
READ = {
    0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC9: "arithmetic", 0xCA: "arithmetic",
}  # fmt: skip
"""Kinds of frames that are decoded; others are lossless, hierarchical or JPEG-LS."""
TABLES = {0xC4, 0xCC, 0xDB, RESTART_INTERVAL}
DECODED = {*FRAMES, *TABLES, START_OF_SCAN, APP0, APP14}
"""Segments that decoders get; of those in APP2, they get the profile's."""
START, END = b"\xff\xd8", b"\xff\xd9"
NEXT_SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xda-\xfe]")
"""What begins a segment, before the first scan. Fill bytes, and others, may stand before it."""
NEXT_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""What ends the data of a scan; a restart does not."""
MAX_SEGMENTS = 2000
"""Before the first scan: files with a depth map have some hundred of 64 KiB."""
HEAD_BYTES = 1 << 18
"""So many of a file's first bytes nearly always tell its size."""
MAX_SCANS = 100
"""Each is as much work as the whole picture; progressive files have about 10."""
PIXELS_PER_BYTE = 512
"""A block of 64 pixels takes a bit at least."""

XMP, EXTENDED_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
PROFILE, PHOTOSHOP, RESOURCE = b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"8BIM"
IPTC, PATHS = 0x0404, range(2000, 2998)
"""Photoshop's numbers of resources [2]_."""
GAIN_MAPS = (b"hdrgm:", b"HDRGainMap", b"urn:iso:std:iso:ts:21496:-1")
"""Android's, Apple's and ISO's."""
MULTI_PICTURE, ENTRIES, LARGE_THUMBNAIL = b"MPF\0", 0xB002, 0x010000
"""The list of further pictures [3]_: how it begins, the tag of its entries of 16 bytes, and the
bits of their first number that previews have."""
MAX_SEGMENT = 65533
"""Bytes of data in a segment, whose length has 16 bits and counts itself."""
STRIP = 64
"""Rows: whole 8x8 blocks, and at the widest 65500 pixels 65504 of them; an interval holds 65535."""


def open_jpeg(data: bytes) -> StoredPhoto:
    """Take a file apart; one that lacks its end gets one, so that what is there is decoded.

    Raises
    ------
    ValueError
        If nothing of the pixels is there.
    ImageError
        If it is of a kind that is not decoded.
    """
    segments, scan, end = _parts(data)
    says, problems, missing = _said(segments), [], ""
    if end >= 0:
        says["left_out"] = _appended(data, end, says["left_out"])
    else:
        missing = "is cut short"
        problems.append(f"{missing}: what is missing of the picture is gray or coarse")
    tail = END if missing else b""
    image = JpegImageFile(io.BytesIO(_header(segments) + data[scan:] + tail))
    if says["exif"]:
        says["dpi"] = image.info.get("dpi") or exif.resolution(says["exif"])
    return StoredPhoto(image.size, lambda: image, says=says, problems=problems, missing=missing)


def check_work(data: bytes) -> None:
    """Refuse a file of so many segments or scans that decoders would work on it without end.

    Raises
    ------
    ImageError
    ValueError
        If nothing of the pixels is there.
    """
    _parts(data)


def read_size(file: BinaryIO) -> tuple[int, int]:
    """Read width and height from the header of the frame; Pillow would join EXIF data first."""
    data = b""
    for number in (HEAD_BYTES, -1):
        data += file.read(number)
        for segment in _segments(data):
            if segment.marker in FRAMES:
                return struct.unpack_from(">HH", segment.body, 1)[::-1]
    raise ValueError("its frame is missing")


class _Segment(NamedTuple):
    marker: int
    body: bytes
    end: int
    """The position of what follows."""


def _parts(data) -> tuple[list[_Segment], int, int]:
    """Return the segments before the pixels, where these begin, and where they end.

    The last is -1 if the file is cut short.
    """
    segments = list(_segments(data))
    scan = segments[-1].end if segments else len(data)
    if scan == len(data) or segments[-1].marker != START_OF_SCAN:
        raise ValueError("its pixels are missing")
    return segments, scan, _end_of_scans(data, scan)


def _said(segments) -> dict:
    """Return fields of a `Photo`."""
    says: dict = {}
    comments, resources, pieces, left_out = [], [], [], []
    for marker, body, _ in segments:
        if marker in FRAMES:
            _check_kind(marker, body)
        elif marker == COMMENT:
            comments.append(_text(body))
        elif marker == APP1 and body.startswith(exif.PREFIX):
            pieces.append(body[len(exif.PREFIX) :])
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
    for number, value in _resources(b"".join(resources)):
        if number == IPTC:
            says["iptc"] = value
        elif number in PATHS:
            left_out.append("clipping paths")
    if comments:
        says["comment"] = "\n".join(comments)
    return {**says, "exif": b"".join(pieces), "left_out": tuple(dict.fromkeys(left_out))}


def _segments(data) -> Iterator[_Segment]:
    """Yield the segments up to the first scan; refuse what has over `MAX_SEGMENTS`."""
    position = len(START)
    for _ in range(MAX_SEGMENTS):
        match = NEXT_SEGMENT.search(data, position)
        if not match or match.end() + 2 > len(data):
            return
        start, marker = match.end(), data[match.end() - 1]
        (length,) = struct.unpack_from(">H", data, start)
        position = start + length
        if length < 2 or position > len(data):
            return
        yield _Segment(marker, data[start + 2 : position], position)
        if marker == START_OF_SCAN:
            return
    raise ImageError(f"has over {MAX_SEGMENTS:,} segments before its pixels; save it again")


def _header(segments) -> bytes:
    """Return what decoders need before the first scan."""
    needed = (
        _segment(marker, body)
        for marker, body, _ in segments
        if marker in DECODED or (marker == APP2 and body.startswith(PROFILE))
    )
    return START + b"".join(needed)


def _end_of_scans(data, position) -> int:
    """Refuse what has over `MAX_SCANS`; else return where the end is marked, -1 if nowhere.

    `position` is that of the first scan's data.
    """
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
    """Refuse a picture that no decoder here reads, by the header of its frame."""
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


def _appended(data, end, left_out) -> tuple[str, ...]:
    """Name what follows the picture, of which multi-picture entries say no more than that."""
    if data.find(START + b"\xff", end) >= 0 and any(word in data for word in GAIN_MAPS):
        left_out = ("gain map", *(name for name in left_out if name != "further pictures"))
    if data.find(b"ftyp", end) >= 0 and (b"MotionPhoto" in data or b"MicroVideo" in data):
        left_out = (*left_out, "video (motion photo)")
    return left_out


def write_jpeg(out: BinaryIO, photo: Photo, quality: int) -> None:
    """Write uint8 gray or RGB pixels, chroma at full resolution.

    Each strip is compressed by itself with the same tables, and becomes one restart interval of
    the whole [1]_. It decodes to the same pixels as if compressed in one piece.
    """
    tables = {"quality": quality, "subsampling": 0}
    options = {**tables, **_options_of(photo)}  # of the first strip, whose header is the file's
    height, width = photo.pixels.shape[:2]
    interval = -(-width // 8) * (STRIP // 8)  # blocks in a strip
    restarts = itertools.cycle(RESTARTS)
    for top in range(0, height, STRIP):
        stream = io.BytesIO()
        strip = np.ascontiguousarray(photo.pixels[top : top + STRIP])
        Image.fromarray(strip).save(stream, "JPEG", **options)
        header, scan = _split(stream.getvalue(), height, interval)
        out.write(bytes([0xFF, next(restarts)]) if top else header)
        out.write(scan)
        options = tables
    out.write(END)


def _options_of(photo) -> dict:
    """Return what Pillow is to write beside the pixels."""
    options = {"icc_profile": photo.icc_profile, "extra": b"".join(_segments_of(photo))}
    if photo.dpi:
        options["dpi"] = photo.dpi
    if photo.exif:
        options["exif"] = exif.PREFIX + photo.exif
    return options


def _segments_of(photo) -> Iterator[bytes]:
    """Yield the segments that Pillow does not write."""
    if photo.xmp:
        yield _segment(APP1, XMP + photo.xmp)
    if photo.iptc:
        yield _segment(APP13, _resource(photo.iptc))
    comment = (photo.comment or "").encode()
    for start in range(0, len(comment), MAX_SEGMENT):
        yield _segment(COMMENT, comment[start : start + MAX_SEGMENT])


def _split(data, height, interval) -> tuple[bytes, bytes]:
    """Split into the header, with height and restart interval set, and the coded scan."""
    header = bytearray(data[:2])
    position = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, position)
        segment = bytearray(data[position : position + 2 + length])
        position += len(segment)
        if marker == 0xFF00 | START_OF_FRAME:
            struct.pack_into(">H", segment, 5, height)
        elif marker == 0xFF00 | START_OF_SCAN:
            header += _segment(RESTART_INTERVAL, struct.pack(">H", interval)) + segment
            return bytes(header), data[position:-2]
        header += segment


def _resource(iptc) -> bytes:
    """Return the data of a segment that holds IPTC data."""
    padding = bytes(len(iptc) % 2)
    return PHOTOSHOP + RESOURCE + struct.pack(">HHI", IPTC, 0, len(iptc)) + iptc + padding


def _segment(marker, body) -> bytes:
    """Return a segment with at most `MAX_SEGMENT` bytes of data."""
    return struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body


FORMAT = Format(
    "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), rb"\xff\xd8\xff",
    read_size, open_jpeg, PIXELS_PER_BYTE,
    encoder=Encoder(
        write_jpeg, ("uint8",), (1, 3), max_side=65500, holds=("iptc", "comment"),
        limits={  # a segment, and for a profile 255 of them, each with a header of 14 bytes
            "exif": MAX_SEGMENT - len(exif.PREFIX),
            "xmp": MAX_SEGMENT - len(XMP),
            "iptc": MAX_SEGMENT - len(_resource(b"")) - 1,
            "icc_profile": 255 * (MAX_SEGMENT - 14),
        },
        unwritten=(".mpo",),  # of several pictures
        is_lossy=True,
    ),
)  # fmt: skip
