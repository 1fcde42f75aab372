"""GIF, which is read only."""

import io

from PIL.GifImagePlugin import GifImageFile

from gluon_enhance.photos.photo import Format, StoredPhoto

PIXELS_PER_BYTE = 2_800
"""LZW packs at most 4,096 pixels into 12 bits."""


def open_gif(data: bytes) -> StoredPhoto:
    """Read the header; the comment counts."""
    image = GifImageFile(io.BytesIO(data))
    return StoredPhoto(image.size, lambda: image, image.n_frames)


FORMAT = Format(
    "GIF", (".gif",), rb"GIF8", lambda file: GifImageFile(file).size, open_gif, PIXELS_PER_BYTE
)
