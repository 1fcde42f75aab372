"""Real-ESRGAN's degradation, with its numbers as the official options files name them.

References
----------
.. [1] Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
   Data", ICCV Workshops 2021. https://arxiv.org/abs/2107.10833
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gluon_enhance.data.blur_kernels import gaussian_kernel, sinc_kernel
from gluon_enhance.data.distortions import (
    add_gaussian_noise,
    add_poisson_noise,
    blur_with,
    jpeg,
    resample_somehow,
    round_to_8_bits,
)
from gluon_enhance.small_files import read_small

KERNELS = {
    "iso": ("gaussian", False),
    "aniso": ("gaussian", True),
    "generalized_iso": ("generalized", False),
    "generalized_aniso": ("generalized", True),
    "plateau_iso": ("plateau", False),
    "plateau_aniso": ("plateau", True),
}
"""Name in options files -> kind, and whether the sigmas differ."""

SMALLEST = 7
"""Side of the smallest blur kernel, in pixels."""


@dataclass(frozen=True)
class Numbers:
    """Probabilities, and ranges of uniform numbers; those that end in 2 are of the second round.

    Names and defaults are those of the published options of x4plus. Sizes and sigmas are in pixels,
    noise in levels of 255.
    """

    blur_kernel_size: int = 21
    kernel_list: tuple = tuple(KERNELS)
    kernel_prob: tuple = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    sinc_prob: float = 0.1
    blur_sigma: tuple = (0.2, 3.0)
    betag_range: tuple = (0.5, 4)
    betap_range: tuple = (1, 2)
    resize_prob: tuple = (0.2, 0.7, 0.1)
    resize_range: tuple = (0.15, 1.5)
    gaussian_noise_prob: float = 0.5
    noise_range: tuple = (1, 30)
    poisson_scale_range: tuple = (0.05, 3.0)
    gray_noise_prob: float = 0.4
    jpeg_range: tuple = (30, 95)

    second_blur_prob: float = 0.8
    blur_kernel_size2: int = 21
    kernel_list2: tuple = tuple(KERNELS)
    kernel_prob2: tuple = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    sinc_prob2: float = 0.1
    blur_sigma2: tuple = (0.2, 1.5)
    betag_range2: tuple = (0.5, 4)
    betap_range2: tuple = (1, 2)
    resize_prob2: tuple = (0.3, 0.4, 0.3)
    resize_range2: tuple = (0.3, 1.2)
    gaussian_noise_prob2: float = 0.5
    noise_range2: tuple = (1, 25)
    poisson_scale_range2: tuple = (0.05, 2.5)
    gray_noise_prob2: float = 0.4
    jpeg_range2: tuple = (30, 95)
    final_sinc_prob: float = 0.8

    def __post_init__(self):
        for name, value in vars(self).items():
            is_right, advice = _check_of(name)
            if not is_right(value):
                raise ValueError(f"{name} is {value!r}; {advice}")
        for which in ("", "2"):
            if len(getattr(self, f"kernel_list{which}")) != len(
                getattr(self, f"kernel_prob{which}")
            ):
                raise ValueError(f"give as many of kernel_list{which} as of kernel_prob{which}")
            if len(getattr(self, f"resize_prob{which}")) != 3:
                raise ValueError(f"resize_prob{which} has three numbers: up, down, and as it is")

    def of_round(self, which: int) -> dict:
        """Return the numbers of the first or the second round by their names without a 2."""
        is_second = which == 2
        return {
            name.rstrip("2"): value
            for name, value in vars(self).items()
            if name.endswith("2") == is_second
        }


def _check_of(name):
    """Return what tells whether a value is right for a name, and what to say if it is not."""
    name = name.rstrip("2")
    if name == "kernel_list":
        return _are_kernels, f"give some of {', '.join(KERNELS)}"
    if name in ("kernel_prob", "resize_prob"):
        return _are_chances, "give probabilities whose sum is 1"
    if name == "blur_kernel_size":
        return _is_side, f"give an odd number of pixels, {SMALLEST} at least"
    if name.endswith("prob"):
        return _is_chance, "give a probability"
    return _is_range, "give two numbers from 0 on, the smaller one first"


def _are_kernels(value):
    return isinstance(value, tuple) and value != () and all(kind in KERNELS for kind in value)


def _are_chances(value):
    are = isinstance(value, tuple) and all(map(_is_chance, value))
    return are and math.isclose(sum(value), 1, abs_tol=1e-6)


def _is_side(value):
    return isinstance(value, int) and value >= SMALLEST and value % 2 == 1


def _is_chance(value):
    return _is_number(value) and 0 <= value <= 1


def _is_range(value):
    is_pair = isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))
    return is_pair and 0 <= value[0] <= value[1]


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def read_numbers(path: str | Path) -> Numbers:
    """Read numbers from a file of YAML or JSON; what it does not name stays as published.

    Parameters
    ----------
    path : path
        A mapping of names of `Numbers`.

    Returns
    -------
    Numbers

    Raises
    ------
    ValueError
        If it is no such mapping, or a name or value is not known; the message says which.
    OSError
        If it cannot be read.
    """
    import yaml

    try:
        given = yaml.safe_load(read_small(path))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is neither YAML nor JSON: {error}") from error
    if not isinstance(given, dict):
        raise ValueError(f"{path} has no names with values, such as noise_range: [1, 30]")
    known = [field.name for field in dataclasses.fields(Numbers)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; it is none of {', '.join(known)}"
            raise ValueError(f"{path} has {name!r}{hint}")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    try:
        return Numbers(**values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


@dataclass(frozen=True)
class RealESRGANDegradation:
    """Blur, resizing, noise and JPEG, twice, as Real-ESRGAN has them [1]_.

    Left out is the pool that mixes samples of several batches: here each sample has a degradation
    of its own, where theirs had one for a batch.

    Parameters
    ----------
    scale : int
    numbers : Numbers
    """

    scale: int
    numbers: Numbers = Numbers()

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the worsened reduction, (H / scale, W / scale, 3)."""
        size = tuple(n // self.scale for n in image.shape[1::-1])
        first, second = map(self.numbers.of_round, (1, 2))
        image = blur_with(image, _random_kernel(first, rng))
        image = _noisy(_resized(image, image.shape[1::-1], first, rng), first, rng)
        image = jpeg(image, _quality(first, rng))
        if rng.random() < self.numbers.second_blur_prob:
            image = blur_with(image, _random_kernel(second, rng))
        image = _noisy(_resized(image, size, second, rng), second, rng)
        # The last filter stands for sharpening, which comes before or after the compression.
        if rng.random() < 0.5:
            return jpeg(self._finished(image, size, rng), _quality(second, rng))
        image = jpeg(image, _quality(second, rng))
        return round_to_8_bits(self._finished(image, size, rng))

    def _finished(self, image, size, rng):
        image = resample_somehow(image, size, rng)
        if rng.random() >= self.numbers.final_sinc_prob:
            return image
        side = _random_side(self.numbers.blur_kernel_size2, rng)
        return blur_with(image, sinc_kernel(side, rng.uniform(np.pi / 3, np.pi)))


def _quality(numbers, rng):
    low, high = numbers["jpeg_range"]
    return int(rng.integers(low, high + 1))


def _random_side(largest, rng):
    return int(rng.integers(SMALLEST // 2, largest // 2 + 1)) * 2 + 1


def _random_kernel(numbers, rng):
    side = _random_side(numbers["blur_kernel_size"], rng)
    if rng.random() < numbers["sinc_prob"]:
        return sinc_kernel(side, rng.uniform(np.pi / 3 if side < 13 else np.pi / 5, np.pi))
    names, chances = numbers["kernel_list"], np.array(numbers["kernel_prob"])
    kind, is_anisotropic = KERNELS[names[rng.choice(len(names), p=chances / chances.sum())]]
    betas = {"generalized": numbers["betag_range"], "plateau": numbers["betap_range"]}
    low, high = betas.get(kind, (1, 1))
    beta = rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)
    sigma_x, sigma_y = rng.uniform(*numbers["blur_sigma"], 2)
    if not is_anisotropic:
        return gaussian_kernel(side, sigma_x, beta=beta, kind=kind)
    return gaussian_kernel(side, sigma_x, sigma_y, rng.uniform(-np.pi, np.pi), beta, kind)


def _resized(image, size, numbers, rng):
    """Resize to (columns, rows) times a random factor."""
    up, down, _ = numbers["resize_prob"]
    smallest, largest = numbers["resize_range"]
    chance, factor = rng.random(), 1.0
    if chance < up:
        factor = rng.uniform(1, largest)
    elif chance < up + down:
        factor = rng.uniform(smallest, 1)
    return resample_somehow(image, tuple(max(1, int(n * factor)) for n in size), rng)


def _noisy(image, numbers, rng):
    gray = rng.random() < numbers["gray_noise_prob"]
    if rng.random() < numbers["gaussian_noise_prob"]:
        return add_gaussian_noise(image, rng.uniform(*numbers["noise_range"]) / 255, rng, gray)
    return add_poisson_noise(image, rng.uniform(*numbers["poisson_scale_range"]), rng, gray)
