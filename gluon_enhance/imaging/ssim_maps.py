"""Local similarity of structure: the maps that SSIM and MS-SSIM are means of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW = 11
SIGMA = 1.5


def similarity_maps(
    a: NDArray[Any], b: NDArray[Any], peak: float, window: int = WINDOW
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the map of SSIM, and of its part that is contrast and structure.

    Parameters
    ----------
    a, b : ndarray of shape (H, W), float64
    peak : float
        The data range; K1 = 0.01, K2 = 0.03.
    window : int
        Side of the Gaussian, whose sigma is 1.5 for 11 and in proportion to it.

    Returns
    -------
    ssim, contrast_structure : ndarray of shape (H - window + 1, W - window + 1)
    """
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mean_a, mean_b = _blur(a, window), _blur(b, window)
    mean_ab, mean_squares = mean_a * mean_b, mean_a**2 + mean_b**2
    covariance = _blur(a * b, window) - mean_ab
    variances = _blur(a * a + b * b, window) - mean_squares
    contrast_structure = (2 * covariance + c2) / (variances + c2)
    return (2 * mean_ab + c1) / (mean_squares + c1) * contrast_structure, contrast_structure


def _blur(plane: NDArray[Any], window: int) -> NDArray[Any]:
    """Weigh by the Gaussian, first along columns, then along rows, inside of the plane."""
    distances = (np.arange(window) - (window - 1) / 2) / (SIGMA * window / WINDOW)
    weights = np.exp(-0.5 * distances**2)
    weights /= weights.sum()
    height, width = (n - window + 1 for n in plane.shape)
    rows = np.zeros((height, plane.shape[1]))
    for i, weight in enumerate(weights):
        rows += weight * plane[i : i + height]
    result = np.zeros((height, width))
    for i, weight in enumerate(weights):
        result += weight * rows[:, i : i + width]
    return result
