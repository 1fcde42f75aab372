"""Enhancing rasters of any size, with georeference, radiometry and holes as they were.

The output is divided into parts (`gluon_enhance.geotiff.parts`), which are kept in files beside it
until all are there and are put together.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional

import filelock
import numpy as np
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from gluon_enhance.baseline import Baseline, load
from gluon_enhance.errors import ImageError
from gluon_enhance.geotiff.assembling import BLOCK, assemble, block_sides, whole_options
from gluon_enhance.geotiff.banded import check_disk, run_in_bands, size_for_net
from gluon_enhance.geotiff.estimating import Estimate, estimate
from gluon_enhance.geotiff.metadata import has_premultiplied_alpha
from gluon_enhance.geotiff.names import absolute_name
from gluon_enhance.geotiff.opening import check_shared, destination, opened
from gluon_enhance.geotiff.parts import Work, compute_part, round_up
from gluon_enhance.geotiff.ranges import InputRange, ranges_of
from gluon_enhance.geotiff.raster import (
    RGB,
    check_out,
    check_uniform,
    color_bands,
    environment,
    is_min_is_white,
    rgb_bands,
)
from gluon_enhance.geotiff.regions import region_of
from gluon_enhance.geotiff.trial import try_options
from gluon_enhance.imaging.block_means import MARGIN

logger = logging.getLogger(__name__)

PART_SAMPLES = 16 << 20
"""Samples of a part, of all bands together, unless one tile or block has more."""
WINDOW = 512
"""Side of a part's tile, of a net that has run over the whole raster before."""
RASTER_MODEL = "rrdb_lite_x4"
"""The one that stays nearest to the pixels."""
PROBE = 64
"""Side of a picture that a model is told by."""
WORK = "work.json"


