"""Enlarging with a kernel, where a net could stand: the baseline that nets are compared with."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any, Callable, Optional

import numpy as np
from numpy.typing import DTypeLike

from gluon_enhance.imaging.nearest_fill import fill_hidden
from gluon_enhance.imaging.resize import KERNELS, resize, resize_rounding_once
from gluon_enhance.inference.enhancer import Enhancer

SCALE = 4
TILE, HALO = 512, 4
"""Halo: pixels that the widest kernel sees around one."""


class Baseline:
    """What an `Enhancer` is to nets, for the kernels of MATLAB's ``imresize``.

    Parameters
    ----------
    kernel : {'bicubic', 'bilinear', 'nearest'}
    scale : float
        Ratio of the output's size to the input's; of rasters a whole number.
    """

    tile, halo = TILE, HALO

    def __init__(self, kernel: str, scale: float = SCALE) -> None:
        self.kernel = kernel
        self.scale = int(scale) if float(scale).is_integer() else scale
        sides = {"multiple": 1, "stride": 1, "unit": 1, "min_size": 1}
        self.spec = SimpleNamespace(name=kernel, tiling="exact", **sides)

    def for_dtype(self, dtype: DTypeLike) -> Baseline:
        """Return what enlarges pictures of a dtype: this one, which computes in float64."""
        return self

    def describe(self) -> dict[str, Any]:
        """Name the kernel and what computes it, as `Enhancer.describe` does."""
        return {
            "model": self.kernel,
            "scale": self.scale,
            "engine": "numpy",
            "precision": "fp64",
            "deep_precision": "fp64",
            "device": "cpu",
            "tile": self.tile,
            "halo": self.halo,
            "self_ensemble": False,
        }

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Enlarge tiles (N, 3, H, W)."""
        images = (resize(image, self.scale, self.kernel) for image in batch.transpose(0, 2, 3, 1))
        return np.stack([image.transpose(2, 0, 1) for image in images])

    def __call__(
        self, image: np.ndarray, progress: Optional[Callable[[int, int], None]] = None
    ) -> np.ndarray:
        """Enlarge an image of the kinds that `Enhancer` takes; it is rounded once."""
        size = [max(1, round(side * self.scale)) for side in image.shape[:2]]
        result = resize_rounding_once(fill_hidden(image), size, self.kernel)
        if progress:
            progress(1, 1)
        return result


def load(
    model: str | os.PathLike, scale: Optional[float] = None, **options: Any
) -> Enhancer | Baseline:
    """Return the `Baseline` of a kernel's name, and the `Enhancer` of a model with its options.

    Raises
    ------
    ValueError
        If a kernel is given what is for nets alone: `denoise` or `strength`.
    """
    if model not in KERNELS:
        return Enhancer(model, **options)
    for name, usual in (("denoise", None), ("strength", 1)):
        if options.get(name, usual) != usual:
            raise ValueError(f"{name} is {options[name]}, but {model} is no net; leave it out")
    return Baseline(str(model), scale or SCALE)
