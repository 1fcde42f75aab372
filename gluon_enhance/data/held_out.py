"""Photos that a run does not learn from: to choose by while it trains, and to test its result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import numpy as np

from gluon_enhance.data.benchmarks import find_pairs, read_pair
from gluon_enhance.data.folders import find_images
from gluon_enhance.imaging.arrays import to_dtype, to_float, to_rgb

VALIDATION_CROP = 192
"""Side of the part of a held-out photo that is scored, in its own pixels."""

SHARE = 1 / 18
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
    """

    patches: object
    validation: dict = field(default_factory=dict)
    test: dict = field(default_factory=dict)

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
    """

    folders: Optional[list]
    named: dict


def parse_held_out(texts: Sequence[str]) -> HeldOut:
    """Read folders, and sets as ``NAME=TRUTHS`` or ``NAME=TRUTHS,INPUTS``."""
    folders, named = [], {}
    for text in map(str, texts):
        name, separator, pair = text.partition("=")
        if not separator or Path(text).is_dir():
            folders.append(text)
        else:
            truths, _, inputs = pair.partition(",")
            named[name] = truths, inputs or None
    return HeldOut(folders if texts else None, named)


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
        raise ValueError(f"{len(places)} photos leave none to train on; give more")
    return Split(training, *(paths or part for paths, part in zip(given, parts)))


def _by_name(places, validates, tests):
    """Return the photos that validate and those that test; one at least is left."""
    hashes = {path: _hash(place) for path, place in places.items()}
    order = sorted(places, key=lambda path: (hashes[path], path))
    first = [path for path in order if hashes[path] < SHARE] or order[:1]
    last = [path for path in order if hashes[path] >= 1 - SHARE] or order[-1:]
    if len(first) + len(last) >= len(order):
        first, last = order[:1], order[2:][-1:]
    return (first if validates else []), (last if tests else [])


def _hash(place):
    """Spread names evenly over [0, 1)."""
    digest = hashlib.blake2b(place.encode("utf-8", "surrogateescape"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def read_named(named: dict, scale: int, multiple: int = 1) -> dict:
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
            raise ValueError(f"--val {name}={truths} has no inputs; give {name}=TRUTHS,INPUTS")
        read = (read_pair(pair, scale)[:2] for pair in find_pairs(truths, inputs))
        sets[name] = [_cropped(_rgb8(lr), _rgb8(hr), scale, multiple) for lr, hr in read]
    return sets


def _rgb8(image):
    rgb, _ = to_rgb(image)
    return rgb if rgb.dtype == np.uint8 else to_dtype(to_float(rgb), np.uint8)


def _cropped(lr, hr, scale, multiple):
    height, width = (n // multiple * multiple for n in lr.shape[:2])
    return lr[:height, :width], hr[: height * scale, : width * scale]
