"""Images that are scored against each other: what they must be alike in, and their strips of rows.

Metrics take images in strips, so memory does not grow with the height.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from gluon_enhance.errors import plural
from gluon_enhance.imaging.arrays import dtype_range
from gluon_enhance.imaging.color import rgb_to_y

STRIP = 128
"""Rows scored at a time; the float64 maps of a strip 4000 pixels wide take 4 MB each."""


def check_pair(
    image: NDArray[Any],
    reference: NDArray[Any],
    data_range: Optional[float],
    crop_border: int,
    y_channel: bool,
) -> float:
    """Return the data range of images that can be scored against each other.

    Raises
    ------
    ValueError
        As `gluon_enhance.imaging.metrics.psnr` says.
    """
    if image.shape != reference.shape or image.dtype != reference.dtype:
        raise ValueError(
            f"image is {image.dtype} of shape {image.shape}, reference {reference.dtype} of shape "
            f"{reference.shape}; they must be alike"
        )
    if image.ndim not in (2, 3) or image.size == 0 or image.dtype.kind not in "uif":
        raise ValueError(
            f"images are {image.dtype} of shape {image.shape}; need numbers, (H, W) or (H, W, C)"
        )
    if y_channel and image.shape[2:] != (3,):
        raise ValueError(f"images have shape {image.shape}; y_channel needs RGB, (H, W, 3)")
    if crop_border < 0 or 2 * crop_border >= min(image.shape[:2]):
        raise ValueError(f"crop_border is {crop_border}; nothing is left of shape {image.shape}")
    peak = check_range(image, data_range)
    check_finite(image, "image")
    check_finite(reference, "reference")
    return peak


def check_range(image: NDArray[Any], data_range: Optional[float]) -> float:
    """Return the data range that is given, or else the dtype's."""
    peak = dtype_range(image.dtype) if data_range is None else float(data_range)
    if not (peak > 0 and math.isfinite(peak)):
        raise ValueError(f"data_range is {data_range}; it must be a positive number")
    return peak


def check_finite(array: NDArray[Any], name: str) -> None:
    """Refuse NaN and infinity."""
    # The extremes show them without an array of flags.
    if not (math.isfinite(array.min()) and math.isfinite(array.max())):
        bad = array.size - np.count_nonzero(np.isfinite(array))
        raise ValueError(f"{name} has NaN or infinity in {bad:,} of {plural(array.size, 'value')}")


def cropped(image: NDArray[Any], crop_border: int) -> NDArray[Any]:
    """Leave out so many pixels at each side."""
    return image[tuple(slice(crop_border, n - crop_border) for n in image.shape[:2])]


def planes_in_strips(
    image: NDArray[Any],
    reference: NDArray[Any],
    peak: float,
    crop_border: int,
    y_channel: bool,
    overlap: int,
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield float64 planes of both images: strips of rows that overlap, one channel at a time."""
    pair = cropped(image, crop_border), cropped(reference, crop_border)
    for top in range(0, pair[0].shape[0] - overlap, STRIP):
        a, b = (array[top : top + STRIP + overlap] for array in pair)
        if y_channel:
            first, second = rgb_to_y(a, peak), rgb_to_y(b, peak)
            if image.dtype == np.uint8:
                first, second = np.rint(first), np.rint(second)
            yield first, second
            continue
        for channel in range(a[0, 0].size):
            planes = (x if x.ndim == 2 else x[:, :, channel] for x in (a, b))
            first, second = (plane.astype(np.float64) for plane in planes)
            yield first, second


def check_single(image: NDArray[Any], data_range: Optional[float], crop_border: int) -> float:
    """Return the data range of a gray or RGB image that can be scored without a reference.

    Raises
    ------
    ValueError
        If it is neither gray nor RGB, is empty, or holds NaN or infinity, if the data range is not
        known or not positive, or if the border is negative.
    """
    _check_channels(image)
    if crop_border < 0:
        raise ValueError(f"crop_border is {crop_border}; it must be 0 or more")
    peak = check_range(image, data_range)
    check_finite(image, "image")
    return peak


def luma(image: NDArray[Any], peak: float) -> NDArray[Any]:
    """Return Y of BT.601 of RGB, or gray as it is, in levels of 255: float64, (H, W).

    Of 8-bit RGB images Y is rounded, as MATLAB's ``rgb2ycbcr`` rounds it.

    Raises
    ------
    ValueError
        If the image is empty, or neither (H, W) nor (H, W, 3).
    """
    _check_channels(image)
    if image.ndim == 2:
        return image.astype(np.float64) * (255 / peak)
    y = rgb_to_y(image, peak)
    return (np.rint(y) if image.dtype == np.uint8 else y) * (255 / peak)


def _check_channels(image: NDArray[Any]) -> None:
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or image.size == 0:
        raise ValueError(
            f"image has shape {image.shape}; need gray, (H, W), or RGB, (H, W, 3), not empty"
        )
