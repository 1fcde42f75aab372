"""TIFF files written in strips, which begin with the EXIF data as it stands.

References
----------
.. [1] Adobe, TIFF revision 6.0, sections 2, 14, 18; Adobe Photoshop TIFF technical notes (deflate).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np
from isal import isal_zlib

from gluon_enhance.photos import exif
from gluon_enhance.photos import tiff_tags as tags
from gluon_enhance.photos.photo import Photo
from gluon_enhance.photos.strips import DEFLATE_LEVEL, channels_of, rows_per_strip, strips_of
from gluon_enhance.photos.tiff_blocks import DEFLATE

INCH = 2
"""What ResolutionUnit says of pixels per inch."""


def write_tiff(out: BinaryIO, photo: Photo, quality: int) -> None:
    """Write uint8, uint16 or float32 pixels of 1 to 4 channels [1]_; `quality` does not matter.

    EXIF data is laid out as a TIFF file is, so the file begins with it as it stands: all that it
    points to stays valid. The strips follow, then the directory with the tags of both.
    """
    pixels = photo.pixels
    order: str = "<"
    entries: dict[int, bytes] = {}
    out.write(b"II*\0" + bytes(4))
    if photo.exif:
        order, entries = exif.directory(photo.exif)
        out.seek(0)
        out.write(photo.exif)
    offsets, counts = [], []  # of the strips
    for strip in strips_of(pixels):
        data = isal_zlib.compress(_predicted(strip, order), DEFLATE_LEVEL)
        offsets.append(out.tell())
        counts.append(len(data))
        out.write(data)
    for tag, (kind, values) in _tags_of(photo, offsets, counts).items():
        entries[tag] = _entry(out, order, tag, kind, values)
    out.write(bytes(out.tell() % 2))
    position = out.tell()
    out.write(struct.pack(order + "H", len(entries)))
    out.write(b"".join(entries[tag] for tag in sorted(entries)) + bytes(4))
    out.seek(4)
    out.write(struct.pack(order + "I", position))


def _tags_of(photo, offsets, counts) -> dict:
    """Return by tag a type of `struct`, and the values: positions and bytes of the strips, etc."""
    pixels = photo.pixels
    channels = channels_of(pixels)
    is_float = pixels.dtype.kind == "f"
    entries = {
        tags.WIDTH: ("I", [pixels.shape[1]]),
        tags.LENGTH: ("I", [pixels.shape[0]]),
        tags.BITS: ("H", [8 * pixels.itemsize] * channels),
        tags.COMPRESSION: ("H", [DEFLATE[0]]),
        tags.PHOTOMETRIC: ("H", [2 if channels >= 3 else 1]),  # RGB or gray
        tags.STRIP_OFFSETS: ("I", offsets),
        tags.SAMPLES: ("H", [channels]),
        tags.ROWS_PER_STRIP: ("I", [rows_per_strip(pixels)]),
        tags.STRIP_COUNTS: ("I", counts),
        tags.PLANAR: ("H", [1]),  # interleaved
        tags.PREDICTOR: ("H", [1 if is_float else 2]),  # differences along the row
        tags.SAMPLE_FORMAT: ("H", [3 if is_float else 1] * channels),
    }
    if channels in (2, 4):
        entries[tags.EXTRA_SAMPLES] = "H", [tags.UNASSOCIATED]
    for tag, value in (
        (tags.ICC_PROFILE, photo.icc_profile), (tags.XMP, photo.xmp), (tags.IPTC, photo.iptc)
    ):  # fmt: skip
        if value:
            entries[tag] = "B", value
    if photo.dpi:
        for tag, dpi in zip((tags.X_RESOLUTION, tags.Y_RESOLUTION), photo.dpi):
            entries[tag] = "II", [round(1000 * dpi), 1000]
        entries[tags.RESOLUTION_UNIT] = "H", [INCH]
    return entries


def _entry(out, order, tag, kind, values) -> bytes:
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
