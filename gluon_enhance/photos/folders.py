"""What a folder holds: pictures by their suffix, other files, and what cannot be looked into."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from gluon_enhance.photos.formats import IMAGE_SUFFIXES


class Listing(NamedTuple):
    """What `scan` found, each sorted by path.

    Attributes
    ----------
    pictures, others : list of Path
        Files.
    unreadable : dict of Path to str
        Folder -> why it cannot be read.
    subfolders : list of Path
        Those that were not entered.
    """

    pictures: list[Path]
    others: list[Path]
    unreadable: dict[Path, str]
    subfolders: list[Path]


def scan(folder: str | os.PathLike, recursive: bool = True) -> Listing:
    """List a folder; what begins with a dot is passed over, and links to folders are not entered.

    Parameters
    ----------
    folder : path
    recursive : bool
        Enter the subfolders.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    unreadable: dict[Path, str] = {}
    left: list[Path] = []

    def fail(error):
        unreadable[Path(error.filename)] = error.strerror

    for parent, subfolders, names in os.walk(Path(folder), onerror=fail):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        if not recursive:
            left += (Path(parent, name) for name in subfolders)
            subfolders.clear()
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            (pictures if path.suffix.lower() in IMAGE_SUFFIXES else others).append(path)
    return Listing(sorted(pictures), sorted(others), unreadable, sorted(left))
