"""Patches with what a teacher makes of them, computed once and kept on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import cv2
import numpy as np

from gluon_enhance.data.distortions import jpeg
from gluon_enhance.data.epochs import Turn
from gluon_enhance.data.patches import flip_and_turn, window
from gluon_enhance.data.shards import Shards
from gluon_enhance.errors import TrainingError
from gluon_enhance.imaging.arrays import from_nchw, to_dtype, to_float
from gluon_enhance.imaging.resize import resize

MARGIN = 4
"""Input pixels at the edges of a patch that are not drawn: the teacher saw no more of the photo."""

PER_SHARD = 32
"""Patches of a shard: what a kill may cost."""

QUALITY = (50, 95)
"""Range of JPEG's quality for inputs that are compressed once more."""

CELL = 32
"""Side of the cells, in pixels of the truth, over which a teacher's colors are corrected: wider
than the textures that it paints. RealESRGAN_x4plus darkens: on 512 patches its means were 2.6, 1.9
and 0.7 of 255 under the truth's in red, green and blue, and over 8 from it in one of twenty."""


class TeacherPatches(Shards):
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
    compressed : float
        Share of the inputs that are kept as JPEG once more: what the teacher makes of the better
        input is then to be made of the worse one.
    """

    NAMES = ("lr_{}.npy", "taught_{}.npy", "hr_{}.npy")

    def __init__(
        self,
        folder: str | Path,
        count: int,
        patch_size: int,
        scale: int,
        compressed: float = 0.0,
    ):
        super().__init__(folder, -(-count // PER_SHARD), PER_SHARD)
        self._size = patch_size
        self._scale = scale
        self._compressed = compressed

    def draw(
        self, rng: np.random.Generator, turn: Turn | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw a part of a patch; the teacher's output gets the truth's colors.

        Returns
        -------
        lr : ndarray of shape (3, P, P), float32 in [0, 1]
        taught, hr : ndarray of shape (3, P * scale, P * scale), float32 in [0, 1]
        """
        lr, *large = super().draw(rng, turn)
        if self._compressed and rng.random() < self._compressed:
            lr = jpeg(to_float(lr), int(rng.integers(*QUALITY)))
        size, scale = self._size, self._scale
        top, left = (int(rng.integers(MARGIN, n - size - MARGIN + 1)) for n in lr.shape[:2])
        place = top * scale, left * scale, size * scale
        taught, hr = (to_float(window(image, *place)) for image in large)
        return flip_and_turn([window(lr, top, left, size), with_colors_of(taught, hr), hr], rng)

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
    def _sample_bytes(draw, teach):
        lr, hr = draw(np.random.default_rng(0))
        return lr.size + 2 * hr.size  # of 8 bits; the output is as large as the truth

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


def with_colors_of(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give an image the local mean colors of another; its details stay.

    Parameters
    ----------
    image, truth : ndarray of shape (H, W, 3), float32 in [0, 1]

    Returns
    -------
    ndarray of shape (H, W, 3), float32 in [0, 1]
        Its means over cells of about `CELL` pixels are near the truth's.
    """
    height, width = image.shape[:2]
    cells = max(1, round(width / CELL)), max(1, round(height / CELL))
    means = cv2.resize(truth - image, cells, interpolation=cv2.INTER_AREA)
    return np.clip(image + cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)


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
