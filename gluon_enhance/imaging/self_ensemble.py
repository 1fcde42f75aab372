"""Geometric self-ensemble: the mean of what a net makes of an image turned and flipped."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray

Run = Callable[[NDArray[Any]], NDArray[Any]]


def self_ensemble(run: Run) -> Run:
    """Have a net see a batch in all eight turns and flips, and give the mean [1]_.

    Parameters
    ----------
    run : callable
        Takes (N, C, H, W) and (N, C, W, H) float32, gives (N, C, H * scale, W * scale) of it.

    Returns
    -------
    callable
        Of the same form; takes eight times as long.

    References
    ----------
    .. [1] Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution",
       CVPR Workshops 2017. https://arxiv.org/abs/1707.02921
    """

    def mean(batch: NDArray[Any]) -> NDArray[Any]:
        total: Any = 0
        for turns in range(4):
            for step in (1, -1):
                seen = np.rot90(batch, turns, axes=(2, 3))[..., ::step]
                made = run(np.ascontiguousarray(seen))[..., ::step]
                total = total + np.rot90(made, -turns, axes=(2, 3))
        average: NDArray[Any] = total / 8
        return average

    return mean
