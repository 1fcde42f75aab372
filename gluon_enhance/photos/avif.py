"""AVIF, by Pillow from 11.3 on, of which 8 bits are read.

References
----------
.. [1] AOMedia, AV1 Codec ISO Media File Format Binding, section 2.3.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from PIL import Image, features

from gluon_enhance.photos.colors import as_rgb
from gluon_enhance.photos.heif_colors import unlike_srgb
from gluon_enhance.photos.heif_items import check_items
from gluon_enhance.photos.photo import Encoder, Format, Photo, StoredPhoto


def has_avif() -> bool:
    """Tell whether Pillow reads and writes AVIF; before 11.3 it does not know the word."""
    return "avif" in features.modules and bool(features.check("avif"))


def open_avif(data: bytes) -> StoredPhoto:
    """Read the header, and what of the colors is not kept."""
    image = _picture(data)
    problems = ["has more than 8 bits, of which 8 are read"] if _is_deep(data) else []
    problems += unlike_srgb(data, image.info)
    return StoredPhoto(image.size, lambda: image, image.n_frames, problems=problems)


def _picture(data):
    from PIL.AvifImagePlugin import AvifImageFile

    check_items(data)
    return AvifImageFile(io.BytesIO(data))


def _is_deep(data) -> bool:
    """Read the flag high_bitdepth of the codec's configuration [1]_."""
    start = data.find(b"av1C")
    return start >= 0 and bool(data[start + 6 : start + 7] and data[start + 6] & 0x40)


def write_avif(out: BinaryIO, photo: Photo, quality: int) -> None:
    """Write uint8 pixels of 1 to 4 channels, gray as RGB, chroma at full resolution."""
    photo = as_rgb(photo)
    Image.fromarray(photo.pixels).save(
        out, "AVIF", quality=quality, subsampling="4:4:4",
        icc_profile=photo.icc_profile or b"", exif=photo.exif or b"", xmp=photo.xmp or b"",
    )  # fmt: skip


FORMAT = Format(
    # A brand may be one of several that the file says it is compatible with.
    "AVIF", (".avif",), rb"....ftyp(....)*?avi[fs]",
    lambda file: _picture(file.read()).size, open_avif,
    missing_package=lambda: "" if has_avif() else "Pillow>=11.3",
    encoder=Encoder(write_avif, ("uint8",), (1, 2, 3, 4), max_side=65536, is_lossy=True),
)  # fmt: skip
