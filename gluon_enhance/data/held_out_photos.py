"""Photos that a run does not learn from: to choose by while it trains, and to test its result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from gluon_enhance.data.benchmarks import find_pairs, read_pair
from gluon_enhance.data.folders import find_images, read_photo, read_rgb
from gluon_enhance.data.patches import check_sizes, read_own_pair, window
from gluon_enhance.errors import plural
from gluon_enhance.imaging.arrays import to_dtype, to_float, to_nchw, to_rgb
from gluon_enhance.imaging.resize import resize

VALIDATION_CROP = 192
"""Side of the part of a held-out photo that is scored, in its own pixels."""

LEAST_CROP = 32
"""Side of such a part that can still be scored, in pixels."""

MOST_PATCHES = 64
"""Patches of a set, for its losses."""

HELD_OUT = 1 / 18
"""Of the photos, for validation, and as many for the test."""


@dataclass
class Data:
    """What a run learns from, and what it is scored on.

    Attributes
    ----------
    patches : data set
        With ``draw`` and ``fingerprint``, as in `gluon_enhance.data.patches`.
    validation, test : dict of str to list of (input, truth)
        Sets by name, "" for held-out photos. Images are uint8 (h, w, 3) and (h * scale,
        w * scale, 3); of photos without pairs the truths are None.
    held_out : dict of str to tuple of ndarray of shape (N, 3, P, P), float32 in [0, 1]
        Samples of the photos in `validation`, by the names of its sets, if their losses are to be
        measured.
    """

    patches: Any
    validation: dict = field(default_factory=dict)
    test: dict = field(default_factory=dict)
    held_out: dict = field(default_factory=dict)

    def __str__(self):
        counts = (sum(map(len, sets.values())) for sets in (self.validation, self.test))
        return "{}; {} for validation, {} for the test".format(self.patches, *counts)


@dataclass(frozen=True)
class Split:
    """Photos by what they are for."""

    training: list[Path]
    validation: list[Path]
    test: list[Path]


@dataclass(frozen=True)
class HeldOut:
    """What ``--val`` or ``--test`` asks for.

    Attributes
    ----------
    folders : list of path, or None
        Of photos; None if there is no such option: photos of ``--data`` are held out then.
    named : dict of str to (truths, inputs or None)
        Folders of whole images.
    option : {'--val', '--test'}
        What messages call it.
    """

    folders: Optional[list]
    named: dict
    option: str = "--val"


def parse_held_out(texts: Sequence[str], option: str = "--val") -> HeldOut:
    """Read folders, and sets as ``NAME=TRUTHS`` or ``NAME=TRUTHS,INPUTS``, of an option."""
    folders, named = [], {}
    for text in map(str, texts):
        name, separator, pair = text.partition("=")
        if not separator or Path(text).is_dir():
            folders.append(text)
        else:
            truths, _, inputs = pair.partition(",")
            named[name] = truths, inputs or None
    return HeldOut(folders if texts else None, named, option)


def split_photos(
    folders: Iterable[str | Path],
    validation: Optional[Sequence[str | Path]] = None,
    test: Optional[Sequence[str | Path]] = None,
    but: str | Path | None = None,
) -> Split:
    """List the photos to train on, to validate with and to test.

    By default a photo's name decides alone, its path within its folder without the suffix: a
    photo more or less leaves all others where they are. Only if so few photos are given that none
    falls into a part, the one nearest to it does; the test gets one of three or more.

    Parameters
    ----------
    folders : iterable of path
    validation, test : sequence of path, optional
        Folders of photos for this. Those in `folders` too, whatever way leads there, are not
        trained on. Default: about every 18th of the others.
    but : path, optional
        Folder whose files are not photos of `folders`, though they may lie there.

    Raises
    ------
    ValueError
        If a folder does not exist or holds no image, or no photo is left to train on.
    """
    places = {
        path: path.relative_to(folder).with_suffix("").as_posix()
        for folder in map(Path, folders)
        for path in find_images(folder)
        if not (but and path.resolve().is_relative_to(Path(but).resolve()))
    }
    given = [
        None if part is None else [path for folder in part for path in find_images(folder)]
        for part in (validation, test)
    ]
    apart = {path.resolve() for paths in given for path in paths or ()}
    places = {path: place for path, place in places.items() if path.resolve() not in apart}
    parts = _by_name(places, *(paths is None for paths in given))
    training = sorted(path for path in places if not any(path in part for part in parts))
    if not training:
        raise ValueError(f"of {plural(len(places), 'photo')} none is left to train on; give more")
    return Split(training, *(paths or part for paths, part in zip(given, parts)))


def _by_name(places, validates, tests):
    """Return the photos that validate and those that test; one at least is left."""
    hashes = {path: _hash(place) for path, place in places.items()}
    order = sorted(places, key=lambda path: (hashes[path], path))
    first = [path for path in order if hashes[path] < HELD_OUT] or order[:1]
    last = [path for path in order if hashes[path] >= 1 - HELD_OUT] or order[-1:]
    if len(first) + len(last) >= len(order):
        first, last = order[:1], order[2:][-1:]
    return (first if validates else []), (last if tests else [])


def _hash(place):
    """Spread names evenly over [0, 1)."""
    digest = hashlib.blake2b(place.encode("utf-8", "surrogateescape"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def read_named(named: dict, scale: int, multiple: int = 1, option: str = "--val") -> dict:
    """Read sets of whole images.

    Parameters
    ----------
    named : dict of str to (truths, inputs or None)
        Folders. Inputs have the truths' names, but for what names of reductions end in; without
        a folder of them they are MATLAB-bicubic reductions.
    scale : int
        Ratio of the sizes.
    multiple : int
        Inputs are cropped to multiples of it, at the bottom and on the right.
    option : {'--val', '--test'}
        What the message calls them.

    Returns
    -------
    dict of str to list of (input, truth)
        uint8 (h, w, 3) and (h * scale, w * scale, 3).

    Raises
    ------
    ValueError
        If a folder is missing or empty, or a truth has no input.
    ImageError
        If a file cannot be read, or the sizes do not fit the scale.
    """
    sets = {}
    for name, (truths, inputs) in named.items():
        if inputs is None and scale == 1:
            raise ValueError(f"{option} {name}={truths} has no inputs; give {name}=TRUTHS,INPUTS")
        read = (read_pair(pair, scale)[:2] for pair in find_pairs(truths, inputs))
        sets[name] = [_cropped(_rgb8(lr), _rgb8(hr), scale, multiple) for lr, hr in read]
    return sets


def _rgb8(image):
    rgb, _ = to_rgb(image)
    return rgb if rgb.dtype == np.uint8 else to_dtype(to_float(rgb), np.uint8)


def _cropped(lr, hr, scale, multiple):
    height, width = (n // multiple * multiple for n in lr.shape[:2])
    return lr[:height, :width], hr[: height * scale, : width * scale]


def held_out_crops(paths: Iterable[Path], size: int, unit: int = 1) -> list[np.ndarray]:
    """Cut the center of photos for validation, uint8.

    Parameters
    ----------
    paths : iterable of path
    size : int
        Side of a crop, in pixels. Of a smaller photo the crop is as large as goes; it is left out
        if that is under `LEAST_CROP`.
    unit : int
        What the sides are multiples of.
    """
    places = ((photo, _center(photo.shape, size, unit)) for photo in read_rgb(paths))
    return [np.ascontiguousarray(photo[place]) for photo, place in places if place]


def read_pairs(
    pairs: Mapping[Path, Path], size: int | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read pairs of photos for validation, whole or the center.

    Parameters
    ----------
    pairs : mapping of path to path
        Input to truth.
    size : int, optional
        Side of the center, in pixels, as for `held_out_crops`; default: whole photos.

    Returns
    -------
    list of (input, truth)
        uint8, (h, w, 3).

    Raises
    ------
    ImageError
        If a photo cannot be read.
    ValueError
        If the sizes of a pair differ.
    """
    result = []
    for path, target in pairs.items():
        photo, truth = read_photo(path), read_photo(target)
        check_sizes(path, photo.shape, target, truth.shape)
        place = _center(photo.shape, size) if size else slice(None)
        if place:
            result.append((photo[place], truth[place]))
    return result


