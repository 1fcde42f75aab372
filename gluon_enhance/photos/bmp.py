"""BMP, which is read only."""

import io

from PIL.BmpImagePlugin import BmpImageFile

from gluon_enhance.photos.photo import Format, StoredPhoto

PIXELS_PER_BYTE = 128
"""Run-length coding takes two bytes for at most 255 pixels."""


def open_bmp(data: bytes) -> StoredPhoto:
    """Read the header."""
    image = BmpImageFile(io.BytesIO(data))
    return StoredPhoto(image.size, lambda: image)


FORMAT = Format(
    "BMP", (".bmp",), rb"BM", lambda file: BmpImageFile(file).size, open_bmp, PIXELS_PER_BYTE
)
