"""Which inputs are rasters, and which are photos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional, Union

from gluon_enhance.photos import FORMATS, IMAGE_SUFFIXES
from gluon_enhance.rasters.names import TIFF, is_dataset_name

Source = Union[Path, str]
"""A file, or the name of what only GDAL opens, which must stay text."""


def source_of(text: str) -> Source:
    """Return what a name that a user typed stands for."""
    return text if is_dataset_name(text) and not os.path.exists(text) else Path(text)


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
    if not suffix or suffix in FORMATS or output.is_dir():
        return
    from gluon_enhance.rasters.raster_or_photo import is_format

    if is_format(suffix):
        raise ValueError(
            f"-o is {output}, and {suffix} files are not written; name a folder, or a file that "
            f"ends in {', '.join(FORMATS)} (.tif for rasters)"
        )
