"""Pairs of low- and high-resolution patches for super-resolution training."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from gluon_enhance.imaging.resize import resize


class SuperResolutionPatches:
    """Photos held as uint8 with their MATLAB-bicubic reductions; random paired patches of them.

    Patches are drawn in proportion to the detail in them, so that sky and walls, which any
    interpolation enlarges well, do not fill the batches.

    Parameters
    ----------
    photos : iterable of ndarray of shape (H, W, 3), uint8
        High-resolution photos, cropped to a multiple of `scale`. One smaller than a patch is
        left out and counted in `too_small`.
    scale : int
        Ratio of the high to the low resolution.
    patch_size : int
        Side of a low-resolution patch, in pixels.
    reductions : sequence of float
        Each photo is used at these sizes, as Real-ESRGAN's multi-scale data set is: a reduced
        photo has more detail in a patch.

    Raises
    ------
    ValueError
        If no photo is large enough for a patch.
    """

    def __init__(
        self,
        photos: Iterable[np.ndarray],
        scale: int,
        patch_size: int,
        reductions: tuple[float, ...] = (1.0,),
    ):
        self.scale = scale
        self.patch_size = patch_size
        self.too_small = 0
        self._hr, self._lr, self._detail = [], [], []
        for photo in photos:
            for reduction in reductions:
                self._add(photo if reduction == 1 else resize(photo, reduction))
        if not self._hr:
            raise ValueError(
                f"no photo is as large as a patch ({patch_size * scale} pixels a side); "
                "give larger photos or a smaller patch size"
            )
        totals = np.array([detail[-1] for detail in self._detail], np.float64)
        self._photo_bounds = np.cumsum(totals / totals.sum())

    def __len__(self):
        return len(self._hr)

    def _add(self, photo):
        scale = self.scale
        height, width = (n // scale * scale for n in photo.shape[:2])
        if min(height, width) < self.patch_size * scale:
            self.too_small += 1
            return
        hr = np.ascontiguousarray(photo[:height, :width])
        lr = resize(hr, 1 / scale)
        self._hr.append(hr)
        self._lr.append(lr)
        self._detail.append(np.cumsum(_detail(lr, self.patch_size), dtype=np.float32))

    def sample(self, batch_size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw a batch of patches with random flips and quarter turns.

        Returns
        -------
        lr : ndarray of shape (N, 3, P, P), float32 in [0, 1]
        hr : ndarray of shape (N, 3, P * scale, P * scale), float32 in [0, 1]
        """
        pairs = [self._pair(rng) for _ in range(batch_size)]
        lr, hr = (np.stack(images).transpose(0, 3, 1, 2) for images in zip(*pairs))
        return lr.astype(np.float32) / 255, hr.astype(np.float32) / 255

    def _pair(self, rng):
        index = min(int(np.searchsorted(self._photo_bounds, rng.random())), len(self) - 1)
        lr, hr, size, scale = self._lr[index], self._hr[index], self.patch_size, self.scale
        columns = lr.shape[1] - size + 1
        detail = self._detail[index]
        place = int(np.searchsorted(detail, rng.random() * detail[-1]))
        top, left = divmod(min(place, len(detail) - 1), columns)
        lr = lr[top : top + size, left : left + size]
        hr = hr[top * scale : (top + size) * scale, left * scale : (left + size) * scale]
        turns, flip = rng.integers(4), rng.integers(2)
        if flip:
            lr, hr = lr[:, ::-1], hr[:, ::-1]
        return np.rot90(lr, turns), np.rot90(hr, turns)


def _detail(lr, size):
    """Mean gradient magnitude of every patch of a photo, flattened over the places it may lie."""
    gray = cv2.cvtColor(lr, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    gradient = np.hypot(cv2.Sobel(gray, -1, 1, 0), cv2.Sobel(gray, -1, 0, 1))
    mean = cv2.boxFilter(gradient, -1, (size, size), anchor=(0, 0), normalize=True)
    places = mean[: lr.shape[0] - size + 1, : lr.shape[1] - size + 1]
    # A patch without any gradient may still be drawn, so that flat areas are seen too.
    return (places + 1e-3).ravel()


def held_out_crops(photos, scale, size):
    """Cut the centre of photos for validation.

    Returns
    -------
    list of (lr, hr)
        uint8 arrays of shape (size / scale, size / scale, 3) and (size, size, 3).
    """
    crops = []
    for photo in photos:
        top, left = ((n - size) // 2 for n in photo.shape[:2])
        if min(top, left) >= 0:
            hr = np.ascontiguousarray(photo[top : top + size, left : left + size])
            crops.append((resize(hr, 1 / scale), hr))
    return crops
