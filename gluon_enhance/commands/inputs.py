"""What inputs are: rasters, photos, and results of earlier runs, told by names and sizes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Optional, Union

from gluon_enhance.photos import IMAGE_SUFFIXES, WRITTEN_SUFFIXES, read_size
from gluon_enhance.rasters.names import TIFF, is_dataset_name

Source = Union[Path, str]
"""A file, or the name of what only GDAL opens, which must stay text."""

DEFAULT_SUFFIX = re.compile(r"(.+)_x(\d+(?:\.\d+)?)(_part)?")
"""What the command adds to a stem unless told: ``_x`` and the scale, and of a part ``_part``."""


def source_of(text: str) -> Source:
    """Return what a name that a user typed stands for."""
    return Path(text) if os.path.exists(text) or not is_dataset_name(text) else text


def is_raster(source: Source, options: Optional[dict] = None, trust: bool = False) -> bool:
    """Tell whether GDAL is to read an input.

    That is all that is no plain file or has the suffix of no photo, TIFF files with options of
    rasters, and TIFF files that say what a photo cannot hold, such as their place or nodata. With
    `trust` what is called a TIFF file may be anything.
    """
    if isinstance(source, str):
        return True
    suffix = source.suffix.lower()
    if suffix not in TIFF and suffix in IMAGE_SUFFIXES:
        return False
    if suffix in TIFF and options:
        return True
    from gluon_enhance.rasters.raster_or_photo import kind_of

    kind = kind_of(source, trust)
    # Of what GDAL cannot read, it says why; but a damaged TIFF file is a photo.
    return kind == "raster" or (kind is None and suffix not in TIFF)


def has_place_beside(path: Path, trust: bool = False) -> bool:
    """Tell whether a picture other than TIFF has a place on Earth, in files beside it."""
    end = path.suffix[1:]
    if path.suffix.lower() in TIFF or not end:
        return False
    suffixes = [f".{end[0]}{end[-1]}w", f".{end}w", ".wld", ".tab"]
    beside = [path.with_suffix(form(text)) for text in suffixes for form in (str.lower, str.upper)]
    if not any(file.exists() for file in (*beside, path.with_name(f"{path.name}.aux.xml"))):
        return False
    from gluon_enhance.rasters.raster_or_photo import is_placed

    return is_placed(path, trust)


def check_output(output: Path) -> None:
    """Refuse a new folder that is called as a file of a format that is not written."""
    suffix = output.suffix.lower()
    if not suffix or suffix in WRITTEN_SUFFIXES or output.is_dir():
        return
    from gluon_enhance.rasters.raster_or_photo import is_format

    if is_format(suffix):
        raise ValueError(
            f"-o is {output}, and {suffix} files are not written; name a folder, or a file that "
            f"ends in {', '.join(WRITTEN_SUFFIXES)} (.tif for rasters)"
        )


class Results:
    """Tell results from pictures of the user's own.

    A file is a result of another if it is named like that one with the default suffix of any
    scale, or with this run's, and is so many times as large. With a suffix of the user's it may
    be any number of times as large, but once only if this run does not enlarge: pictures of one
    camera are of one size. Parts may have any size.

    Parameters
    ----------
    suffix : str
        This run's.
    ext : str, optional
        This run's; tells a result where `suffix` is empty.
    outscale : float
        This run's ratio of the output's size to the input's.
    """

    def __init__(self, suffix: str, ext: Optional[str], outscale: float):
        self._suffix, self._outscale = suffix, outscale
        self._ext = f".{ext.lstrip('.')}" if ext else None

    def among(self, found) -> dict[Path, Path]:
        """Return result -> original of the files in a list.

        Parameters
        ----------
        found : list of (path, base)
            Results lie beside their originals, or keep the originals' places below a base in a
            folder of their own.
        """
        originals: dict[str, list] = {}
        for path, base in found:
            originals.setdefault(path.stem, []).append((path, path.parent.relative_to(base)))
        results = {}
        for path, base in found:
            folder = path.parent.relative_to(base)
            for stem, scale in self._unsuffixed(path):
                for original, place in originals.get(stem, ()):
                    beside = original.parent == path.parent or _ends_with(folder, place)
                    if beside and (is_part(path) or self._has_grown(original, path, scale)):
                        results[path] = original
        return results

    def is_result(self, path: Path, original: Path) -> bool:
        """Tell whether a file that has the name of this run's result is one."""
        return path.exists() and self._has_grown(original, path, None)

    def _unsuffixed(self, path) -> Iterator[tuple[str, Optional[float]]]:
        """Yield what the stem of the original can be, and the scale if the suffix tells it."""
        match = DEFAULT_SUFFIX.fullmatch(path.stem)
        if match:
            yield match[1], float(match[2])
        if path.stem.endswith(self._suffix) and (self._suffix or path.suffix == self._ext):
            yield path.stem[: len(path.stem) - len(self._suffix)], None

    def _has_grown(self, original, path, scale):
        before, after = read_size(original), read_size(path)
        if original == path or after is None:
            return False
        if before is None:  # of rasters that only GDAL reads
            return True
        if scale is None and after in (before, before[::-1]):
            return self._outscale == 1
        # A photo that is turned upright has its sides exchanged.
        return any(_is_scaled(sides, after, scale) for sides in (before, before[::-1]))


def is_part(path: Path) -> bool:
    """Tell whether a file is named like the result of a part, of which the size says nothing."""
    match = DEFAULT_SUFFIX.fullmatch(path.stem)
    return bool(match and match[3])


def _is_scaled(before, after, scale):
    """Tell whether both sides are `scale`, or any number of, times as long, within rounding."""
    if scale is None:
        lowest = max((side - 0.5) / old for side, old in zip(after, before))
        highest = min((side + 0.5) / old for side, old in zip(after, before))
        return lowest <= highest
    return all(abs(side - scale * old) <= 1 for side, old in zip(after, before))


def _ends_with(folder, place):
    count = len(place.parts)
    return count <= len(folder.parts) and folder.parts[len(folder.parts) - count :] == place.parts
