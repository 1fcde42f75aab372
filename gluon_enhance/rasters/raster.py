"""Rasters on disk: opened, read with what is valid, and written whole or not at all."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Callable, Optional

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, Interleaving, MaskFlags
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError

from gluon_enhance.atomic import publish, sync, temporary_folder
from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.links import check_opened, driver_for

CACHE = 128
"""Megabytes of decoded blocks that GDAL may hold; by default it takes 5% of the memory."""
LISTED = 5
"""Rasters in a file that are named when one must be chosen."""
SIDECARS = (".aux.xml", ".msk", ".ovr")
DTYPES = tuple(f"{kind}{bits}" for bits in (8, 16, 32, 64) for kind in ("int", "uint"))
DTYPES += ("float32", "float64")
"""Those that are enhanced, matched and scored."""
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
MAX_PIXELS = 1 << 40
"""Of a raster: a square of a million pixels a side."""
LARGE_BLOCK, PROPORTION = 64 << 20, 2000
"""Bytes of a block, and how many times those of the file it may have if it is larger: a block is
unpacked as a whole, and deflate comes to 1032 times."""
EXACT = 2**53
"""Whole numbers beyond which float64 has not each."""
NEAR = 2 * float(np.finfo(np.float32).eps)
"""GDAL takes floats for equal whose difference is less than this times the size of their sum."""


def check_out(out: Path, *inputs) -> None:
    """Refuse an output that is no GeoTIFF by its name, or that an input dataset is read from."""
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise ImageError(f"{out} has the suffix {out.suffix!r}; choose .tif or .tiff")
    files = (path for dataset in inputs for path in dataset.files) if out.exists() else ()
    if any(os.path.exists(path) and out.samefile(path) for path in files):
        raise ImageError(f"{out} is an input too; choose another name for the output")


def size_of(path, trust: bool = False) -> tuple[int, int]:
    """Return width and height."""
    with environment(), open_raster(path, trust) as dataset:
        return dataset.width, dataset.height


def check_uniform(dataset) -> None:
    """Refuse what one array, or one GeoTIFF, cannot hold."""
    if dataset.dtypes[0] not in DTYPES:
        raise ImageError(
            f"{dataset.name} is of dtype {dataset.dtypes[0]}; convert it to integers or floats"
        )
    if ColorInterp.palette in dataset.colorinterp and not is_min_is_white(dataset):
        raise ImageError(f"{dataset.name} has a color table; convert it to RGB")
    if len(set(dataset.dtypes)) > 1 or len(set(map(repr, dataset.nodatavals))) > 1:
        raise ImageError(
            f"{dataset.name} has bands of different dtypes or nodata values; a GeoTIFF holds "
            "one for all: convert it"
        )
    if dataset.dtypes[0] in ("int64", "uint64") and _has_unreadable_nodata(dataset):
        raise ImageError(
            f"{dataset.name} is of dtype {dataset.dtypes[0]} with a nodata value of more than 53 "
            "bits, which rasterio cannot keep; convert it to 32 bits or to floats"
        )


def _has_unreadable_nodata(dataset):
    """Tell whether rasterio, which takes nodata for a float, gives another number, or none."""
    if dataset.nodata is None:
        return any(MaskFlags.nodata in flags for flags in dataset.mask_flag_enums)
    return abs(dataset.nodata) > EXACT


def is_min_is_white(dataset):
    """Tell whether the least number of a TIFF is white, which GDAL gives a color table for."""
    return dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"


def check_same_white(own, ref):
    """Refuse two rasters of which one has white at its least number."""
    if is_min_is_white(own) != is_min_is_white(ref):
        negative = own if is_min_is_white(own) else ref
        raise ImageError(
            f"{negative.name} has white at its least number, and the other black; invert it first"
        )


def color_bands(dataset):
    """Return the numbers of all bands but alpha."""
    return [i for i, color in enumerate(dataset.colorinterp, 1) if color != ColorInterp.alpha]


def valid_in_all(bands, dataset):
    """Tell which pixels of all bands (C, h, w) are valid in each, by nodata and alpha."""
    color = bands[[band - 1 for band in color_bands(dataset)]]
    valid = np.ones(bands.shape[1:], bool)
    if dataset.nodata is not None:
        nodata = dataset.nodata
        valid &= (~np.isnan(color) if np.isnan(nodata) else color != nodata).all(axis=0)
    if ColorInterp.alpha in dataset.colorinterp:
        valid &= bands[dataset.colorinterp.index(ColorInterp.alpha)] > 0
    return valid


def rgb_bands(dataset):
    """Return the numbers of the bands that are red, green and blue, or else of the first three."""
    if set(RGB) <= set(dataset.colorinterp):
        return [dataset.colorinterp.index(color) + 1 for color in RGB]
    if len(color_bands(dataset)) < 3:
        raise ImageError(f"{dataset.name} has no three bands to take for RGB; leave out the space")
    return color_bands(dataset)[:3]


def read_bands(dataset, bands, window):
    """Read bands as (h, w, C), with what is valid in them."""
    has_alpha = ColorInterp.alpha in dataset.colorinterp
    with named("read", dataset.name):
        block = dataset.read(bands, window=window)
        if not has_alpha and all(f == [MaskFlags.all_valid] for f in dataset.mask_flag_enums):
            return np.moveaxis(block, 0, 2), None
        valid = dataset.read_masks(bands, window=window) > 0
        # Of a mask, alpha and nodata GDAL heeds one only, and no alpha but of 8 and 16 bits.
        for own, plane, band in zip(valid, block, bands):
            nodata = dataset.nodatavals[band - 1]
            own &= True if nodata is None else plane != nodata
        if has_alpha:
            alpha = dataset.colorinterp.index(ColorInterp.alpha) + 1
            valid &= dataset.read(alpha, window=window) > 0
    return np.moveaxis(block, 0, 2), np.moveaxis(valid, 0, 2)


def bits_of(dataset):
    """Return the bits of a number that an integer raster declares (NBITS), or None."""
    dtype = np.dtype(dataset.dtypes[0])
    bits = dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    if dtype.kind not in "iu" or not bits:
        return None
    choices = range(1, 8 * dtype.itemsize + 1)
    if bits not in map(str, choices):
        raise ImageError(
            f"{dataset.name} has NBITS={bits[:20]} of dtype {dtype}, which has 1 to {choices[-1]}"
        )
    return int(bits)


def rpcs_of(dataset):
    """Return RPCs; None if there are none, or they are incomplete."""
    try:
        return dataset.rpcs
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def limits_of(dataset):
    """Return the least and the largest number that a raster can hold, and that float64 has too."""
    dtype = np.dtype(dataset.dtypes[0])
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    bits = bits_of(dataset)
    if dtype.itemsize == 8 and dtype.kind != "f":
        return limits.min, int(np.nextafter(float(limits.max), 0))
    return limits.min, 2**bits - 1 if bits else limits.max


def leave_nodata(block, valid, dataset):
    """Move valid values that have become nodata to the next value that GDAL tells from it."""
    nodata, (low, high) = dataset.nodata, limits_of(dataset)
    if nodata is None or not low <= nodata <= high:
        return
    nodata = block.dtype.type(nodata)
    if block.dtype.kind == "f":
        block[_is_near(block, nodata) & valid] = _next_to(nodata)
    else:
        block[(block == nodata) & valid] = nodata + 1 if nodata < high else nodata - 1


def _is_near(block, nodata):
    """Tell which floats GDAL takes for nodata: at the type's limits the sum is infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (block == nodata) | (np.abs(block - nodata) < NEAR * np.abs(block + nodata))


