"""Parts of a raster that users ask for, by pixels or by coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Optional

from rasterio.windows import Window

from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.raster import environment, open_raster

SLACK = 1e-6
"""Pixels by which coordinates may miss a pixel's edge, as they come with few digits."""

Region = tuple[tuple[int, int], tuple[int, int]]


def region_of(
    dataset,
    window: Optional[Window | Sequence[int]] = None,
    bounds: Optional[Sequence[float]] = None,
) -> Region:
    """Return the first row and the one after the last, and the same of columns, of a part.

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
        If both are given, or nothing of the raster is in the part.
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
    region = tuple(
        (max(0, math.floor(start + SLACK)), min(math.ceil(stop - SLACK), length))
        for (start, stop), length in zip((rows, columns), dataset.shape)
    )
    if any(start >= stop for start, stop in region):
        name, part = ("window", window) if window else ("bounds", bounds)
        place = f" and covers {_text(dataset.bounds)}" if bounds else ""
        raise ValueError(
            f"{name} is {_text(part)}, and {dataset.name} has {dataset.width} x {dataset.height} "
            f"pixels{place}: nothing of it is in there"
        )
    return region


def samples_of(path, window=None, bounds=None, trust: bool = False) -> int:
    """Return the number of samples of a file's part, of all bands together; see `region_of`."""
    with environment(), open_raster(path, trust) as dataset:
        (top, bottom), (left, right) = region_of(dataset, window, bounds)
        return (bottom - top) * (right - left) * dataset.count


def _pixels(dataset, bounds):
    if dataset.transform.is_identity:
        raise ImageError(f"{dataset.name} has no coordinates of its pixels; give a window")
    if not all(map(math.isfinite, bounds)):
        raise ValueError(f"bounds is {_text(bounds)}; give four finite numbers")
    left, bottom, right, top = bounds
    a, b, c, d, e, f = (~dataset.transform)[:6]
    corners = [
        (d * x + e * y + f, a * x + b * y + c) for x, y in product((left, right), (bottom, top))
    ]
    return [(min(side), max(side)) for side in zip(*corners)]


def _text(numbers):
    return ",".join(f"{number:.9g}" for number in numbers)
