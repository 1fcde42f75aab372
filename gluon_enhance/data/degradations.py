"""What makes an input of training out of a true image: callables of an image and a generator.

Images are (H, W, 3) float32 RGB in [0, 1]. Those for super-resolution also reduce them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import cv2
import numpy as np

from gluon_enhance.data.blur_kernels import gaussian_kernel, sinc_kernel
from gluon_enhance.data.distortions import (
    add_gaussian_noise,
    add_poisson_noise,
    blur,
    blur_with,
    jpeg,
    mix_colors,
    round_to_8_bits,
    saturation_matrix,
    vignette,
)
from gluon_enhance.data.source_noise import NOISE_SIZE, SourceDegradation
from gluon_enhance.imaging.resize import resize


@dataclass(frozen=True)
class PhoneLook:
    """What a cheap phone does to a photo: a fixed look, with a little chance in every call.

    A net can learn to undo the look. The defaults leave photos at about 21 dB PSNR.

    Parameters
    ----------
    gains : (float, float, float)
        Of R, G and B: a wrong white balance.
    saturation : float
        1 for colors as they are, 0 for gray.
    black, white, gamma : float
        The tone curve ``black + (white - black) * x ** gamma``: less contrast, darker middles.
    vignetting : float
        Fraction by which the corners of a whole photo are darker than its center.
    sigma : float
        Standard deviation of the blur in pixels.
    noise : float
        Standard deviation of the noise, in [0, 1].
    quality : int
        Of the JPEG file.
    jitter : float
        Standard deviation, in each call, of the gains, and of brightness, noise and quality as
        fractions of theirs.
    """

    gains: tuple[float, float, float] = (1.05, 0.98, 0.87)
    saturation: float = 0.78
    black: float = 0.04
    white: float = 0.91
    gamma: float = 1.08
    vignetting: float = 0.15
    sigma: float = 0.7
    noise: float = 0.015
    quality: int = 80
    jitter: float = 0.02

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the phone's version, of the same shape."""
        gains = np.diag(self.gains + rng.normal(0, self.jitter, 3))
        brightness, noise, quality = (1 + rng.normal(0, self.jitter, 3)).tolist()
        image = mix_colors(image, saturation_matrix(self.saturation) @ gains)
        image = self.black + (self.white * brightness - self.black) * image**self.gamma
        image = blur(vignette(image, self.vignetting, rng), self.sigma)
        image = add_gaussian_noise(image, max(0.0, self.noise * noise), rng)
        return jpeg(image, int(np.clip(self.quality * quality, 1, 100)))


@dataclass(frozen=True)
class JohnsonReduction:
    """A Gaussian blur of standard deviation 1 and a bicubic reduction, as Johnson et al. [1]_.

    References
    ----------
    .. [1] Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
       ECCV 2016. https://arxiv.org/abs/1603.08155
    """

    scale: int

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the reduction, (H / scale, W / scale, 3)."""
        return round_to_8_bits(resize(blur(image, 1.0), 1 / self.scale))


class _Order(NamedTuple):
    """One round of Real-ESRGAN's degradation; probabilities, and ranges of uniform numbers."""

    blur: float
    sigma: tuple[float, float]
    up_down: tuple[float, float]
    factor: tuple[float, float]
    noise: tuple[float, float]
    poisson: tuple[float, float]


FIRST = _Order(1.0, (0.2, 3.0), (0.2, 0.7), (0.15, 1.5), (1, 30), (0.05, 3.0))
SECOND = _Order(0.8, (0.2, 1.5), (0.3, 0.4), (0.3, 1.2), (1, 25), (0.05, 2.5))
KERNELS = {
    ("gaussian", False): 0.45,
    ("gaussian", True): 0.25,
    ("generalized", False): 0.12,
    ("generalized", True): 0.03,
    ("plateau", False): 0.12,
    ("plateau", True): 0.03,
}
"""Kind and whether the sigmas differ -> probability."""
BETAS = {"gaussian": (1, 1), "generalized": (0.5, 4), "plateau": (1, 2)}
SINC, FINAL_SINC, GRAY, GAUSSIAN_NOISE = 0.1, 0.8, 0.4, 0.5
QUALITY = (30, 96)
RESAMPLINGS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