def _next_to(nodata):
    """Return the float next to nodata, on the side of 0, that GDAL tells from it."""
    kind, limits, size = type(nodata), np.finfo(nodata), np.abs(nodata)
    if size < limits.tiny:
        return np.copysign(2 * limits.tiny, nodata)
    finite_sum = (limits.max - size) + (limits.max - np.nextafter(limits.max, kind(0))) / 4
    step = max(3 * NEAR, 4 * float(limits.eps))
    return np.copysign(min(size * kind(1 - step), finite_sum), nodata)


@contextmanager
def named(verb, path):
    """Say of which file the errors of GDAL and of the system are."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise ImageError(
            f"{path} has a name that is not UTF-8, which GDAL does not take; rename it"
        ) from error
    except (RasterioError, CPLE_BaseError) as error:  # copies raise GDAL's own
        reason = error.__cause__ or error
        raise ImageError(f"{path} cannot be {verb}: {reason}") from error


def open_dataset(path, trust: bool = False):
    """Open what GDAL takes: a path, a URL or another name.

    What it leads to is looked at, unless it is trusted; see `gluon_enhance.rasters.links`.
    """
    name = os.fspath(path)
    with named("read", path):
        driver = None if trust else driver_for(name)
        dataset = rasterio.open(path, driver=driver)
        try:
            if not trust:
                check_opened(dataset, name, driver)
            _check_claims(dataset)
        except BaseException:
            dataset.close()
            raise
    return dataset


def _check_claims(dataset):
    """Refuse a raster that says of itself what cannot be."""
    if dataset.width * dataset.height > MAX_PIXELS:
        raise ImageError(
            f"{dataset.name} claims {dataset.width} x {dataset.height} pixels, which are more than "
            "2**40; cut it into several"
        )
    is_file = dataset.driver == "GTiff" and os.path.isfile(dataset.name)
    bands = 1 if dataset.interleaving == Interleaving.band else dataset.count
    largest = max((math.prod(shape) for shape in dataset.block_shapes), default=0)
    nbytes = largest * bands * 8
    if is_file and nbytes > max(LARGE_BLOCK, PROPORTION * os.path.getsize(dataset.name)):
        raise ImageError(
            f"{dataset.name} claims blocks of {nbytes:,} bytes, in a file of "
            f"{os.path.getsize(dataset.name):,}; it is damaged, or write it in smaller blocks"
        )


def open_raster(path, trust: bool = False):
    """Open a dataset of one page, as `open_dataset` does."""
    dataset = open_dataset(path, trust)
    names = dataset.subdatasets
    if not names and dataset.count:
        return dataset
    dataset.close()
    if not names:
        raise ImageError(f"{path} has no band")
    some = "; ".join(names[:LISTED]) + ("; ..." if len(names) > LISTED else "")
    raise ImageError(
        f"{path} has {len(names)} pages or subdatasets, and one is taken: name it, as in {some}"
    )


def reopened(name, dataset=None):
    """Return a context of a dataset: the one that is open, or what its name opens.

    What the name leads to has been looked at where the work was planned.
    """
    return open_raster(name, trust=True) if dataset is None else nullcontext(dataset)


@contextmanager
def environment():
    with (
        warnings.catch_warnings(),
        rasterio.Env(
            GDAL_CACHEMAX=CACHE, GDAL_NUM_THREADS="ALL_CPUS", GDAL_TIFF_INTERNAL_MASK=True
        ),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # pictures are welcome
        warnings.simplefilter("ignore", NodataShadowWarning)  # `read_bands` heeds alpha itself
        yield


@contextmanager
def draft_of(
    out: Path,
    folder: Optional[Path] = None,
    may_lack: Callable[[int, int, int], bool] = lambda *_: False,
) -> Iterator[Path]:
    """Give a path to write, which becomes `out` on success, else vanishes.

    It has a folder of its own, in `folder` or beside `out`, as GDAL may write more files than one.
    `may_lack` tells of a band, row and column whether that block may be missing.
    """
    with temporary_folder(folder or out.parent) as own:
        draft = Path(own, out.name)
        yield draft
        _publish(draft, out, may_lack)


def _publish(draft, out, may_lack):
    """Give a finished file its name if it is whole, and replace what lay beside one before it."""
    _check_complete(draft, out, may_lack)
    sidecars = check_sidecars(draft, out)
    publish(draft, out)
    for suffix in SIDECARS:
        out.with_name(out.name + suffix).unlink(missing_ok=True)
    for path in sidecars:
        publish(path, out.with_name(path.name))


def check_sidecars(draft: Path, out: Path) -> list[Path]:
    """List what GDAL has put beside a draft, and refuse to replace what is another file's."""
    sidecars = [path for path in draft.parent.iterdir() if path != draft]
    for path in sidecars:
        target = out.with_name(path.name)
        if target.exists() and not out.exists() and not path.name.startswith(out.name):
            raise ImageError(
                f"{out} comes with a file {target}, which is there and may be of another; choose "
                "another name for the output"
            )
    return sidecars


def _check_complete(part, out, may_lack):
    """Look for blocks that are missing: on a full disk GDAL closes a file without an error."""
    sync(part)
    size = part.stat().st_size
    with named("written", out):
        with rasterio.open(part) as dataset:
            overviews = range(len(dataset.overviews(1)))
        for level in ({}, *({"overview_level": k} for k in overviews)):
            with rasterio.open(part, **level) as dataset:
                for block, end in block_ends(dataset):
                    if end > size or not (end or may_lack(*block)):
                        raise ImageError(
                            f"{out} cannot be written: it is incomplete; is the disk full, or do "
                            "creation options not fit?"
                        )


def block_ends(dataset):
    """Yield band, row and column of each block, and where it ends in the file: 0 if missing."""
    planes = dataset.indexes if dataset.interleaving == Interleaving.band else [1]
    for (row, column), _ in dataset.block_windows(1):
        for band in planes:
            yield (
                (band, row, column),
                sum(
                    int(dataset.get_tag_item(f"BLOCK_{key}_{column}_{row}", "TIFF", band) or 0)
                    for key in ("OFFSET", "SIZE")
                ),
            )
