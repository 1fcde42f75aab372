"""Pixels to PNG, JPEG, TIFF, WebP and AVIF, in strips: beside the picture, little memory is needed.

Pillow takes 4 bytes per pixel of RGB for a copy of the picture, and 16-bit colors it does not
write at all; OpenCV writes no metadata. So PNG and TIFF are written here, and a JPEG is put
together from strips. Only WebP needs the picture whole.

References
----------
.. [1] W3C, Portable Network Graphics (third edition), sections 5, 9, 11.
.. [2] Adobe, TIFF revision 6.0, sections 2, 14, 18; Adobe Photoshop TIFF technical notes (deflate).
.. [3] ITU-T T.81 (JPEG), sections B.1, B.2 and F.1.1.5: restart intervals.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from isal import isal_zlib
from PIL import Image

from gluon_enhance.photos import exif, jpeg, png
from gluon_enhance.photos.conversion import as_rgb
from gluon_enhance.photos.deep import IPTC, XMP
from gluon_enhance.photos.photo import Photo

STRIP_BYTES = 1 << 20
DEFLATE_LEVEL = 1
"""ISA-L's: three times as fast as zlib's fastest, which would keep the net from the processor."""
PNG_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
PNG_FILTER_AVERAGE = 3
INCHES_PER_METER = 1 / 0.0254
JPEG_STRIP = 64
"""Rows: whole 8x8 blocks, and at the widest 65500 pixels 65504 of them; an interval holds 65535."""
JPEG_BYTES = {
    "exif": jpeg.MAX_SEGMENT - len(exif.PREFIX),
    "xmp": jpeg.MAX_SEGMENT - len(jpeg.XMP),
    "iptc": jpeg.MAX_SEGMENT - len(jpeg.resource_segment(b"")) - 1,
    "icc_profile": 255 * (jpeg.MAX_SEGMENT - 14),
}
"""What a JPEG has room for: a segment, and for a profile 255 of them, each with a header of 14."""


def write_png(out: BinaryIO, photo: Photo, quality: int) -> None:
    """Write uint8 or uint16 pixels of 1 to 4 channels [1]_; `quality` does not matter."""
    pixels = photo.pixels
    height, width = pixels.shape[:2]
    out.write(b"\x89PNG\r\n\x1a\n")
    header = (width, height, 8 * pixels.itemsize, PNG_COLOR_TYPES[_channels(pixels)], 0, 0, 0)
    _chunk(out, b"IHDR", struct.pack(">IIBBBBB", *header))
    if photo.icc_profile:
        _chunk(out, b"iCCP", b"ICC profile\0\0" + zlib.compress(photo.icc_profile))
    if photo.dpi:
        per_meter = [round(dpi * INCHES_PER_METER) for dpi in photo.dpi]
        _chunk(out, b"pHYs", struct.pack(">IIB", *per_meter, 1))
    if photo.exif:
        _chunk(out, b"eXIf", photo.exif)
    for chunk in photo.chunks:
        _chunk(out, *chunk)
    if photo.comment:
        _chunk(out, *png.text_chunk(png.COMMENT, photo.comment.encode()))
    if photo.xmp:
        _chunk(out, *png.text_chunk(png.XMP, photo.xmp))
    deflate = isal_zlib.compressobj(DEFLATE_LEVEL)
    above = np.zeros((1, pixels[0].nbytes), np.uint8)
    for strip in _strips(pixels, _rows_per_strip(pixels)):
        rows = np.ascontiguousarray(strip, strip.dtype.newbyteorder(">"))
        rows = rows.view(np.uint8).reshape(len(strip), -1)
        filtered = np.full((len(rows), rows.shape[1] + 1), PNG_FILTER_AVERAGE, np.uint8)
        step = _channels(pixels) * pixels.itemsize
        filtered[:, 1:] = _less_neighbors(rows, np.concatenate([above, rows[:-1]]), step)
        above = rows[-1:]
        _chunk(out, b"IDAT", deflate.compress(filtered))
    _chunk(out, b"IDAT", deflate.flush())
    _chunk(out, b"IEND", b"")


def _less_neighbors(rows, above, step):
    """Subtract the means of the bytes to the left and above: photos get 9% smaller than by one."""
    left = np.zeros_like(rows)
    left[:, step:] = rows[:, :-step]
    return rows - ((left & above) + ((left ^ above) >> 1))  # the mean, rounded down, in 8 bits


def _chunk(out, name, data):
    out.write(struct.pack(">I", len(data)) + name)
    out.write(data)
    out.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))


def write_tiff(out: BinaryIO, photo: Photo, quality: int) -> None:
    """Write uint8, uint16 or float32 pixels of 1 to 4 channels [2]_; `quality` does not matter.

    EXIF data is laid out as a TIFF file is, so the file begins with it as it stands: all that it
    points to stays valid. The strips follow, then the directory with the tags of both.
    """
    pixels = photo.pixels
    order, tags = "<", {}
    out.write(b"II*\0" + bytes(4))
    if photo.exif:
        order, tags = exif.directory(photo.exif)
        out.seek(0)
        out.write(photo.exif)
    rows = _rows_per_strip(pixels)
    offsets, counts = [], []
    for strip in _strips(pixels, rows):
        data = isal_zlib.compress(_predicted(strip, order), DEFLATE_LEVEL)
        offsets.append(out.tell())
        counts.append(len(data))
        out.write(data)
    for tag, (kind, values) in _tiff_tags(photo, rows, offsets, counts).items():
        tags[tag] = _tiff_entry(out, order, tag, kind, values)
    out.write(bytes(out.tell() % 2))
    position = out.tell()
    out.write(struct.pack(order + "H", len(tags)))
    out.write(b"".join(tags[tag] for tag in sorted(tags)) + bytes(4))
    out.seek(4)
    out.write(struct.pack(order + "I", position))


def _tiff_tags(photo, rows_per_strip, offsets, counts) -> dict:
    """Tag -> (type of struct, values); the numbers' names are in the specification."""
    pixels = photo.pixels
    channels = _channels(pixels)
    is_float = pixels.dtype.kind == "f"
    tags = {
        256: ("I", [pixels.shape[1]]), 257: ("I", [pixels.shape[0]]),
        258: ("H", [8 * pixels.itemsize] * channels),
        259: ("H", [8]),  # deflate
        262: ("H", [2 if channels >= 3 else 1]),  # RGB or gray
        273: ("I", offsets), 277: ("H", [channels]),
        278: ("I", [rows_per_strip]), 279: ("I", counts),
        284: ("H", [1]),  # interleaved
        317: ("H", [1 if is_float else 2]),  # predictor: differences along the row
        339: ("H", [3 if is_float else 1] * channels),
    }  # fmt: skip
    if channels in (2, 4):
        tags[338] = "H", [2]  # alpha, not multiplied into the colors
    if photo.icc_profile:
        tags[34675] = "B", photo.icc_profile
    if photo.xmp:
        tags[XMP] = "B", photo.xmp
    if photo.iptc:
        tags[IPTC] = "B", photo.iptc
    if photo.dpi:
        tags[282], tags[283] = (("II", [round(1000 * dpi), 1000]) for dpi in photo.dpi)
        tags[296] = "H", [2]  # inch
    return tags


