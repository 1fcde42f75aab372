"""What compression and nets leave in pictures: blocks, waves beside edges, checkerboards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from gluon_enhance.imaging.image_pairs import STRIP, check_pair, check_single, cropped, luma

RING = 16
"""Pixels beside an edge in which it may ring."""
TILE = 128
"""Largest side of the tiles of which spectra are taken, in pixels."""
FLAT_POWER = 1e-9
"""Mean power, in levels of 255 squared, that is rounding's."""


def blockiness(
    image: NDArray[Any],
    *,
    block: int = 8,
    data_range: Optional[float] = None,
    crop_border: int = 0,
) -> float:
    """Return the steps at the borders of JPEG's blocks, of those elsewhere; 1 for no blocks.

    A step is the mean magnitude of the difference of neighboring pixels. Rows and columns are
    averaged.

    Parameters
    ----------
    image : ndarray of shape (H, W), or (H, W, 3), of which Y of BT.601 is taken
    block : int
        Side of the blocks, the first of which begins at the image's corner: 8, times the scale by
        which a JPEG was enlarged.
    data_range : float, optional
        Value of white. Default: 255 for uint8, 65535 for uint16, 1 for floating dtypes.
    crop_border : int
        Pixels left out at each side; the blocks stay where they are.

    Returns
    -------
    float
        Infinite if there are steps at the blocks' borders alone.

    Raises
    ------
    ValueError
        If the image is neither gray nor RGB, is empty, holds NaN or infinity, or has less than two
        blocks inside the border on either axis, or `block` is less than 2.

    Examples
    --------
    >>> ramp = np.arange(32.0) + np.arange(32.0)[:, None]
    >>> blockiness(ramp)
    1.0
    """
    peak = check_single(image, data_range, crop_border)
    if block < 2 or min(image.shape[:2]) - 2 * crop_border < 2 * block:
        raise ValueError(
            f"image has shape {image.shape}, crop_border is {crop_border}, block {block}: "
            "blockiness needs blocks of 2x2 pixels or more, and two of them on either axis"
        )
    inside = cropped(image, crop_border)
    across, down = np.zeros(inside.shape[1] - 1), []
    for top in range(0, inside.shape[0], STRIP):
        plane = luma(inside[top : top + STRIP + 1], peak)  # with the next band's first row
        across += np.abs(np.diff(plane[:STRIP], axis=1)).sum(axis=0)
        down.extend(np.abs(np.diff(plane, axis=0)).sum(axis=1))
    ratios = (_ratio(np.asarray(steps), block, crop_border) for steps in (across, down))
    return sum(ratios) / 2


def _ratio(steps: NDArray[Any], block: int, crop_border: int) -> float:
    """Compare the steps at every multiple of `block` with the others."""
    is_border = (np.arange(len(steps)) + crop_border + 1) % block == 0
    border, elsewhere = float(steps[is_border].mean()), float(steps[~is_border].mean())
    if elsewhere:
        return border / elsewhere
    return math.inf if border else 1.0


def checkerboard(
    image: NDArray[Any],
    *,
    period: int = 4,
    data_range: Optional[float] = None,
    crop_border: int = 0,
) -> float:
    """Return how strongly a pattern repeats every `period` pixels, as enlarging nets draw it [1]_.

    It is the mean power of the spectrum at the pattern's frequencies, the multiples of 1 / `period`
    in both directions, in units of the mean power of all fine structure, with periods below 1.5
    times `period`: 1 for noise and less for what a kernel enlarged. Spectra are taken of tiles of
    up to 128x128 pixels, which overlap by half, under a Hann window, and the ratios averaged.

    Parameters
    ----------
    image : ndarray of shape (H, W), or (H, W, 3), of which Y of BT.601 is taken
    period : int
        The scale by which the image was enlarged.
    data_range : float, optional
        Value of white. Default: 255 for uint8, 65535 for uint16, 1 for floating dtypes.
    crop_border : int
        Pixels left out at each side.

    Returns
    -------
    float
        0 if there is no fine structure.

    Raises
    ------
    ValueError
        If the image is neither gray nor RGB, is empty, holds NaN or infinity, or has less than
        eight periods inside the border on either axis, or `period` is not from 2 to 16.

    References
    ----------
    .. [1] Odena, Dumoulin, Olah, "Deconvolution and Checkerboard Artifacts", Distill, 2016.

    Examples
    --------
    >>> checkerboard(np.full((64, 64), 0.5))
    0.0
    """
    peak = check_single(image, data_range, crop_border)
    size = min(TILE, min(image.shape[:2]) - 2 * crop_border)
    if not 2 <= period <= 16 or size < 8 * period:
        raise ValueError(
            f"image has shape {image.shape}, crop_border is {crop_border}, period {period}: "
            "checkerboard needs a period from 2 to 16, and eight of them on either axis"
        )
    inside, side = cropped(image, crop_border), size // period * period
    window = np.hanning(side + 1)[:-1]
    fine, at_period = _fine_frequencies(side, period)
    ratios = []
    for rows, columns in _half_overlapping(inside.shape, side):
        tile = luma(inside[rows, columns], peak)
        spectrum = np.fft.fft2((tile - tile.mean()) * np.outer(window, window))
        power = np.abs(spectrum) ** 2 / side**2
        mean = power[fine].mean()
        ratios.append(power[at_period].mean() / mean if mean > FLAT_POWER else 0.0)
    return float(np.mean(ratios))


