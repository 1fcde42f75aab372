"""Patches with what a teacher makes of them, computed once and kept on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np

from gluon_enhance.data.patches import flip_and_turn, window
from gluon_enhance.data.shards import Shards
from gluon_enhance.errors import TrainingError
from gluon_enhance.imaging.arrays import from_nchw, to_dtype
from gluon_enhance.imaging.resize import resize

MARGIN = 4
"""Input pixels at the edges of a patch that are not drawn: the teacher saw no more of the photo."""

PER_SHARD = 32
"""Patches of a shard: what a kill may cost."""


class TaughtPatches(Shards):
    """A data set of patches of (input, teacher's output, truth), for distilling.

    Parameters
    ----------
    folder : path
        Gets the patches, 8 bits a value; a larger `count` later goes on with it.
    count : int
        Patches; rounded up to a multiple of `PER_SHARD`.
    patch_size : int
        Side of the part of an input that is drawn, in pixels; at least ``2 * MARGIN`` less than
        the inputs' own.
    scale : int
        Ratio of the other two to the input.
    """

    NAMES = ("lr_{}.npy", "taught_{}.npy", "hr_{}.npy")

    def __init__(self, folder: str | Path, count: int, patch_size: int, scale: int):
        super().__init__(folder, -(-count // PER_SHARD), PER_SHARD)
        self._size = patch_size
        self._scale = scale

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw a part of a patch.

        Returns
        -------
        lr : ndarray of shape (3, P, P), float32 in [0, 1]
        taught, hr : ndarray of shape (3, P * scale, P * scale), float32 in [0, 1]
        """
        lr, *large = super().draw(rng)
        size, scale = self._size, self._scale
        top, left = (int(rng.integers(MARGIN, n - size - MARGIN + 1)) for n in lr.shape[:2])
        place = top * scale, left * scale, size * scale
        parts = [window(lr, top, left, size), *(window(image, *place) for image in large)]
        return flip_and_turn(parts, rng)

    def _make(self, shard, draw, teach, seed):
        samples = []
        for k in range(self._samples):
            lr, hr = (
                to_dtype(from_nchw(image[None]), np.uint8)
                for image in draw(np.random.default_rng((seed, shard, k)))
            )
            samples.append((lr, teach(lr), hr))
        return [np.stack(images) for images in zip(*samples)]

    @staticmethod
    def _write(path, array):
        np.save(path, array)

    @staticmethod
    def _mapped(path):
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{path} is cut short or no array ({error}); delete it, and it is made again"
            ) from error


def taught_by(enhancer, scale: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return what makes a teacher's output of an input at a student's scale.

    Parameters
    ----------
    enhancer : callable
        A `gluon_enhance.Enhancer`: it takes and gives (H, W, 3), uint8, and has a `scale`.
    scale : int
        The student's, a divisor of the teacher's: the output is reduced with the bicubic kernel.

    Raises
    ------
    ValueError
        If it is no divisor.
    """
    if enhancer.scale % scale:
        raise ValueError(
            f"the teacher enlarges by {enhancer.scale} and the student by {scale}; give a teacher "
            "of the same scale, or of a multiple"
        )
    if enhancer.scale == scale:
        return enhancer
    return lambda image: resize(enhancer(image), scale / enhancer.scale)
