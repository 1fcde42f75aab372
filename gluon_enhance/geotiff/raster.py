"""Rasters on disk: opened, read with what is valid, and written whole with all their metadata."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, Interleaving, MaskFlags, PhotometricInterp
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError

from gluon_enhance.errors import ImageError

CACHE = 128
"""Megabytes of decoded blocks that GDAL may hold; by default it takes 5% of the memory."""
SIDECARS = (".aux.xml", ".msk", ".ovr")
#: Creation options that a file tells under the same name.
COMPRESSION_DETAILS = ("PREDICTOR", "JPEG_QUALITY", "WEBP_LEVEL", "MAX_Z_ERROR")
#: Metadata that GDAL makes itself.
OWN_NAMESPACES = ("IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "RPC")
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


def check_out(out: Path, *inputs) -> None:
    """Refuse an output that is no GeoTIFF by its name, or is an input too."""
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise ImageError(f"{out} has the suffix {out.suffix!r}; choose .tif or .tiff")
    for path in inputs:
        if out.exists() and Path(path).exists() and out.samefile(path):
            raise ImageError(f"{out} is an input too; choose another name for the output")


def is_georeferenced(path) -> bool:
    """Tell whether GDAL can read a file, and it has a place on Earth or more than four bands."""
    with environment():
        try:
            with rasterio.open(path) as dataset:
                placed = dataset.crs or not dataset.transform.is_identity
                return bool(placed or dataset.gcps[0] or dataset.rpcs or dataset.count > 4)
        except RasterioError:
            return False


def size_of(path) -> tuple[int, int]:
    """Return width and height."""
    with environment(), open_raster(path) as dataset:
        return dataset.width, dataset.height


def check_uniform(dataset) -> None:
    """Refuse what one array, or one GeoTIFF, cannot hold."""
    if ColorInterp.palette in dataset.colorinterp:
        raise ImageError(f"{dataset.name} has a color table; convert it to RGB")
    if len(set(dataset.dtypes)) > 1 or len(set(map(repr, dataset.nodatavals))) > 1:
        raise ImageError(
            f"{dataset.name} has bands of different dtypes or nodata values; a GeoTIFF holds "
            "one for all: convert it"
        )


def color_bands(dataset):
    """Return the numbers of all bands but alpha."""
    return [i for i, color in enumerate(dataset.colorinterp, 1) if color != ColorInterp.alpha]


def rgb_bands(dataset):
    """Return the numbers of the bands that are red, green and blue, or else of the first three."""
    if set(RGB) <= set(dataset.colorinterp):
        return [dataset.colorinterp.index(color) + 1 for color in RGB]
    if len(color_bands(dataset)) < 3:
        raise ImageError(f"{dataset.name} has no three bands to take for RGB; leave out the space")
    return color_bands(dataset)[:3]


def read_bands(dataset, bands, window):
    """Read bands as (h, w, C), with what is valid in them."""
    with named("read", dataset.name):
        block = dataset.read(bands, window=window)
        if all(flags == [MaskFlags.all_valid] for flags in dataset.mask_flag_enums):
            return np.moveaxis(block, 0, 2), None
        valid = dataset.read_masks(bands, window=window) > 0
        # Of a mask, alpha and nodata GDAL heeds one only.
        if dataset.nodata is not None:
            valid &= block != dataset.nodata
        if ColorInterp.alpha in dataset.colorinterp:
            alpha = dataset.colorinterp.index(ColorInterp.alpha) + 1
            valid &= dataset.read(alpha, window=window) > 0
    return np.moveaxis(block, 0, 2), np.moveaxis(valid, 0, 2)


def leave_nodata(block, valid, nodata):
    """Move valid values that have become nodata to the next value that GDAL tells from it."""
    floating = block.dtype.kind == "f"
    limits = np.finfo(block.dtype) if floating else np.iinfo(block.dtype)
    if nodata is None or not limits.min <= nodata <= limits.max:
        return
    nodata = block.dtype.type(nodata)
    # GDAL takes floating values up to 4 steps away for nodata.
    step = 8 * np.spacing(np.abs(nodata)) if floating else block.dtype.type(1)
    near = np.abs(block - nodata) < step if floating else block == nodata
    block[near & valid] = nodata + step if nodata < limits.max else nodata - step


@contextmanager
def named(verb, path):
    try:
        yield
    except RasterioError as error:
        reason = error.__cause__ or error
        raise ImageError(f"{path} cannot be {verb}: {reason}") from error


def open_raster(path):
    with named("read", path):
        return rasterio.open(path)


@contextmanager
def environment():
    with (
        warnings.catch_warnings(),
        rasterio.Env(
            GDAL_CACHEMAX=CACHE, GDAL_NUM_THREADS="ALL_CPUS", GDAL_TIFF_INTERNAL_MASK=True
        ),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # pictures are welcome
        warnings.simplefilter("ignore", NodataShadowWarning)  # `_read` heeds alpha itself
        yield


@contextmanager
def created(out: Path, src, options, scale: int = 1) -> Iterator[rasterio.io.DatasetWriter]:
    """Create a temporary raster that becomes `out` on success, else vanishes.

    It has the source's extent, dtype, bands and metadata, and `scale` times its size.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".gluon-enhance-{uuid.uuid4().hex}.part")
    try:
        with (
            named("written", out),
            rasterio.open(part, "w", **_profile(src, options, scale)) as dst,
        ):
            _copy_metadata(src, dst, scale)
            yield dst
        publish(part, out)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def publish(draft: Path, out: Path) -> None:
    """Give a finished file its name if it is whole, and remove what lay beside one it replaces."""
    _check_complete(draft, out)
    os.replace(draft, out)
    for suffix in SIDECARS:
        out.with_name(out.name + suffix).unlink(missing_ok=True)


