"""Small pictures of the kinds on which fewer bits show: what a precision is checked with.

Noise hides errors; flat areas and slopes show them, and lines and dots drive a net's maps to values
that photos do not.
"""

from __future__ import annotations

import math
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

SIDE = 48
VARIANTS, CONTRAST = range(1, 5), 0.7
"""Of `soft_pictures`. The more contrast, the nearer are lines and dots, and the coarser is all
else: with 1 the 8-bit files of ``rrdb_lite_x4`` lose 0.45 dB on Set5, with 0.7 they lose 0.16."""
Channels = Union[NDArray[Any], list[NDArray[Any]]]
"""Three, or one for all three, each of shape (SIDE, SIDE)."""


def check_pictures(variant: int = 0) -> dict[str, NDArray[Any]]:
    """Compute the pictures.

    Parameters
    ----------
    variant : int
        From 0: others of the same kinds, so that a net can be made with some and checked with 0.

    Returns
    -------
    dict of str to ndarray of shape (3, SIDE, SIDE), float32 in [0, 1]
        By what they show.
    """
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    y, x = rows / SIDE, columns / SIDE
    dots = 1.3 + 0.1 * variant
    fields = (1 + 2 * (rows // (SIDE // 2)) + columns // (SIDE // 2) + variant / 9) / 5
    pictures: dict[str, Channels] = {
        "photo": _photo(x, y, variant),
        "text": [1 - 0.9 * _strokes(rows, columns, variant)],
        "hatch": [(rows + columns) % (4 + variant) < 2],
        "halftone": [np.sin(dots * rows) * np.sin(dots * columns) > 1.4 * x - 0.7],
        "sky": [0.35 + 0.02 * variant + 0.25 * y, 0.55 + 0.2 * y, 0.85 + 0.1 * y],
        "grays": [fields],
    }
    return {kind: _stacked(channels) for kind, channels in pictures.items()}


def soft_pictures(contrast: float = CONTRAST) -> list[NDArray[Any]]:
    """Compute pictures of every kind, of less contrast, that ranges of maps are taken from.

    Parameters
    ----------
    contrast : float
        Of 1, that of the check pictures.

    Returns
    -------
    list of ndarray of shape (1, 3, SIDE, SIDE), float32 in [0, 1]
        None is one that nets are checked with.
    """
    pictures = (picture for k in VARIANTS for picture in check_pictures(k).values())
    return [0.5 + np.float32(contrast) * (picture[None] - 0.5) for picture in pictures]


def agreement(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Compute the PSNR in dB of what is seen of two answers in [0, 1]; 0 if one is not finite."""
    error = np.mean(np.square(np.clip(a, 0, 1) - np.clip(b, 0, 1), dtype=np.float64))
    return -10 * math.log10(max(np.nan_to_num(error, nan=1), 1e-12))


def _stacked(channels: Channels) -> NDArray[Any]:
    """Stack three channels, or one for all three."""
    planes = np.stack(list(channels) * (3 // len(channels)))
    clipped: NDArray[Any] = np.clip(planes, 0, 1)
    return clipped.astype(np.float32)


def _photo(x: NDArray[Any], y: NDArray[Any], seed: int) -> NDArray[Any]:
    """Slopes, a disc with an edge, and fine texture."""
    texture = np.random.default_rng(seed).normal(0, 0.05, (3, SIDE, SIDE))
    disc = (y - 0.5) ** 2 + (x - 0.4) ** 2 < 0.1
    photo: NDArray[Any] = np.stack([y, x, 1 - y]) * 0.6 + 0.3 * disc + texture
    return photo


def _strokes(rows: NDArray[Any], columns: NDArray[Any], seed: int) -> NDArray[Any]:
    """Lines of small signs, each of strokes in a grid of 5 by 3 cells of a pixel and a half."""
    cells = np.random.default_rng(seed).random((SIDE, SIDE)) < 0.6
    row, column = 2 * rows // 3, 2 * columns // 3
    is_between = (row % 7 >= 5) | (column % 4 == 3)
    strokes: NDArray[Any] = cells[row, column] & ~is_between
    return strokes
