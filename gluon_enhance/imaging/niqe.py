"""NIQE: how far a picture's statistics are from those of good photos, without a reference.

Pictures go through in rows of blocks, so memory does not grow with their height.

References
----------
.. [1] Mittal, Soundararajan, Bovik, "Making a 'completely blind' image quality analyzer", IEEE
   Signal Processing Letters 20(3), 2013, and the code published with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from gluon_enhance.errors import plural
from gluon_enhance.imaging.image_pairs import check_single, luma
from gluon_enhance.imaging.resize import resize

BLOCK = 96
FEATURES = 36
"""Of a block: 18 on either of two scales."""
SHARP = 0.75
"""Of the sharpest block's sharpness: what a block needs for the model to learn from it."""
WINDOW, SIGMA = 7, 7 / 6
"""Of the Gaussian that local means and deviations are weighed by."""
HALO = 16
"""Rows of context that a row of blocks needs: of the window on the second scale and the resize."""
SHAPES = np.arange(200, 10001) / 1000
"""Shapes of a generalized Gaussian that the estimate is one of."""
ROUNDING = 1e-9
"""What is less, in flat parts, is of the arithmetic and not of the picture."""
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""To the neighbors that a normalized pixel is multiplied with."""


@dataclass(frozen=True)
class NIQEModel:
    """The normal distribution of the features of good photos' blocks.

    Attributes
    ----------
    mean : ndarray of shape (36,)
    covariance : ndarray of shape (36, 36)
    """

    mean: NDArray[Any]
    covariance: NDArray[Any]


def niqe(
    image: NDArray[Any],
    model: NIQEModel,
    *,
    data_range: Optional[float] = None,
    crop_border: int = 0,
) -> float:
    """Return the distance of an image's statistics from a model's [1]_; less is more natural.

    Parameters
    ----------
    image : ndarray of shape (H, W), or (H, W, 3), of which Y of BT.601 is taken
        Whole blocks of 96x96 pixels count, from the corner inside the border.
    model : NIQEModel
        Scores are comparable under one model only.
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
        If the image is neither gray nor RGB, is empty, holds NaN or infinity, or has fewer than two
        blocks that are not flat inside the border.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> model = fit_niqe([rng.random((192, 192)) for _ in range(10)])
    >>> noise, smooth = rng.random((192, 192)), np.indices((192, 192)).sum(0) / 384
    >>> niqe(noise, model) < niqe(noise * 0.1 + smooth * 0.9, model)
    True
    """
    features, _ = block_features(image, data_range=data_range, crop_border=crop_border)
    if len(_whole(features)) < 2:
        raise ValueError(
            f"image has shape {image.shape}; niqe needs two blocks of {BLOCK}x{BLOCK} pixels that "
            f"are not flat inside crop_border {crop_border}"
        )
    own = _normal(features)
    difference = model.mean - own.mean
    inverse = np.linalg.pinv((model.covariance + own.covariance) / 2)
    return math.sqrt(max(0.0, float(difference @ inverse @ difference)))


def fit_niqe(images: Iterable[NDArray[Any]]) -> NIQEModel:
    """Fit the model to good photos: to those blocks of each that are sharp.

    Parameters
    ----------
    images : iterable of ndarray, of the kinds that `niqe` takes
        Those smaller than a block count for nothing.

    Returns
    -------
    NIQEModel

    Raises
    ------
    ValueError
        If fewer than 37 blocks are left: a covariance of 36 features needs more.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> fit_niqe([rng.random((192, 192)) for _ in range(10)]).mean.shape
    (36,)
    """
    chosen = [np.empty((0, FEATURES))]
    for image in images:
        features, sharpness = block_features(image)
        if len(features):
            chosen.append(features[sharpness > SHARP * sharpness.max()])
    features = np.concatenate(chosen)
    count = len(_whole(features))
    if count <= FEATURES:
        raise ValueError(
            f"the photos hold {plural(count, 'sharp block')} of {BLOCK}x{BLOCK} pixels; NIQE needs "
            f"more than {FEATURES}: give more photos, or larger ones"
        )
    return _normal(features)


def block_features(
    image: NDArray[Any], *, data_range: Optional[float] = None, crop_border: int = 0
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the features and the sharpness of every block, row by row.

    Returns
    -------
    features : ndarray of shape (N, 36)
        With NaN for blocks that are flat.
    sharpness : ndarray of shape (N,)
        Mean local deviation, in levels of 255.
    """
    peak = check_single(image, data_range, crop_border)
    height, width = (max(0, n - 2 * crop_border) // BLOCK * BLOCK for n in image.shape[:2])
    inside = image[crop_border:, crop_border:][:height, :width]
    features, sharpness = [np.empty((0, FEATURES))], [np.empty(0)]
    for top in range(0, height if width else 0, BLOCK):
        first, last = max(0, top - HALO), min(height, top + BLOCK + HALO)
        plane = luma(inside[first:last], peak)
        normalized, deviation = _normalized(plane)
        rows = slice(top - first, top - first + BLOCK)
        half, _ = _normalized(_halved(plane))
        half_rows = slice(rows.start // 2, rows.stop // 2)
        scales = (_features(normalized[rows], BLOCK), _features(half[half_rows], BLOCK // 2))
        features.append(np.concatenate(scales, axis=1))
        sharpness.append(_blocks(deviation[rows], BLOCK).mean(axis=(1, 2)))
    return np.concatenate(features), np.concatenate(sharpness)


def _normalized(plane: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a plane less its local mean, divided by its local deviation plus 1; and the latter."""
    mean = _blur(plane)
    deviation = np.sqrt(np.abs(_blur(plane * plane) - mean * mean))
    normalized = (plane - mean) / (deviation + 1)
    normalized[np.abs(normalized) < ROUNDING] = 0
    return normalized, deviation


def _blur(plane: NDArray[Any]) -> NDArray[Any]:
    weights = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / SIGMA) ** 2)
    weights /= weights.sum()
    padded = np.pad(plane, WINDOW // 2, mode="edge")
    rows = sum(w * padded[i : i + len(plane)] for i, w in enumerate(weights))
    width = plane.shape[1]
    blurred: NDArray[Any] = sum(w * rows[:, i : i + width] for i, w in enumerate(weights))
    return blurred


def _halved(plane: NDArray[Any]) -> NDArray[Any]:
    """Reduce as today's MATLAB does, with what is beyond the edges mirrored."""
    margin = 8
    padded = np.pad(plane, margin, mode="symmetric")
    return resize(padded, 0.5)[margin // 2 : -margin // 2, margin // 2 : -margin // 2]


def _blocks(plane: NDArray[Any], side: int) -> NDArray[Any]:
    """Cut a row of blocks: (side, N * side) to (N, side, side)."""
    return plane.reshape(side, -1, side).swapaxes(0, 1)


def _features(normalized: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the 18 features of each block of a row."""
    blocks = _blocks(normalized, side)
    shape, left, right = estimate_aggd(blocks)
    features = [shape, (left + right) / 2]
    for direction in DIRECTIONS:
        products = blocks * np.roll(blocks, direction, axis=(1, 2))
        shape, left, right = estimate_aggd(products)
        mean = (right - left) * np.exp(_log_gamma(2 / shape) - _log_gamma(1 / shape))
        features += [shape, mean, left, right]
    return np.stack(features, axis=1)


def estimate_aggd(blocks: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Estimate asymmetric generalized Gaussians by their moments.

    The density of x < 0 is in proportion to ``exp(-(-x / left) ** shape)``, that of x > 0 to
    ``exp(-(x / right) ** shape)``.

    Parameters
    ----------
    blocks : ndarray of shape (N, ...)
        N samples.

    Returns
    -------
    shape, left, right : ndarray of shape (N,)
        The shape is a multiple of 0.001 from 0.2 to 10. Where there are no numbers of both signs,
        it is 0.2, as in the authors' code, and a scale is NaN.
    """
    samples = blocks.reshape(len(blocks), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.square(samples)
        left, right = (
            np.sqrt((squares * where).sum(axis=1) / where.sum(axis=1))
            for where in (samples < 0, samples > 0)
        )
        ratio = left / right
        moments = np.abs(samples).mean(axis=1) ** 2 / squares.mean(axis=1)
        moments *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = SHAPES[_nearest(_moments_of_shapes(), moments)]
    scale = np.exp((_log_gamma(1 / shape) - _log_gamma(3 / shape)) / 2)
    return shape, left * scale, right * scale


@cache
def _moments_of_shapes() -> NDArray[Any]:
    """Return E|x|**2 / E x**2 of generalized Gaussians; it rises with the shape."""
    log = 2 * _log_gamma(2 / SHAPES) - _log_gamma(1 / SHAPES) - _log_gamma(3 / SHAPES)
    moments: NDArray[Any] = np.exp(log)
    return moments


def _nearest(table: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return the index of what is nearest in a rising table; the first for NaN."""
    after = np.searchsorted(table, np.nan_to_num(values, nan=-np.inf)).clip(1, len(table) - 1)
    is_before = np.isnan(values) | (values - table[after - 1] <= table[after] - values)
    return np.where(is_before, after - 1, after)


def _log_gamma(values: NDArray[Any]) -> NDArray[Any]:
    return np.array([math.lgamma(value) for value in values])


def _whole(features: NDArray[Any]) -> NDArray[Any]:
    whole: NDArray[Any] = features[~np.isnan(features).any(axis=1)]
    return whole


def _normal(features: NDArray[Any]) -> NIQEModel:
    return NIQEModel(np.nanmean(features, axis=0), np.cov(_whole(features), rowvar=False))
