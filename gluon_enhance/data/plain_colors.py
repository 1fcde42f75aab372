"""Plain colors among photos, for nets that are to keep them."""

from __future__ import annotations

from typing import Callable

import numpy as np


def with_plain_colors(draw: Callable, share: float) -> Callable:
    """Mix shades from one plain color to another into a data set of patches.

    Photos have few of the colors that graphics are filled with: nets that had seen photos alone
    made pure blue greener by 27 to 31 of 255.

    Parameters
    ----------
    draw : callable
        Draws a sample, as `gluon_enhance.data.patches.Patches.draw` does: the input, and images
        that are the truth or stand for it, all of them square and with three channels.
    share : float
        Of the samples, in [0, 1]. Of these shades a third is gray, a half has but one color, and a
        quarter goes from and to black, white and pure colors, which paper and graphics have. All
        images of a sample show the same shade; the input has 8 bits.

    Returns
    -------
    callable
        Draws as `draw` does.
    """
    if not share:
        return draw

    def draw_mixed(rng, turn=None):
        images = draw(rng, turn)
        if rng.random() >= share:
            return images
        ends = rng.random((2, 1 if rng.random() < 1 / 3 else 3))
        if rng.random() < 0.5:
            ends[1] = ends[0]
        if rng.random() < 0.25:
            ends = ends.round()
        angle = rng.uniform(0, 2 * np.pi)
        lr, *larger = (_shade(image.shape[1], *ends, angle) for image in images)
        return np.round(255 * lr) / np.float32(255), *larger

    return draw_mixed


def _shade(side, start, end, angle):
    """Shade a square from one color to another along a direction."""
    across = (np.arange(side) + 0.5) / side - 0.5
    along = 0.5 + np.cos(angle) * across + np.sin(angle) * across[:, None]
    colors = start[:, None, None] + (end - start)[:, None, None] * np.clip(along, 0, 1)
    return np.broadcast_to(colors, (3, side, side)).astype(np.float32)
