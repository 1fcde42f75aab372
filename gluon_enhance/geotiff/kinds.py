"""What a file is by its content: a raster, or a photo."""

from __future__ import annotations

from typing import Optional

import rasterio
from PIL import Image
from rasterio.drivers import raster_driver_extensions
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError

from gluon_enhance.geotiff.raster import environment

PHOTOS = ("AVIF", "BIGGIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "WEBP")
"""Drivers of GDAL for formats that photos come in, besides TIFF."""
PHOTO_DTYPES = ("uint8", "uint16", "float32")


def kind_of(path) -> Optional[str]:
    """Return 'raster' or 'photo', or None if GDAL cannot read a file.

    A TIFF file is a raster if it has a place on Earth, or anything else that a photo cannot hold.
    """
    with environment():
        try:
            with rasterio.open(path) as dataset:
                if dataset.driver in PHOTOS:
                    return "photo"
                is_photo = dataset.driver == "GTiff" and not _is_beyond_photos(dataset)
                return "photo" if is_photo else "raster"
        except RasterioError:
            return None


def is_placed(path) -> bool:
    """Tell whether GDAL can read a file and finds a place on Earth in it, or beside it."""
    with environment():
        try:
            with rasterio.open(path) as dataset:
                return _has_place(dataset)
        except RasterioError:
            return False


def is_format(suffix: str) -> bool:
    """Tell whether files of a format of pictures or rasters have a suffix, such as ``.jp2``."""
    return suffix[1:] in raster_driver_extensions() or suffix in Image.registered_extensions()


def _has_place(dataset):
    placed = dataset.crs or not dataset.transform.is_identity
    return bool(placed or dataset.gcps[0] or dataset.rpcs)


def _is_beyond_photos(dataset):
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
