"""The low-frequency constraint of super-resolution: an image reduced by its scale is the input.

To reduce is to take the mean of each block of scale x scale pixels, as a sensor of larger pixels
would, and as GDAL's ``average`` does. A net meets that roughly. What is missing is enlarged without
steps between the blocks and added, and limits and rounding to integers then leave the means alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MARGIN = 2
"""Means on each side of one that what becomes of it depends on."""


def block_means(image: NDArray[Any], scale: int) -> NDArray[Any]:
    """Return the mean of each block of scale x scale pixels.

    Parameters
    ----------
    image : ndarray of shape (H * scale, W * scale, C)
    scale : int

    Returns
    -------
    ndarray of shape (H, W, C), float64
    """
    height, width, channels = image.shape
    rows = image.reshape(height // scale, scale, width, channels).mean(axis=1, dtype=np.float64)
    blocks = rows.reshape(height // scale, width // scale, scale, channels)
    means: NDArray[Any] = blocks.mean(axis=2)
    return means


def enlarge_means(means: NDArray[Any], scale: int) -> NDArray[Any]:
    """Enlarge an image so that its pixels are the means of the blocks of the result.

    Along rows, then columns, a pixel becomes the parabola with its mean that meets its neighbours'
    at the edges between them, where the value is that of the cubic with the means of the four
    pixels around: the interpolation of the piecewise parabolic method [1]_, without its limiter.
    Polynomials of degree 2 are enlarged exactly, but for the two pixels next to the image's own
    edges, beyond which the last one is repeated.

    Parameters
    ----------
    means : ndarray of shape (H, W, C), float64
    scale : int

    Returns
    -------
    ndarray of shape (H * scale, W * scale, C), float64

    References
    ----------
    .. [1] P. Colella and P. R. Woodward, "The piecewise parabolic method (PPM) for gas-dynamical
       simulations", J. Comput. Phys. 54, 1984.
    """
    weights = _parabola_means(scale)
    rows = _enlarge_rows(means, weights)
    return _enlarge_rows(rows.swapaxes(0, 1), weights).swapaxes(0, 1)


def constrain(image: NDArray[Any], means: NDArray[Any]) -> NDArray[Any]:
    """Give the blocks of an image these means, by a change without steps between them.

    Parameters
    ----------
    image : ndarray of shape (H * scale, W * scale, C), floating
    means : ndarray of shape (H, W, C), float64

    Returns
    -------
    ndarray of the image's shape, float64
    """
    scale = len(image) // len(means)
    change = enlarge_means(means - block_means(image, scale), scale)
    change += image
    return change


def clip_keeping_means(
    image: NDArray[Any], means: NDArray[Any], low: float, high: float
) -> NDArray[Any]:
    """Clip an image whose blocks have these means, which lie in [low, high], and keep the means.

    Where a block loses by it, all its pixels go the same share of their way to the other limit.

    Parameters
    ----------
    image : ndarray of shape (H * scale, W * scale, C), float64
    means : ndarray of shape (H, W, C)
    low, high : float

    Returns
    -------
    ndarray of the image's shape, float64
    """
    if low <= image.min() and image.max() <= high:
        return image
    scale = len(image) // len(means)
    clipped = np.clip(image, low, high)
    now = block_means(clipped, scale)
    for limit in (low, high):
        way = limit - now
        share = np.divide(means - now, way, out=np.zeros_like(way), where=way != 0).clip(0, 1)
        clipped += share.repeat(scale, axis=0).repeat(scale, axis=1) * (limit - clipped)
    return clipped


def round_keeping_means(image: NDArray[Any], scale: int) -> NDArray[Any]:
    """Round an image whose blocks have whole numbers for means, and keep the means.

    All is rounded to the nearest number; then as many pixels of a block as it is off take the next
    number on their other side, those first that are nearest to it. So no pixel is off by 1, and
    none leaves limits that are whole numbers.

    Parameters
    ----------
    image : ndarray of shape (H * scale, W * scale, C), float64
    scale : int

    Returns
    -------
    ndarray of the image's shape, float64
    """
    rounded: NDArray[Any] = np.rint(image)
    places = np.arange(scale**2)
    for channel in range(image.shape[2]):  # one at a time, for memory
        plane = rounded[..., channel]
        rest = _blocks(image[..., channel] - plane, scale)
        off = np.rint(rest.sum(axis=2, keepdims=True))
        order = np.argsort(rest, axis=2, kind="stable")  # the same on every processor
        up, down = places >= scale**2 - off, places < -off
        steps = np.empty_like(rest)
        np.put_along_axis(steps, order, up.astype(rest.dtype) - down, axis=2)
        plane += _joined(steps, scale)
    return rounded


def _parabola_means(scale: int) -> NDArray[Any]:
    """Return (scale, 5): what pixels of a block are made of, of the five means around it."""
    before, after = np.array([[-1, 7, 7, -1, 0], [0, -1, 7, 7, -1]]) / 12
    own = np.array([0, 0, 1, 0, 0])
    bulge = 6 * (own - (before + after) / 2)
    place = np.arange(scale)[:, None]
    x, x_squared = (2 * place + 1) / (2 * scale), (3 * place * (place + 1) + 1) / (3 * scale**2)
    means: NDArray[Any] = before + x * (after - before) + (x - x_squared) * bulge
    return means


def _enlarge_rows(means: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    height, padded = len(means), np.pad(means, ((MARGIN, MARGIN), (0, 0), (0, 0)), mode="edge")
    result = np.empty((height, len(weights), *means.shape[1:]))
    for place, own in enumerate(weights):
        result[:, place] = sum(w * padded[k : k + height] for k, w in enumerate(own) if w)
    return result.reshape(-1, *means.shape[1:])


def _blocks(plane: NDArray[Any], scale: int) -> NDArray[Any]:
    """Return (H, W, scale * scale) of (H * scale, W * scale)."""
    height, width = (side // scale for side in plane.shape)
    blocks = plane.reshape(height, scale, width, scale).swapaxes(1, 2)
    return blocks.reshape(height, width, scale**2)


def _joined(blocks: NDArray[Any], scale: int) -> NDArray[Any]:
    height, width, _ = blocks.shape
    plane = blocks.reshape(height, width, scale, scale).swapaxes(1, 2)
    return plane.reshape(height * scale, width * scale)
