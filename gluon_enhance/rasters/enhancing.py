"""Enhancing rasters of any size, with georeference, radiometry and holes as they were.

The output is divided into parts (`gluon_enhance.rasters.parts`), which are kept in files beside it
until all are there and are put together.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Callable, Optional

from rasterio.windows import Window

from gluon_enhance.errors import ImageError
from gluon_enhance.inference.kernel import load
from gluon_enhance.rasters.assembling import assemble, block_sides, whole_options
from gluon_enhance.rasters.banded import check_disk, run_in_bands, size_for_net
from gluon_enhance.rasters.estimating import Estimate, estimate
from gluon_enhance.rasters.keeping import parts_kept
from gluon_enhance.rasters.opening import check_shared, destination, opened
from gluon_enhance.rasters.parts import compute_if_missing
from gluon_enhance.rasters.planning import plan_parts
from gluon_enhance.rasters.ranges import InputRange
from gluon_enhance.rasters.raster import check_out, check_uniform, environment, is_min_is_white
from gluon_enhance.rasters.regions import region_of
from gluon_enhance.rasters.trial import try_options

logger = logging.getLogger(__name__)

RASTER_MODEL = "rrdb_lite_x4"
"""The one that stays nearest to the pixels."""


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
    run: Optional[Callable] = None,
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
    with environment(), opened(source, trust) as src, destination(out, source) as (out, result):
        check_out(out, src)
        if run:
            check_shared(src)
        check_uniform(src)
        if cog and is_min_is_white(src):
            raise ImageError(
                f"{src.name} has white at its least number, which a COG cannot say; leave out the "
                "COG, or invert it first"
            )
        enhancer = enhancer.for_dtype(src.dtypes[0])
        try_options(src, out, options, whole_options({}, cog), enhancer.scale, cog)
        blocks = block_sides(whole_options(options, cog))
        region = region_of(src, window, bounds)
        work = plan_parts(
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
        if net and run:
            why = "takes its statistics from the whole image: it runs here, and workers do the rest"
            logger.warning("%s %s", enhancer.spec.name, why)
        with parts_kept(work, out, resume):
            told = estimate(work, src, enhancer, net) if announce else None
            if told:
                announce(told)
            _compute_missing(work, src, net, run or partial(_run_here, src, enhancer), progress)
            assemble(work, src, out, options, overviews, cog)
        return result()


def _banded_net(work, src, enhancer):
    """Return what runs a net that needs the whole image, and find out whether it can."""
    if enhancer.describe()["self_ensemble"]:
        raise ImageError(
            f"{enhancer.spec.name} takes its statistics from the whole image, and {src.name} has "
            f"more than {enhancer.tile} x {enhancer.tile} pixels: it cannot be turned and flipped "
            "in memory; leave out the self-ensemble"
        )
    return enhancer.strip_net(*work.size, memory=0)


def _compute_missing(work, src, net, run, progress):
    missing = [k for k in range(work.count) if not work.path(k).exists()]
    groups = [bands for bands in work.through_net if net and not work.answer(bands).exists()]
    steps = len(groups) * net.count(*size_for_net(work)) if groups else 0
    done = _counter(work.count - len(missing), work.count + steps, progress)
    if groups:
        check_disk(work, net, len(groups))
    for bands in groups:
        run_in_bands(work, src, bands, net, done)
    for _ in run(partial(compute_if_missing, work), missing):
        done()


def _run_here(src, enhancer, compute, indices):
    return enumerate(compute(index, enhancer, src) for index in indices)


def _counter(done, total, progress):
    counts = iter(range(done + 1, total + 1))
    return lambda: progress(next(counts), total) if progress else None
