"""The parts that an enhanced raster is computed in, each whole by itself.

A part is a rectangle of tiles, whose output is whole blocks. It is computed from windows of
the source with a halo and kept in a file of its own, so that a run can be resumed and parts can be
computed anywhere (`gluon_enhance.cluster`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Optional

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.windows import Window

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
from gluon_enhance.rasters.raster import (
    draft_of,
    environment,
    leave_nodata,
    limits_of,
    named,
    read_bands,
    reopened,
)
from gluon_enhance.rasters.seals import seal

KERNEL_MARGIN = 2
"""Pixels around a window that the bicubic kernel sees, when it enlarges."""


@dataclass(frozen=True)
class Work:
    """All that computing a part needs beside the model; it goes to other machines as it is.

    Attributes
    ----------
    source, folder : str
        The raster, and where its parts are kept.
    stamp : (int, int), optional
        Bytes of the source, and when it was changed, in nanoseconds; None for one that is no file.
    size : (int, int)
        Height and width of the source.
    scale, tile, halo, multiple, unit : int
        Of the model and the plan, in input pixels.
    ranges : tuple of (float, float)
        Of each band of the source, the numbers that the net sees as 0 and 1; 0 and 1 for others.
    part : (int, int)
        Rows and columns of the source that a part is of, but for those at the end.
    region : ((int, int), (int, int))
        First row and the one after the last, and the same of columns, of what is enhanced.
    through_net : tuple of tuples of int
        Bands that go through it together: three, or one as gray.
    resized : tuple of int
        Bands that are enlarged with a kernel.
    kernel : str
        Its name.
    has_mask : bool
        Whether the dataset has a mask, which parts then hold as one more band.
    constrained : bool
        Whether the means of the result's blocks are made the source's pixels, but of alpha.
    in_bands : bool
        Whether the net has run over the whole raster before (`gluon_enhance.rasters.banded`).
    premultiplied, multiplies : bool
        Whether the colors of the source are multiplied by its alpha, and whether the result's are.
    model : str
        What made the parts, with a hash of its answer to a probe: all must be of the same.
    """

    source: str
    folder: str
    stamp: Optional[tuple]
    size: tuple
    scale: int
    tile: int
    halo: int
    multiple: int
    unit: int
    part: tuple
    region: tuple
    ranges: tuple
    through_net: tuple
    resized: tuple
    kernel: str
    has_mask: bool
    constrained: bool
    in_bands: bool
    premultiplied: bool
    multiplies: bool
    model: str

    @property
    def count(self) -> int:
        """Number of parts."""
        rows, columns = self._grid
        return rows * columns

    def black_and_span(self, bands) -> np.ndarray:
        """Return what the net sees as 0, and how much more as 1: two rows, of each of bands."""
        low, high = np.transpose([self.ranges[band - 1] for band in bands])
        return np.stack([low, high - low])

    @property
    def _grid(self):
        sides = zip(self.region, self.part)
        return tuple(-(-(stop - start) // own) for (start, stop), own in sides)

    def area(self, index: int) -> tuple[slice, slice]:
        """Return the rows and columns of the source that a part is of."""
        places = zip(divmod(index, self._grid[1]), self.part, self.region)
        rows, columns = (
            slice(start + k * own, min(start + (k + 1) * own, stop))
            for k, own, (start, stop) in places
        )
        return rows, columns

    def target(self, index: int) -> tuple[slice, slice]:
        """Return where a part lies in the output."""
        rows, columns = (
            slice((own.start - start) * self.scale, (own.stop - start) * self.scale)
            for own, (start, _) in zip(self.area(index), self.region)
        )
        return rows, columns

    def tiles(self, index: int) -> list[list[Tile]]:
        """Return the tiles of a part, row by row."""
        area = zip(self.area(index), self.size)
        rows, columns = (self._windows(own, length) for own, length in area)
        shape = self._side(self.size[0]), self._side(self.size[1])
        return [[Tile((r, c), (k, j), shape) for c, j in columns] for r, k in rows]

    def path(self, index: int) -> Path:
        """Where a part is kept: under a name that no part of other work has.

        A worker may still be at what an interrupted run wanted of it.
        """
        return Path(self.folder, f"{index:07d}-{self._digest}.tif")

    def answer(self, bands: tuple[int, ...]) -> Path:
        """Where the net's answer to bands is kept, if it has run before."""
        return Path(self.folder, f"net-{'-'.join(map(str, bands))}-{self._digest}.tif")

    @cached_property
    def _digest(self):
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def _side(self, length):
        whole = round_up(length, self.multiple)
        return min(whole, self.tile + 2 * self.halo - -whole % self.unit)

    def _windows(self, own, length):
        """Return what tiles read and keep; a window at an edge of the image ends there."""
        size, last = self._side(length), round_up(length, self.multiple)
        windows = []
        for start in range(own.start, own.stop, self.tile):
            first = min(max(start - self.halo, 0), last - size)
            first -= first % self.unit  # where the whole's tiles may start
            read = slice(first, min(first + size, length))
            windows.append((read, slice(start, min(start + self.tile, own.stop))))
        return windows


