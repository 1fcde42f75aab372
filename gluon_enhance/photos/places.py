"""TIFF files with a place on Earth, which are no photos."""

from __future__ import annotations

import os

from gluon_enhance.photos.tiff import read_directories

GEOGRAPHIC = (33550, 33922, 34264, 34735)
"""Tags of GeoTIFF: pixel scale, tie points, transformation, keys."""


def has_place(path: str | os.PathLike) -> bool:
    """Tell whether a file is a GeoTIFF, by its tags; a file that is not there has no place."""
    try:
        if not os.path.isfile(path):  # to open a pipe could wait for ever
            return False
        with open(path, "rb") as file:
            (page,) = read_directories(file, 1)
            return any(tag in page for tag in GEOGRAPHIC)
    except (OSError, ValueError):
        return False