def held_out_patches(
    inputs: Sequence[np.ndarray], truths: Sequence[np.ndarray], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cut photos into patches side by side, whose losses are measured.

    Parameters
    ----------
    inputs, truths : sequence of ndarray of shape (h, w, 3), uint8
        Where they are pairs, of the same sizes, so are the patches.
    size : int
        Side of a patch, in pixels.

    Returns
    -------
    inputs, truths : ndarray of shape (N, 3, size, size), float32 in [0, 1]
        At most `MOST_PATCHES`, from all photos alike.

    Raises
    ------
    ValueError
        If no photo is as large as a patch.
    """
    cut = [[p for image in side for p in _side_by_side(image, size)] for side in (inputs, truths)]
    count = min(map(len, cut))
    if not count:
        raise ValueError(
            f"--held-out-losses needs validation photos of --patch-size, {size} pixels a side; "
            "give larger ones, or leave it out"
        )
    places = np.linspace(0, count - 1, min(count, MOST_PATCHES)).astype(int)
    first, second = (np.concatenate([to_nchw(patches[k]) for k in places]) for patches in cut)
    return first, second


def _side_by_side(image, size):
    rows, columns = (range(0, n - size + 1, size) for n in image.shape[:2])
    return [window(image, top, left, size) for top in rows for left in columns]


def held_out_pairs(
    paths: Iterable[Path],
    size: int,
    scale: int = 1,
    degrade: Callable | None = None,
    multiple: int = 1,
    inputs: Mapping[Path, Path] | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut the center of photos for validation, and make the inputs that belong to them.

    Parameters
    ----------
    paths : iterable of path
    size : int
        Side of a true crop, in pixels, as for `held_out_crops`.
    scale : int
        The input is the crop's MATLAB-bicubic reduction by this, unless there is `degrade`.
    degrade : callable, optional
        As for `PhotoPatches` or `SuperResolutionPatches`; each crop has a generator of its own.
    multiple : int
        What the sides of inputs are multiples of.
    inputs : mapping of path to path, optional
        The photos' own reductions, of which the same part is taken.

    Returns
    -------
    list of (input, truth)
        uint8 (h / scale, w / scale, 3) and (h, w, 3).

    Raises
    ------
    ImageError
        If a reduction cannot be read.
    ValueError
        If a reduction is of another scale.
    """
    if inputs:
        return _own_crops(paths, size, scale, multiple, inputs)
    crops = held_out_crops(paths, size, scale * multiple)
    if not degrade:
        return [(resize(crop, 1 / scale), crop) for crop in crops]
    return [
        (to_dtype(degrade(to_float(crop), np.random.default_rng(index)), np.uint8), crop)
        for index, crop in enumerate(crops)
    ]


def _own_crops(paths, size, scale, multiple, inputs):
    pairs = []
    for path in paths:
        lr, hr = read_own_pair(inputs[path], path, read_photo(path), scale)
        place = _center(lr.shape, size // scale, multiple, LEAST_CROP // scale)
        if place:
            large = tuple(slice(part.start * scale, part.stop * scale) for part in place)
            pairs.append((lr[place], hr[large]))
    return pairs


def _center(shape, size, unit=1, least=LEAST_CROP):
    """Return the slices of the middle of an image, or None if it is too small."""
    side = min(size, *shape[:2]) // unit * unit
    top, left = ((n - side) // 2 for n in shape[:2])
    enough = side >= min(least, size)
    return (slice(top, top + side), slice(left, left + side)) if enough else None