def compute_part(work: Work, index: int, enhancer, src=None) -> None:
    """Compute one part and keep it, whole or not at all; `src` is the source, if it is open."""
    with environment(), reopened(work.source, src) as src:
        tiles = work.tiles(index)
        if not work.in_bands:  # else the net has run
            enhancer = enhancer.for_dtype(src.dtypes[0])
        made = np.block([[_compute_tile(work, src, tile, enhancer) for tile in r] for r in tiles])
    keep_part(work.path(index), made)


def compute_if_missing(work: Work, index: int, enhancer, src=None) -> None:
    """Do `compute_part`, unless the part is there: a worker may die when it has kept it."""
    if not work.path(index).exists():
        compute_part(work, index, enhancer, src)


def keep_part(path: Path, made: np.ndarray) -> None:
    """Keep bands (C, h, w), the mask as the last one if there is one, whole or not at all."""
    profile = {"driver": "GTiff", "dtype": made.dtype, "compress": "deflate", "zlevel": 1}
    count, height, width = made.shape
    size = {"count": count, "height": height, "width": width}
    with environment(), draft_of(path) as draft, named("written", path):
        with rasterio.open(draft, "w", **size, **profile) as dst:
            dst.write(made)
        seal(draft)


def read_part(path: Path) -> np.ndarray:
    """Read what `keep_part` has kept."""
    with named("read", path), rasterio.open(path) as part:
        return part.read()


def write_part(dst, made: np.ndarray, window: Window) -> None:
    """Write bands, and the mask after them if there is one, to where they belong."""
    dst.write(made[: dst.count], window)
    if len(made) > dst.count:
        dst.write_mask(made[-1] != 0, window)


def _compute_tile(work, src, tile, enhancer):
    """Return all bands (C, h, w) of what a tile keeps, and the mask (0 or 1) if there is one."""
    rows, columns = tile.target(work.scale)
    count = src.count + work.has_mask
    made = np.empty((count, rows.stop - rows.start, columns.stop - columns.start), src.dtypes[0])
    for bands in work.through_net:
        made[[band - 1 for band in bands]] = _through_net(work, src, bands, tile, enhancer)
    for band in work.resized:
        made[band - 1] = _resized(work, src, band, tile)
    if work.has_mask:
        with named("read", src.name):
            mask = src.dataset_mask(window=window_of(tile.keep)) > 0
        made[-1] = _enlarged(mask, work.scale)
    return made


def _through_net(work, src, bands, tile, enhancer):
    block, valid = read_filled(work, src, bands, window_of(tile.read))
    if valid is not None and not valid[_crop(tile.keep, tile.read)].any():
        return _restored(work, src, None, bands, tile)
    run = partial(_answered, work, bands, tile) if work.in_bands else enhancer.run
    around = _grown(tile.keep, MARGIN, tile.read)
    wider = Tile(tile.read, around, tile.shape)
    ((_, sr),) = run_tiled([wider], lambda *_: fit_to_net(block), run, work.scale)
    answer, crop = from_rgb(sr.transpose(1, 2, 0), channels=len(bands)), wider.crop(work.scale)
    planes = []
    for k, band in enumerate(bands):  # one at a time, for memory
        image, plane = block[..., k : k + 1], answer[..., k : k + 1].astype(np.float64)
        beyond = image - np.clip(image, 0, 1)
        if beyond.any():
            plane += resize(beyond, work.scale)[crop]
        image = image[_crop(around, tile.read)]
        planes.append(_numbers(work, src, band, plane, image, around, tile))
    return _restored(work, src, np.concatenate(planes, axis=2), bands, tile)


def fit_to_net(image: np.ndarray) -> np.ndarray:
    """Return the planes (3, h, w) that a net sees of an image (h, w, C)."""
    image = np.clip(image, 0, 1)  # nets know nothing below black, and some nothing above white
    image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    return image.astype(np.float32).transpose(2, 0, 1)


def _answered(work, bands, tile, _):
    """Read what the net, which ran before, gave for a tile."""
    path, starts = work.answer(bands), [side.start * work.scale for side in tile.read]
    rows, columns = (slice(k, k + n * work.scale) for k, n in zip(starts, tile.shape))
    with named("read", path), rasterio.open(path) as answer:
        return answer.read(window=window_of((rows, columns)))[None]