def _check_complete(part, out):
    """Look for blocks that are missing: on a full disk GDAL closes a file without an error."""
    with open(part, "rb") as file:
        os.fsync(file.fileno())
        end = os.fstat(file.fileno()).st_size
    with named("written", out):
        with rasterio.open(part) as dataset:
            overviews = range(len(dataset.overviews(1)))
        for level in ({}, *({"overview_level": k} for k in overviews)):
            with rasterio.open(part, **level) as dataset:
                if not all(0 < block_end <= end for block_end in _block_ends(dataset)):
                    raise ImageError(
                        f"{out} cannot be written: it is incomplete; is the disk full, or do "
                        "creation options not fit?"
                    )


def _block_ends(dataset):
    """Yield where each block ends in the file, 0 for a missing one."""
    planes = dataset.indexes if dataset.interleaving == Interleaving.band else [1]
    for (row, column), _ in dataset.block_windows(1):
        for band in planes:
            yield sum(
                int(dataset.get_tag_item(f"BLOCK_{key}_{column}_{row}", "TIFF", band) or 0)
                for key in ("OFFSET", "SIZE")
            )


def _profile(src, options, scale):
    """Return what to create the output with."""
    options = {name.lower(): value for name, value in options.items()}
    profile = {
        **{key: src.profile[key] for key in ("dtype", "nodata", "count", "crs")},
        "width": src.width * scale,
        "height": src.height * scale,
        "driver": "GTiff",
        "bigtiff": "if_safer",
    }
    if not src.transform.is_identity:
        a, b, c, d, e, f = src.transform[:6]
        profile["transform"] = Affine(a / scale, b / scale, c, d / scale, e / scale, f)
    if src.driver == "GTiff":
        blocks = () if "tiled" in options else ("tiled", "blockxsize", "blockysize")
        profile.update({key: src.profile[key] for key in ("interleave", *blocks)})
    else:
        profile["tiled"] = True
    if "compress" not in options:
        profile.update(_compression(src))
    return {**profile, **options}


def _compression(src):
    structure = src.tags(ns="IMAGE_STRUCTURE")
    method = src.profile.get("compress")
    lossy = method == "jpeg" or "WEBP_LEVEL" in structure or "MAX_Z_ERROR" in structure
    exact = src.nodata is not None or ColorInterp.alpha in src.colorinterp
    if src.driver != "GTiff" or (lossy and exact):
        return {"compress": "deflate"}
    result = {key.lower(): structure[key] for key in COMPRESSION_DETAILS if key in structure}
    if method == "webp" and not lossy:
        result["webp_lossless"] = "yes"
    if src.photometric == PhotometricInterp.ycbcr:
        result["photometric"] = "ycbcr"
    return {"compress": method, **result}


def _copy_metadata(src, dst, scale):
    for band in (0, *src.indexes):  # 0 is the dataset
        for namespace in (None, *src.tag_namespaces(band)):
            if namespace not in OWN_NAMESPACES:
                dst.update_tags(band, ns=namespace, **_tags(src, band, namespace))
    dst.colorinterp = src.colorinterp
    dst.descriptions = src.descriptions
    if any(src.units):
        dst.units = [unit or "" for unit in src.units]
    if set(src.scales) != {1.0} or set(src.offsets) != {0.0}:
        dst.scales, dst.offsets = src.scales, src.offsets
    points, crs = src.gcps
    if points:
        dst.gcps = [_scaled_point(point, scale) for point in points], crs
    if src.rpcs:
        dst.rpcs = _scaled_rpcs(src.rpcs, scale)


def _scaled_point(point, scale):
    row, col = point.row * scale, point.col * scale
    return GroundControlPoint(row, col, point.x, point.y, point.z, point.id, point.info)


def _scaled_rpcs(rpcs, scale):
    rpcs = copy(rpcs)
    for axis in ("line", "samp"):  # 0 is the first pixel's center
        offset, extent = (getattr(rpcs, f"{axis}_{kind}") for kind in ("off", "scale"))
        setattr(rpcs, f"{axis}_off", (offset + 0.5) * scale - 0.5)
        setattr(rpcs, f"{axis}_scale", extent * scale)
    return rpcs


def _tags(src, band, namespace):
    tags = src.tags(band, ns=namespace)
    if (namespace or "").startswith("xml:"):  # one text, which GDAL wants as NAME=VALUE
        return dict(text.split("=", 1) for text in tags.values() if "=" in text)
    return {name: value for name, value in tags.items() if not name.startswith("STATISTICS_")}
