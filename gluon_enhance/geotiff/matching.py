"""Histogram matching of rasters of any size: windows are counted, then looked up."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import numpy as np
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from gluon_enhance.errors import ImageError
from gluon_enhance.geotiff.metadata import created
from gluon_enhance.geotiff.raster import (
    bits_of,
    check_out,
    check_uniform,
    color_bands,
    environment,
    leave_nodata,
    limits_of,
    named,
    open_raster,
    read_bands,
    rgb_bands,
)
from gluon_enhance.imaging.histogram import Curves, Matcher

logger = logging.getLogger(__name__)

SAMPLES = 3 << 20
"""Samples read at a time, of all bands together; but one block of the file at least."""


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
    check_out(out, source, reference)
    with environment(), open_raster(source) as src, open_raster(reference) as ref:
        plan = _plan(src, ref, color_space, bands)
        matcher = Matcher(src.dtypes[0], ref.dtypes[0], plan.channels, color_space)
        with created(out, src, creation_options or {}) as dst:
            passes = _windows(src), _windows(ref), _windows(src, dst)
            done = _counter(sum(map(len, passes)), progress)
            for window in passes[0]:
                matcher.count_source(*read_bands(src, plan.source, window))
                done()
            for window in passes[1]:
                matcher.count_reference(*read_bands(ref, plan.reference, window))
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
        check_uniform(dataset)
    if color_space.upper() != "RGB":
        bands = bands or [1, 2, 3]
        _check_bands(bands, [1, 2, 3], f"channels of {color_space}")
        channels = [band - 1 for band in bands]
        return _Plan(
            rgb_bands(src), rgb_bands(ref), channels, [color_space[c : c + 1] for c in channels]
        )
    choices = color_bands(src), color_bands(ref)
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


def _match_window(matcher, src, bands, dst, window):
    block, valid = read_bands(src, bands, window)
    matcher.apply(block, valid)
    if bits_of(src):
        np.clip(block, *limits_of(src), out=block)
    leave_nodata(block, valid, src)
    with named("read", src.name):
        pixels = src.read(window=window)
        has_mask = [MaskFlags.per_dataset] in src.mask_flag_enums
        mask = src.read_masks(1, window=window) if has_mask else None
    pixels[[band - 1 for band in bands]] = np.moveaxis(block, 2, 0)
    dst.write(pixels, window=window)
    if has_mask:
        dst.write_mask(mask, window=window)
