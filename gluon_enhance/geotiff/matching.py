"""Histogram matching of rasters of any size: windows are counted, then looked up."""

from __future__ import annotations

import logging
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, Interleaving, MaskFlags, PhotometricInterp
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.histogram import Curves, Matcher

logger = logging.getLogger(__name__)

SAMPLES = 3 << 20
"""Samples read at a time, of all bands together; but one block of the file at least."""
CACHE = 128
"""Megabytes of decoded blocks that GDAL may hold; by default it takes 5% of the memory."""
SIDECARS = (".aux.xml", ".msk", ".ovr")
#: Creation options that a file tells under the same name.
COMPRESSION_DETAILS = ("PREDICTOR", "JPEG_QUALITY", "WEBP_LEVEL", "MAX_Z_ERROR")
#: Metadata that GDAL makes itself.
OWN_NAMESPACES = ("IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "RPC")
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


def match_rasters(
    source: str | os.PathLike,
    reference: str | os.PathLike,
    out: str | os.PathLike,
    *,
    match_proportion: float = 1.0,
    color_space: str = "RGB",
    bands: Optional[Sequence[int]] = None,
    creation_options: Optional[Mapping[str, str]] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> dict[str, Curves]:
    """Write a raster with the distribution of values of another: `match_histograms` on files.

    What is masked (by nodata, a mask or alpha; band by band where they differ), NaN or infinite is
    not counted and stays. A valid value that would become nodata takes the next value to it. All
    else is kept: bands that are not matched, alpha, georeference, control points, tags,
    descriptions, color interpretation, scales and units, tiling, compression. Not kept: overviews
    and statistics, which would be wrong.

    Parameters
    ----------
    source, reference : path or URL of what GDAL reads
        Of the same number of bands besides alpha, unless `bands` are given. Dtypes may differ as
        in `match_histograms`.
    out : path
        GeoTIFF. It gets its name when it is complete.
    match_proportion, color_space
        As in `match_histograms`. Color spaces other than 'RGB' take the bands interpreted as red,
        green and blue, or else the first three.
    bands : sequence of int, optional
        Bands to match, from 1; channels 1 to 3 of other color spaces. Default: all but alpha.
    creation_options : mapping, optional
        Of GDAL's GTiff driver. Without ``compress`` the source's compression is kept, or deflate
        taken for one with losses that would change nodata or alpha.
    progress : callable, optional
        Called with the number of windows done and of all.

    Returns
    -------
    dict
        Name of each band or channel that was matched -> its `Curves`.

    Raises
    ------
    ImageError
        If a file cannot be read or written, or `out` is one of the inputs.
    ValueError
        If bands, dtypes, values or options do not fit.
    """
    out = Path(out)
    _check_out(out, source, reference)
    with _environment(), _open(source) as src, _open(reference) as ref:
        plan = _plan(src, ref, color_space, bands)
        matcher = Matcher(src.dtypes[0], ref.dtypes[0], plan.channels, color_space)
        with _created(out, src, creation_options or {}) as dst:
            passes = _windows(src), _windows(ref), _windows(src, dst)
            done = _counter(sum(map(len, passes)), progress)
            for window in passes[0]:
                matcher.count_source(*_read(src, plan.source, window))
                done()
            for window in passes[1]:
                matcher.count_reference(*_read(ref, plan.reference, window))
                done()
            matcher.solve(match_proportion)
            for name, *pair in zip(plan.names, matcher.source, matcher.reference):
                logger.info("%s: source %s, reference %s", name, *pair)
            for window in passes[2]:
                _match_window(matcher, src, plan.source, dst, window)
                done()
    return dict(zip(plan.names, matcher.curves()))


class _Plan(NamedTuple):
    """Bands to read of either raster, which of them (or of the color space) are matched."""

    source: list[int]
    reference: list[int]
    channels: list[int]
    names: list[str]


def _plan(src, ref, color_space, bands):
    for dataset in (src, ref):
        if ColorInterp.palette in dataset.colorinterp:
            raise ImageError(f"{dataset.name} has a color table; convert it to RGB")
        if len(set(dataset.dtypes)) > 1 or len(set(map(repr, dataset.nodatavals))) > 1:
            raise ImageError(
                f"{dataset.name} has bands of different dtypes or nodata values; a GeoTIFF holds "
                "one for all: convert it"
            )
    if color_space.upper() != "RGB":
        bands = bands or [1, 2, 3]
        _check_bands(bands, [1, 2, 3], f"channels of {color_space}")
        channels = [band - 1 for band in bands]
        return _Plan(_rgb(src), _rgb(ref), channels, [color_space[c : c + 1] for c in channels])
    choices = _bands(src), _bands(ref)
    if not bands and len(choices[0]) != len(choices[1]):
        raise ImageError(
            f"{src.name} has {len(choices[0])} bands besides alpha, {ref.name} {len(choices[1])}; "
            "choose bands that both have (--bands)"
        )
    for dataset, choice in zip((src, ref), choices):
        _check_bands(bands or choice, choice, f"bands of {dataset.name}")
    plan = (list(bands), list(bands)) if bands else choices
    return _Plan(*plan, list(range(len(plan[0]))), [f"band {band}" for band in plan[0]])


def _check_bands(bands, choices, kind):
    if len(set(bands)) < len(bands) or not set(bands) <= set(choices):
        raise ValueError(
            f"bands are {','.join(map(str, bands))}; the {kind} are {','.join(map(str, choices))}"
        )


def _bands(dataset):
    """Return the numbers of all bands but alpha."""
    return [i for i, color in enumerate(dataset.colorinterp, 1) if color != ColorInterp.alpha]


def _rgb(dataset):
    if set(RGB) <= set(dataset.colorinterp):
        return [dataset.colorinterp.index(color) + 1 for color in RGB]
    if len(_bands(dataset)) < 3:
        raise ImageError(f"{dataset.name} has no three bands to take for RGB; leave out the space")
    return _bands(dataset)[:3]


def _windows(*datasets):
    """Divide the first dataset into windows of whole blocks of all."""
    block_height, block_width = np.max([dataset.block_shapes[0] for dataset in datasets], axis=0)
    rows, columns, pixels = datasets[0].height, datasets[0].width, SAMPLES // datasets[0].count
    width = min(columns, max(1, pixels // block_height // block_width) * block_width)
    height = max(1, pixels // width // block_height) * block_height
    return [
        Window(left, top, min(width, columns - left), min(height, rows - top))
        for top in range(0, rows, height)
        for left in range(0, columns, width)
    ]


def _counter(total, progress):
    done = iter(range(1, total + 1))
    return lambda: progress(next(done), total) if progress else None


def _read(dataset, bands, window):
    """Read bands as (h, w, C), with what is valid in them."""
    with _named("read", dataset.name):
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


def _match_window(matcher, src, bands, dst, window):
    block, valid = _read(src, bands, window)
    matcher.apply(block, valid)
    _leave_nodata(block, valid, src.nodata)
    with _named("read", src.name):
        pixels = src.read(window=window)
        has_mask = [MaskFlags.per_dataset] in src.mask_flag_enums
        mask = src.read_masks(1, window=window) if has_mask else None
    pixels[[band - 1 for band in bands]] = np.moveaxis(block, 2, 0)
    dst.write(pixels, window=window)
    if has_mask:
        dst.write_mask(mask, window=window)


def _leave_nodata(block, valid, nodata):
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


def _check_out(out, *inputs):
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise ImageError(f"{out} has the suffix {out.suffix!r}; choose .tif or .tiff")
    for path in inputs:
        if out.exists() and Path(path).exists() and out.samefile(path):
            raise ImageError(f"{out} is an input too; choose another name for the output")


@contextmanager
def _named(verb, path):
    try:
        yield
    except RasterioError as error:
        reason = error.__cause__ or error
        raise ImageError(f"{path} cannot be {verb}: {reason}") from error


def _open(path):
    with _named("read", path):
        return rasterio.open(path)


@contextmanager
def _environment():
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
def _created(out: Path, src, options) -> Iterator[rasterio.io.DatasetWriter]:
    """Create a temporary raster like the source that becomes `out` on success, else vanishes."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".gluon-enhance-{uuid.uuid4().hex}.part")
    try:
        with _named("written", out), rasterio.open(part, "w", **_profile(src, options)) as dst:
            _copy_metadata(src, dst)
            yield dst
        _check_complete(part, out)
        os.replace(part, out)
        for suffix in SIDECARS:  # of a file that was replaced
            out.with_name(out.name + suffix).unlink(missing_ok=True)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _check_complete(part, out):
    """Look for blocks that are missing: on a full disk GDAL closes a file without an error."""
    with _named("written", out), rasterio.open(part) as dataset, open(part, "rb") as file:
        os.fsync(file.fileno())
        end = os.fstat(file.fileno()).st_size
        planes = dataset.indexes if dataset.interleaving == Interleaving.band else [1]
        for (row, column), _ in dataset.block_windows(1):
            for band in planes:
                offset, size = (
                    dataset.get_tag_item(f"BLOCK_{key}_{column}_{row}", "TIFF", band)
                    for key in ("OFFSET", "SIZE")
                )
                if offset is None or int(offset) + int(size) > end:
                    raise ImageError(
                        f"{out} cannot be written: it is incomplete; is the disk full?"
                    )


def _profile(src, options):
    """Return what to create the output with."""
    options = {name.lower(): value for name, value in options.items()}
    profile = {
        **{key: src.profile[key] for key in ("dtype", "nodata", "width", "height", "count", "crs")},
        "driver": "GTiff",
        "bigtiff": "if_safer",
    }
    if not src.transform.is_identity:
        profile["transform"] = src.transform
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


def _copy_metadata(src, dst):
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
    if src.gcps[0]:
        dst.gcps = src.gcps
    if src.rpcs:
        dst.rpcs = src.rpcs


def _tags(src, band, namespace):
    tags = src.tags(band, ns=namespace)
    if (namespace or "").startswith("xml:"):  # one text, which GDAL wants as NAME=VALUE
        return dict(text.split("=", 1) for text in tags.values() if "=" in text)
    return {name: value for name, value in tags.items() if not name.startswith("STATISTICS_")}
