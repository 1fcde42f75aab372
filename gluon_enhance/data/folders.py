"""Folders of photos, read as 8-bit RGB when they are needed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.arrays import to_dtype, to_float, to_rgb
from gluon_enhance.imaging.nearest_fill import fill_hidden
from gluon_enhance.photos import IMAGE_SUFFIXES, read_image, read_size, scan

logger = logging.getLogger(__name__)


def find_images(folder: str | Path) -> list[Path]:
    """List the images of a folder and its subfolders, sorted by path.

    Raises
    ------
    ValueError
        If the folder does not exist, holds no image, or has a subfolder that cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give a folder of photos")
    found = scan(folder)
    for path, reason in found.unreadable.items():
        raise ValueError(f"{path} cannot be read ({reason}); check its rights")
    if not found.pictures:
        raise ValueError(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return found.pictures


def dped_folders(root: str | Path, phone: str, part: str = "training_data") -> tuple[Path, Path]:
    """Locate a phone's photos and the camera's in the DPED data set [1]_, as it unpacks.

    Parameters
    ----------
    root : path
        The folder ``dped``, which holds one folder per phone.
    phone : {'blackberry', 'iphone', 'sony'}
    part : {'training_data', 'test_data/patches'}

    Returns
    -------
    phone, camera : Path

    Raises
    ------
    ValueError
        If one of them is missing.

    References
    ----------
    .. [1] Ignatov et al., "DSLR-Quality Photos on Mobile Devices with Deep Convolutional
       Networks", ICCV 2017. https://arxiv.org/abs/1704.02470
    """
    folders = Path(root, phone, part, phone), Path(root, phone, part, "canon")
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(
                f"{folder} is not a folder; give the data set's folder, which holds "
                f"{Path(phone, part)}/{{{phone},canon}}"
            )
    return folders


def read_photo(path: str | Path) -> np.ndarray:
    """Read a photo as (H, W, 3) uint8 RGB, upright.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    rgb, _ = to_rgb(fill_hidden(read_image(path, strict=True).pixels))
    return rgb if rgb.dtype == np.uint8 else to_dtype(to_float(rgb), np.uint8)


def read_rgb(paths: Iterable[Path]) -> Iterator[np.ndarray]:
    """Read photos as (H, W, 3) uint8 RGB; one that cannot be read is skipped with a warning."""
    for path in paths:
        try:
            yield read_photo(path)
        except ImageError as error:
            logger.warning("%s; it is left out", error)


def read_sizes(paths: Iterable[Path]) -> tuple[dict[Path, tuple[int, int]], int]:
    """Read the sizes of photos from their headers.

    Returns
    -------
    sizes : dict of path to (rows, columns)
        As stored: a photo that is turned upright when it is read has them exchanged.
    unreadable : int
        Photos that have been left out, with a warning each.
    """
    sizes, unreadable = {}, 0
    for path in paths:
        try:
            sizes[path] = _stored_size(path)
        except ImageError as error:
            logger.warning("%s; it is left out", error)
            unreadable += 1
    return sizes, unreadable


def _stored_size(path):
    size = read_size(path)
    return size[::-1] if size else read_photo(path).shape[:2]
