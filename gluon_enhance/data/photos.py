"""Photos that are chosen first and decoded when they are needed."""

from __future__ import annotations

import json
import logging
import threading
import zlib
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Callable

import numpy as np
from PIL import Image

from gluon_enhance.data.folders import read_photo, read_sizes
from gluon_enhance.errors import ImageError

logger = logging.getLogger(__name__)

BUDGET_BYTES = 4 << 30


class PhotoCache:
    """Photos decoded on first use; beyond the budget, the least recently used are dropped.

    Several threads may use it: one waits for another only where both want the same photo.

    Parameters
    ----------
    paths : sequence of path
        A path may occur more than once, if different things are kept of it.
    prepare : callable
        Takes a photo, (H, W, 3) uint8, and its index; returns the tuple of arrays to keep of it.
    budget_bytes : int
        Memory for what is kept.

    Attributes
    ----------
    unreadable : dict of path to str
        What has turned out not to be readable, and why. The first time it is a warning.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        prepare: Callable[[np.ndarray, int], tuple],
        budget_bytes: int = BUDGET_BYTES,
    ):
        self.unreadable: dict[Path, str] = {}
        self._paths = paths
        self._prepare = prepare
        self._budget = budget_bytes
        self._values: OrderedDict[int, tuple] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._photo_locks = {path: threading.Lock() for path in paths}

    def __getitem__(self, index: int) -> tuple:
        """Return what `prepare` made of photo `index`.

        Raises
        ------
        ImageError
            If it cannot be read; no second attempt is made.
        """
        with self._photo_locks[self._paths[index]]:
            value = self._values.get(index)
            if value is None:
                value = self._load(index)
            with self._lock:
                self._keep(index, value)
        return value

    def _load(self, index):
        path = self._paths[index]
        if path in self.unreadable:
            raise ImageError(self.unreadable[path])
        try:
            photo = read_photo(path)
            return self._prepare(photo, index)
        except ImageError as error:
            logger.warning("%s; it is left out", error)
            self.unreadable[path] = str(error)
            raise

    def _keep(self, index, value):
        if index not in self._values:
            self._bytes += _nbytes(value)
        self._values[index] = value
        self._values.move_to_end(index)
        while self._bytes > self._budget:
            self._bytes -= _nbytes(self._values.popitem(last=False)[1])


def _nbytes(arrays):
    return sum(array.nbytes for array in arrays)


def _reduce(photo, reduction):
    if reduction == 1:
        return photo
    size = [round(n * reduction) for n in photo.shape[1::-1]]
    # The kernel of our `resize`, with other edges, in a quarter of the time.
    return np.array(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))


class PhotoSource:
    """Photos at several sizes, one of which a generator chooses before it is decoded.

    Attributes
    ----------
    too_small : int
        Photos left out because no patch fits into them at any size.
    """

    def __init__(self, paths: Iterable[Path], reductions: Sequence[float], side: int):
        sizes, self._damaged = read_sizes(paths)
        self._versions = [
            (path, reduction)
            for path, size in sizes.items()
            for reduction in reductions
            if round(min(size) * reduction) >= side
        ]
        self._sizes = {path: sizes[path] for path, _ in self._versions}
        self.too_small = len(sizes) - len(self._sizes)
        if not self._versions:
            raise ValueError(
                f"no photo is as large as a patch ({side} pixels a side): {self.too_small} are "
                f"smaller, {self._damaged} cannot be read; give larger ones or a smaller patch size"
            )
        weights = np.array(self._weights(), np.float64)
        self._bounds = np.cumsum(weights / weights.sum())
        self._cache = PhotoCache([path for path, _ in self._versions], self._reduced)

    def __len__(self):
        """Photos in use."""
        return len(self._sizes) - len(self._cache.unreadable)

    def __str__(self):
        return f"{len(self)} photos, {self.too_small} too small, {self.unreadable} unreadable"

    @property
    def fingerprint(self) -> str:
        """Of the names and lengths of the files in use: what a run must find when it goes on."""
        files = [(path.name, path.stat().st_size) for path in self._sizes]
        return f"{zlib.crc32(json.dumps(files).encode()):08x}"

    @property
    def unreadable(self) -> int:
        """Photos left out, so far, because they cannot be read."""
        return self._damaged + len(self._cache.unreadable)

    def _weights(self):
        """How often each version is chosen: here, every photo alike."""
        versions = Counter(path for path, _ in self._versions)
        return [1 / versions[path] for path, _ in self._versions]

    def _reduced(self, photo, index):
        path, reduction = self._versions[index]
        return self._prepare(_reduce(photo, reduction), path)

    def _prepare(self, photo, path):
        """The arrays to keep of a photo."""
        return (photo,)

    def choose(self, rng: np.random.Generator) -> tuple:
        """Return what is kept of a photo; one that turns out to be damaged is chosen again.

        Raises
        ------
        ImageError
            If none can be read.
        """
        while len(self):
            index = int(np.searchsorted(self._bounds, rng.random(), side="right"))
            try:
                return self._cache[min(index, len(self._bounds) - 1)]
            except ImageError:
                continue
        raise ImageError(f"none of {len(self._sizes)} photos can be read; get the files again")
