"""What becomes of a part: its tiles go through the net, and holes and radiometry stay.

A tile of a group of bands goes this way; shapes are (h, w, C), C the number of bands of the group:

1. `read_filled` reads it with its halo, in the numbers that the net sees, with its holes filled.
2. `_through_net` runs the net, and adds what lies beyond the net's 0 and 1, enlarged by a kernel.
3. `_numbers` turns the result into the raster's numbers, and makes the mean of each block of
   scale x scale of them the source's pixel.
4. `_restored` puts the holes back.

Bands that the net does not see are enlarged by a kernel in its place (`_resized`).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from gluon_enhance.imaging.arrays import from_rgb
from gluon_enhance.imaging.block_means import (
    MARGIN,
    clip_keeping_means,
    constrain,
    round_keeping_means,
)
from gluon_enhance.imaging.nearest_fill import fill_holes
from gluon_enhance.imaging.resize import resize
from gluon_enhance.imaging.tiling import Tile, run_tiled
from gluon_enhance.rasters.io import (
    alpha_band,
    alpha_bands,
    gdal_environment,
    leave_nodata,
    limits_of,
    naming_errors,
    read_bands,
    reopened,
)
from gluon_enhance.rasters.parts import keep_part, opened_part
from gluon_enhance.rasters.plan import RasterPlan, window_of

KERNEL_MARGIN = 2
"""Pixels around one that the bicubic kernel sees, on each side, when it enlarges."""


def compute_if_missing(plan: RasterPlan, index: int, enhancer, src=None) -> None:
    """Do `compute_part`, unless the part is there: a worker may die when it has kept it."""
    if not plan.part_path(index).exists():
        compute_part(plan, index, enhancer, src)


def compute_part(plan: RasterPlan, index: int, enhancer, src=None) -> None:
    """Compute one part and keep it, whole or not at all.

    Parameters
    ----------
    plan : RasterPlan
    index : int
        Of the part.
    enhancer : Enhancer
        Its net is not run where it has run over the whole raster before.
    src : rasterio dataset, optional
        The source, if it is open.
    """
    with gdal_environment(), reopened(plan.source, src) as src:
        tiles = plan.tiles(index)
        if not plan.in_strips:
            enhancer = enhancer.for_dtype(src.dtypes[0])
        rows = [[_compute_tile(plan, src, tile, enhancer) for tile in row] for row in tiles]
        made = np.block(rows)  # of (C, h, w), side by side along the last two axes
    keep_part(plan.part_path(index), made)


def _compute_tile(plan, src, tile, enhancer):
    """Return all bands (C, h, w) of what a tile keeps, and the mask (0 or 1) if there is one."""
    rows, columns = tile.target(plan.scale)
    count = src.count + plan.has_mask
    made = np.empty((count, rows.stop - rows.start, columns.stop - columns.start), src.dtypes[0])
    for bands in plan.through_net:
        made[[band - 1 for band in bands]] = _through_net(plan, src, bands, tile, enhancer)
    for band in plan.resized:
        made[band - 1] = _resized(plan, src, band, tile)
    if plan.has_mask:
        with naming_errors("read", src.name):
            mask = src.dataset_mask(window=window_of(tile.keep)) > 0
        made[-1] = _enlarged(mask, plan.scale)
    return made


def _through_net(plan, src, bands, tile, enhancer):
    """Return what a tile keeps of bands that go through the net together, (C, h, w)."""
    block, valid = read_filled(plan, src, bands, window_of(tile.read))
    if valid is not None and not valid[crop(tile.keep, tile.read)].any():
        return _restored(plan, src, None, bands, tile)
    run = enhancer.run
    if plan.in_strips:
        run = enhancer.mixed(partial(_answered, plan, bands, tile))
    # The constraint on means sees pixels around, so that more is taken than the tile keeps.
    around = grown(tile.keep, MARGIN, tile.read)
    wider = Tile(tile.read, around, tile.shape)
    ((_, sr),) = run_tiled([wider], lambda *_: fit_to_net(block), run, plan.scale)
    answer, own = from_rgb(sr.transpose(1, 2, 0), channels=len(bands)), wider.crop(plan.scale)
    planes = []
    for k, band in enumerate(bands):  # one at a time, for memory
        image, plane = block[..., k : k + 1], answer[..., k : k + 1].astype(np.float64)
        beyond = image - np.clip(image, 0, 1)
        if beyond.any():
            plane += resize(beyond, plan.scale)[own]
        image = image[crop(around, tile.read)]
        planes.append(_numbers(plan, src, band, plane, image, around, tile))
    return _restored(plan, src, np.concatenate(planes, axis=2), bands, tile)


def fit_to_net(image: np.ndarray) -> np.ndarray:
    """Return the planes (3, h, w) that a net sees of an image (h, w, C)."""
    image = np.clip(image, 0, 1)  # nets know nothing below black, and some nothing above white
    image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    return image.astype(np.float32).transpose(2, 0, 1)


def _answered(plan, bands, tile, _):
    """Read what the net, which ran over the whole raster before, gave for a tile: (1, 3, H, W).

    Like the engine's, the answer is to all that the tile reads, H and W those of `Tile.shape` times
    the scale. The argument without a name is what an engine would get.
    """
    path, starts = plan.answer_path(bands), [side.start * plan.scale for side in tile.read]
    rows, columns = (slice(k, k + n * plan.scale) for k, n in zip(starts, tile.shape))
    with opened_part(path) as answer:
        return answer.read(window=window_of((rows, columns)))[None]


def _resized(plan, src, band, tile):
    """Return what a tile keeps of a band that is enlarged by a kernel, (h, w)."""
    read = grown(tile.keep, KERNEL_MARGIN + MARGIN, [slice(0, side) for side in plan.size])
    around = grown(tile.keep, MARGIN, read)
    block, _ = read_filled(plan, src, [band], window_of(read))
    plane = resize(block, plan.scale, plan.kernel)[crop(around, read, plan.scale)]
    numbers = _numbers(plan, src, band, plane, block[crop(around, read)], around, tile)
    return _restored(plan, src, numbers, [band], tile)[0]


def _numbers(plan, src, band, plane, image, around, tile):
    """Return what a tile keeps of a band, in numbers of the raster's dtype (h, w, 1).

    Parameters
    ----------
    plane : ndarray of shape (H * scale, W * scale, 1), float64
        What the net or a kernel made of the image.
    image : ndarray of shape (H, W, 1), float64
        The band itself. Both are as the net sees numbers.
    around : (slice, slice)
        Rows and columns of the source that the image is of: what the tile keeps, and `MARGIN` more
        on each side, as far as there is some.
    """
    (low, span), dtype = plan.black_and_span([band]), np.dtype(src.dtypes[0])
    numbers, means = plane * span + low, image * span + low
    constrained = plan.constrained and not _is_alpha(src, [band])
    if constrained:
        numbers = constrain(numbers, means)
    numbers = numbers[crop(tile.keep, around, plan.scale)]
    if dtype.kind != "f":
        limits = _limits(src, band)
        if constrained:  # limits and rounding must not move the means again
            numbers = clip_keeping_means(numbers, means[crop(tile.keep, around)], *limits)
            numbers = round_keeping_means(numbers, plan.scale)
    if plan.multiplies and not _is_alpha(src, [band]):
        alpha = _resized(plan, src, alpha_band(src), tile)
        numbers = numbers * (alpha[..., None] / _white_of_alpha(src))
    if dtype.kind != "f":
        numbers = np.clip(np.rint(numbers), *limits)
    return numbers.astype(dtype)


def _restored(plan, src, numbers, bands, tile):
    """Return numbers (C, h, w) of what a tile keeps with the raster's holes as they were.

    Parameters
    ----------
    numbers : ndarray of shape (h, w, C), or None
        None if the tile keeps nothing but a hole.
    """
    block, valid = _read(src, bands, window_of(tile.keep))
    if numbers is None:
        return np.moveaxis(_enlarged(block, plan.scale), 2, 0)
    if _is_alpha(src, bands):  # what was seen at all must not be hidden
        least = np.finfo(block.dtype).tiny if block.dtype.kind == "f" else 1
        numbers = np.where(_enlarged(block > 0, plan.scale), np.maximum(numbers, least), 0)
    if valid is not None:
        valid = _enlarged(valid, plan.scale)
        numbers = np.where(valid, numbers, _enlarged(block, plan.scale))
        leave_nodata(numbers, valid, src)
    return np.moveaxis(numbers, 2, 0)


def read_filled(plan, src, bands, window):
    """Read bands as the net sees numbers, with their holes filled, and what is valid in them.

    Returns
    -------
    image : ndarray of shape (h, w, C), float64
        0 and 1 are the ends of the bands' ranges, beyond which numbers may lie. Colors are those
        before they were multiplied by alpha.
    valid : ndarray of the same shape, bool, or None
        None if all is.
    """
    block, valid = _read(src, bands, window)
    if plan.premultiplied and not _is_alpha(src, bands):
        block = block / np.maximum(_opacity(src, window), np.finfo(np.float32).tiny)
    low, span = plan.black_and_span(bands)
    with np.errstate(over="ignore"):  # nodata may lie at the limits of float64
        image = (block.astype(np.float64) - low) / span
    return (image if valid is None else fill_holes(image, valid)), valid


def _read(src, bands, window):
    """Read bands (h, w, C), and what is valid and finite in them; all of alpha is valid."""
    block, valid = read_bands(src, list(bands), window)
    if _is_alpha(src, bands):
        return block, None
    if block.dtype.kind == "f":
        valid = np.isfinite(block) if valid is None else valid & np.isfinite(block)
    return block, valid


def _limits(src, band):
    """Return the least and the largest number of a valid pixel."""
    low, high = limits_of(src)
    if _is_alpha(src, [band]):
        return low, high
    return low + (src.nodata == low), high - (src.nodata == high)


def _is_alpha(src, bands):
    """Tell whether a group of bands is alpha, which always is one by itself."""
    return bands[0] in alpha_bands(src)


def _white_of_alpha(src):
    """Return the number of alpha that hides nothing."""
    return 1 if np.dtype(src.dtypes[0]).kind == "f" else limits_of(src)[1]


def _opacity(src, window):
    """Read alpha (h, w, 1) in [0, 1]."""
    block, _ = _read(src, [alpha_band(src)], window)
    return block.astype(np.float64) / _white_of_alpha(src)


def grown(area, margin: int, within) -> tuple[slice, slice]:
    """Return rows and columns with a margin on each side, as far as others go."""
    rows, columns = (
        slice(max(own.start - margin, outer.start), min(own.stop + margin, outer.stop))
        for own, outer in zip(area, within)
    )
    return rows, columns


def crop(inner, outer, scale: int = 1) -> tuple[slice, slice]:
    """Return where rows and columns lie in an array of the outer ones, enlarged by a scale."""
    rows, columns = (
        slice((own.start - other.start) * scale, (own.stop - other.start) * scale)
        for own, other in zip(inner, outer)
    )
    return rows, columns


def _enlarged(array, scale):
    """Repeat each pixel of (h, w, ...) along rows and columns."""
    return array.repeat(scale, axis=0).repeat(scale, axis=1)
