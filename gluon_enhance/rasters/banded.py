"""Rasters for nets that need the whole image: it goes in and comes out in bands.

The net runs before the parts of the raster are made (`gluon_enhance.whole_image.runner`), and what
it gives is kept in a file beside these, of which they take their windows.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cached_property
from itertools import product
from typing import Callable

import numpy as np
import rasterio
from rasterio.windows import Window

from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.parts import Work, fit_to_net, read_filled, round_up, window_of
from gluon_enhance.rasters.raster import draft_of, named
from gluon_enhance.rasters.seals import seal
from gluon_enhance.whole_image.runner import StripNet

BLOCK = 256
"""Side of the blocks of the file, which are not compressed: rows come a few at a time."""
MEAN = 1024
"""Side of what is read at once for the mean."""


def run_in_bands(
    work: Work, src, bands: tuple[int, ...], net: StripNet, on_strip: Callable[[], None]
) -> None:
    """Run a net over bands of a raster, and keep its result, whole or not at all."""
    path, size = work.answer(bands), size_for_net(work)
    height, width = (side * work.scale for side in size)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 3, "bigtiff": "yes"}
    layout = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "pixel"}
    size_of_result = {"height": height, "width": width}
    with draft_of(path) as draft, named("written", path):
        with rasterio.open(draft, "w", **size_of_result, **profile, **layout) as dst:
            net.run_rows(_RasterRows(work, src, bands), lambda *_: _ResultRows(dst), on_strip)
        seal(draft)


def check_disk(work: Work, net: StripNet, count: int) -> None:
    """Refuse a raster for which there is no room while the net runs on it so many times."""
    height, width = size_for_net(work)
    needed = {
        tempfile.gettempdir(): net.feature_bytes(height, width),
        work.folder: count * 3 * np.dtype("float32").itemsize * height * width * work.scale**2,
    }
    if len(set(map(_disk, needed))) == 1:
        needed = {tempfile.gettempdir(): sum(needed.values())}
    for folder, size in needed.items():
        free = shutil.disk_usage(folder).free
        if size > free:
            raise ImageError(
                f"{work.source} takes {size / 1e9:.1f} GB in {folder} while the net runs, which "
                f"needs the whole image, and {free / 1e9:.1f} GB are free; name a folder on a "
                "larger disk in the variable TMPDIR, or as the output's"
            )


def _disk(folder):
    return os.stat(folder).st_dev


def size_for_net(work: Work) -> tuple[int, int]:
    """Return height and width of what the net runs on."""
    height, width = (round_up(side, work.multiple) for side in work.size)
    return height, width


class _RasterRows:
    """Windows of a raster as a net sees them, reflected out to sides that it takes."""

    def __init__(self, work, src, bands):
        self._work, self._src, self._bands = work, src, bands
        self.size = size_for_net(work)

    def read(self, rows, columns):
        """Read a window, (1, 3, h, w)."""
        sides = zip((rows, columns), self._work.size)
        inner, beyond = zip(*(_reflected(side, length) for side, length in sides))
        planes = np.pad(fit_to_net(self._filled(inner)), ((0, 0), *beyond), mode="reflect")
        top, left = (side.start - own.start for side, own in zip((rows, columns), inner))
        return np.ascontiguousarray(planes[None, :, top:, left:])

    def _filled(self, area):
        """Read rows and columns, their holes filled with what is near, or else with the mean."""
        halo = self._work.halo
        around = tuple(
            slice(max(0, side.start - halo), min(length, side.stop + halo))
            for side, length in zip(area, self._work.size)
        )
        image, valid = read_filled(self._work, self._src, self._bands, window_of(around))
        if valid is not None and not valid.all():
            image = np.where(valid.any(axis=(0, 1)), image, self._mean)
        rows, columns = (
            slice(own.start - outer.start, own.stop - outer.start)
            for own, outer in zip(area, around)
        )
        return image[rows, columns]

    @cached_property
    def _mean(self):
        """The mean of what is valid, of each band."""
        total, count = np.zeros((2, len(self._bands)))
        for top, left in product(*(range(0, length, MEAN) for length in self._work.size)):
            area = slice(top, top + MEAN), slice(left, left + MEAN)
            window = window_of(area).intersection(Window(0, 0, self._src.width, self._src.height))
            image, valid = read_filled(self._work, self._src, self._bands, window)
            total += image.sum(axis=(0, 1), where=valid)
            count += valid.sum(axis=(0, 1))
        return total / np.maximum(count, 1)


def _reflected(side, length):
    """Return which rows or columns are read for some that may lie beyond the last, and how many."""
    beyond = max(0, side.stop - length)
    start = max(0, min(side.start, length - 1 - beyond))  # the others reflect it
    return slice(start, side.stop - beyond), (0, beyond)


class _ResultRows:
    """Pixels that a net gives, on their way into a file."""

    def __init__(self, dst):
        self._dst = dst

    def write(self, place, block):
        """Put a block (1, 3, h, w) in, whose first row and column are given."""
        area = tuple(slice(k, k + n) for k, n in zip(place, block.shape[2:]))
        with named("written", self._dst.name):
            self._dst.write(block[0], window=window_of(area))
