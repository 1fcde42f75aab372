"""Rasters for nets that need the whole image: it goes in and comes out in rows of whole width.

The net runs before the parts of the raster are made (`gluon_enhance.bands`), and what it gives is
kept in a file beside these, of which they take their windows.
"""

from __future__ import annotations

from functools import cached_property
from typing import Callable

import numpy as np
import rasterio
from rasterio.windows import Window

from gluon_enhance.bands import BandedNet
from gluon_enhance.geotiff.parts import Work, fit_to_net, read_filled, round_up
from gluon_enhance.geotiff.raster import draft_of, named

BLOCK = 256
"""Side of the blocks of the file, which are not compressed: rows come a few at a time."""


def run_in_bands(
    work: Work, src, bands: tuple[int, ...], net: BandedNet, on_band: Callable[[], None]
) -> None:
    """Run a net over bands of a raster, and keep its result, whole or not at all."""
    path, size = work.answer(bands), size_for_net(work)
    height, width = (side * work.scale for side in size)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 3, "bigtiff": "yes"}
    layout = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "pixel"}
    with (
        draft_of(path) as draft,
        named("written", path),
        rasterio.open(draft, "w", height=height, width=width, **profile, **layout) as dst,
    ):
        net.run_rows(_RasterRows(work, src, bands), size, lambda *_: _ResultRows(dst), on_band)


def size_for_net(work: Work) -> tuple[int, int]:
    """Return height and width of what the net runs on."""
    height, width = (round_up(side, work.multiple) for side in work.size)
    return height, width


class _RasterRows:
    """Bands of a raster as a net sees them, reflected out to sides that it takes."""

    def __init__(self, work, src, bands):
        self._work, self._src, self._bands = work, src, bands
        self.height, self._width = size_for_net(work)

    def read(self, start, stop):
        """Read rows, (1, 3, stop - start, W)."""
        height, width = self._work.size
        last = height - 1
        first = max(0, min(start, 2 * last - (stop - 1)))  # also rows that those beyond reflect
        image = self._filled(first, min(stop, height))
        beyond = (0, max(0, stop - height)), (0, self._width - width)
        planes = np.pad(fit_to_net(image), ((0, 0), *beyond), mode="reflect")
        return np.ascontiguousarray(planes[None, :, start - first :])

    def _filled(self, start, stop):
        """Read rows, their holes filled with what is near, or else with the mean."""
        height, width = self._work.size
        top, bottom = max(0, start - self._work.halo), min(height, stop + self._work.halo)
        window = Window(0, top, width, bottom - top)
        image, valid = read_filled(self._work, self._src, self._bands, window)
        if valid is not None and not valid.all():
            image = np.where(valid.any(axis=(0, 1)), image, self._mean)
        return image[start - top : stop - top]

    @cached_property
    def _mean(self):
        """The mean of what is valid, of each band."""
        total, count = np.zeros((2, len(self._bands)))
        for top in range(0, self._work.size[0], BLOCK):
            rows = min(BLOCK, self._work.size[0] - top)
            window = Window(0, top, self._work.size[1], rows)
            image, valid = read_filled(self._work, self._src, self._bands, window)
            total += image.sum(axis=(0, 1), where=valid)
            count += valid.sum(axis=(0, 1))
        return total / np.maximum(count, 1)


class _ResultRows:
    """Rows that a net gives, on their way into a file."""

    def __init__(self, dst):
        self._dst = dst

    def write(self, start, rows):
        """Write rows (1, 3, h, W) from `start` on."""
        window = Window(0, start, self._dst.width, rows.shape[2])
        with named("written", self._dst.name):
            self._dst.write(rows[0], window=window)