def _tiff_entry(out, order, tag, kind, values) -> bytes:
    """Pack a directory's entry; a value longer than 4 bytes goes to `out`."""
    number = {"B": 7, "H": exif.SHORT, "I": exif.LONG, "II": 5}[kind]
    count = len(values) // len(kind)
    value = struct.pack(f"{order}{len(values)}{kind[0]}", *values)
    if len(value) > 4:
        out.write(bytes(out.tell() % 2))
        position = out.tell()
        out.write(value)
        value = struct.pack(order + "I", position)
    return struct.pack(order + "HHI4s", tag, number, count, value)


def _predicted(strip, order) -> bytes:
    """Return rows as differences to the pixel on the left, in the file's byte order."""
    if strip.dtype.kind != "f":
        strip = np.concatenate([strip[:, :1], strip[:, 1:] - strip[:, :-1]], axis=1)
    return strip.astype(strip.dtype.newbyteorder(order)).tobytes()


def write_jpeg(out: BinaryIO, photo: Photo, quality: int) -> None:
    """Write uint8 gray or RGB pixels, chroma at full resolution.

    Each strip is compressed by itself with the same tables, and becomes one restart interval of
    the whole [3]_. It decodes to the same pixels as if compressed in one piece.
    """
    tables = {"quality": quality, "subsampling": 0}
    options = {**tables, "icc_profile": photo.icc_profile}
    if photo.dpi:
        options["dpi"] = photo.dpi
    options["extra"] = b"".join(_jpeg_segments(photo))
    if photo.exif:
        options["exif"] = exif.PREFIX + photo.exif
    height, width = photo.pixels.shape[:2]
    interval = -(-width // 8) * (JPEG_STRIP // 8)
    restart_markers = itertools.cycle(range(0xD0, 0xD8))
    for index, strip in enumerate(_strips(photo.pixels, JPEG_STRIP)):
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(strip)).save(stream, "JPEG", **options)
        header, scan = _split_jpeg(stream.getvalue(), height, interval)
        out.write(bytes([0xFF, next(restart_markers)]) if index else header)
        out.write(scan)
        options = tables
    out.write(b"\xff\xd9")


