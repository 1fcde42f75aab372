"""Features of an image that is enhanced in bands: where their rows are kept, and moments.

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
    means, variances : ndarray of shape (H, C), float64
    """
    height, width, channels = rows.shape
    sums = np.empty((2, height, channels))
    at_once = max(1, IN_CACHE // (width * channels))
    side = math.gcd(width, 8)  # pixels in one loop of NumPy's, which is short for few channels
    for first in range(0, height, at_once):
        part = slice(first, first + at_once)
        values = _as_float32(rows[part].reshape(-1, width // side, side * channels))
        # Squares of 16 bits are exact in float32, and features rounded to 16 bits are further off
        # than the sums.
        found = np.einsum("hwc->hc", values), np.einsum("hwc,hwc->hc", values, values)
        sums[:, part] = np.reshape(found, (2, -1, side, channels)).sum(2)
    means, squares = sums / width
    return means, np.maximum(squares - means**2, 0)


def _as_float32(features):
    if features.dtype == np.float16:
        return features.astype(np.float32)
    bits = features.astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


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
    """Features of an image: first rows in memory, the others in a temporary file.

    The file lives as long as this object. What is read of it is mapped, not copied; once a band is
    done, its pages no longer count as memory.

    Parameters
    ----------
    shape : (int, int, int)
        H, W, C.
    dtype : dtype
        Of 16 bits.
    memory : int
        Bytes that may stay in memory.

    Raises
    ------
    ImageError
        If there is no room for the file.
    """

    def __init__(self, shape: tuple, dtype, memory: int):
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.height = shape[0]
        self._row_bytes = math.prod(shape[1:]) * self.dtype.itemsize
        self._held = np.empty((1, min(memory // self._row_bytes, self.height), *shape[1:]), dtype)
        self._lock = threading.Lock()  # around moving to a place and using it
        size = self.height * self._row_bytes - self.memory
        try:
            self._file = tempfile.TemporaryFile(prefix="gluon-enhance-")  # noqa: SIM115
            weakref.finalize(self, self._file.close)
            if size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, size)
        except OSError as error:
            raise ImageError(
                f"there is no room in {tempfile.gettempdir()} for {size / 1e9:.1f} GB of features "
                f"({error.strerror}); name a folder on a larger disk in the variable TMPDIR"
            ) from error

    @property
    def memory(self) -> int:
        """Bytes in memory."""
        return self._held.nbytes

    def read(self, start: int, stop: int) -> np.ndarray:
        """Give rows, (1, stop - start, W, C), which hold until they are written again."""
        held = self._held[:, start:stop]
        count = stop - start - held.shape[1]
        if count == 0:
            return held
        place = (stop - count) * self._row_bytes - self.memory
        with self._lock:
            shape = (1, count, *self.shape[1:])
            filed = np.memmap(self._file, self.dtype, "c", place, shape)
        return np.concatenate((held, filed), axis=1) if held.size else filed

    def write(self, start: int, rows: np.ndarray) -> None:
        """Put rows (1, h, W, C) in from `start` on."""
        held = self._held[:, start : start + rows.shape[1]]
        held[:] = rows[:, : held.shape[1]]
        filed = rows[:, held.shape[1] :]
        if filed.size:
            with self._lock:
                self._file.seek((start + held.shape[1]) * self._row_bytes - self.memory)
                self._file.write(memoryview(np.ascontiguousarray(filed)).cast("B"))
                self._file.flush()  # for those who map it
