"""How the work on a raster is divided: into parts, tiles and groups of bands.

A *part* is a rectangle of the source whose output is whole blocks of the output's file, so that
parts can be computed anywhere, in any order, and kept one by one. It is computed in *tiles*, which
are what the net runs on. A tile keeps a piece of the part, and reads a *halo* more on each side, as
far as the raster goes, so that the net sees around each pixel what it sees in the whole raster::

    a part of four tiles at the upper edge of the raster, and what the second of them reads
    +-------+-------+-------+-------+
    |     :.|.......|.:     |       |   keeps: `tile` x `tile` pixels
    |     : |       | :     |       |   reads: `halo` more on each side, up to the dots
    +-----:-+-------+-:-----+-------+
          :...........:

All lengths are in pixels of the source. Rows and columns are counted in the whole raster, also
where only a region of it is enhanced.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Optional

import numpy as np
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from gluon_enhance.errors import ImageError, plural
from gluon_enhance.imaging.block_means import MARGIN
from gluon_enhance.imaging.tiling import Tile
from gluon_enhance.inference.kernel import Baseline
from gluon_enhance.rasters.io import RGB, color_bands, gdal_environment, open_raster, rgb_bands
from gluon_enhance.rasters.metadata import has_premultiplied_alpha
from gluon_enhance.rasters.names import absolute_name
from gluon_enhance.rasters.ranges import InputRange, ranges_of
from gluon_enhance.rasters.write import BLOCK

PART_SAMPLES = 16 << 20
"""Samples of a part's output, of all bands together, unless one tile or block has more. A worker
holds so many in memory, and so much is computed anew after an interruption, at most."""
WINDOW = 512
"""Side of the tiles in which a raster takes up the answer of a net that has run over all of it."""
PROBE = 64
"""Side of the picture of noise whose answer tells one model from another."""
SLACK = 1e-6
"""Pixels by which coordinates may miss a pixel's edge, as they come with few digits."""

Region = tuple[tuple[int, int], tuple[int, int]]
"""First row and the one after the last, and the same of columns."""


@dataclass(frozen=True)
class RasterPlan:
    """All that computing a part needs beside the model; it goes to other machines as it is.

    Attributes
    ----------
    source, folder : str
        The raster, and where its parts are kept.
    stamp : (int, int), optional
        Bytes of the source, and when it was changed, in nanoseconds; None for one that is no file.
    size : (int, int)
        Height and width of the source.
    scale : int
        Ratio of the output's size to the source's.
    tile, halo : int
        Side of what a tile keeps, and how much more it reads on each side, at least.
    multiple, unit : int
        Sides that the net takes are multiples of the first. Where tiles start to read is a multiple
        of the second, as of `gluon_enhance.zoo.spec.ModelSpec.unit`.
    part : (int, int)
        Rows and columns of a part, but for those at the end.
    region : ((int, int), (int, int))
        First row and the one after the last, and the same of columns, of what is enhanced.
    ranges : tuple of (float, float)
        Of each band of the source, the numbers that the net sees as 0 and 1; 0 and 1 for those that
        it does not see.
    through_net : tuple of tuples of int
        Bands, from 1, that go through the net together: three, or one as gray.
    resized : tuple of int
        Bands that are enlarged with a kernel.
    kernel : str
        Its name.
    has_mask : bool
        Whether the dataset has a mask, which parts then hold as one more band.
    constrained : bool
        Whether the means of the result's blocks are made the source's pixels, but of alpha.
    in_strips : bool
        Whether the net runs over the whole raster before, in strips
        (`gluon_enhance.rasters.whole_image`).
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
    in_strips: bool
    premultiplied: bool
    multiplies: bool
    model: str

    @property
    def count(self) -> int:
        """Number of parts."""
        rows, columns = self._grid
        return rows * columns

    def black_and_span(self, bands: Sequence[int]) -> np.ndarray:
        """Return what the net sees as 0, and how much more as 1: (2, C), C the number of bands."""
        low, high = np.transpose([self.ranges[band - 1] for band in bands])
        return np.stack([low, high - low])

    @property
    def _grid(self):
        """Rows and columns of parts; they are counted row by row, from the region's corner."""
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
        """Return where a part lies in the output, in its pixels."""
        rows, columns = (
            slice((own.start - start) * self.scale, (own.stop - start) * self.scale)
            for own, (start, _) in zip(self.area(index), self.region)
        )
        return rows, columns

    def tiles(self, index: int) -> list[list[Tile]]:
        """Return the tiles of a part, row by row."""
        area = zip(self.area(index), self.size)
        rows, columns = (self._reads_and_keeps(own, length) for own, length in area)
        shape = self._read_side(self.size[0]), self._read_side(self.size[1])
        return [[Tile((r, c), (k, j), shape) for c, j in columns] for r, k in rows]

    def part_path(self, index: int) -> Path:
        """Where a part is kept: under a name that no part of another plan has.

        A worker may still be at what an interrupted run wanted of it.
        """
        return Path(self.folder, f"{index:07d}-{self._digest}.tif")

    def answer_path(self, bands: tuple[int, ...]) -> Path:
        """Where the net's answer to bands is kept, if it runs over the whole raster before."""
        return Path(self.folder, f"net-{'-'.join(map(str, bands))}-{self._digest}.tif")

    @cached_property
    def _digest(self):
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def _read_side(self, length):
        """Return how many rows or columns every tile of the raster reads, of so many.

        The raster's own, reflected out to `multiple`, may be no multiple of `unit`. A tile's leave
        the same rest then, as layers round the sides of maps by it.
        """
        whole = round_up(length, self.multiple)
        missing = -whole % self.unit
        return min(whole, self.tile + 2 * self.halo - missing)

    def _reads_and_keeps(self, own, length):
        """Return what the tiles of a part read and keep along one axis, as pairs of slices.

        All tiles read as many pixels. One at an edge of the raster has no halo there, and twice as
        much on the other side.
        """
        side, last = self._read_side(length), round_up(length, self.multiple)
        pairs = []
        for start in range(own.start, own.stop, self.tile):
            first = min(max(start - self.halo, 0), last - side)
            first -= first % self.unit  # where the whole's tiles may start
            read = slice(first, min(first + side, length))
            pairs.append((read, slice(start, min(start + self.tile, own.stop))))
        return pairs


