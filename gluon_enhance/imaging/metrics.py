"""PSNR and SSIM as the tables of super-resolution papers give them, in float64.

Images are scored in bands of rows, so memory does not grow with their height.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Optional

import numpy as np

from gluon_enhance.imaging.arrays import dtype_range
from gluon_enhance.imaging.color import rgb_to_y

BAND = 128
"""Rows scored at a time; the float64 maps of a band 4000 pixels wide take 4 MB each."""
WINDOW = 11
SIGMA = 1.5


def psnr(
    image: np.ndarray,
    reference: np.ndarray,
    *,
    data_range: Optional[float] = None,
    crop_border: int = 0,
    y_channel: bool = False,
) -> float:
    """Return the peak signal-to-noise ratio in dB; infinite for equal images.

    Parameters
    ----------
    image, reference : ndarray of shape (H, W) or (H, W, C), the same shape and dtype
    data_range : float, optional
        The peak. Default: 255 for uint8, 65535 for uint16, 1 for floating dtypes.
    crop_border : int
        Pixels left out at each side. Tables of super-resolution leave out the scale.
    y_channel : bool
        Score Y of BT.601 (`rgb_to_y`) of RGB images; the peak stays `data_range`. Of uint8 images
        Y is rounded, as MATLAB's ``rgb2ycbcr`` rounds it: the tables are made so.

    Returns
    -------
    float
        ``10 log10(data_range**2 / MSE)``, the mean taken over pixels and channels.

    Raises
    ------
    ValueError
        If shapes or dtypes differ, the data range is not known or not positive, nothing is left
        inside the border, `y_channel` is asked of images that are not RGB, or values are NaN or
        infinite.

    Examples
    --------
    >>> round(psnr(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)), 6)
    0.0
    """
    peak = _check(image, reference, data_range, crop_border, y_channel)
    total, count = 0.0, 0
    for a, b in _bands(image, reference, peak, crop_border, y_channel, overlap=0):
        total += float(np.sum((a - b) ** 2))
        count += a.size
    return 10 * math.log10(peak**2 * count / total) if total else math.inf


def ssim(
    image: np.ndarray,
    reference: np.ndarray,
    *,
    data_range: Optional[float] = None,
    crop_border: int = 0,
    y_channel: bool = False,
) -> float:
    """Return the mean structural similarity [1]_; 1 for equal images.

    The window is an 11x11 Gaussian of sigma 1.5 that lies wholly inside the image; K1 = 0.01,
    K2 = 0.03. Channels are scored apart and averaged.

    Parameters
    ----------
    image, reference : ndarray of shape (H, W) or (H, W, C), the same shape and dtype
    data_range : float, optional
        Value of white. Default: 255 for uint8, 65535 for uint16, 1 for floating dtypes.
    crop_border : int
        Pixels left out at each side. Tables of super-resolution leave out the scale.
    y_channel : bool
        Score Y of BT.601 (`rgb_to_y`) of RGB images, rounded for uint8 ones.

    Returns
    -------
    float
        In [-1, 1].

    Raises
    ------
    ValueError
        As `psnr`, and if fewer than 11 pixels are left inside the border on either axis.

    References
    ----------
    .. [1] Wang et al., "Image quality assessment: from error visibility to structural
       similarity", IEEE Trans. Image Processing 13(4), 2004.

    Examples
    --------
    >>> image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    >>> ssim(image, image)
    1.0
    """
    peak = _check(image, reference, data_range, crop_border, y_channel)
    height, width = (n - 2 * crop_border for n in image.shape[:2])
    if min(height, width) < WINDOW:
        raise ValueError(
            f"{height}x{width} pixels are left of shape {image.shape} inside crop_border "
            f"{crop_border}; ssim needs {WINDOW}x{WINDOW}"
        )
    total, count = 0.0, 0
    for a, b in _bands(image, reference, peak, crop_border, y_channel, overlap=WINDOW - 1):
        similarity = _ssim_map(a, b, peak)
        total += float(np.sum(similarity))
        count += similarity.size
    return total / count


def _check(
    image: np.ndarray,
    reference: np.ndarray,
    data_range: Optional[float],
    crop_border: int,
    y_channel: bool,
) -> float:
    """Return the data range of images that can be scored against each other."""
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
    peak = dtype_range(image.dtype) if data_range is None else float(data_range)
    if not (peak > 0 and math.isfinite(peak)):
        raise ValueError(f"data_range is {data_range}; it must be a positive number")
    for name, array in (("image", image), ("reference", reference)):
        # The extremes show NaN and infinity without an array of flags.
        if not (math.isfinite(array.min()) and math.isfinite(array.max())):
            bad = array.size - np.count_nonzero(np.isfinite(array))
            raise ValueError(f"{name} holds {bad} NaN or infinite values of {array.size}")
    return peak


def _bands(
    image: np.ndarray,
    reference: np.ndarray,
    peak: float,
    crop_border: int,
    y_channel: bool,
    overlap: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield float64 planes of both images: bands of rows that overlap, one channel at a time."""
    inside = tuple(slice(crop_border, n - crop_border) for n in image.shape[:2])
    pair = image[inside], reference[inside]
    for top in range(0, pair[0].shape[0] - overlap, BAND):
        a, b = (array[top : top + BAND + overlap] for array in pair)
        if y_channel:
            ys = rgb_to_y(a, peak), rgb_to_y(b, peak)
            yield tuple(map(np.rint, ys)) if image.dtype == np.uint8 else ys
            continue
        for channel in range(a[0, 0].size):
            planes = (x if x.ndim == 2 else x[:, :, channel] for x in (a, b))
            first, second = (plane.astype(np.float64) for plane in planes)
            yield first, second


def _ssim_map(a: np.ndarray, b: np.ndarray, peak: float) -> np.ndarray:
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mean_a, mean_b = _blur(a), _blur(b)
    mean_ab, mean_squares = mean_a * mean_b, mean_a**2 + mean_b**2
    covariance = _blur(a * b) - mean_ab
    variances = _blur(a * a + b * b) - mean_squares
    return ((2 * mean_ab + c1) * (2 * covariance + c2)) / ((mean_squares + c1) * (variances + c2))


def _blur(plane: np.ndarray) -> np.ndarray:
    """Weigh by the Gaussian window, first along columns, then along rows; 10 pixels fewer each."""
    weights = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / SIGMA) ** 2)
    weights /= weights.sum()
    height, width = (n - WINDOW + 1 for n in plane.shape)
    rows = np.zeros((height, plane.shape[1]))
    for i, weight in enumerate(weights):
        rows += weight * plane[i : i + height]
    result = np.zeros((height, width))
    for i, weight in enumerate(weights):
        result += weight * rows[:, i : i + width]
    return result
