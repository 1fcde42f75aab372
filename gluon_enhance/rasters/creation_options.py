"""GDAL's creation options, tried on a small raster: hours of work should not end with their error.

Of options that it does not know GDAL only warns, and of some that have no effect it says nothing;
here both are errors.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from gluon_enhance.atomic import temporary_folder
from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.metadata import is_on, needs_mask
from gluon_enhance.rasters.write import check_sidecars, created, to_cog

WIDTH, HEIGHT = 777, 64
"""Of the small raster, in pixels. No tile is as wide, as 16 does not divide it, which tells a file
in tiles from one in rows. A file in rows is as high as two of TIFF's strips, or as the output."""
NOT_GDALS = ("driver", "dtype", "nodata", "count", "width", "height", "crs", "transform")
"""What rasterio takes beside the options of GDAL's driver."""
METHODS = {
    "zlevel": ("deflate", "lerc_deflate"),
    "zstd_level": ("zstd", "lerc_zstd"),
    "lzma_preset": ("lzma",),
    "jpeg_quality": ("jpeg",),
    "jpegtablesmode": ("jpeg",),
    "webp_level": ("webp",),
    "webp_lossless": ("webp",),
    "max_z_error": ("lerc", "lerc_deflate", "lerc_zstd"),
    "predictor": ("lzw", "deflate", "zstd"),
    "quality": ("jpeg", "webp"),
    "level": ("deflate", "zstd", "lzma", "lerc_deflate", "lerc_zstd"),
}
"""Option -> the compressions that heed it."""
BOOLEANS = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
"""How yes and no are written for GDAL."""


def try_creation_options(
    src, out: Path, options: Mapping, defaults: Mapping, scale: float = 1, cog: bool = False
) -> None:
    """Refuse creation options that GDAL cannot serve, ignores, or that have no effect.

    Parameters
    ----------
    src : rasterio dataset
        What the output is made from.
    out : path
    options, defaults : mapping
        Options as they were given, and what the raster is written with where they say nothing.
    scale : float
        Ratio of the output's size to the source's.
    cog : bool
        Whether the options are those of the COG driver.

    Raises
    ------
    ImageError
        If they cannot be served.
    """
    options = {name.lower(): str(value) for name, value in options.items()}
    for name in sorted(set(options) & set(NOT_GDALS)):
        raise ImageError(f"{name.upper()} is no creation option of GDAL's; leave it out")
    heard = _try(src, out, options, defaults, scale, cog)
    if options and heard:
        heard -= _try(src, out, {}, defaults, scale, cog)  # what GDAL says anyway
    if options and heard:
        raise ImageError(f"creation options are not obeyed: GDAL says {'; '.join(sorted(heard))}")


def _try(src, out, options, defaults, scale, cog):
    """Write a raster, and return what GDAL has to say of it."""
    own = defaults if cog else {**defaults, **options}
    size = {"width": WIDTH, "height": HEIGHT}
    in_tiles = is_on(own["tiled"]) if "tiled" in own else src.block_shapes[0][1] != src.width
    if not in_tiles:
        strip = _number(own.get("blockysize")) or min(src.block_shapes[0][0], HEIGHT)
        size.update(height=min(2 * strip, src.height * scale), blockysize=strip)
    is_masked = needs_mask(src, options, cog)
    with (
        temporary_folder() as folder,
        rasterio.Env(GDAL_NUM_THREADS=1),  # other threads' errors are not heard
        _heard(out.name) as heard,
    ):
        path = Path(folder, out.name)
        try:
            with created(path, src, {**own, **size}, is_masked=is_masked) as output:
                zeros = np.zeros((src.count + is_masked, size["height"], WIDTH), src.dtypes[0])
                output.write_with_mask(zeros, Window(0, 0, WIDTH, size["height"]))
            if cog:
                to_cog(src, path, options)
            check_sidecars(path, out)
        except ImageError as error:
            raise ImageError(
                f"{src.name} cannot be written with these creation options: "
                f"{_without_folders(str(error), out.name)}"
            ) from error
        with rasterio.open(path) as trial:
            _check_effect(trial, options)
    return heard


def _check_effect(trial, options):
    """Refuse options that have had no effect on a raster."""
    method = trial.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION", "none").lower().split()[-1]
    for name, methods in METHODS.items():
        if options.get(name, "no").lower() not in BOOLEANS[1] and method not in methods:
            raise ImageError(
                f"{name.upper()}={options[name]} has no effect with COMPRESS={method.upper()}; "
                f"it goes with {', '.join(methods).upper()}"
            )
    height, width = trial.block_shapes[0]
    is_tiled = width != trial.width
    if "tiled" in options and options["tiled"].lower() not in BOOLEANS[not is_tiled]:
        raise ImageError(f"TILED={options['tiled']} is not obeyed; give YES or NO")
    if not is_tiled and _number(options.get("blockysize")) > height == trial.height:
        return  # one strip is all there is
    sides = {"blockxsize": width, "blockysize": height, "blocksize": width}
    for name in set(sides) & set(options):
        if _number(options[name]) != sides[name]:
            raise ImageError(
                f"{name.upper()}={options[name]} is not obeyed: blocks have {sides[name]} pixels "
                "there; give TILED=YES and multiples of 16"
            )


@contextmanager
def _heard(name) -> Iterator[set]:
    """Gather GDAL's warnings and errors of this thread, and keep them from the log."""
    heard, thread, logger = set(), threading.get_ident(), logging.getLogger("rasterio._env")

    def keep(record):
        if record.thread != thread or record.levelno < logging.WARNING:
            return True
        text = re.sub(r"^CPLE_\w+ in ", "", record.getMessage())
        heard.add(_without_folders(" ".join(text.split()), name))
        return False

    logger.addFilter(keep)
    try:
        yield heard
    finally:
        logger.removeFilter(keep)


def _without_folders(text, name):
    """Leave out the temporary folders of a file that is named in a text."""
    return re.sub(rf"[^\s:]*/{re.escape(name)}", name, text)


def _number(text):
    """Return a whole number, 0 if it is none: GDAL says so."""
    return int(text) if str(text).isdigit() else 0
