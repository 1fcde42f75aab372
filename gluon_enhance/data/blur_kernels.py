"""Blur kernels of synthetic degradations, as Real-ESRGAN [1]_ and BSRGAN define them.

References
----------
.. [1] Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
   Data", ICCV Workshops 2021. https://arxiv.org/abs/2107.10833
"""

from __future__ import annotations

from typing import Optional

import numpy as np

KINDS = ("gaussian", "generalized", "plateau")


def gaussian_kernel(
    size: int,
    sigma_x: float,
    sigma_y: Optional[float] = None,
    angle: float = 0.0,
    beta: float = 1.0,
    kind: str = "gaussian",
) -> np.ndarray:
    """Make a Gaussian kernel, or one of its relatives with another falloff.

    With q the squared Mahalanobis distance from the center: ``exp(-q / 2)`` for 'gaussian',
    ``exp(-q**beta / 2)`` for 'generalized', ``1 / (1 + q**beta)`` for 'plateau'.

    Parameters
    ----------
    size : int
        Side in pixels, odd.
    sigma_x, sigma_y : float
        Standard deviations along the axes, in pixels. Default of the second: the first.
    angle : float
        Of the first axis from the rows' direction, in radians, clockwise on the screen.
    beta : float
        Shape of the falloff; 'gaussian' has none.
    kind : {'gaussian', 'generalized', 'plateau'}

    Returns
    -------
    ndarray of shape (size, size), float32, with the sum 1

    Raises
    ------
    ValueError
        If the kind is unknown, the size even, or a sigma not positive.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; choose one of {', '.join(KINDS)}")
    sigma_y = sigma_x if sigma_y is None else sigma_y
    if min(sigma_x, sigma_y) <= 0:
        raise ValueError(f"sigma is {sigma_x}, {sigma_y}; give positive numbers of pixels")
    x, y = _offsets(size)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    q = (along / sigma_x) ** 2 + (across / sigma_y) ** 2
    if kind == "plateau":
        return _normalized(1 / (1 + q**beta))
    return _normalized(np.exp(-0.5 * q ** (beta if kind == "generalized" else 1)))


def sinc_kernel(size: int, cutoff: float) -> np.ndarray:
    """Make an ideal low-pass filter, cut to a square: it rings as sharpened and JPEG photos do.

    Parameters
    ----------
    size : int
        Side in pixels, odd.
    cutoff : float
        Radius of the passed frequencies, in radians per pixel, at most pi.

    Returns
    -------
    ndarray of shape (size, size), float32, with the sum 1

    Raises
    ------
    ValueError
        If the size is even or the cutoff outside (0, pi].
    """
    if not 0 < cutoff <= np.pi:
        raise ValueError(f"cutoff is {cutoff}; give radians per pixel, above 0 and up to pi")
    distance = np.hypot(*_offsets(size))
    distance[size // 2, size // 2] = 1
    kernel = cutoff * _bessel_j1(cutoff * distance) / (2 * np.pi * distance)
    kernel[size // 2, size // 2] = cutoff**2 / (4 * np.pi)
    return _normalized(kernel)


def _bessel_j1(x):
    """Bessel's integral; 64 midpoints of a half period are exact for x well below twice as many."""
    phase = (np.arange(64) + 0.5) * (np.pi / 64)
    return np.cos(phase - x[..., None] * np.sin(phase)).mean(axis=-1)


def _offsets(size):
    if size % 2 == 0:
        raise ValueError(f"size is {size}; a kernel needs a middle, so give an odd number")
    y, x = np.mgrid[:size, :size] - size // 2
    return x.astype(np.float64), y.astype(np.float64)


def _normalized(kernel):
    return (kernel / kernel.sum()).astype(np.float32)