def enhance_raster(
    source,
    out: Optional[str | os.PathLike] = None,
    enhancer=RASTER_MODEL,
    *,
    input_range: Optional[InputRange] = None,
    unconstrained: bool = False,
    rgb: Optional[Sequence[int]] = None,
    others: str = "resize",
    window: Optional[Window | Sequence[int]] = None,
    bounds: Optional[Sequence[float]] = None,
    creation_options: Optional[Mapping[str, str]] = None,
    overviews: bool = False,
    cog: bool = False,
    resume: bool = False,
    trust: bool = False,
    compute: Optional[Callable] = None,
    announce: Optional[Callable[[Estimate], None]] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> Any:
    """Enhance a raster in bounded memory.

    The extent stays; the transform is divided by the scale, ground control points and RPCs are
    multiplied by it. Dtype, nodata, masks, alpha, tags, descriptions, color interpretation and
    compression stay. What is nodata, masked, NaN or infinite stays so, and has no influence on what
    is around it.

    Parameters
    ----------
    source : path, URL or name, open rasterio dataset, MemoryFile or DataArray
        Names are of what GDAL reads. The last is an ``xarray.DataArray`` after the conventions of
        rioxarray (``pip install 'gluon-enhance[xarray]'``).
    out : path, optional
        GeoTIFF. It gets its name when it is complete; until then parts lie in ``.NAME.parts``
        beside it. Only for a DataArray it may be left out.
    enhancer : Enhancer, str or path
        Or the model that one is made with; or 'bicubic', 'bilinear' or 'nearest', which enlarge
        four times (`gluon_enhance.baseline.Baseline` has other scales).
    input_range : (float, float), str or mapping, optional
        What the net sees as 0 and 1: two numbers; ``'2%,98%'``, percentiles of what is valid;
        ``'scaled:0,0.3'``, values, which the file's scale and offset make of its numbers;
        ``'statistics'``, least and greatest of the bands' STATISTICS tags. Bands that go through
        the net together share it. A mapping gives bands ranges of their own, ``None`` the others'.
        What values have beyond is enlarged with the bicubic kernel and added. Default: 0 and the
        largest number of uint8, else percentiles 2 and 98, which are logged. Of a raster of more
        than 2**28 samples, evenly spread blocks of its file are counted.
    unconstrained : bool
        Leave the net's answer as it is. By default, of nets that enlarge, the mean of each block
        of scale x scale pixels is the source's pixel in all bands but alpha: exactly in integers,
        unless a pixel gives way to a nodata value within the dtype's limits, and to the dtype's
        precision in floats. The difference is enlarged without steps between blocks
        (`gluon_enhance.imaging.block_means`), and no hole has a part in it. Kernels stay as they
        are.
    rgb : sequence of 3 int, optional
        Bands that are red, green and blue. Default: those interpreted so, or all there are if these
        are one or three.
    others : {'resize', 'each'}
        Other bands are enlarged with the bicubic kernel, or go through the net one by one. With
        'each' and no `rgb` all do.
    window : sequence of 4 int or rasterio.windows.Window, optional
        Part of the raster to enhance: first column and row, width and height, in its pixels. The
        result is that part of the whole's, to 1/255 as between tiles. Nets that need the whole
        image run on it.
    bounds : sequence of 4 float, optional
        The same as left, bottom, right and top in the raster's coordinates.
    creation_options : mapping, optional
        Of GDAL's GTiff driver, or the COG driver's with `cog`. Default: the source's compression,
        or deflate for one with losses that would change nodata or alpha. Where these options have
        such losses, a mask tells what is valid instead: in all bands, if these differ. What GDAL
        does not obey is an error.
    overviews, cog : bool
        Add overviews; write a cloud-optimized GeoTIFF, which has them. Where tags have namespaces,
        those of bands that have none come in ``NAME.aux.xml``, as GDAL does not copy both.
    resume : bool
        Go on with the parts that an interrupted run has left. They must be of the same source,
        model and options.
    trust : bool
        Follow links: rasters of any format that GDAL opens by its content, and a VRT's sources
        outside its folder. Only for files of people you trust.
    compute : callable, optional
        Takes the `Work`, the indices of parts to compute and a function to call after each;
        default: one after the other, here.
    announce : callable, optional
        Called with an `Estimate` of time and size, before work that is not done at once.
    progress : callable, optional
        Called with the number of parts done and of all.

    Returns
    -------
    Path or xarray.DataArray
        `out`; without it an array with the names and coordinates of the source.

    Raises
    ------
    ImageError
        If a file cannot be read or written, the bands need a choice, or parts are missing.
    ValueError
        If options or values do not fit.
    """
    options = creation_options or {}
    if isinstance(enhancer, (str, os.PathLike)):
        enhancer = load(enhancer)
    with environment(), opened(source, trust) as src, destination(out, source) as (out, result):
        check_out(out, src)
        if compute:
            check_shared(src)
        enhancer = enhancer.for_dtype(src.dtypes[0])
        check_uniform(src)
        if cog and is_min_is_white(src):
            raise ImageError(
                f"{src.name} has white at its least number, which a COG cannot say; leave out the "
                "COG, or invert it first"
            )
        try_options(src, out, options, whole_options({}, cog), enhancer.scale, cog)
        blocks = block_sides(whole_options(options, cog))
        region = region_of(src, window, bounds)
        work = _plan(
            src,
            out,
            enhancer,
            blocks,
            region,
            multiplies=not cog,
            input_range=input_range,
            unconstrained=unconstrained,
            rgb=rgb,
            others=others,
        )
        net = _banded_net(work, src, enhancer) if work.in_bands else None
        if net and region != region_of(src):
            logger.warning("%s needs the whole image: it runs on all of it", enhancer.spec.name)
        if net and compute:
            why = "takes its statistics from the whole image: it runs here, and workers do the rest"
            logger.warning("%s %s", enhancer.spec.name, why)
        with _only_one(work, out):
            _prepare(work, resume)
            with _keeping(work):
                told = estimate(work, src, enhancer, net) if announce else None
                if told:
                    announce(told)
                compute = compute or partial(_compute_here, src, enhancer)
                _compute_missing(work, src, net, compute, progress)
                assemble(work, src, out, options, overviews, cog)
            shutil.rmtree(work.folder)
        return result()


def _banded_net(work, src, enhancer):
    """Return what runs a net that needs the whole image, and find out whether it can."""
    if enhancer.describe()["self_ensemble"]:
        raise ImageError(
            f"{enhancer.spec.name} takes its statistics from the whole image, and {src.name} has "
            f"more than {enhancer.tile} x {enhancer.tile} pixels: it cannot be turned and flipped "
            "in memory; leave out the self-ensemble"
        )
    return enhancer.banded_net(*work.size, memory=0)


def _compute_missing(work, src, net, compute, progress):
    missing = [k for k in range(work.count) if not work.path(k).exists()]
    groups = [bands for bands in work.through_net if net and not work.answer(bands).exists()]
    steps = len(groups) * net.count(*size_for_net(work)) if groups else 0
    done = _counter(work.count - len(missing), work.count + steps, progress)
    if groups:
        check_disk(work, net, len(groups))
    for bands in groups:
        run_in_bands(work, src, bands, net, done)
    compute(work, missing, done)


def _compute_here(src, enhancer, work, indices, done):
    for index in indices:
        compute_part(work, index, enhancer, src)
        done()


def _plan(src, out, enhancer, blocks, region, multiplies, input_range, unconstrained, rgb, others):
    spec, scale = enhancer.spec, enhancer.scale
    if scale != int(scale):
        raise ValueError(f"outscale is {scale:g}; rasters take whole numbers")
    if min(src.shape) < spec.min_size:
        raise ImageError(
            f"{spec.name} needs {spec.min_size} pixels a side, and {src.name} has "
            f"{src.width} x {src.height}"
        )
    sides = [side // math.gcd(side, scale) for side in blocks]
    unit = math.lcm(*sides, spec.unit)
    tile = round_up(enhancer.tile, math.lcm(BLOCK // math.gcd(BLOCK, scale), spec.unit))
    needs_whole = spec.tiling == "global_statistics"
    in_bands = needs_whole and src.height * src.width > enhancer.tile**2
    if needs_whole:
        tile = round_up(WINDOW if in_bands else max(src.height, src.width), unit)
    side = round_up(tile, unit)
    tile = round_up(-(-side // -(-side // tile)), spec.unit)
    across = max(1, PART_SAMPLES // (src.count * (side * scale) ** 2))
    kernel = enhancer.kernel if isinstance(enhancer, Baseline) else None
    through_net, resized = _divide_bands(src, rgb, others, kernel)
    constrained = scale > 1 and not (unconstrained or kernel)
    ranges = ranges_of(src, through_net, input_range)
    if is_min_is_white(src):  # the net is to see no negative
        ranges = tuple((high, low) for low, high in ranges)
    premultiplied = has_premultiplied_alpha(src)
    status = os.stat(src.name) if os.path.exists(src.name) else None
    return Work(
        source=absolute_name(src.name),
        stamp=(status.st_size, status.st_mtime_ns) if status else None,
        folder=str(out.resolve().with_name(f".{out.name}.parts")),
        size=(src.height, src.width),
        scale=scale,
        tile=tile,
        # Tiles may end where a cell of `unit` pixels does not.
        halo=round_up(enhancer.halo + MARGIN * constrained + spec.unit - spec.multiple, spec.unit)
        + _shift(region, spec.unit),
        multiple=spec.multiple,
        unit=spec.unit,
        part=(side, side * across),
        region=region,
        ranges=ranges,
        through_net=through_net,
        resized=resized,
        kernel=kernel or "bicubic",
        has_mask=[MaskFlags.per_dataset] in src.mask_flag_enums,
        constrained=constrained,
        in_bands=in_bands,
        premultiplied=premultiplied,
        multiplies=premultiplied and multiplies,
        model=_identify(enhancer),
    )


def _shift(region, multiple):
    """Return by how much tiles that start at a region may have to start before it."""
    return multiple if any(start % multiple for start, _ in region) else 0


def _divide_bands(src, rgb, others, kernel):
    """Return groups of bands that go through the net, and bands that are resized."""
    if kernel:
        return (), tuple(src.indexes)
    color = color_bands(src)
    alpha = tuple(band for band in src.indexes if band not in color)
    if rgb:
        if len(rgb) != 3 or len(set(rgb)) < 3 or not set(rgb) <= set(color):
            raise ValueError(
                f"rgb is {','.join(map(str, rgb))}; give three of the bands "
                f"{','.join(map(str, color))} of {src.name}"
            )
        together = tuple(rgb)
    elif others == "each":
        together = ()
    elif len(color) == 3 or set(RGB) <= set(src.colorinterp):
        together = tuple(rgb_bands(src))
    elif len(color) == 1:
        together = tuple(color)
    else:
        raise ImageError(
            f"{src.name} has {len(color)} bands; say which are red, green and blue (--rgb 4,3,2), "
            "or run each by itself (--bands each)"
        )
    rest = tuple(band for band in color if band not in together)
    groups = ((together,) if together else ()) + tuple((b,) for b in rest if others == "each")
    return groups, alpha if others == "each" else rest + alpha


def _identify(enhancer):
    """Say what the model is; weights may differ under one name, and then their answers do."""
    side = round_up(PROBE, enhancer.spec.multiple)
    probe = np.random.default_rng(0).random((1, 3, side, side), np.float32)
    answer = np.ascontiguousarray(enhancer.run(probe))
    described = {**enhancer.describe(), "probe": hashlib.sha256(answer).hexdigest()}
    return json.dumps(described, sort_keys=True)


@contextmanager
def _only_one(work, out):
    """Keep other runs away from the parts; a killed one's lock is gone with it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(f"{work.folder}.lock", timeout=0)
    try:
        with lock:
            yield
    except filelock.Timeout as error:
        raise ImageError(f"another run is writing {out}; wait for it, or name another") from error
    Path(lock.lock_file).unlink(missing_ok=True)


@contextmanager
def _keeping(work):
    """Say of a run that ends early what is left of it."""
    try:
        yield
    except BaseException:
        done = sum(work.path(k).exists() for k in range(work.count))
        if done:
            kept = f"{done} of {work.count} parts are kept in {work.folder}"
            logger.warning("%s; --resume goes on with them", kept)
        raise


def _prepare(work, resume):
    """Make the folder of parts, or find that it is of the same work."""
    folder, record = Path(work.folder), Path(work.folder, WORK)
    now = json.dumps(asdict(work), indent=1)
    if resume and record.exists():
        if record.read_text() != now:
            raise ImageError(
                f"{folder} is of another source, model or options; run with the same, or without "
                "--resume"
            )
        return
    if record.exists():
        logger.warning("%s of an earlier run is deleted, as --resume is not given", folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    record.write_text(now)


def _counter(done, total, progress):
    counts = iter(range(done + 1, total + 1))
    return lambda: progress(next(counts), total) if progress else None