def _resized(work, src, band, tile):
    read = _grown(tile.keep, KERNEL_MARGIN + MARGIN, [slice(0, side) for side in work.size])
    around = _grown(tile.keep, MARGIN, read)
    block, _ = read_filled(work, src, [band], window_of(read))
    plane = resize(block, work.scale, work.kernel)[_crop(around, read, work.scale)]
    numbers = _numbers(work, src, band, plane, block[_crop(around, read)], around, tile)
    return _restored(work, src, numbers, [band], tile)[0]


def _numbers(work, src, band, plane, image, around, tile):
    """Return what a tile keeps of a band, in numbers of the raster's dtype (h, w, 1).

    The plane is what became of the image around.
    """
    (low, span), dtype = work.black_and_span([band]), np.dtype(src.dtypes[0])
    numbers, means = plane * span + low, image * span + low
    constrained = work.constrained and not _is_alpha(src, [band])
    if constrained:
        numbers = constrain(numbers, means)
    numbers = numbers[_crop(tile.keep, around, work.scale)]
    if dtype.kind != "f":
        limits = _limits(src, band)
        if constrained:
            numbers = clip_keeping_means(numbers, means[_crop(tile.keep, around)], *limits)
            numbers = round_keeping_means(numbers, work.scale)
    if work.multiplies and not _is_alpha(src, [band]):
        alpha = _resized(work, src, _alpha_band(src), tile)
        numbers = numbers * (alpha[..., None] / _white_of_alpha(src))
    if dtype.kind != "f":
        numbers = np.clip(np.rint(numbers), *limits)
    return numbers.astype(dtype)


def _limits(src, band):
    """Return the least and the largest number of a valid pixel."""
    low, high = limits_of(src)
    if _is_alpha(src, [band]):
        return low, high
    return low + (src.nodata == low), high - (src.nodata == high)


def _grown(area, margin, within):
    """Return rows and columns with a margin, as far as there is one."""
    rows, columns = (
        slice(max(own.start - margin, outer.start), min(own.stop + margin, outer.stop))
        for own, outer in zip(area, within)
    )
    return rows, columns


def _crop(inner, outer, scale=1):
    """Return where rows and columns lie in an array of others, enlarged or not."""
    rows, columns = (
        slice((own.start - other.start) * scale, (own.stop - other.start) * scale)
        for own, other in zip(inner, outer)
    )
    return rows, columns


def _read(src, bands, window):
    """Read bands (h, w, C) and what is valid in them; alpha all is."""
    block, valid = read_bands(src, list(bands), window)
    if _is_alpha(src, bands):
        return block, None
    if block.dtype.kind == "f":
        valid = np.isfinite(block) if valid is None else valid & np.isfinite(block)
    return block, valid


def read_filled(work, src, bands, window):
    """Read bands (h, w, C) as the net sees numbers, with their holes filled; and what is valid."""
    block, valid = _read(src, bands, window)
    if work.premultiplied and not _is_alpha(src, bands):
        block = block / np.maximum(_opacity(src, window), np.finfo(np.float32).tiny)
    low, span = work.black_and_span(bands)
    with np.errstate(over="ignore"):  # nodata may lie at the limits of float64
        image = (block.astype(np.float64) - low) / span
    return (image if valid is None else fill_holes(image, valid)), valid


def _restored(work, src, numbers, bands, tile):
    """Return numbers (C, h, w) with the raster's holes as they were; without numbers all is one."""
    block, valid = _read(src, bands, window_of(tile.keep))
    if numbers is None:
        return np.moveaxis(_enlarged(block, work.scale), 2, 0)
    if _is_alpha(src, bands):
        least = np.finfo(block.dtype).tiny if block.dtype.kind == "f" else 1
        numbers = np.where(_enlarged(block > 0, work.scale), np.maximum(numbers, least), 0)
    if valid is not None:
        valid = _enlarged(valid, work.scale)
        numbers = np.where(valid, numbers, _enlarged(block, work.scale))
        leave_nodata(numbers, valid, src)
    return np.moveaxis(numbers, 2, 0)


def _is_alpha(src, bands):
    return src.colorinterp[bands[0] - 1] == ColorInterp.alpha


def _alpha_band(src):
    return src.colorinterp.index(ColorInterp.alpha) + 1


def _white_of_alpha(src):
    """Return the number of alpha that hides nothing."""
    return 1 if np.dtype(src.dtypes[0]).kind == "f" else limits_of(src)[1]


def _opacity(src, window):
    """Read alpha (h, w, 1) in [0, 1]."""
    block, _ = _read(src, [_alpha_band(src)], window)
    return block.astype(np.float64) / _white_of_alpha(src)


def _enlarged(array, scale):
    return array.repeat(scale, axis=0).repeat(scale, axis=1)


def window_of(area):
    """Return what rasterio calls rows and columns."""
    rows, columns = area
    return Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)


def round_up(number, unit):
    return -(-number // unit) * unit