def _fine_frequencies(side: int, period: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return where a spectrum's periods are below 1.5 times `period`, and where it repeats too."""
    frequency = np.fft.fftfreq(side)
    fine = np.hypot(frequency[:, None], frequency) > 1 / (1.5 * period)
    bins = side * np.abs(frequency - np.rint(frequency * period) / period)
    near = bins < 1.5  # the window spreads a line over three
    return fine, fine & np.outer(near, near)


def _half_overlapping(shape: tuple[int, ...], side: int) -> Iterator[tuple[slice, slice]]:
    starts = (range(0, n - side + 1, side // 2) for n in shape[:2])
    for top, left in product(*starts):
        yield slice(top, top + side), slice(left, left + side)


def ringing(
    image: NDArray[Any],
    reference: NDArray[Any],
    *,
    data_range: Optional[float] = None,
    crop_border: int = 0,
) -> float:
    """Return how strongly an image rings beside the edges of the reference [1]_; 0 for equal ones.

    Edges are where the magnitude of the reference's horizontal Sobel gradient is the largest of
    its row's neighbors, and its square more than four times the mean square. Each edge extends in
    the image to the nearest extremes of its row on both sides. What is beyond, up to 16 pixels
    from the edge, may ring: it counts by its width, times the span of the differences from the
    reference in it. The result is the mean over both sides of all edges. The threshold and the
    reach of 16, which suits JPEG's blocks of 8, are chosen here.

    Parameters
    ----------
    image, reference : ndarray of shape (H, W) or (H, W, 3), the same shape and dtype
        Of RGB Y of BT.601 is taken.
    data_range : float, optional
        Value of white. Default: 255 for uint8, 65535 for uint16, 1 for floating dtypes.
    crop_border : int
        Pixels left out at each side.

    Returns
    -------
    float
        In levels of 255, times pixels; 0 if the reference has no edge.

    Raises
    ------
    ValueError
        As `psnr`, and if images are neither gray nor RGB.

    References
    ----------
    .. [1] Marziliano, Dufaux, Winkler, Ebrahimi, "Perceptual blur and ringing metrics:
       application to JPEG2000", Signal Processing: Image Communication 19(2), 2004.

    Examples
    --------
    >>> flat = np.zeros((8, 8))
    >>> ringing(flat, flat)
    0.0
    """
    peak = check_pair(image, reference, data_range, crop_border, y_channel=False)
    image, reference = cropped(image, crop_border), cropped(reference, crop_border)
    squares = sum(float(np.square(g).sum()) for *_, g in _gradients(reference, peak))
    threshold = math.sqrt(4 * squares / (image.shape[0] * image.shape[1]))
    total, count = 0.0, 0
    for rows, truth, gradient in _gradients(reference, peak):
        edges = _edges(gradient, threshold)
        band = luma(image[rows], peak)
        difference = band - truth
        for side in (1, -1):  # the left sides of edges, and of those in the mirror
            left = edges[:, ::side], side * gradient[:, ::side]
            total += _left_rings(*left, band[:, ::side], difference[:, ::side])
        count += 2 * np.count_nonzero(edges)
    return total / count if count else 0.0


def _gradients(
    image: NDArray[Any], peak: float
) -> Iterator[tuple[slice, NDArray[Any], NDArray[Any]]]:
    """Yield bands of rows, with their luma and its horizontal Sobel gradients."""
    height = len(image)
    for top in range(0, height, STRIP):
        bottom = min(top + STRIP, height)
        rows = np.clip(np.arange(top - 1, bottom + 1), 0, height - 1)
        plane = np.pad(luma(image[rows], peak), [(0, 0), (1, 1)], mode="edge")
        steps = plane[:, 2:] - plane[:, :-2]
        gradient = steps[:-2] + 2 * steps[1:-1] + steps[2:]
        yield slice(top, bottom), plane[1:-1, 1:-1], gradient


def _edges(gradient: NDArray[Any], threshold: float) -> NDArray[Any]:
    """Tell where a gradient is strong, and the strongest of its neighbors in the row."""
    strength = np.abs(gradient)
    padded = np.pad(strength, [(0, 0), (1, 1)])
    is_peak = (strength > padded[:, :-2]) & (strength >= padded[:, 2:])
    edges: NDArray[Any] = is_peak & (strength > threshold)
    return edges


def _left_rings(
    edges: NDArray[Any], gradient: NDArray[Any], band: NDArray[Any], difference: NDArray[Any]
) -> float:
    """Sum, over edges, of the width and span of what rings at their left side."""
    row, column = np.nonzero(edges)
    rise = np.sign(gradient[row, column])
    width = np.zeros(len(row), int)  # of the edge's left side
    climbing = np.ones(len(row), bool)
    low, high = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    for distance in range(RING + 1):
        at = column - distance
        own = band[row, np.maximum(at, 0)]
        before = band[row, np.maximum(at - 1, 0)]
        climbing &= (own - before) * rise > 0
        width += climbing
        rings = ~climbing & (at >= 0)
        value = difference[row, np.maximum(at, 0)]
        low = np.where(rings, np.minimum(low, value), low)
        high = np.where(rings, np.maximum(high, value), high)
    extent = np.minimum(RING, column) - width
    return float(np.sum((extent * (high - low))[extent > 0]))
