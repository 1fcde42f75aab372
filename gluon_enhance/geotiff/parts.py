"""The parts that an enhanced raster is computed in, each whole by itself.

A part is a run of tiles of one row, whose output is whole blocks. It is computed from windows of
the source with a halo and kept in a file of its own, so that a run can be resumed and parts can be
computed anywhere (`gluon_enhance.cluster`).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from gluon_enhance.geotiff.raster import (
    environment,
    leave_nodata,
    named,
    open_raster,
    publish,
    read_bands,
)
from gluon_enhance.imaging.arrays import from_rgb
from gluon_enhance.imaging.holes import fill_holes
from gluon_enhance.imaging.resize import resize
from gluon_enhance.imaging.tiling import Tile, run_tiled

KERNEL_MARGIN = 4
"""Pixels around a window that the bicubic kernel sees, when it enlarges."""


@dataclass(frozen=True)
class Work:
    """All that computing a part needs beside the model; it goes to other machines as it is.

    Attributes
    ----------
    source, folder : str
        The raster, and where its parts are kept.
    size : (int, int)
        Height and width of the source.
    scale, tile, halo, multiple : int
        Of the model and the plan, in input pixels.
    low, high : float
        Numbers that the net sees as 0 and 1.
    through_net : tuple of tuples of int
        Bands that go through it together: three, or one as gray.
    resized : tuple of int
        Bands that are enlarged with the bicubic kernel.
    part_tiles : int
        Tiles of a part.
    has_mask : bool
        Whether the dataset has a mask, which parts then hold as one more band.
    model : str
        What made the parts, with a hash of its answer to a probe: all must be of the same.
    """

    source: str
    folder: str
    size: tuple
    scale: int
    tile: int
    halo: int
    multiple: int
    low: float
    high: float
    through_net: tuple
    resized: tuple
    part_tiles: int
    has_mask: bool
    model: str

    @property
    def count(self) -> int:
        """Number of parts."""
        rows, columns = (len(self._windows(length)) for length in self.size)
        return rows * -(-columns // self.part_tiles)

    def tiles(self, index: int) -> list[Tile]:
        """Return the tiles of a part, which lie side by side."""
        rows, columns = (self._windows(length) for length in self.size)
        line, k = divmod(index, -(-len(columns) // self.part_tiles))
        read, keep = rows[line]
        shape = self._side(self.size[0]), self._side(self.size[1])
        own = columns[k * self.part_tiles : (k + 1) * self.part_tiles]
        return [Tile((read, r), (keep, c), shape) for r, c in own]

    def path(self, index: int) -> Path:
        """Where a part is kept."""
        return Path(self.folder, f"{index:07d}.tif")

    def _side(self, length):
        return min(round_up(length, self.multiple), self.tile + 2 * self.halo)

    def _windows(self, length):
        """Return what tiles read and keep; a window at an edge of the image ends there."""
        size, last = self._side(length), round_up(length, self.multiple)
        windows = []
        for start in range(0, length, self.tile):
            first = min(max(start - self.halo, 0), last - size)
            read = slice(first, min(first + size, length))
            windows.append((read, slice(start, min(start + self.tile, length))))
        return windows


def compute_part(work: Work, index: int, enhancer) -> None:
    """Compute one part and keep it, whole or not at all."""
    tiles = work.tiles(index)
    with environment(), open_raster(work.source) as src:
        made = np.concatenate([_compute_tile(work, src, tile, enhancer) for tile in tiles], axis=2)
    path = work.path(index)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    profile = {"driver": "GTiff", "dtype": made.dtype, "compress": "deflate", "zlevel": 1}
    count, height, width = made.shape
    with (
        environment(),
        named("written", path),
        rasterio.open(draft, "w", count=count, height=height, width=width, **profile) as dst,
    ):
        dst.write(made)
    publish(draft, path)


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
    block, valid = _read_filled(work, src, bands, window_of(tile.read))
    inner = tuple(slice(k.start - r.start, k.stop - r.start) for k, r in zip(tile.keep, tile.read))
    if valid is not None and not valid[inner].any():
        return _restored(work, src, None, bands, tile)
    image = np.clip(block, 0, 1)  # nets know nothing below black, and some nothing above white
    beyond = block - image
    image = np.repeat(image, 3, axis=2) if len(bands) == 1 else image
    planes = image.astype(np.float32).transpose(2, 0, 1)
    ((_, sr),) = run_tiled([tile], lambda *_: planes, enhancer.run, work.scale)
    result = from_rgb(sr.transpose(1, 2, 0), channels=len(bands))
    if beyond.any():
        result = result + resize(beyond, work.scale)[tile.crop(work.scale)]
    return _restored(work, src, result, bands, tile)


def _resized(work, src, band, tile):
    height, width = work.size
    rows, columns = tile.keep
    read = (
        slice(max(rows.start - KERNEL_MARGIN, 0), min(rows.stop + KERNEL_MARGIN, height)),
        slice(max(columns.start - KERNEL_MARGIN, 0), min(columns.stop + KERNEL_MARGIN, width)),
    )
    block, _ = _read_filled(work, src, [band], window_of(read))
    top, left = ((k.start - r.start) * work.scale for k, r in zip(tile.keep, read))
    bottom, right = (n * work.scale for n in (rows.stop - rows.start, columns.stop - columns.start))
    result = resize(block, work.scale)[top : top + bottom, left : left + right]
    return _restored(work, src, result, [band], tile)[0]


def _read(src, bands, window):
    """Read bands (h, w, C) and what is valid in them; alpha all is."""
    block, valid = read_bands(src, list(bands), window)
    if src.colorinterp[bands[0] - 1] == ColorInterp.alpha:
        return block, None
    if block.dtype.kind == "f":
        valid = np.isfinite(block) if valid is None else valid & np.isfinite(block)
    return block, valid


def _read_filled(work, src, bands, window):
    """Read bands (h, w, C) as the net sees numbers, with their holes filled; and what is valid."""
    block, valid = _read(src, bands, window)
    image = (block.astype(np.float64) - work.low) / (work.high - work.low)
    return (image if valid is None else fill_holes(image, valid)), valid


def _restored(work, src, result, bands, tile):
    """Return numbers of the raster's dtype (C, h, w), with its holes as they were."""
    block, valid = _read(src, bands, window_of(tile.keep))
    if result is None:
        return np.moveaxis(_enlarged(block, work.scale), 2, 0)
    numbers = result.astype(np.float64) * (work.high - work.low) + work.low
    if block.dtype.kind != "f":
        limits = np.iinfo(block.dtype)
        numbers = np.clip(np.rint(numbers), limits.min, limits.max)
    numbers = numbers.astype(block.dtype)
    if valid is not None:
        valid = _enlarged(valid, work.scale)
        numbers = np.where(valid, numbers, _enlarged(block, work.scale))
        leave_nodata(numbers, valid, src.nodata)
    return np.moveaxis(numbers, 2, 0)


def _enlarged(array, scale):
    return array.repeat(scale, axis=0).repeat(scale, axis=1)


def window_of(first, last=None):
    """Return what two windows of one row span."""
    rows, columns = first
    stop = (last or first)[1].stop
    return Window(columns.start, rows.start, stop - columns.start, rows.stop - rows.start)


def round_up(number, unit):
    return -(-number // unit) * unit