def plan_parts(
    src,
    out: Path,
    enhancer,
    blocks: tuple[int, int],
    region,
    multiplies: bool,
    input_range: Optional[InputRange],
    unconstrained: bool,
    rgb: Optional[Sequence[int]],
    others: str,
) -> RasterPlan:
    """Divide the work on a raster, once, for this process or for all workers.

    Parameters
    ----------
    src : rasterio dataset
    out : path
    enhancer : Enhancer
    blocks : (int, int)
        Height and width of the output's blocks.
    region : Region
        What is enhanced.
    multiplies : bool
        Whether the result's colors are multiplied by its alpha where the source's are.
    input_range, unconstrained, rgb, others
        As `gluon_enhance.rasters.enhance.enhance_raster` takes them.

    Raises
    ------
    ImageError
        If the raster is too small for the net, or its bands need a choice.
    ValueError
        If options do not fit.
    """
    spec, scale = enhancer.spec, enhancer.scale
    if scale != int(scale):
        raise ValueError(f"outscale is {scale:g}; rasters take whole numbers")
    if min(src.shape) < spec.min_size:
        raise ImageError(
            f"{spec.name} needs {plural(spec.min_size, 'pixel')} a side, and {src.name} has "
            f"{src.width} x {src.height}"
        )
    needs_whole = spec.tiling == "global_statistics"
    in_strips = needs_whole and src.height * src.width > enhancer.tile**2
    tile, part = _tile_and_part(src, enhancer, blocks, needs_whole, in_strips)
    kernel = enhancer.kernel if isinstance(enhancer, Baseline) else None
    through_net, resized = _divide_bands(src, rgb, others, kernel)
    constrained = scale > 1 and not (unconstrained or kernel)
    premultiplied = has_premultiplied_alpha(src)
    return RasterPlan(
        source=absolute_name(src.name),
        stamp=_stamp(src.name),
        folder=str(out.resolve().with_name(f".{out.name}.parts")),
        size=(src.height, src.width),
        scale=scale,
        tile=tile,
        halo=_halo(enhancer, region, constrained),
        multiple=spec.multiple,
        unit=spec.unit,
        part=part,
        region=region,
        ranges=ranges_of(src, through_net, input_range),
        through_net=through_net,
        resized=resized,
        kernel=kernel or "bicubic",
        has_mask=[MaskFlags.per_dataset] in src.mask_flag_enums,
        constrained=constrained,
        in_strips=in_strips,
        premultiplied=premultiplied,
        multiplies=premultiplied and multiplies,
        model=_identify(enhancer),
    )


