"""What makes an input of training out of a true image: callables of an image and a generator.

Images are (H, W, 3) float32 RGB in [0, 1]. Those for super-resolution also reduce them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

import numpy as np

from gluon_enhance.data.distortions import (
    add_gaussian_noise,
    blur,
    jpeg,
    mix_colors,
    resample_somehow,
    round_to_8_bits,
    saturation_matrix,
    vignette,
)
from gluon_enhance.data.real_esrgan import Numbers, RealESRGANDegradation
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


AS_IT_IS = 0.125
"""Probability."""
LOOK_CAST, LOOK_TINT, LOOK_TONE = 0.025, 0.008, 0.04
"""Standard deviations of logarithms: of red and blue in opposite directions, of green, of gamma."""
LOOK_SATURATION = (0.85, 1.05)
LOOK_BLACK = (0.0, 0.03)
LOOK_WHITE = (0.94, 1.0)
LOOK_VIGNETTING = (0.0, 0.06)
LOOK_SIGMA = (0.4, 1.5)
LOOK_NOISE = (0.005, 0.07)
LOOK_QUALITY = (40, 95)


@dataclass(frozen=True)
class PhoneLooks:
    """The look of another phone in every call: of the other color cast as often as of the one.

    A net that has seen one look undoes it everywhere, and puts the opposite cast on photos that
    have none. With these, what a photo itself does not tell stays as it is. Casts are small, and
    noise, blur and compression large: what colors a scene had, a photo tells little of.

    Parameters
    ----------
    as_it_is : float
        Share of images, in [0, 1], that are left as they are.
    """

    as_it_is: float = AS_IT_IS

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a phone's version, or the image itself, of 8 bits and the same shape."""
        if rng.random() < self.as_it_is:
            return round_to_8_bits(image)
        warm, tint, tone = rng.normal(0, (LOOK_CAST, LOOK_TINT, LOOK_TONE))
        look = PhoneLook(
            gains=tuple(np.exp((warm, tint, -warm)).tolist()),
            saturation=rng.uniform(*LOOK_SATURATION),
            black=rng.uniform(*LOOK_BLACK),
            white=rng.uniform(*LOOK_WHITE),
            gamma=float(np.exp(tone)),
            vignetting=rng.uniform(*LOOK_VIGNETTING),
            sigma=rng.uniform(*LOOK_SIGMA),
            noise=rng.uniform(*LOOK_NOISE),
            quality=int(rng.integers(*LOOK_QUALITY)),
            jitter=0,
        )
        return look(image, rng)


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
        image = resample_somehow(image, size, rng)
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
    numbers: Numbers = Numbers()

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the reduction, (H / scale, W / scale, 3)."""
        kind = rng.choice(3, p=self.probabilities)
        if kind == 0:
            return round_to_8_bits(resize(image, 1 / self.scale))
        if kind == 1:
            return EverydayDegradation(self.scale)(image, rng)
        return RealESRGANDegradation(self.scale, self.numbers)(image, rng)


DEGRADATIONS: dict[str, Callable] = {
    "bicubic": lambda paths, scale, size: None,
    "johnson": lambda paths, scale, size: JohnsonReduction(scale),
    "mixed": lambda paths, scale, size, **numbers: MixedDegradation(scale, **numbers),
    "realesrgan": lambda paths, scale, size, **numbers: RealESRGANDegradation(scale, **numbers),
    "realistic": lambda paths, scale, size: SourceDegradation(paths, scale, max(size, NOISE_SIZE)),
}
"""What the training scripts' --degrade offers, made from photos' paths, scale and largest side."""

NUMBERED = ("mixed", "realesrgan")
"""Those of them that have Real-ESRGAN's numbers."""


def make_degradation(
    name: str,
    paths: Sequence[Path],
    scale: int,
    size: int,
    numbers: Optional[Numbers] = None,
) -> Optional[Callable]:
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
    numbers : Numbers, optional
        Of those in `NUMBERED`; default: the published ones.

    Raises
    ------
    ValueError
        If there is no such degradation, it has no numbers, or the photos have nothing to take.
    """
    if name not in DEGRADATIONS:
        raise ValueError(f"degrade is {name!r}; choose one of {', '.join(DEGRADATIONS)}")
    if numbers is None:
        return DEGRADATIONS[name](paths, scale, size)
    if name not in NUMBERED:
        raise ValueError(
            f"degrade is {name!r}, which has no numbers; {' and '.join(NUMBERED)} have"
        )
    return DEGRADATIONS[name](paths, scale, size, numbers=numbers)
