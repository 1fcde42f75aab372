"""Data sets of patches: one sample per call, all of its randomness from the generator given.

Every data set has ``draw(rng)``, which returns a tuple of arrays (3, h, w), float32 in [0, 1]. What
it returns depends on the generator and the files alone, not on what was drawn before nor on other
threads, so training goes on after a break with the samples it would have had. A file that turns
out to be damaged is no exception: the same generator chooses again.

With a `gluon_enhance.data.epochs.Turn` too, as ``draw(rng, turn)``, that tells the photo, and the
generator all else.
"""

from __future__ import annotations

import json
import logging
import threading
import zlib
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
from PIL import Image

from gluon_enhance.data.distortions import sharpen
from gluon_enhance.data.epochs import Turn
from gluon_enhance.data.folders import read_photo, read_sizes
from gluon_enhance.errors import ImageError, plural
from gluon_enhance.imaging.arrays import to_float, to_nchw
from gluon_enhance.imaging.resize import resize

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
                f"no photo is as large as a patch ({plural(side, 'pixel')} a side): too small: "
                f"{self.too_small}, damaged: {self._damaged}; give larger ones or a smaller patch "
                "size"
            )
        of_photos: dict[Path, list[int]] = {path: [] for path in self._sizes}
        for index, (path, _) in enumerate(self._versions):
            of_photos[path].append(index)
        self._of_photos = list(of_photos.values())
        weights = np.array(self._weights(), np.float64)
        self._bounds = np.cumsum(weights / weights.sum())
        self._cache = PhotoCache([path for path, _ in self._versions], self._reduced)

    def __len__(self):
        """Photos in use."""
        return len(self._sizes) - len(self._cache.unreadable)

    def __str__(self):
        photos = plural(len(self), "photo")
        return f"{photos}, {self.too_small} too small, {self.unreadable} unreadable"

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

    def choose(self, rng: np.random.Generator, turn: Turn | None = None) -> tuple:
        """Return what is kept of a photo; one that turns out to be damaged is chosen again.

        Parameters
        ----------
        rng : numpy.random.Generator
        turn : Turn, optional
            Tells the photo; any of its sizes is taken then.

        Raises
        ------
        ImageError
            If none can be read.
        """
        index = self._any(rng) if turn is None else self._due(turn, rng)
        while len(self):
            try:
                return self._cache[index]
            except ImageError:
                index = self._any(rng)
        raise ImageError(
            f"of {plural(len(self._sizes), 'photo')} none can be read; get the files again"
        )

    def _any(self, rng):
        index = int(np.searchsorted(self._bounds, rng.random(), side="right"))
        return min(index, len(self._bounds) - 1)

    def _due(self, turn, rng):
        versions = self._of_photos[turn.of(len(self._of_photos))]
        return versions[rng.integers(len(versions))]


def _reduce(photo, reduction):
    if reduction == 1:
        return photo
    size = [round(n * reduction) for n in photo.shape[1::-1]]
    # The kernel of our `resize`, with other edges, in a quarter of the time.
    return np.array(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))


