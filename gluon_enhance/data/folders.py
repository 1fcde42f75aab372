"""Folders of photos, read as 8-bit RGB."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from gluon_enhance.errors import ImageError
from gluon_enhance.files import read_image
from gluon_enhance.imaging.arrays import to_dtype, to_float, to_rgb

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")


def find_images(folder: str | Path) -> list[Path]:
    """List the images of a folder and its subfolders, sorted by path.

    Raises
    ------
    ValueError
        If the folder does not exist or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give a folder of photos")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise ValueError(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return paths


def read_rgb(paths: Iterable[Path]) -> Iterator[np.ndarray]:
    """Read photos as (H, W, 3) uint8 RGB; one that cannot be read is skipped with a warning."""
    for path in paths:
        try:
            rgb, _ = to_rgb(read_image(path).pixels)
        except ImageError as error:
            logger.warning("%s; it is left out", error)
            continue
        yield rgb if rgb.dtype == np.uint8 else to_dtype(to_float(rgb), np.uint8)
