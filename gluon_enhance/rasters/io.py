"""Rasters opened, and read with what is valid in them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any, Optional, Union
from weakref import WeakKeyDictionary

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import (
    NodataShadowWarning,
    NotGeoreferencedWarning,
    RasterioError,
    RasterioIOError,
)
from rasterio.io import DatasetReader, DatasetWriter, MemoryFile
from rasterio.vrt import WarpedVRT

from gluon_enhance.errors import ImageError, untrusted
from gluon_enhance.rasters.data_arrays import written_array
from gluon_enhance.rasters.names import check_opened, drivers_for, open_by

if TYPE_CHECKING:
    import xarray

Raster = Union[
    str, os.PathLike, DatasetReader, DatasetWriter, WarpedVRT, MemoryFile, "xarray.DataArray"
]
"""What the functions on rasters take."""
DATASETS = (DatasetReader, DatasetWriter, WarpedVRT)
"""What rasterio opens."""
DTYPES = tuple(f"{kind}{bits}" for bits in (8, 16, 32, 64) for kind in ("int", "uint"))
DTYPES += ("float32", "float64")
"""Those that are enhanced, matched and scored."""
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
CACHE = 128
"""Megabytes of decoded blocks that GDAL may hold; by default it takes 5% of the memory."""
LISTED = 5
"""Rasters in a file that are named when one must be chosen."""
MAX_PIXELS = 1 << 40
"""Of a raster: a square of a million pixels a side."""
EXACT = 2**53
"""Whole numbers beyond which float64 has not each."""
NEAR = 2 * float(np.finfo(np.float32).eps)
"""GDAL takes floats for equal whose difference is less than this times the size of their sum."""


@contextmanager
def opened(raster: Raster, trust: bool = False) -> Iterator[DatasetReader]:
    """Give an open dataset of a raster, which is closed afterwards if it was not open.

    Parameters
    ----------
    raster : path, URL or name of what GDAL reads, open rasterio dataset, MemoryFile or DataArray
        The last is an ``xarray.DataArray`` after the conventions of rioxarray.
    trust : bool
        Open a name whatever it leads to; see `gluon_enhance.rasters.names`.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    if isinstance(raster, DATASETS):
        if raster.closed or raster.mode == "w":
            state = "closed" if raster.closed else "open for writing only"
            raise ImageError(f"dataset {raster.name} is {state}; open it for reading")
        dataset: Any = nullcontext(raster)
    elif isinstance(raster, MemoryFile):
        with naming_errors("read", raster.name):
            dataset = raster.open()
    elif is_data_array(raster):
        dataset = _of_array(raster)
    else:
        dataset = open_raster(raster, trust)
    with dataset as src, naming_errors("read", src.name):  # GDAL finds some faults late
        yield src


def is_data_array(raster) -> bool:
    """Tell whether a raster is an ``xarray.DataArray``; a whole ``Dataset`` of them is refused."""
    xarray: Any = sys.modules.get("xarray")  # who has such an array has imported it
    if xarray and isinstance(raster, xarray.Dataset):
        raise ImageError(
            f"an xarray.Dataset has variables ({', '.join(map(str, raster))}); give one of them"
        )
    return bool(xarray) and isinstance(raster, xarray.DataArray)


@contextmanager
def _of_array(array):
    """Give an open dataset of an array, by way of a temporary file."""
    with written_array(array) as path, open_raster(path, trust=True) as dataset:
        yield dataset


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


def open_dataset(path, trust: bool = False):
    """Open what GDAL takes: a path, a URL or another name.

    What it leads to is looked at, unless it is trusted; see `gluon_enhance.rasters.names`.
    """
    name = os.fspath(path)
    with naming_errors("read", path):
        drivers = None if trust else drivers_for(name)
        dataset = _open(path, drivers)
        try:
            if not trust:
                check_opened(dataset, name)
            _check_size(dataset)
        except BaseException:
            dataset.close()
            raise
    return dataset


