"""Cutting an image into equal tiles, and running a net on them one by one.

A tile reads a window of the image and keeps the part of the result that its neighbors do not.
Around what it keeps lies a halo, except at the image's own edges: there the window ends where the
image ends, so that a net that pads with zeros sees in a tile what it sees in the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray

from gluon_enhance.errors import EngineError, ImageError, plural

Window = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True)
class Tile:
    """One tile of a plan; all lengths are in pixels of the input.

    Attributes
    ----------
    read : (slice, slice)
        Rows and columns of the image that the tile reads; never outside the image.
    keep : (slice, slice)
        Rows and columns of the image that its result yields. The keep windows of a plan cover
        the image once.
    shape : (int, int)
        Height and width of the tile, the same in the whole plan. Where `read` is smaller, as the
        image is no multiple of what the net takes, it is reflected out to this at the bottom and
        right.
    """

    read: Window
    keep: Window
    shape: tuple[int, int]

    def target(self, scale: int) -> Window:
        """Return where the kept part lies in the output image."""
        rows, columns = (slice(k.start * scale, k.stop * scale) for k in self.keep)
        return rows, columns

    def crop(self, scale: int) -> Window:
        """Return where the kept part lies in the tile's own result."""
        rows, columns = (
            slice((k.start - r.start) * scale, (k.stop - r.start) * scale)
            for k, r in zip(self.keep, self.read)
        )
        return rows, columns


def plan_tiles(
    height: int, width: int, tile: int, halo: int, multiple: int = 1, stride: int = 1
) -> list[Tile]:
    """Plan the fewest equal tiles that cover an image.

    No side of a tile is longer than ``tile + 2 * halo``, each rounded up to the multiple and to the
    stride. Sides are shortened as far as the number of tiles allows: 500 pixels with ``tile=256,
    halo=0`` are two tiles of 250.

    Parameters
    ----------
    height, width : int
        Size of the image in pixels.
    tile : int
        Pixels that a tile within the image yields along each axis, at most. Tiles at the edge of
        the image need a halo on one side only and yield more.
    halo : int
        Pixels read around what a tile yields, at least, up to the edge of the image.
    multiple : int
        Sides of tiles, and where they start, are multiples of it.
    stride : int
        Where tiles start is a multiple of it too. Their sides are not: the last tile ends where the
        image does.

    Returns
    -------
    list of Tile
        From left to right, then from top to bottom. An image that fits in one tile has one, of
        its own size rounded up to the multiple.

    Raises
    ------
    ValueError
        If `height`, `width`, `tile`, `multiple` or `stride` is below 1, or `halo` below 0.

    Examples
    --------
    >>> for tile in plan_tiles(4, 500, tile=256, halo=10):
    ...     print(tile.shape, tile.read[1], tile.keep[1])
    (4, 260) slice(0, 260, None) slice(0, 250, None)
    (4, 260) slice(240, 500, None) slice(250, 500, None)
    """
    least = {
        "height": (height, 1),
        "width": (width, 1),
        "tile": (tile, 1),
        "halo": (halo, 0),
        "multiple": (multiple, 1),
        "stride": (stride, 1),
    }
    for name, (value, minimum) in least.items():
        if value < minimum:
            raise ValueError(f"{name} is {value}; it must be at least {minimum}")
    tile_height, rows = plan_axis(height, tile, halo, multiple, stride)
    tile_width, columns = plan_axis(width, tile, halo, multiple, stride)
    return [
        Tile((read_rows, read_columns), (keep_rows, keep_columns), (tile_height, tile_width))
        for read_rows, keep_rows in rows
        for read_columns, keep_columns in columns
    ]


def plan_axis(
    length: int, tile: int, halo: int, multiple: int = 1, stride: int = 1
) -> tuple[int, list[tuple[slice, slice]]]:
    """Plan one axis as `plan_tiles` does; bands of whole rows need no other.

    Returns
    -------
    size : int
        A tile's length.
    windows : list of (slice, slice)
        What each tile reads, and what it keeps.
    """
    # In cells: a net that folds pixels into channels, or leaves some out, knows no finer shift.
    cell = math.lcm(multiple, stride)
    side = _ceil_divide(length, multiple) * multiple
    short = -side % cell  # pixels of a cell that the last one lacks, and so each tile's last one
    cells, tile, halo = (_ceil_divide(n, cell) for n in (side, tile, halo + short))
    if cells <= tile + 2 * halo:
        count, size = 1, cells
    else:
        count = _ceil_divide(cells - 2 * halo, tile)
        size = _ceil_divide(cells + 2 * halo * (count - 1), count)
    starts = [i * (cells - size) // max(count - 1, 1) for i in range(count)]
    # Neighbors share at least two halos; each keeps up to the middle of them.
    cuts = [0, *((a + size + b) // 2 for a, b in zip(starts, starts[1:])), cells]

    def pixels(start: int, stop: int, less: int = 0) -> slice:
        return slice(start * cell, min(stop * cell - less, length))

    windows = [
        (pixels(start, start + size, short), pixels(first, last))
        for start, first, last in zip(starts, cuts, cuts[1:])
    ]
    return size * cell - short, windows


def _ceil_divide(a: int, b: int) -> int:
    return -(-a // b)


def run_tiled(
    tiles: Iterable[Tile],
    read: Callable[[slice, slice], NDArray[Any]],
    run: Callable[[NDArray[Any]], NDArray[Any]],
    scale: int,
) -> Iterator[tuple[Tile, NDArray[Any]]]:
    """Run a net on tiles, one at a time, and yield the part of each result to keep.

    Only one tile is in memory: the caller reads, converts and stores it::

        for tile, sr in run_tiled(tiles, read, run, scale):
            output[tile.target(scale)] = to_dtype(sr.transpose(1, 2, 0), output.dtype)

    Parameters
    ----------
    tiles : iterable of Tile
    read : callable
        Takes rows and columns (`Tile.read`), gives that part of the image as (C, h, w) float32.
    run : callable
        Takes a batch (1, C, h, w) of `Tile.shape`, gives (1, C, h * scale, w * scale).
    scale : int
        Ratio of the output's size to the input's.

    Yields
    ------
    tile : Tile
    sr : ndarray of shape (C, h * scale, w * scale), h and w those of `Tile.keep`
        A view that `run` may reuse for the next tile.

    Raises
    ------
    EngineError
        If a result has another shape.
    ImageError
        If a result holds NaN or infinite values.
    """
    for tile in tiles:
        lr = _reflect(read(*tile.read), tile.shape)
        sr = run(lr[None])
        expected = (1, lr.shape[0], tile.shape[0] * scale, tile.shape[1] * scale)
        if sr.shape != expected:
            raise EngineError(
                f"{_position(tile)} came back with shape {sr.shape}, not {expected}; "
                f"is the model's scale {scale}?"
            )
        bad = sr.size - np.count_nonzero(np.isfinite(sr))
        if bad:
            raise ImageError(
                f"{_position(tile)} came back with NaN or infinity in {bad:,} of "
                f"{plural(sr.size, 'value')}; try precision fp32 or another engine"
            )
        rows, columns = tile.crop(scale)
        yield tile, sr[0, :, rows, columns]


def _reflect(lr: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    bottom, right = shape[0] - lr.shape[1], shape[1] - lr.shape[2]
    if bottom == right == 0:
        return np.ascontiguousarray(lr)
    return np.pad(lr, ((0, 0), (0, bottom), (0, right)), mode="reflect")


def _position(tile: Tile) -> str:
    rows, columns = (f"{side.start}-{side.stop - 1}" for side in tile.read)
    return f"the tile of rows {rows}, columns {columns}"
