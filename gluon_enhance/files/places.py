"""TIFF files with a place on Earth, which are no photos."""

from __future__ import annotations

import os

from gluon_enhance.files.reader import DECODING_ERRORS

GEOGRAPHIC = (33550, 33922, 34264, 34735)
"""Tags of GeoTIFF: pixel scale, tie points, transformation, keys."""


def has_place(path: str | os.PathLike) -> bool:
    """Tell whether a file is a GeoTIFF, by its tags; a file that is not there has no place."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            return any(tag in tiff.pages[0].tags for tag in GEOGRAPHIC)
    except (
        tifffile.TiffFileError,
        *DECODING_ERRORS,
    ):  # in older versions the first is no ValueError
        return False