def _open(path, drivers):
    try:
        return open_by(path, drivers)
    except RasterioIOError as error:
        if drivers and len(drivers) > 1 and "not recognized" in str(error):
            fault = "cannot be read: it is in none of the formats that hold their pixels themselves"
            raise untrusted(path, fault) from error
        raise


def _check_size(dataset):
    if dataset.width * dataset.height > MAX_PIXELS:
        raise ImageError(
            f"{dataset.name} claims {dataset.width} x {dataset.height} pixels, which are more than "
            "2**40; cut it into several"
        )


def what_is_said(dataset, name: str):
    """Return an attribute of an enumeration; None if rasterio does not know what the file says."""
    try:
        return getattr(dataset, name)
    except ValueError:
        return None


def reopened(name, dataset=None):
    """Return a context of a dataset: the one that is open, or what its name opens.

    What the name leads to was looked at when the work was planned.
    """
    return open_raster(name, trust=True) if dataset is None else nullcontext(dataset)


@contextmanager
def gdal_environment() -> Iterator[None]:
    """Set GDAL up for large rasters, and keep warnings away that say nothing here."""
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
def naming_errors(verb, path):
    """Say of which file the errors of GDAL and of the system are."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise ImageError(
            f"{path} has a name that is not UTF-8, which GDAL does not take; rename it"
        ) from error
    except UnicodeDecodeError as error:  # rasterio takes texts of the file for UTF-8
        raise ImageError(
            f"{path} cannot be {verb}: it holds a text that is not UTF-8, {error.object!r:.100}"
        ) from error
    except (RasterioError, CPLE_BaseError) as error:  # copies raise GDAL's own
        reason = error.__cause__ or error
        raise ImageError(f"{path} cannot be {verb}: {reason}") from error


def size_of(path, trust: bool = False) -> tuple[int, int]:
    """Return the width and height of a raster, in pixels."""
    with gdal_environment(), open_raster(path, trust) as dataset:
        return dataset.width, dataset.height


def check_shared(dataset) -> None:
    """Refuse a dataset that only this process sees, where workers are to read it."""
    in_memory = dataset.name.startswith("/vsimem/") or dataset.driver == "MEM"
    if in_memory or isinstance(dataset, WarpedVRT):
        raise ImageError(
            f"{dataset.name} is in the memory of this process, where workers do not see it; write "
            "it to a file"
        )


def check_uniform(dataset) -> None:
    """Refuse a raster whose bands one array, or one GeoTIFF, cannot hold together."""
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


def is_min_is_white(dataset) -> bool:
    """Tell whether the least number of a TIFF is white, which GDAL gives a color table for."""
    return dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"


def check_same_white(own, ref):
    """Refuse two rasters of which one has white at its least number."""
    if is_min_is_white(own) != is_min_is_white(ref):
        negative = own if is_min_is_white(own) else ref
        raise ImageError(
            f"{negative.name} has white at its least number, and the other black; invert it first"
        )


def _asked_once(tell):
    """Keep what is told of a dataset as long as it is open to read.

    Rasterio asks GDAL about every band each time, which is quadratic where each band asks.
    """
    told: WeakKeyDictionary = WeakKeyDictionary()

    @wraps(tell)
    def ask(dataset):
        if dataset.mode != "r":
            return tell(dataset)
        if dataset not in told:
            told[dataset] = tell(dataset)
        return told[dataset]

    return ask


@_asked_once
def alpha_bands(dataset) -> frozenset[int]:
    """Return the numbers of the bands that are alpha."""
    colors = enumerate(dataset.colorinterp, 1)
    return frozenset(i for i, color in colors if color == ColorInterp.alpha)


def alpha_band(dataset) -> Optional[int]:
    """Return the number of the first band that is alpha, or None."""
    return min(alpha_bands(dataset), default=None)


def color_bands(dataset) -> list[int]:
    """Return the numbers of all bands but alpha."""
    return [band for band in dataset.indexes if band not in alpha_bands(dataset)]


@_asked_once
def _mask_flags(dataset):
    """Return what tells each band's valid pixels."""
    return dataset.mask_flag_enums