class SuperResolutionPatches(PhotoSource):
    """Pairs of low- and high-resolution patches.

    Photos are cropped to a multiple of `scale`. Patches are drawn in proportion to the detail in
    them, so that sky and walls, which any interpolation enlarges well, do not fill the batches.

    Parameters
    ----------
    paths : iterable of path
    scale : int
        Ratio of the high to the low resolution.
    patch_size : int
        Side of a low-resolution patch, in pixels.
    reductions : sequence of float
        Each photo is used at these sizes, as Real-ESRGAN's multi-scale data set is: a reduced
        photo has more detail in a patch.
    degrade : callable, optional
        Makes the low-resolution patch: takes the high-resolution one, (h, w, 3) float32 in
        [0, 1], and the generator. Default: a MATLAB-bicubic reduction, of the whole photo.
    inputs : mapping of path to path, optional
        The photos' own reductions, of which no others are made then.
    sharpen_truth : bool
        Give the patches `gluon_enhance.data.distortions.sharpen`, before they are degraded.

    Raises
    ------
    ValueError
        If no photo is large enough for a patch, or a reduction is of another scale.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        scale: int,
        patch_size: int,
        reductions: Sequence[float] = (1.0,),
        degrade: Callable | None = None,
        inputs: Mapping[Path, Path] | None = None,
        sharpen_truth: bool = False,
    ):
        super().__init__(paths, reductions, patch_size * scale)
        self._sharpen = sharpen_truth
        self._scale = scale
        self._size = patch_size
        self._degrade = degrade
        self._inputs = inputs
        if inputs:
            sizes, _ = read_sizes(inputs[path] for path in self._sizes)
            for path, size in self._sizes.items():
                if inputs[path] in sizes:  # either may be stored on its side
                    _check_scale(
                        inputs[path], sorted(sizes[inputs[path]]), path, sorted(size), scale
                    )

    def _weights(self):
        # A compressed file is as large as its photo is detailed: for our JPEGs the correlation
        # with the sum of gradients is 0.93, in logarithms. But every format has its own ratio.
        pixels, stored = Counter(), Counter()
        for path, (height, width) in self._sizes.items():
            pixels[path.suffix.lower()] += height * width
            stored[path.suffix.lower()] += path.stat().st_size
        density = {suffix: stored[suffix] / pixels[suffix] for suffix in pixels}
        return [
            path.stat().st_size / density[path.suffix.lower()] * reduction**2
            for path, reduction in self._versions
        ]

    def _prepare(self, photo, path):
        if self._inputs:
            lr, hr = read_own_pair(self._inputs[path], path, photo, self._scale)
        else:
            height, width = (n // self._scale * self._scale for n in photo.shape[:2])
            hr = photo[:height, :width]
            lr = resize(hr, 1 / self._scale)
        return hr, lr, np.cumsum(_detail(lr, self._size)).astype(np.float32)

    def draw(
        self, rng: np.random.Generator, turn: Turn | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a low- and a high-resolution patch.

        Returns
        -------
        lr : ndarray of shape (3, P, P), float32 in [0, 1]
        hr : ndarray of shape (3, P * scale, P * scale), float32 in [0, 1]
        """
        hr, lr, detail = self.choose(rng, turn)
        size, scale = self._size, self._scale
        place = int(np.searchsorted(detail, rng.random(dtype=np.float32) * detail[-1]))
        top, left = divmod(min(place, len(detail) - 1), lr.shape[1] - size + 1)
        hr = window(hr, top * scale, left * scale, size * scale)
        if self._sharpen:
            hr = sharpen(to_float(hr))
        lr = self._degrade(to_float(hr), rng) if self._degrade else window(lr, top, left, size)
        return flip_and_turn((lr, hr), rng)


class PhotoPatches(PhotoSource):
    """Patches from anywhere in the photos, every photo as often as any other.

    Parameters
    ----------
    paths : iterable of path
    patch_size : int
        Side of a patch, in pixels.
    degrade : callable, optional
        Takes a patch, (h, w, 3) float32 in [0, 1], and the generator; returns a worse one of
        the same shape.
    reductions : sequence of float
        Each photo is used at these sizes.

    Raises
    ------
    ValueError
        If no photo is large enough for a patch.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        patch_size: int,
        degrade: Callable | None = None,
        reductions: Sequence[float] = (1.0,),
    ):
        super().__init__(paths, reductions, patch_size)
        self._size = patch_size
        self._degrade = degrade

    def draw(self, rng: np.random.Generator, turn: Turn | None = None) -> tuple[np.ndarray, ...]:
        """Draw a worsened patch and the patch, (3, P, P) each; without `degrade` the patch alone.

        Returns
        -------
        tuple of ndarray of shape (3, P, P), float32 in [0, 1]
        """
        (photo,) = self.choose(rng, turn)
        top, left = _place(photo, self._size, rng)
        patch = window(photo, top, left, self._size)
        if not self._degrade:
            return flip_and_turn((patch,), rng)
        patch = to_float(patch)
        return flip_and_turn((self._degrade(patch, rng), patch), rng)


class PairedPatches(PhotoSource):
    """The same patches of pairs of photos.

    Parameters
    ----------
    pairs : mapping of path to path
        Input to target, as `gluon_enhance.data.pairing.find_truths` gives.
    patch_size : int
        Side of a patch, in pixels.

    Raises
    ------
    ValueError
        If the sizes of a pair differ, or no pair is large enough for a patch.
    """

    def __init__(self, pairs: Mapping[Path, Path], patch_size: int = 100):
        sizes, damaged = read_sizes(pairs.values())
        self._targets = {path: target for path, target in pairs.items() if target in sizes}
        super().__init__(self._targets, (1.0,), patch_size)
        self._damaged += damaged
        self._size = patch_size
        for path, size in self._sizes.items():
            target = self._targets[path]
            # Either may be stored on its side; `_prepare` sees them upright.
            check_sizes(path, sorted(size), target, sorted(sizes[target]))

    def _prepare(self, photo, path):
        target = read_photo(self._targets[path])
        check_sizes(path, photo.shape, self._targets[path], target.shape)
        return photo, target

    def draw(
        self, rng: np.random.Generator, turn: Turn | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw the same patch of an input and its target, (3, P, P) each, float32 in [0, 1]."""
        pair = self.choose(rng, turn)
        top, left = _place(pair[0], self._size, rng)
        return flip_and_turn([window(photo, top, left, self._size) for photo in pair], rng)


