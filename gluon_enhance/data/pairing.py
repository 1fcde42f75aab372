"""Which images of two folders belong together: those of one path in both, but for the suffix."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from gluon_enhance.data.folders import find_images

REDUCED = re.compile(r"(_(bic|bicubic)?LR|_(bic|bicubic))?(_?x[1-9]\d?)?", re.IGNORECASE)
"""What names of reductions, and of what was made of them, end in: x4, _x4, _LR, _bicLRx4."""

TRUE = re.compile(r"_HR$", re.IGNORECASE)
"""What names of true images may end in, where those of reductions end in _LR."""


def find_truths(
    paths: Iterable[Path], folders: Iterable[str | Path], truth_folder: str | Path
) -> dict[Path, Path]:
    """Find the true image of each image: the one that lies at the same place in another folder.

    Places are the same if the paths within the folders are, but for the file's suffix, such as
    ``.png``; or else if the image's name ends, after the true one's, in what reductions are named
    with (``NAMEx4``, ``NAME_x4``, ``NAME_LR``, ``NAME_bicLRx4``).

    Parameters
    ----------
    paths : iterable of path
        Images in `folders`.
    folders : iterable of path
        Of several that an image lies in, the first counts.
    truth_folder : path

    Returns
    -------
    dict of path to path
        Image to true image; images without one are left out.

    Raises
    ------
    ValueError
        If the folder is missing or empty, an image may belong to more than one true image, or a
        true image to more than one image; the message names both.
    """
    truths = _Truths(truth_folder)
    folders, found = list(map(Path, folders)), {}
    images: dict = {}
    for path in dict.fromkeys(paths):
        truth = truths.find(path, _place(path, folders))
        if truth is None:
            continue
        if truth in images:
            raise ValueError(
                f"{images[truth]} and {path} both belong to {truth}, by their names; give folders "
                "in which one of them does"
            )
        found[path], images[truth] = truth, path
    return found


class _Truths:
    """True images by their paths within a folder."""

    def __init__(self, folder):
        self._files, self._places = {}, defaultdict(list)
        for path in find_images(folder):
            place = path.relative_to(folder)
            self._files[place] = path
            self._places[_without_suffix(place)].append(path)
        self._bases = {
            TRUE.sub("", place): paths
            for place, paths in self._places.items()
            if TRUE.search(place) and TRUE.sub("", place) not in self._places
        }

    def find(self, path, place):
        """Return the true image of one at a place, or None."""
        if place in self._files:
            return self._files[place]
        name = _without_suffix(place)
        candidates = (
            self._places.get(name)
            or self._bases.get(name)
            or [
                truth
                for end in range(len(name) - 1, 0, -1)
                if REDUCED.fullmatch(name, end)
                for truths in (self._places, self._bases)
                for truth in truths.get(name[:end], ())
            ]
        )
        if len(candidates) > 1:
            raise ValueError(
                f"{path} belongs to {candidates[0]} or to {candidates[1]}, by its name; give a "
                "folder that holds one of them"
            )
        return candidates[0] if candidates else None


def _place(path, folders):
    """Return the path within the first of the folders that it is in."""
    return next(path.relative_to(folder) for folder in folders if path.is_relative_to(folder))


def _without_suffix(place):
    return place.with_suffix("").as_posix()
