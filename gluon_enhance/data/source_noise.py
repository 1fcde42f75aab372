"""Reductions with the noise and the blur of given photos: nothing is learned, all is measured.

The way is RealSR's [1]_: the noise is cut out of flat parts of the source photos. The blur is a
Gaussian as wide as their edges are, where RealSR trains a net (KernelGAN) per photo.

References
----------
.. [1] Ji et al., "Real-World Super-Resolution via Kernel Estimation and Noise Injection",
   CVPR Workshops 2020.
.. [2] Zhuo and Sim, "Defocus map estimation from a single image", Pattern Recognition 44(9), 2011.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from gluon_enhance.data.distortions import blur, round_to_8_bits
from gluon_enhance.data.folders import read_rgb
from gluon_enhance.errors import plural
from gluon_enhance.imaging.resize import resize

MAX_PHOTOS = 32
NOISE_SIZE = 64
"""Pixels a side of the noise patches, unless reductions are larger."""
MAX_SIDE = 1024
"""Pixels of each side that are looked at, in the middle of a photo."""
MAX_PATCHES = 16
"""Noise patches of one photo."""
MAX_VARIANCE = 20.0
MEANS = (50.0, 205.0)
"""Variance and mean of a flat part, in 8-bit levels; near black and white noise is cut off."""
EDGE_FRACTION = 0.002
"""Fraction of the pixels that are taken for edges: those with the steepest gradient."""
REBLUR = 1.0
"""Standard deviation, in pixels, of the blur that tells how sharp an edge was before."""
DIFFERENCE_VARIANCE = 1 / 3
"""What the gradient, a difference over two pixels, adds to the variance of an edge."""
BICUBIC_SIGMA = 0.49
"""`edge_sigma` of a perfect edge in a bicubic reduction."""


class SourceDegradation:
    """Reduce an image and give it the blur and the noise of photos.

    Parameters
    ----------
    paths : sequence of path
        The source photos; of many, `MAX_PHOTOS` are looked at.
    scale : int
    noise_size : int
        Side of the noise patches, in pixels: at least that of the reductions.

    Attributes
    ----------
    sigmas : list of float
        Width of the edges of each photo, in its pixels.
    noises : list of ndarray of shape (noise_size, noise_size, 3), float32
        Noise in [-1, 1], with mean 0.

    Raises
    ------
    ValueError
        If no photo has a flat part.
    """

    def __init__(self, paths: Sequence[Path], scale: int, noise_size: int = NOISE_SIZE):
        self.scale = scale
        self.noise_size = noise_size
        self.sigmas, self.noises = [], []
        for photo in read_rgb(paths[:: math.ceil(len(paths) / MAX_PHOTOS)]):
            top, left = (max(n - MAX_SIDE, 0) // 2 for n in photo.shape[:2])
            photo = photo[top : top + MAX_SIDE, left : left + MAX_SIDE]
            self.sigmas.append(edge_sigma(photo))
            self.noises += noise_patches(photo, noise_size)
        if not self.noises:
            raise ValueError(
                f"no flat part of {noise_size} pixels a side, to take noise from, is in "
                f"{plural(len(self.sigmas), 'photo')}; give others, or choose another degradation"
            )

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the reduction, (H / scale, W / scale, 3), float32 in [0, 1].

        Raises
        ------
        ValueError
            If it is larger than the noise patches.
        """
        wanted = self.sigmas[rng.integers(len(self.sigmas))] ** 2 - BICUBIC_SIGMA**2
        if wanted > 0:
            image = blur(image, self.scale * math.sqrt(wanted))
        lr = resize(image, 1 / self.scale)
        if max(lr.shape) > self.noise_size:
            raise ValueError(
                f"a reduction is {lr.shape[1]}x{lr.shape[0]}, its noise {self.noise_size} pixels a "
                "side; give a larger noise_size"
            )
        noise = self.noises[rng.integers(len(self.noises))]
        top, left = (rng.integers(self.noise_size - n + 1) for n in lr.shape[:2])
        return round_to_8_bits(lr + noise[top : top + lr.shape[0], left : left + lr.shape[1]])


def noise_patches(photo: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut patches out of flat parts of a photo, and subtract their mean color and its slope.

    Parameters
    ----------
    photo : ndarray of shape (H, W, 3), uint8
    size : int

    Returns
    -------
    list of ndarray of shape (size, size, 3), float32 in [-1, 1]
        At most `MAX_PATCHES`, evenly chosen.
    """
    rows, columns = (n // size for n in photo.shape[:2])
    tiles = photo[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
    tiles = tiles.swapaxes(1, 2).reshape(-1, size, size, 3).astype(np.float32)
    means = tiles.mean(axis=(1, 2), keepdims=True)
    tiles -= means
    ramp = np.arange(size, dtype=np.float32) - (size - 1) / 2
    steepness = size * float(ramp @ ramp)
    tiles -= np.einsum("nhwc,h->nc", tiles, ramp)[:, None, None] * ramp[:, None, None] / steepness
    tiles -= np.einsum("nhwc,w->nc", tiles, ramp)[:, None, None] * ramp[:, None] / steepness
    inside = ((means > MEANS[0]) & (means < MEANS[1])).all(axis=(1, 2, 3))
    flat = np.flatnonzero(inside & (tiles.var(axis=(1, 2, 3)) < MAX_VARIANCE))
    return list(tiles[flat[:: max(1, math.ceil(len(flat) / MAX_PATCHES))]] / 255)


def edge_sigma(photo: np.ndarray) -> float:
    """Estimate the standard deviation of the blur of a photo, in pixels, from its edges.

    Where a step was blurred by sigma, another blur, by `REBLUR`, makes the gradient less steep by
    ``sqrt(1 + (REBLUR / sigma)**2)``, whatever the height of the step [2]_. The median over the
    steepest places is taken.

    Parameters
    ----------
    photo : ndarray of shape (H, W, 3), uint8

    Returns
    -------
    float
        Right to a tenth from one pixel on; 0 if nothing in the photo is an edge.
    """
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    before, after = (_gradient(image) for image in (gray, blur(gray, REBLUR)))
    edges = before >= max(1, np.quantile(before, 1 - EDGE_FRACTION))
    if not edges.any():
        return 0.0
    ratio = float(np.median(before[edges] / after[edges]))
    variance = REBLUR**2 / max(ratio**2 - 1, 1e-6)
    return math.sqrt(max(variance - DIFFERENCE_VARIANCE, 0.0))


def _gradient(gray):
    return np.hypot(cv2.Sobel(gray, -1, 1, 0), cv2.Sobel(gray, -1, 0, 1))
