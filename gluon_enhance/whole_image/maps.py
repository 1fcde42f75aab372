"""Features of an image that is enhanced in blocks: where they are kept, and moments.

Features are (N, H, W, C), as engines compute convolutions, and have 16 bits: float16, or bfloat16,
which NumPy lacks, as uint16. Images are (N, C, H, W) float32.
"""

from __future__ import annotations

import copy
import math
import os
import tempfile
import threading
import weakref
from collections.abc import Iterable

import numpy as np

from gluon_enhance.errors import ImageError

IN_CACHE = 1 << 17
"""Numbers in float32 that a core works on without going to the memory in between."""


def row_axis(batch: np.ndarray) -> int:
    """Return the axis of the rows: of an image 2, of features 1."""
    return 2 if batch.dtype == np.float32 else 1


def row_moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count the pixels of each row, and compute the mean and the variance of its channels.

    Parameters
    ----------
    rows : ndarray of shape (H, W, C), float16 or uint16
        Features.

    Returns
    -------
    counts : ndarray of shape (H, 1)
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
    return np.full((height, 1), width), means, np.maximum(squares - means**2, 0)


def merged_moments(found: Iterable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take moments as `row_moments` gives them together, as if all were of one row."""
    counts, means, variances = (np.concatenate(one) for one in zip(*found))
    shares = counts / counts.sum()
    mean = (shares * means).sum(0, keepdims=True)
    variance = (shares * (variances + (means - mean) ** 2)).sum(0, keepdims=True)
    return counts.sum(0, keepdims=True), mean, variance


def gain_and_shift(norm: dict, moments: dict) -> Iterable[np.ndarray]:
    """Give what a norm multiplies with and adds, each (1, 1, 1, C) float32, or one for all C.

    Parameters
    ----------
    norm : dict
        A norm of the table of parts. With a single gamma it is over all channels together.
    moments : dict
        Map -> the pixels, the means and the variances of its rows, as `row_moments` gives them.
    """
    _, means, variances = merged_moments([moments[norm["map"]]])
    axes = 0 if len(norm["gamma"]) > 1 else None
    mean, variance = means.mean(axes), variances.mean(axes) + means.var(axes)
    gain = np.array(norm["gamma"]) / np.sqrt(variance + norm["epsilon"])
    shift = np.array(norm["beta"]) - gain * mean
    return (array.astype(np.float32).reshape(1, 1, 1, -1) for array in (gain, shift))


def _as_float32(features):
    if features.dtype == np.float16:
        return features.astype(np.float32)
    bits = features.astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


def features_of(maps: dict) -> dict:
    """Return the `FeatureRows` among maps, with their names, one only of those in one place."""
    return {id(one.held): (name, one) for name, one in maps.items() if isinstance(one, FeatureRows)}


def feature_room(
    shape: tuple, dtype, rows_ahead: int, spare: list, maps: dict, memory: int
) -> FeatureRows:
    """Make room for features, where some were that nobody needs any more if they are alike.

    Parameters
    ----------
    shape, dtype, rows_ahead
        As of `FeatureRows`.
    spare : list
        Maps that may be written over; one that is, is taken out.
    maps : dict
        All maps that there are, by name.
    memory : int
        Bytes of all of them that may stay in memory.
    """
    for k, old in enumerate(spare):
        alike = isinstance(old, FeatureRows) and (old.shape, old.dtype) == (shape, dtype)
        if alike and old.rows_ahead == rows_ahead:
            return spare.pop(k).in_their_place()
    used = sum(one.held.nbytes for _, one in features_of(maps).values())
    return FeatureRows(shape, dtype, max(memory - used, 0), rows_ahead)


class ImageRows:
    """An image in memory, with the methods of `FeatureRows`.

    Parameters
    ----------
    image : ndarray of shape (1, C, H, W), float32
    """

    def __init__(self, image: np.ndarray):
        self.image = image
        self.size = image.shape[2:]

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Copy a window, (1, C, h, w)."""
        return np.ascontiguousarray(self.image[:, :, rows, columns])

    def write(self, place: tuple[int, int], block: np.ndarray) -> None:
        """Put a block (1, C, h, w) in, whose first row and column are given."""
        rows, columns = (slice(k, k + n) for k, n in zip(place, block.shape[2:]))
        self.image[:, :, rows, columns] = block


class FeatureRows:
    """Features of an image: some rows in memory, the others in a temporary file.

    The file lives as long as this object and those that took its place. What is read of it in whole
    rows is mapped, not copied; once a block is done, its pages no longer count as memory.

    Parameters
    ----------
    shape : (int, int, int)
        H, W, C.
    dtype : dtype
        Of 16 bits.
    memory : int
        Bytes that may stay in memory.
    rows_ahead : int
        Rows by which those that take its place are ahead; there is room for as many more.

    Raises
    ------
    ImageError
        If there is no room for the file.
    """

    def __init__(self, shape: tuple, dtype, memory: int, rows_ahead: int = 0):
        self.shape, self.dtype, self.rows_ahead = shape, np.dtype(dtype), rows_ahead
        self.size = shape[:2]
        self._first, self._capacity = 0, shape[0] + rows_ahead
        self._pixel_bytes = shape[2] * self.dtype.itemsize
        self._row_bytes = shape[1] * self._pixel_bytes
        in_memory = min(memory // self._row_bytes, self._capacity)
        self.held = np.empty((1, in_memory, *shape[1:]), dtype)
        self._lock = threading.Lock()  # around moving to a place and using it
        size = self._capacity * self._row_bytes - self.held.nbytes
        try:
            self._file = tempfile.TemporaryFile(prefix="gluon-enhance-")  # noqa: SIM115
            weakref.finalize(self.held, self._file.close)
            if size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, size)
        except OSError as error:
            raise ImageError(
                f"there is no room in {tempfile.gettempdir()} for {size / 1e9:.1f} GB of features "
                f"({error.strerror}); name a folder on a larger disk in the variable TMPDIR"
            ) from error

    def in_their_place(self) -> FeatureRows:
        """Return features of the same shape that take these ones' place, from above.

        A row that is written takes the place of the one `rows_ahead` rows before it: those from
        there on can still be read here.
        """
        other = copy.copy(self)
        other._first = (self._first - self.rows_ahead) % self._capacity
        return other

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Give a window, (1, h, w, C), which holds until it is written again."""
        pieces = [self._at(*piece)[:, :, columns] for piece in self._pieces(rows.start, rows.stop)]
        return np.ascontiguousarray(
            pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
        )

    def write(self, place: tuple[int, int], block: np.ndarray) -> None:
        """Put a block (1, h, w, C) in, whose first row and column are given."""
        (top, left), done = place, 0
        for first, count in self._pieces(top, top + block.shape[1]):
            rows = block[:, done : done + count]
            if first < self.held.shape[1]:
                self.held[:, first : first + count, left : left + rows.shape[2]] = rows
            else:
                self._write_file(first, left, rows[0])
            done += count

    def _pieces(self, start, stop):
        """Yield where rows lie, and how many: in memory or in the file, in one piece each."""
        while start < stop:
            first = (self._first + start) % self._capacity
            end = self.held.shape[1] if first < self.held.shape[1] else self._capacity
            count = min(stop - start, end - first)
            yield first, count
            start += count

    def _at(self, first, count):
        if first < self.held.shape[1]:
            return self.held[:, first : first + count]
        with self._lock:
            shape = (1, count, *self.shape[1:])
            return np.memmap(self._file, self.dtype, "c", self._offset(first), shape)

    def _write_file(self, first, left, rows):
        whole = rows.shape[1] == self.shape[1]
        with self._lock:
            for k, piece in enumerate([rows] if whole else rows):
                self._file.seek(self._offset(first + k) + left * self._pixel_bytes)
                self._file.write(memoryview(np.ascontiguousarray(piece)).cast("B"))
            self._file.flush()  # for those who map it

    def _offset(self, row):
        return row * self._row_bytes - self.held.nbytes
