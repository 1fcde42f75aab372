"""Enhancing rasters of any size, with georeference, radiometry and holes as they were.

The output is divided into parts (`gluon_enhance.rasters.plan`), which are computed one by one
(`gluon_enhance.rasters.compute`) and kept in files beside it until all are there and are put
together (`gluon_enhance.rasters.parts`).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional, TypedDict, Union, overload

import numpy as np
from rasterio.windows import Window

from gluon_enhance.errors import ImageError
from gluon_enhance.inference.enhancer import RASTER_MODEL, Enhancer
from gluon_enhance.inference.kernel import Baseline, load
from gluon_enhance.rasters.compute import compute_if_missing
from gluon_enhance.rasters.creation_options import try_creation_options
from gluon_enhance.rasters.io import (
    Raster,
    check_shared,
    check_uniform,
    gdal_environment,
    is_min_is_white,
    opened,
)
from gluon_enhance.rasters.parts import assemble, parts_kept, step_counter
from gluon_enhance.rasters.plan import RasterPlan, plan_parts, region_of, round_up
from gluon_enhance.rasters.ranges import InputRange
from gluon_enhance.rasters.whole_image import check_disk, run_whole_image, size_for_net
from gluon_enhance.rasters.write import block_sides, check_out, destination, whole_options

if TYPE_CHECKING:
    import xarray
    from typing_extensions import Unpack

logger = logging.getLogger(__name__)

ESTIMATED_FROM = 32
"""Tiles from which on an estimate is made: it takes the time of two."""
TIMED_SIDE = 512
"""Side, in pixels, of the picture that nets which need the whole image are timed on."""
STRIPS_TIME = 1.75
"""Time that such a net takes for a pixel in strips, where a whole image takes 1."""


class Estimate(NamedTuple):
    """What to expect of a run.

    Attributes
    ----------
    seconds : float
        Of this machine, for what the net has still to do.
    size : (int, int)
        Height and width of the result.
    nbytes : int
        Bytes of the result before compression; its parts take as much while it is made.
    """

    seconds: float
    size: tuple
    nbytes: int


class RasterOptions(TypedDict, total=False):
    """What `enhance_raster` takes by name, for type checkers; it says there what each is."""

    input_range: Optional[InputRange]
    unconstrained: bool
    rgb: Optional[Sequence[int]]
    others: str
    window: Optional[Window | Sequence[int]]
    bounds: Optional[Sequence[float]]
    creation_options: Optional[Mapping[str, str]]
    overviews: bool
    cog: bool
    resume: bool
    trust: bool
    run: Optional[Callable]
    announce: Optional[Callable[[Estimate], None]]
    progress: Optional[Callable[[int, int], None]]


@overload
def enhance_raster(
    source: Raster,
    out: str | os.PathLike,
    enhancer: Enhancer | Baseline | str | os.PathLike = RASTER_MODEL,
    **options: Unpack[RasterOptions],
) -> Path: ...


@overload
def enhance_raster(
    source: xarray.DataArray,
    out: None = None,
    enhancer: Enhancer | Baseline | str | os.PathLike = RASTER_MODEL,
    **options: Unpack[RasterOptions],
) -> xarray.DataArray: ...


def enhance_raster(
    source: Raster,
    out: Optional[str | os.PathLike] = None,
    enhancer: Enhancer | Baseline | str | os.PathLike = RASTER_MODEL,
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
    run: Optional[Callable] = None,
    announce: Optional[Callable[[Estimate], None]] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> Union[Path, xarray.DataArray]:
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
        four times (`gluon_enhance.inference.kernel.Baseline` has other scales).
    input_range : (float, float), str or mapping, optional
        What the net sees as 0 and 1: two numbers; ``'2%,98%'``, percentiles of what is valid;
        ``'scaled:0,0.3'``, values, which the file's scale and offset make of its numbers;
        ``'statistics'``, least and greatest of the bands' STATISTICS tags. Bands that go through
        the net together share it, and of colors that are multiplied by alpha the multiplied numbers
        are counted. A mapping gives bands ranges of their own, ``None`` the others'.
        What values have beyond is enlarged with the bicubic kernel and added. Default: 0 and the
        largest number of uint8, else percentiles 2 and 98, which are logged. Of a raster of more
        than 2**28 samples, evenly spread blocks of its file are counted.
    unconstrained : bool
        Leave the net's answer as it is. By default, of nets that enlarge, the mean of each block
        of scale x scale pixels is the source's pixel in all bands but alpha: exactly in integers,
        unless a pixel gives way to a nodata value within the dtype's limits, and to the dtype's
        precision in floats. The difference is enlarged without steps between blocks
        (`gluon_enhance.imaging.block_means`), and no hole has a part in it. Of colors that are
        multiplied by alpha, the means are those before. Kernels stay as they are.
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
    run : callable, optional
        Takes a function of an index and an enhancer, and the indices of the parts; calls it for
        each, and yields the index's place and the result, in any order, as `ModelCluster.run` does.
        Default: one after the other, here.
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

    Examples
    --------
    >>> enhance_raster("scene.tif", "scene_x4.tif", input_range=(0, 3000)).name
    'scene_x4.tif'
    """
    options = creation_options or {}
    if isinstance(enhancer, (str, os.PathLike)):
        enhancer = load(enhancer)
    with (
        gdal_environment(),
        opened(source, trust) as src,
        destination(out, source) as (out, result),
    ):
        check_out(out, src)
        if run:
            check_shared(src)
        check_uniform(src)
        if cog:
            _check_for_cog(src)
        enhancer = enhancer.for_dtype(src.dtypes[0])
        try_creation_options(src, out, options, whole_options({}, cog), enhancer.scale, cog)
        plan = plan_parts(
            src,
            out,
            enhancer,
            block_sides(whole_options(options, cog)),
            region_of(src, window, bounds),
            multiplies=not cog,
            input_range=input_range,
            unconstrained=unconstrained,
            rgb=rgb,
            others=others,
        )
        net = _whole_image_net(plan, src, enhancer, run) if plan.in_strips else None
        with parts_kept(plan, out, resume):
            if announce and (told := estimate(plan, src, enhancer, net)):
                announce(told)
            run = run or partial(_compute_here, src, enhancer)
            _compute_missing(plan, src, net, run, progress)
            assemble(plan, src, out, options, overviews, cog)
        return result()