@dataclass(frozen=True)
class RealESRGANDegradation:
    """Blur, resizing, noise and JPEG, twice, with the numbers of Real-ESRGAN x4plus [1]_.

    The numbers are those of its published options. Left out are the pool that mixes samples of
    several batches, and the sharpening of the true image.

    References
    ----------
    .. [1] Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure
       Synthetic Data", ICCV Workshops 2021. https://arxiv.org/abs/2107.10833
    """

    scale: int

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the worsened reduction, (H / scale, W / scale, 3)."""
        size = tuple(n // self.scale for n in image.shape[1::-1])
        image = _blurred(image, FIRST, rng)
        image = _resized(image, image.shape[1::-1], FIRST, rng)
        image = jpeg(_noisy(image, FIRST, rng), int(rng.integers(*QUALITY)))
        image = _blurred(image, SECOND, rng)
        image = _noisy(_resized(image, size, SECOND, rng), SECOND, rng)
        # The last filter stands for sharpening, which comes before or after the compression.
        if rng.random() < 0.5:
            return jpeg(_finished(image, size, rng), int(rng.integers(*QUALITY)))
        image = jpeg(image, int(rng.integers(*QUALITY)))
        return round_to_8_bits(_finished(image, size, rng))


def _blurred(image, order, rng):
    return blur_with(image, _random_kernel(order, rng)) if rng.random() < order.blur else image


def _random_kernel(order, rng):
    size = int(rng.integers(3, 11)) * 2 + 1
    if rng.random() < SINC:
        return sinc_kernel(size, rng.uniform(np.pi / 3 if size < 13 else np.pi / 5, np.pi))
    kinds = list(KERNELS)
    kind, anisotropic = kinds[rng.choice(len(kinds), p=list(KERNELS.values()))]
    low, high = BETAS[kind]
    beta = rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)
    sigma_x, sigma_y = rng.uniform(*order.sigma, 2)
    if not anisotropic:
        return gaussian_kernel(size, sigma_x, beta=beta, kind=kind)
    return gaussian_kernel(size, sigma_x, sigma_y, rng.uniform(-np.pi, np.pi), beta, kind)


def _resized(image, size, order, rng):
    """Resize to (columns, rows) times a random factor."""
    up, down = order.up_down
    chance, factor = rng.random(), 1.0
    if chance < up:
        factor = rng.uniform(1, order.factor[1])
    elif chance < up + down:
        factor = rng.uniform(order.factor[0], 1)
    return _resampled(image, tuple(max(1, int(n * factor)) for n in size), rng)


def _resampled(image, size, rng):
    resampling = RESAMPLINGS[rng.integers(len(RESAMPLINGS))]
    return np.clip(cv2.resize(image, size, interpolation=resampling), 0, 1)


def _noisy(image, order, rng):
    gray = rng.random() < GRAY
    if rng.random() < GAUSSIAN_NOISE:
        return add_gaussian_noise(image, rng.uniform(*order.noise) / 255, rng, gray)
    return add_poisson_noise(image, rng.uniform(*order.poisson), rng, gray)


def _finished(image, size, rng):
    image = _resampled(image, size, rng)
    if rng.random() >= FINAL_SINC:
        return image
    return blur_with(
        image, sinc_kernel(int(rng.integers(3, 11)) * 2 + 1, rng.uniform(np.pi / 3, np.pi))
    )


EVERYDAY_BLUR, EVERYDAY_NOISY, COMPRESSED = 0.3, 0.3, 0.85
"""Probabilities."""
EVERYDAY_SIGMA = (0.2, 0.6)
"""In pixels of the reduction."""
EVERYDAY_NOISE = (0.5, 4.0)
EVERYDAY_QUALITY = (50, 98)


@dataclass(frozen=True)
class EverydayDegradation:
    """What a photo goes through on its way to a small picture: made smaller, and kept as JPEG.

    A little blur or noise may be added. It is milder than `RealESRGANDegradation`: most details
    that the size allows are still there.
    """

    scale: int

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the worsened reduction, (H / scale, W / scale, 3)."""
        if rng.random() < EVERYDAY_BLUR:
            image = blur(image, self.scale * rng.uniform(*EVERYDAY_SIGMA))
        size = tuple(n // self.scale for n in image.shape[1::-1])
        image = _resampled(image, size, rng)
        if rng.random() < EVERYDAY_NOISY:
            image = add_gaussian_noise(image, rng.uniform(*EVERYDAY_NOISE) / 255, rng)
        if rng.random() < COMPRESSED:
            return jpeg(image, int(rng.integers(*EVERYDAY_QUALITY)))
        return round_to_8_bits(image)


@dataclass(frozen=True)
class MixedDegradation:
    """A clean bicubic reduction, an everyday one, or Real-ESRGAN's, at random.

    A net that has only seen badly degraded inputs smooths the faint textures of the others away.
    """

    scale: int
    probabilities: tuple[float, float, float] = (0.2, 0.4, 0.4)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the reduction, (H / scale, W / scale, 3)."""
        kind = rng.choice(3, p=self.probabilities)
        if kind == 0:
            return round_to_8_bits(resize(image, 1 / self.scale))
        return (EverydayDegradation, RealESRGANDegradation)[kind - 1](self.scale)(image, rng)


DEGRADATIONS: dict[str, Callable] = {
    "bicubic": lambda paths, scale, size: None,
    "johnson": lambda paths, scale, size: JohnsonReduction(scale),
    "mixed": lambda paths, scale, size: MixedDegradation(scale),
    "realesrgan": lambda paths, scale, size: RealESRGANDegradation(scale),
    "realistic": lambda paths, scale, size: SourceDegradation(paths, scale, max(size, NOISE_SIZE)),
}
"""What the training scripts' --degrade offers, made from photos' paths, scale and largest side."""


def make_degradation(name: str, paths: Sequence[Path], scale: int, size: int) -> Optional[Callable]:
    """Make the `degrade` of a data set; None for the plain bicubic reduction.

    Parameters
    ----------
    name : str
        One of `DEGRADATIONS`.
    paths : sequence of path
        Photos whose noise and blur 'realistic' takes.
    scale : int
    size : int
        Side of the largest reduction that will be made, in pixels.

    Raises
    ------
    ValueError
        If there is no such degradation, or the photos have nothing to take.
    """
    if name not in DEGRADATIONS:
        raise ValueError(f"degrade is {name!r}; choose one of {', '.join(DEGRADATIONS)}")
    return DEGRADATIONS[name](paths, scale, size)
