"""Rasters for nets that need the whole image, which goes in and comes out in strips.

The net runs over all of the raster before its parts are computed
(`gluon_enhance.whole_image.runner`). What it gives, its *answer*, is kept in a file beside the
parts, which then read their tiles of it in place of running the net.
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
from gluon_enhance.rasters.compute import crop, fit_to_net, grown, read_filled
from gluon_enhance.rasters.io import naming_errors
from gluon_enhance.rasters.parts import append_checksum
from gluon_enhance.rasters.plan import RasterPlan, round_up, window_of
from gluon_enhance.rasters.write import draft_of
from gluon_enhance.whole_image.runner import StripNet

BLOCK = 256
"""Side of the blocks of the answer's file, in pixels. They are not compressed, as strips of a few
rows fill them, and a compressed block would be written anew each time."""
MEAN_WINDOW = 1024
"""Side of what is read at once for the mean, in pixels."""


def run_whole_image(
    plan: RasterPlan, src, bands: tuple[int, ...], net: StripNet, on_strip: Callable[[], None]
) -> None:
    """Run a net over a group of bands of a raster, and keep its answer, whole or not at all.

    Parameters
    ----------
    plan : RasterPlan
    src : rasterio dataset
    bands : tuple of int
        One of the plan's groups.
    net : StripNet
        What runs it in strips.
    on_strip : callable
        Called when a strip is done; `net.count` says how many there are.
    """
    path, size = plan.answer_path(bands), size_for_net(plan)
    height, width = (side * plan.scale for side in size)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 3, "bigtiff": "yes"}
    layout = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "pixel"}
    size_of_result = {"height": height, "width": width}
    with draft_of(path) as draft, naming_errors("written", path):
        with rasterio.open(draft, "w", **size_of_result, **profile, **layout) as dst:
            net.run_rows(_RasterWindows(plan, src, bands), lambda *_: _AnswerFile(dst), on_strip)
        append_checksum(draft)


def check_disk(plan: RasterPlan, net: StripNet, count: int) -> None:
    """Refuse a raster for which there is no room on disk while the net runs on its groups of bands.

    `count` is the number of groups: the answers to all are kept until the parts are there, and the
    net's features only while it runs.
    """
    height, width = size_for_net(plan)
    needed = {
        tempfile.gettempdir(): net.feature_bytes(height, width),
        plan.folder: count * 3 * np.dtype("float32").itemsize * height * width * plan.scale**2,
    }
    if len(set(map(_disk, needed))) == 1:
        needed = {tempfile.gettempdir(): sum(needed.values())}
    for folder, size in needed.items():
        free = shutil.disk_usage(folder).free
        if size > free:
            raise ImageError(
                f"{plan.source} takes {size / 1e9:.1f} GB in {folder} while the net runs, which "
                f"needs the whole image, and {free / 1e9:.1f} GB are free; name a folder on a "
                "larger disk in the variable TMPDIR, or as the output's"
            )


def _disk(folder):
    return os.stat(folder).st_dev


def size_for_net(plan: RasterPlan) -> tuple[int, int]:
    """Return height and width of what the net runs on: the raster's, reflected out."""
    height, width = (round_up(side, plan.multiple) for side in plan.size)
    return height, width


class _RasterWindows:
    """Windows of a raster as a net sees them, reflected out to sides that it takes."""

    def __init__(self, plan, src, bands):
        self._plan, self._src, self._bands = plan, src, bands
        self.size = size_for_net(plan)

    def read(self, rows, columns):
        """Read a window of rows and columns, which may lie beyond the raster: (1, 3, h, w)."""
        sides = zip((rows, columns), self._plan.size)
        inner, beyond = zip(*(_reflected(side, length) for side, length in sides))
        planes = np.pad(fit_to_net(self._filled(inner)), ((0, 0), *beyond), mode="reflect")
        top, left = (side.start - own.start for side, own in zip((rows, columns), inner))
        return np.ascontiguousarray(planes[None, :, top:, left:])

    def _filled(self, area):
        """Read rows and columns, their holes filled with what is near, or else with the mean."""
        whole = [slice(0, length) for length in self._plan.size]
        around = grown(area, self._plan.halo, whole)  # a hole takes what is next to it, if it can
        image, valid = read_filled(self._plan, self._src, self._bands, window_of(around))
        if valid is not None and not valid.all():
            image = np.where(valid.any(axis=(0, 1)), image, self._mean)
        return image[crop(area, around)]

    @cached_property
    def _mean(self):
        """The mean of what is valid, of each of the bands (C,)."""
        total, count = np.zeros((2, len(self._bands)))
        for top, left in product(*(range(0, length, MEAN_WINDOW) for length in self._plan.size)):
            area = slice(top, top + MEAN_WINDOW), slice(left, left + MEAN_WINDOW)
            window = window_of(area).intersection(Window(0, 0, self._src.width, self._src.height))
            image, valid = read_filled(self._plan, self._src, self._bands, window)
            total += image.sum(axis=(0, 1), where=valid)
            count += valid.sum(axis=(0, 1))
        return total / np.maximum(count, 1)


def _reflected(side, length):
    """Return which rows or columns are read for a side that may end beyond the last one.

    With it comes what `numpy.pad` is to add before and after them. As many lines as lie beyond are
    read before the last one, and it, even if the side does not reach so far back.
    """
    beyond = max(0, side.stop - length)
    start = max(0, min(side.start, length - 1 - beyond))  # the others reflect it
    return slice(start, side.stop - beyond), (0, beyond)


class _AnswerFile:
    """The file that the pixels of a net's answer go into, as they come."""

    def __init__(self, dst):
        self._dst = dst

    def write(self, place, block):
        """Put a block (1, 3, h, w) in, whose first row and column are given."""
        area = tuple(slice(k, k + n) for k, n in zip(place, block.shape[2:]))
        with naming_errors("written", self._dst.name):
            self._dst.write(block[0], window=window_of(area))
