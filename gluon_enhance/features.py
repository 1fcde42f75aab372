"""Features of an image that is enhanced in bands: rows of them in temporary files, and moments.

Features are (N, H, W, C), as engines compute convolutions, and have 16 bits: float16, or bfloat16,
which NumPy lacks, as uint16. Images are (N, C, H, W) float32.
"""

from __future__ import annotations

import math
import os
import tempfile
import threading
import weakref

import numpy as np

from gluon_enhance.errors import ImageError

IN_CACHE = 1 << 17
"""Numbers in float32 that a core works on without going to the memory in between."""


def row_axis(batch: np.ndarray) -> int:
    """Return the axis of the rows: of an image 2, of features 1."""
    return 2 if batch.dtype == np.float32 else 1


def row_moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean and the variance of each row's channels.

    Parameters
    ----------
    rows : ndarray of shape (H, W, C), float16 or uint16
        Features.

    Returns
    -------
    means, variances : ndarray of shape (H, C), float32
    """
    height, width, channels = rows.shape
    means, variances = np.empty((2, height, channels), np.float32)
    at_once = max(1, IN_CACHE // (width * channels))
    for first in range(0, height, at_once):
        part = slice(first, first + at_once)
        values = _as_float32(rows[part])
        means[part] = np.einsum("hwc->hc", values) / width
        values -= means[part, None]
        variances[part] = np.einsum("hwc,hwc->hc", values, values) / width
    return means, variances


def _as_float32(features):
    if features.dtype == np.float16:
        return features.astype(np.float32)
    return np.left_shift(features, 16, dtype=np.uint32).view(np.float32)


class ImageRows:
    """An image in memory, with the methods of `FeatureRows`.

    Parameters
    ----------
    image : ndarray of shape (1, C, H, W), float32
    """

    def __init__(self, image: np.ndarray):
        self.image = image
        self.height = image.shape[2]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Copy rows, (1, C, stop - start, W)."""
        return np.ascontiguousarray(self.image[:, :, start:stop])

    def write(self, start: int, rows: np.ndarray) -> None:
        """Put rows (1, C, h, W) in from `start` on."""
        self.image[:, :, start : start + rows.shape[2]] = rows


class FeatureRows:
    """Features of an image in a temporary file, which lives as long as this object.

    They are read and written, not mapped: pages of a mapped file count as memory.

    Parameters
    ----------
    shape : (int, int, int)
        H, W, C.
    dtype : dtype
        Of 16 bits.

    Raises
    ------
    ImageError
        If there is no room for the file.
    """

    def __init__(self, shape: tuple, dtype):
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.height = shape[0]
        self._row_bytes = math.prod(shape[1:]) * self.dtype.itemsize
        self._lock = threading.Lock()  # around moving to a place and using it
        size = self.height * self._row_bytes
        try:
            self._file = tempfile.TemporaryFile(prefix="gluon-enhance-")  # noqa: SIM115
            weakref.finalize(self, self._file.close)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, size)
        except OSError as error:
            raise ImageError(
                f"there is no room in {tempfile.gettempdir()} for {size / 1e9:.1f} GB of features "
                f"({error.strerror}); name a folder on a larger disk in the variable TMPDIR"
            ) from error

    def read(self, start: int, stop: int) -> np.ndarray:
        """Copy rows, (1, stop - start, W, C)."""
        rows = np.empty((1, stop - start, *self.shape[1:]), self.dtype)
        with self._lock:
            self._file.seek(start * self._row_bytes)
            self._file.readinto(memoryview(rows).cast("B"))
        return rows

    def write(self, start: int, rows: np.ndarray) -> None:
        """Put rows (1, h, W, C) in from `start` on."""
        with self._lock:
            self._file.seek(start * self._row_bytes)
            self._file.write(memoryview(np.ascontiguousarray(rows)).cast("B"))
