"""How far colors are apart as eyes see it: CIEDE2000."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from gluon_enhance.imaging.color import rgb_to_lab
from gluon_enhance.imaging.image_pairs import STRIP, check_pair, cropped


def delta_e(
    image: NDArray[Any],
    reference: NDArray[Any],
    *,
    data_range: Optional[float] = None,
    crop_border: int = 0,
) -> float:
    """Return the mean color difference `delta_e_2000` of two sRGB images; 0 for equal ones.

    About 1 is a difference that is just seen where the colors lie side by side.

    Parameters
    ----------
    image, reference : ndarray of shape (H, W) or (H, W, 3), the same shape and dtype
        Values outside of [0, `data_range`] are clipped. Gray is neutral.
    data_range : float, optional
        Value of white. Default: 255 for uint8, 65535 for uint16, 1 for floating dtypes.
    crop_border : int
        Pixels left out at each side.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As `psnr`, and if images are neither gray nor RGB.

    Examples
    --------
    >>> gray = np.full((4, 4, 3), 119, np.uint8)
    >>> round(delta_e(gray + np.uint8(3), gray), 2)
    1.19
    """
    peak = check_pair(image, reference, data_range, crop_border, y_channel=False)
    if image.shape[2:] not in ((), (3,)):
        raise ValueError(f"images have shape {image.shape}; delta_e needs gray or RGB, (H, W, 3)")
    pair = cropped(image, crop_border), cropped(reference, crop_border)
    height, width = pair[0].shape[:2]
    total = 0.0
    for top in range(0, height, STRIP):
        labs = (_lab(array[top : top + STRIP], peak) for array in pair)
        total += float(np.sum(delta_e_2000(*labs)))
    return total / (height * width)


def delta_e_2000(lab: NDArray[Any], reference: NDArray[Any]) -> NDArray[Any]:
    """Return the CIEDE2000 color differences [1]_, after the formulas of [2]_.

    Parameters
    ----------
    lab, reference : ndarray of shape (..., 3), float64
        CIE 1976 L*a*b*; L from 0 to 100. Which is the reference makes no difference.

    Returns
    -------
    ndarray of shape (...), float64
        With the weights kL = kC = kH = 1.

    References
    ----------
    .. [1] ISO/CIE 11664-6:2014.
    .. [2] Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula: implementation notes,
       supplementary test data, and mathematical observations", Color Research and Application
       30(1), 2005.

    Examples
    --------
    >>> delta_e_2000(np.array([50.0, 2.5, 0.0]), np.array([61.0, -5.0, 29.0])).round(4)
    22.8977
    """
    (l1, a1, b1), (l2, a2, b2) = (np.moveaxis(array, -1, 0) for array in (lab, reference))
    mean_chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(_saturation(mean_chroma)))
    c1, c2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    h1, h2 = (np.arctan2(b, stretch * a) % (2 * np.pi) for a, b in ((a1, b1), (a2, b2)))
    is_neutral = c1 * c2 == 0  # a gray has no hue
    turn, mean_hue = h2 - h1, (h1 + h2) / 2
    # The shorter way leads over hue 0; those opposite, but for rounding, are to turn as they are.
    is_around = np.abs(turn) > np.pi + 1e-12
    turn = np.where(is_around, turn - 2 * np.pi * np.sign(turn), turn)
    mean_hue = np.where(is_around, (mean_hue + np.pi) % (2 * np.pi), mean_hue)
    turn, mean_hue = np.where(is_neutral, 0, turn), np.where(is_neutral, h1 + h2, mean_hue)

    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    hue_weight = (
        1
        - 0.17 * np.cos(mean_hue - np.radians(30))
        + 0.24 * np.cos(2 * mean_hue)
        + 0.32 * np.cos(3 * mean_hue + np.radians(6))
        - 0.20 * np.cos(4 * mean_hue - np.radians(63))
    )
    square = (lightness - 50) ** 2
    dl = (l2 - l1) / (1 + 0.015 * square / np.sqrt(20 + square))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2) / (1 + 0.015 * chroma * hue_weight)
    # In blues the ellipses of equal difference are tilted.
    tilt = np.radians(30) * np.exp(-(((np.degrees(mean_hue) - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(_saturation(chroma)) * np.sin(2 * tilt)
    squares = np.maximum(dl**2 + dc**2 + dh**2 + rotation * dc * dh, 0)
    differences: NDArray[Any] = np.sqrt(squares)
    return differences


def _saturation(chroma: NDArray[Any]) -> NDArray[Any]:
    return chroma**7 / (chroma**7 + 25.0**7)


def _lab(pixels: NDArray[Any], peak: float) -> NDArray[Any]:
    rgb = np.clip(pixels.astype(np.float64) / peak, 0, 1)
    return rgb_to_lab(rgb if rgb.ndim == 3 else np.stack([rgb] * 3, axis=-1))
