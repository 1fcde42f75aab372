"""PSNR and SSIM as the tables of super-resolution papers give them, in float64.

Images are scored in strips of rows, so memory does not grow with their height. The other metrics
have modules of their own, and are here too under their names.
"""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from gluon_enhance.imaging.artifacts import blockiness, checkerboard, ringing
from gluon_enhance.imaging.color_difference import delta_e
from gluon_enhance.imaging.image_pairs import check_pair, planes_in_strips
from gluon_enhance.imaging.ms_ssim import ms_ssim
from gluon_enhance.imaging.niqe import NIQEModel, fit_niqe, niqe
from gluon_enhance.imaging.ssim_maps import WINDOW, similarity_maps

__all__ = [
    "NIQEModel",
    "blockiness",
    "checkerboard",
    "delta_e",
    "fit_niqe",
    "ms_ssim",
    "niqe",
    "psnr",
    "ringing",
    "ssim",
]


def psnr(
    image: NDArray[Any],
    reference: NDArray[Any],
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
    peak = check_pair(image, reference, data_range, crop_border, y_channel)
    total, count = 0.0, 0
    for a, b in planes_in_strips(image, reference, peak, crop_border, y_channel, 0):
        total += float(np.sum((a - b) ** 2))
        count += a.size
    return 10 * math.log10(peak**2 * count / total) if total else math.inf


def ssim(
    image: NDArray[Any],
    reference: NDArray[Any],
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
    peak = check_pair(image, reference, data_range, crop_border, y_channel)
    height, width = (n - 2 * crop_border for n in image.shape[:2])
    if min(height, width) < WINDOW:
        raise ValueError(
            f"{height}x{width} pixels are left of shape {image.shape} inside crop_border "
            f"{crop_border}; ssim needs {WINDOW}x{WINDOW}"
        )
    total, count = 0.0, 0
    for a, b in planes_in_strips(image, reference, peak, crop_border, y_channel, WINDOW - 1):
        similarity, _ = similarity_maps(a, b, peak)
        total += float(np.sum(similarity))
        count += similarity.size
    return total / count
