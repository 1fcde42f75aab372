"""WebP, by Pillow, which needs the picture whole.

References
----------
.. [1] RFC 9649 (WebP), section 2.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from gluon_enhance.photos.colors import as_rgb
from gluon_enhance.photos.photo import Encoder, Format, Photo, StoredPhoto

LOSSLESS_QUALITY = 100


def open_webp(data: bytes) -> StoredPhoto:
    """Read the header, and whether the picture is stored without loss."""
    image = WebPImageFile(io.BytesIO(data))
    return StoredPhoto(
        image.size, lambda: image, image.n_frames, says={"lossless": _is_lossless(data)}
    )


def _is_lossless(data) -> bool:
    """Look for the chunk of a lossless picture [1]_."""
    position = 12
    while position + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, position)
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        position += 8 + size + size % 2
    return False


def write_webp(out: BinaryIO, photo: Photo, quality: int) -> None:
    """Write uint8 pixels of 1 to 4 channels, gray as RGB; `LOSSLESS_QUALITY` loses nothing."""
    photo = as_rgb(photo)
    Image.fromarray(photo.pixels).save(
        out, "WEBP", quality=quality, lossless=quality == LOSSLESS_QUALITY, exact=True,
        icc_profile=photo.icc_profile or b"", exif=photo.exif or b"", xmp=photo.xmp or b"",
    )  # fmt: skip


FORMAT = Format(
    "WebP", (".webp",), rb"RIFF....WEBP", lambda file: WebPImageFile(file).size, open_webp,
    encoder=Encoder(
        write_webp, ("uint8",), (1, 2, 3, 4), max_side=16383, lossless_quality=LOSSLESS_QUALITY
    ),
)  # fmt: skip