def _jpeg_segments(photo) -> Iterator[bytes]:
    if photo.xmp:
        yield jpeg.segment(jpeg.APP1, jpeg.XMP + photo.xmp)
    if photo.iptc:
        yield jpeg.segment(jpeg.APP13, jpeg.resource_segment(photo.iptc))
    comment = (photo.comment or "").encode()
    for start in range(0, len(comment), jpeg.MAX_SEGMENT):
        yield jpeg.segment(jpeg.COMMENT, comment[start : start + jpeg.MAX_SEGMENT])


def _split_jpeg(data, height, interval) -> tuple[bytes, bytes]:
    """Split into the header, with height and restart interval set, and the coded scan."""
    header = bytearray(data[:2])
    position = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, position)
        segment = bytearray(data[position : position + 2 + length])
        position += len(segment)
        if marker == 0xFFC0:  # start of frame
            struct.pack_into(">H", segment, 5, height)
        elif marker == 0xFFDA:  # start of scan
            header += struct.pack(">HHH", 0xFFDD, 4, interval) + segment
            return bytes(header), data[position:-2]
        header += segment


def write_webp(out: BinaryIO, photo: Photo, quality: int) -> None:
    """Write uint8 pixels of 1 to 4 channels, gray as RGB; quality 100 is lossless."""
    _save(out, photo, "WEBP", quality=quality, lossless=quality == 100, exact=True)


def write_avif(out: BinaryIO, photo: Photo, quality: int) -> None:
    """Write uint8 pixels of 1 to 4 channels, gray as RGB, chroma at full resolution."""
    _save(out, photo, "AVIF", quality=quality, subsampling="4:4:4")


def _save(out, photo, form, **options):
    photo = as_rgb(photo)
    says = {name: getattr(photo, name) or b"" for name in ("icc_profile", "exif", "xmp")}
    Image.fromarray(photo.pixels).save(out, form, **options, **says)


def _channels(pixels) -> int:
    return pixels.shape[2] if pixels.ndim == 3 else 1


def _rows_per_strip(pixels) -> int:
    return max(1, STRIP_BYTES // pixels[0].nbytes)


def _strips(pixels, rows) -> Iterator[np.ndarray]:
    return (pixels[start : start + rows] for start in range(0, len(pixels), rows))