def rgb_bands(dataset) -> list[int]:
    """Return the numbers of the bands that are red, green and blue, or else of the first three."""
    if set(RGB) <= set(dataset.colorinterp):
        return [dataset.colorinterp.index(color) + 1 for color in RGB]
    if len(color_bands(dataset)) < 3:
        raise ImageError(f"{dataset.name} has no three bands to take for RGB; leave out the space")
    return color_bands(dataset)[:3]


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


def limits_of(dataset):
    """Return the least and the largest number that a raster can hold, and that float64 has too."""
    dtype = np.dtype(dataset.dtypes[0])
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    bits = bits_of(dataset)
    if dtype.itemsize == 8 and dtype.kind != "f":  # 2**63 - 1 and 2**64 - 1 would be rounded up
        return limits.min, int(np.nextafter(float(limits.max), 0))
    return limits.min, 2**bits - 1 if bits else limits.max


def rpcs_of(dataset):
    """Return RPCs; None if there are none, or they are incomplete."""
    try:
        return dataset.rpcs
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def read_bands(dataset, bands, window) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """Read a window of bands, and what is valid in them.

    Returns
    -------
    block : ndarray of shape (h, w, C), of the raster's dtype
    valid : ndarray of the same shape, bool, or None
        None if all is, as the raster has neither nodata nor mask nor alpha.
    """
    alpha = alpha_band(dataset)
    with naming_errors("read", dataset.name):
        block = dataset.read(bands, window=window)
        if not alpha and all(f == [MaskFlags.all_valid] for f in _mask_flags(dataset)):
            return np.moveaxis(block, 0, 2), None
        valid = dataset.read_masks(bands, window=window) > 0
        # Of a mask, alpha and nodata GDAL heeds one only, and no alpha but of 8 and 16 bits.
        for own, plane, band in zip(valid, block, bands):
            nodata = dataset.nodatavals[band - 1]
            own &= True if nodata is None else plane != nodata
        if alpha:
            valid &= dataset.read(alpha, window=window) > 0
    return np.moveaxis(block, 0, 2), np.moveaxis(valid, 0, 2)


def valid_in_all(bands: np.ndarray, dataset) -> np.ndarray:
    """Tell which pixels (h, w) of all bands (C, h, w) are valid in each, by nodata and alpha."""
    color = bands[[band - 1 for band in color_bands(dataset)]]
    valid = np.ones(bands.shape[1:], bool)
    if dataset.nodata is not None:
        nodata = dataset.nodata
        valid &= (~np.isnan(color) if np.isnan(nodata) else color != nodata).all(axis=0)
    alpha = alpha_band(dataset)
    return valid & (bands[alpha - 1] > 0) if alpha else valid


def leave_nodata(block: np.ndarray, valid: np.ndarray, dataset) -> None:
    """Move valid values that have become nodata to the next value that GDAL tells from it.

    Parameters
    ----------
    block : ndarray of shape (h, w, C)
        Is changed.
    valid : ndarray of the same shape, bool
    dataset : rasterio dataset
        Has the nodata value, which also lies outside the dtype in some files.
    """
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
    if size < limits.tiny:  # a step in proportion would be none
        return np.copysign(2 * limits.tiny, nodata)
    # At the dtype's limit the sum of the two is infinite for GDAL, and all is near: this value is
    # small enough for a finite sum. Elsewhere the step is larger than what is near, and than what
    # rounding to the dtype takes away.
    finite_sum = (limits.max - size) + (limits.max - np.nextafter(limits.max, kind(0))) / 4
    step = max(3 * NEAR, 4 * float(limits.eps))
    return np.copysign(min(size * kind(1 - step), finite_sum), nodata)
