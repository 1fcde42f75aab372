"""Pictures, and files of them, that several tests share."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gluon_enhance.errors import ImageError
from gluon_enhance.photos import read_image

PICTURE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
DEEP = np.random.default_rng(1).integers(0, 65536, (30, 40, 4), np.uint16)


def save(path, image, form=None, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, form, **options)
    return path


def png(pixels, color_type, bits, *chunks, size=None):
    """Make a PNG file by hand, from rows of bytes."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = size or pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(f">u{max(1, bits // 8)}").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *(chunk(*pair) for pair in chunks),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def jpeg_with(path, *segments, after=b"", keep_jfif=True):
    """A JPEG with segments of a marker and data each, behind its first one or in its place."""
    data = save(path, PICTURE).read_bytes()
    end = 4 + struct.unpack_from(">H", data, 4)[0]
    inner = [struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body for marker, body in segments]
    path.write_bytes(data[: end if keep_jfif else 2] + b"".join(inner) + data[end:] + after)
    return path


def gray_ink_profile():
    """An ICC profile of a press whose black ink alone matters: half of it gives L* = 50.

    ICC.1:2001-04, sections 6.1 and 6.5.7 (lut8Type).
    """
    ramp = bytes(range(256))
    # Of the 16 corners of C, M, Y, K (K fastest) those with K are black, all others white.
    corners = bytes([255, 128, 128, 0, 128, 128]) * 8
    matrix = struct.pack(">9i", *(65536 * value for value in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + corners + ramp * 3
    start = 128 + 4 + 12
    illuminant = struct.pack(">3i", 63190, 65536, 54061)
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x12s48x",
        start + len(table),
        b"none",
        0x02400000,
        b"prtr",
        b"CMYK",
        b"Lab ",
        b"acsp",
        illuminant,
    )
    return header + struct.pack(">I4sII", 1, b"A2B0", start, len(table)) + table


def refusal(path, **options):
    with pytest.raises(ImageError) as error:
        read_image(path, **options)
    message = str(error.value)
    assert message.startswith(f"{path} ") and "\n" not in message
    return message[len(str(path)) + 1 :]
