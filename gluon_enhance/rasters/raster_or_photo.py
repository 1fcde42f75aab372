"""Whether a file is a raster or a photo, by its content."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Optional

from PIL import Image
from rasterio.drivers import raster_driver_extensions
from rasterio.enums import MaskFlags

from gluon_enhance.atomic import temporary_folder
from gluon_enhance.photos.tiff_tags import has_place
from gluon_enhance.rasters.io import gdal_environment, open_dataset, rpcs_of
from gluon_enhance.rasters.names import TIFF
from gluon_enhance.rasters.pictures import fault_of, picture_format

PHOTOS = ("AVIF", "BIGGIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "WEBP")
"""Drivers of GDAL for formats that photos come in, besides TIFF."""
PHOTO_DTYPES = ("uint8", "uint16", "float32")
"""Those that photos are read with."""


def kind_of(path, trust: bool = False) -> Optional[str]:
    """Return 'raster' or 'photo', or None if GDAL cannot read a file, or is not to.

    A TIFF file is a raster if it has a place on Earth, or anything else that a photo cannot hold.
    What begins as another photo is one, and GDAL does not see it. With `trust` what a file leads
    to is not looked at. No file raises an error here: who reads it does, so a TIFF file with a
    place is a raster even if it is refused.
    """
    with suppress(Exception):
        # What is called a TIFF file GDAL opens as such only.
        if Path(path).suffix.lower() not in TIFF and picture_format(path):
            return "photo"
    with suppress(Exception), gdal_environment(), _dataset(path, trust) as dataset:
        if dataset.driver in PHOTOS:
            return "photo"
        is_photo = dataset.driver == "GTiff" and not _is_beyond_photos(dataset)
        return "photo" if is_photo else "raster"
    return "raster" if has_place(path) else None


def is_placed(path, trust: bool = False) -> bool:
    """Tell whether GDAL can read a picture and finds a place on Earth in it, or beside it.

    One that GDAL is not to read, unless it is trusted, is taken for placed: a place must not get
    lost in silence.
    """
    with suppress(OSError):
        if not trust and fault_of(path):
            return True
    with suppress(Exception), gdal_environment(), _dataset(path, trust) as dataset:
        return _has_place(dataset)
    return False


@contextmanager
def _dataset(path, trust):
    """Open a dataset; one whose name GDAL does not take, under another."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        with temporary_folder() as folder:
            link = Path(folder, f"link{Path(path).suffix}")
            link.symlink_to(os.path.abspath(path))
            with open_dataset(link, trust) as dataset:
                yield dataset
    else:
        with open_dataset(path, trust) as dataset:
            yield dataset


def is_format(suffix: str) -> bool:
    """Tell whether files of a format of pictures or rasters have a suffix, such as ``.jp2``."""
    return suffix[1:] in raster_driver_extensions() or suffix in Image.registered_extensions()


def _has_place(dataset):
    placed = dataset.crs or not dataset.transform.is_identity
    return bool(placed or dataset.gcps[0] or rpcs_of(dataset))


def _is_beyond_photos(dataset):
    """Tell whether a TIFF says anything that a photo cannot hold, and its result would lose."""
    return (
        _has_place(dataset)
        or not 1 <= dataset.count <= 4
        or not set(dataset.dtypes) <= set(PHOTO_DTYPES)
        or any(value is not None for value in dataset.nodatavals)
        or [MaskFlags.per_dataset] in dataset.mask_flag_enums
        or any(dataset.descriptions)
        or any(dataset.units)
        or set(dataset.scales) != {1.0}
        or set(dataset.offsets) != {0.0}
    )