class Unpaired:
    """Samples of two data sets that have nothing to do with each other.

    Parameters
    ----------
    first, second : data set
        Of pairs the first one's inputs are taken, and the second one's truths: a data set of pairs
        may be both, and which photo is whose is then not used.
    """

    def __init__(self, first, second):
        self._first = first
        self._second = second

    def __str__(self):
        both = dict.fromkeys((self._first, self._second))
        return " and ".join(map(str, both))

    @property
    def fingerprint(self) -> str:
        """Of the files of both."""
        return f"{self._first.fingerprint}-{self._second.fingerprint}"

    def draw(
        self, rng: np.random.Generator, turn: Turn | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a patch of the first data set and, independently, one of the second."""
        other = turn and turn._replace(stream=1)
        return self._first.draw(rng, turn)[0], self._second.draw(rng, other)[-1]


def flip_and_turn(images: Sequence[np.ndarray], rng: np.random.Generator) -> tuple:
    """Flip and turn images alike, at random, and lay them out for a net.

    Parameters
    ----------
    images : sequence of ndarray of shape (h, w, 3), uint8 or float32 in [0, 1]

    Returns
    -------
    tuple of ndarray of shape (3, h, w) or (3, w, h), float32 in [0, 1]
    """
    turns, flip = rng.integers(4), rng.integers(2)
    return tuple(to_nchw(np.rot90(image[:, ::-1] if flip else image, turns))[0] for image in images)


def read_own_pair(lr_path, hr_path, hr, scale):
    """Read a photo's own reduction; the photo is cropped to a multiple of it."""
    lr = read_photo(lr_path)
    _check_scale(lr_path, lr.shape, hr_path, hr.shape, scale)
    height, width = (n * scale for n in lr.shape[:2])
    return lr, hr[:height, :width]


def _check_scale(path, size, other, other_size, scale):
    if any(not 0 <= n - m * scale < scale for m, n in zip(size[:2], other_size[:2])):
        raise ValueError(
            f"{path} is {size[1]}x{size[0]} and {other} {other_size[1]}x{other_size[0]}: not "
            f"{scale} times as large; give the reductions that belong to the scale of the model"
        )


def check_sizes(path, size, other, other_size):
    """Refuse two files, of sizes (H, W), that are not of one size."""
    if tuple(size[:2]) != tuple(other_size[:2]):
        raise ValueError(
            f"{path} is {size[1]}x{size[0]} and {other} {other_size[1]}x{other_size[0]}; "
            "a pair must be of one size"
        )


def _place(photo, size, rng):
    return (int(rng.integers(n - size + 1)) for n in photo.shape[:2])


def window(image: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    """View a square of an image, (size, size, ...)."""
    return image[top : top + size, left : left + size]


def _detail(lr, size):
    """Mean gradient magnitude of every patch of a photo, flattened over the places it may lie."""
    gray = cv2.cvtColor(lr, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    gradient = np.hypot(cv2.Sobel(gray, -1, 1, 0), cv2.Sobel(gray, -1, 0, 1))
    mean = cv2.boxFilter(gradient, -1, (size, size), anchor=(0, 0), normalize=True)
    places = mean[: lr.shape[0] - size + 1, : lr.shape[1] - size + 1]
    # A patch without any gradient may still be drawn, so that flat areas are seen too.
    return (places + 1e-3).ravel()
