"""Resizing as MATLAB's ``imresize`` does it: the kernel that super-resolution tables are made with.

OpenCV's cubic has another coefficient and does not antialias, Pillow rounds and treats edges
otherwise; either moves PSNR by tenths of a decibel to more than one. That is why this is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray

from gluon_enhance.imaging.arrays import to_dtype, to_float


def _box(x: NDArray[Any]) -> NDArray[Any]:
    return ((x >= -0.5) & (x < 0.5)).astype(np.float64)


def _triangle(x: NDArray[Any]) -> NDArray[Any]:
    weights: NDArray[Any] = np.maximum(1 - np.abs(x), 0)
    return weights


def _cubic(x: NDArray[Any]) -> NDArray[Any]:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


Kernel = Callable[[NDArray[Any]], NDArray[Any]]
KERNELS: dict[str, tuple[Kernel, float]] = {
    "nearest": (_box, 1),
    "bilinear": (_triangle, 2),
    "bicubic": (_cubic, 4),
}
"""Kernel name -> (function of the distance in source pixels, its support in source pixels)."""


def resize(
    image: NDArray[Any],
    scale_or_size: float | Sequence[int],
    kernel: str = "bicubic",
    antialias: bool = True,
) -> NDArray[Any]:
    """Resize an image with MATLAB's ``imresize`` kernels.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, C), uint8, uint16 or floating
        Any range; integer results are rounded and clipped to the dtype.
    scale_or_size : float or (int, int)
        Factor for both axes, giving ``ceil(H * scale), ceil(W * scale)``, or the size
        ``(rows, columns)`` of the result.
    kernel : {'bicubic', 'bilinear', 'nearest'}
        The cubic has a = -0.5 (Keys).
    antialias : bool
        Widen the kernel by the factor when shrinking. MATLAB never widens 'nearest'.

    Returns
    -------
    ndarray of the same dtype and number of axes
        Floating images are not clipped: the cubic overshoots at edges.

    Raises
    ------
    ValueError
        If the kernel is unknown, the image is empty, or the scale or size is not positive.

    References
    ----------
    .. [1] R. Keys, "Cubic convolution interpolation for digital image processing",
       IEEE Trans. ASSP 29(6), 1981.

    Examples
    --------
    >>> resize(np.array([[0, 255]], np.uint8), (1, 4), kernel="bilinear")
    array([[  0,  64, 191, 255]], dtype=uint8)
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel is {kernel!r}; choose one of {', '.join(KERNELS)}")
    if image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(f"image has shape {image.shape}; need (H, W) or (H, W, C), not empty")
    scales, size = _scales_and_size(image.shape[:2], scale_or_size)
    for axis in sorted((0, 1), key=lambda a: scales[a]):  # as MATLAB: the smaller scale first
        taps, weights = _taps(image.shape[axis], size[axis], scales[axis], kernel, antialias)
        image = _resample(image, axis, taps, weights)
    return image


def resize_rounding_once(
    image: NDArray[Any], scale_or_size: float | Sequence[int], kernel: str = "bicubic"
) -> NDArray[Any]:
    """Resize in floating point and round once at the end, as published baselines are enlarged.

    Parameters and errors are those of `resize`; the image is uint8, uint16 or floating in [0, 1],
    and so is the result.
    """
    return to_dtype(resize(to_float(image), scale_or_size, kernel), image.dtype)


def _scales_and_size(
    shape: tuple[int, ...], scale_or_size: float | Sequence[int]
) -> tuple[tuple[float, float], tuple[int, int]]:
    given = np.asarray(scale_or_size)
    if given.ndim == 0:
        scale = float(given)
        if not (scale > 0 and math.isfinite(scale)):
            raise ValueError(f"scale is {scale_or_size}; it must be a positive number")
        # The tolerance keeps 90 * (1 / 3) * 3 at 90 where the product is 90.00000000000001.
        rows, columns = (math.ceil(n * scale - 1e-9) for n in shape)
        return (scale, scale), (rows, columns)
    if given.shape != (2,) or given.min() < 1:
        raise ValueError(f"size is {scale_or_size}; need (rows, columns), both at least 1")
    rows, columns = (int(n) for n in given)
    return (rows / shape[0], columns / shape[1]), (rows, columns)


def _taps(
    in_length: int, out_length: int, scale: float, kernel: str, antialias: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Source indices and weights of every output pixel, both of shape (out_length, taps)."""
    function, support = KERNELS[kernel]
    shrink = scale if antialias and scale < 1 and kernel != "nearest" else 1.0
    support /= shrink
    centre = (np.arange(out_length) + 0.5) / scale - 0.5
    left = np.floor(centre - support / 2)
    taps = left[:, None] + np.arange(math.ceil(support) + 2)
    weights = shrink * function(shrink * (centre[:, None] - taps))
    weights /= weights.sum(axis=1, keepdims=True)
    taps = np.clip(taps, 0, in_length - 1).astype(np.int64)
    used = np.abs(weights).max(axis=0) > 0
    return taps[:, used], weights[:, used]


def _resample(
    image: NDArray[Any], axis: int, taps: NDArray[Any], weights: NDArray[Any]
) -> NDArray[Any]:
    """Weighted sum of gathered rows or columns; integers are rounded, as MATLAB does per pass."""
    work = np.dtype(np.float32 if image.dtype == np.float32 else np.float64)
    shape = list(image.shape)
    shape[axis] = len(taps)
    result: NDArray[Any] = np.zeros(shape, work)
    broadcast = [1] * image.ndim
    broadcast[axis] = len(taps)
    for tap, weight in zip(taps.T, weights.T):
        result += np.take(image, tap, axis=axis) * weight.astype(work).reshape(broadcast)
    if np.issubdtype(image.dtype, np.integer):
        limits = np.iinfo(image.dtype)
        # MATLAB rounds halves away from zero; the values are not negative after clipping.
        rounded: NDArray[Any] = np.floor(np.clip(result, limits.min, limits.max) + 0.5)
        return rounded.astype(image.dtype)
    return result.astype(image.dtype, copy=False)