def _tile_and_part(src, enhancer, blocks, needs_whole, in_strips):
    """Return the side of what tiles keep, and the rows and columns of parts."""
    scale, net_unit = enhancer.scale, enhancer.spec.unit
    # A multiple of so many pixels becomes whole blocks, and is where the net's tiles may start.
    unit = math.lcm(*(_pixels_of_blocks(side, scale) for side in blocks), net_unit)
    if needs_whole:  # one tile is all, unless the net runs over all before
        tile = round_up(WINDOW if in_strips else max(src.height, src.width), unit)
    else:  # the user's blocks, which may be large, do not make tiles larger
        tile = round_up(enhancer.tile, math.lcm(_pixels_of_blocks(BLOCK, scale), net_unit))
    side = round_up(tile, unit)
    tile = round_up(-(-side // -(-side // tile)), net_unit)  # as few as before, and equal
    across = max(1, PART_SAMPLES // (src.count * (side * scale) ** 2))
    return tile, (side, side * across)


def _pixels_of_blocks(side, scale):
    """Return the fewest pixels of the source that become whole blocks of a side in the output."""
    return side // math.gcd(side, scale)


def _halo(enhancer, region, constrained):
    """Return how much more than it keeps a tile reads on each side, at least."""
    spec = enhancer.spec
    # What the net sees around a pixel; what the constraint on means does; and what a tile's end
    # may lie before the end of a cell of `unit` pixels, as it is a multiple of `multiple` only.
    halo = enhancer.halo + MARGIN * constrained + spec.unit - spec.multiple
    # Tiles start to read where those of the whole raster may, which may be before a region's tile.
    starts_within = any(start % spec.unit for start, _ in region)
    return round_up(halo, spec.unit) + spec.unit * starts_within


def _stamp(name):
    """Return what tells a file from a changed one: its size and time; None if it is no file."""
    if not os.path.exists(name):
        return None
    status = os.stat(name)
    return status.st_size, status.st_mtime_ns


def _divide_bands(src, rgb, others, kernel):
    """Return groups of bands that go through the net together, and bands that are resized."""
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
    described.pop("precision_reason", None)  # the same as if fp32 had been asked for
    return json.dumps(described, sort_keys=True)


def region_of(
    dataset,
    window: Optional[Window | Sequence[int]] = None,
    bounds: Optional[Sequence[float]] = None,
) -> Region:
    """Return the region of a raster that a user asks for, in pixels or in coordinates.

    Parameters
    ----------
    dataset : rasterio dataset
    window : (int, int, int, int) or rasterio.windows.Window, optional
        First column and row, width and height, in pixels.
    bounds : (float, float, float, float), optional
        Left, bottom, right and top in the raster's coordinates.

        All pixels that either touches are in. Default, without both: the whole raster.

    Raises
    ------
    ImageError
        If the raster has no coordinates for bounds.
    ValueError
        If both are given, or nothing of the raster is in the region.
    """
    if window and bounds:
        raise ValueError("window and bounds are both given; choose one")
    window = window.flatten() if isinstance(window, Window) else window
    rows, columns = (0, dataset.height), (0, dataset.width)
    if window:
        column, row, width, height = window
        rows, columns = (row, row + height), (column, column + width)
    elif bounds:
        rows, columns = _pixels(dataset, bounds)
    rows, columns = (
        (max(0, math.floor(start + SLACK)), min(math.ceil(stop - SLACK), length))
        for (start, stop), length in zip((rows, columns), dataset.shape)
    )
    region = rows, columns
    if any(start >= stop for start, stop in region):
        name, asked = ("window", window) if window else ("bounds", bounds)
        place = f" and covers {_text(dataset.bounds)}" if bounds else ""
        raise ValueError(
            f"{name} is {_text(asked)}, and {dataset.name} has {dataset.width} x {dataset.height} "
            f"pixels{place}: nothing of it is in there"
        )
    return region


def samples_of(path, window=None, bounds=None, trust: bool = False) -> int:
    """Return the number of samples in a region of a file, of all bands; see `region_of`."""
    with gdal_environment(), open_raster(path, trust) as dataset:
        (top, bottom), (left, right) = region_of(dataset, window, bounds)
        return (bottom - top) * (right - left) * dataset.count


def _pixels(dataset, bounds):
    """Return the rows and columns, not rounded, of the rectangle around bounds in coordinates."""
    if dataset.transform.is_identity:
        raise ImageError(f"{dataset.name} has no coordinates of its pixels; give a window")
    if not all(map(math.isfinite, bounds)):
        raise ValueError(f"bounds is {_text(bounds)}; give four finite numbers")
    left, bottom, right, top = bounds
    a, b, c, d, e, f = (~dataset.transform)[:6]  # from coordinates to columns and rows
    corners = [
        (d * x + e * y + f, a * x + b * y + c) for x, y in product((left, right), (bottom, top))
    ]
    return [(min(side), max(side)) for side in zip(*corners)]


def _text(numbers):
    return ",".join(f"{number:.9g}" for number in numbers)


def window_of(area: tuple[slice, slice]) -> Window:
    """Return rasterio's window of rows and columns."""
    rows, columns = area
    return Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)


def round_up(number: int, unit: int) -> int:
    """Return the least multiple of a unit that is not below a number."""
    return -(-number // unit) * unit