def _check_for_cog(src):
    if is_min_is_white(src):
        raise ImageError(
            f"{src.name} has white at its least number, which a COG cannot say; leave out the "
            "COG, or invert it first"
        )


def _whole_image_net(plan, src, enhancer, run):
    """Return what runs a net over the whole raster, if it can, and say what that leads to."""
    name = enhancer.spec.name
    if enhancer.describe()["self_ensemble"]:
        raise ImageError(
            f"{name} takes its statistics from the whole image, and {src.name} has more than "
            f"{enhancer.tile} x {enhancer.tile} pixels: it cannot be turned and flipped in memory; "
            "leave out the self-ensemble"
        )
    net = enhancer.strip_net(*plan.size, memory=0)  # all features go to files
    if plan.region != region_of(src):
        logger.warning("%s needs the whole image: it runs on all of it", name)
    if run:
        why = "takes its statistics from the whole image: it runs here, and workers do the rest"
        logger.warning("%s %s", name, why)
    return net


def _compute_missing(plan, src, net, run, progress):
    """Compute the parts that are not there, and before them the answers of a net that has all."""
    missing = [k for k in range(plan.count) if not plan.part_path(k).exists()]
    groups = [bands for bands in plan.through_net if net and not plan.answer_path(bands).exists()]
    strips = len(groups) * net.count(*size_for_net(plan)) if groups else 0
    step = step_counter(progress, plan.count + strips, done=plan.count - len(missing))
    if groups:
        check_disk(plan, net, len(groups))
    for bands in groups:
        run_whole_image(plan, src, bands, net, step)
    for _ in run(partial(compute_if_missing, plan), missing):
        step()


def _compute_here(src, enhancer, compute, indices):
    """Do what a cluster's `run` does, in this process and with the dataset that is open."""
    return enumerate(compute(index, enhancer, src) for index in indices)


def estimate(plan: RasterPlan, src, enhancer, net=None) -> Optional[Estimate]:
    """Time the net, and return what to expect of a run; None if it is short.

    Parameters
    ----------
    plan : RasterPlan
    src : rasterio dataset
    enhancer : Enhancer
    net : StripNet, optional
        What runs the net over the whole raster before its parts are computed. It does so on the
        processor, of which a GPU's time says nothing: then there is no estimate.
    """
    if net and enhancer.describe().get("device", "cpu") != "cpu":
        return None
    shape, runs = _runs_in_strips(plan) if net else _runs_in_tiles(plan)
    if runs < ESTIMATED_FROM:
        return None
    height, width = ((stop - start) * plan.scale for start, stop in plan.region)
    nbytes = height * width * src.count * np.dtype(src.dtypes[0]).itemsize
    return Estimate(runs * _seconds(enhancer, shape), (height, width), nbytes)


def _runs_in_tiles(plan):
    """Return the shape of tiles, and how many of them the net has still to run on."""
    tiles = plan.tiles(0)  # of the first part, which no other has more of
    missing = sum(not plan.part_path(k).exists() for k in range(plan.count))
    groups = len(plan.through_net) or -(-len(plan.resized) // 3)  # a kernel is timed on three
    return tiles[0][0].shape, missing * sum(map(len, tiles)) * groups


def _runs_in_strips(plan):
    """Return the shape of a picture, and to how many of them the net's work in strips comes."""
    side = round_up(min(TIMED_SIDE, *plan.size), plan.multiple)
    groups = sum(not plan.answer_path(bands).exists() for bands in plan.through_net)
    return (side, side), STRIPS_TIME * groups * plan.size[0] * plan.size[1] / side**2


def _seconds(enhancer, shape):
    """Time the net on a picture; the first run compiles it."""
    batch = np.random.default_rng(0).random((1, 3, *shape), np.float32)
    enhancer.run(batch)
    began = time.perf_counter()
    enhancer.run(batch)
    return time.perf_counter() - began
