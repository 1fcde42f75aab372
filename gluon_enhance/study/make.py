"""New studies: folders of pictures that models or others have made, and ``study.toml``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Optional

import numpy as np

from gluon_enhance.atomic import temporary_folder, write_text
from gluon_enhance.data.folders import find_images, read_photo
from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.resize import KERNELS, resize
from gluon_enhance.inference.enhancer import Enhancer
from gluon_enhance.inference.kernel import Baseline
from gluon_enhance.photos import Photo, write_image
from gluon_enhance.study.design import (
    FILE,
    LONGEST,
    Study,
    StudyError,
    picture_file,
    study_text,
)

ORIGINAL = "original"
"""The method of pictures that models were given reduced."""
Pictures = Mapping[str, np.ndarray]
"""By the methods that have made them."""


def name_of(path: Path) -> str:
    """Return a picture's name: its file's without suffix, with _ for what names may not hold.

    What names may not begin or end with, such as the _ of a camera's ``_DSC0001``, is left out.
    """
    name = re.sub(r"[^A-Za-z0-9 ._+-]", "_", path.stem)
    return re.sub("^[^A-Za-z0-9]+", "", name)[:LONGEST].rstrip(" .") or "picture"


def made_by_models(
    paths: Iterable[Path], models: Iterable[str], shrink: bool, **options
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield pictures by what models make of them.

    Parameters
    ----------
    paths : iterable of Path
    models : iterable of str
        As `gluon_enhance.Enhancer` takes them, or bicubic, bilinear or nearest, which enlarge as
        much as the models do, or 4 times. Of ``NAME=FILE`` the name is the method's, of a path its
        last part.
    shrink : bool
        Reduce pictures first by MATLAB's bicubic kernel, as much as models enlarge; they are then
        a method too, `ORIGINAL`.
    **options
        Of `gluon_enhance.Enhancer`.

    Raises
    ------
    StudyError
        If the models' scales differ, or a picture has no pixel when it is reduced.
    """
    enhancers = {name: Enhancer(name, **options) for name in models if name not in KERNELS}
    scales = {enhancer.scale for enhancer in enhancers.values()} or {4}
    if len(scales) > 1:
        said = ", ".join(f"{name} x{one.scale}" for name, one in enhancers.items())
        raise StudyError(f"the models enlarge by different scales: {said}; take those of one")
    (scale,) = scales
    makers = {method_of(name): enhancers.get(name) or Baseline(name, scale) for name in models}
    for path in paths:
        pixels = read_photo(path)
        rows, columns = (length // scale * scale for length in pixels.shape[:2])
        if not rows * columns:
            raise StudyError(
                f"{path} has less than {scale} pixels on a side; give a larger picture"
            )
        source = resize(pixels[:rows, :columns], 1 / scale) if shrink else pixels
        shown = {method: maker(source) for method, maker in makers.items()}
        yield name_of(path), {**shown, ORIGINAL: pixels[:rows, :columns]} if shrink else shown


def method_of(model: str) -> str:
    """Return what a model is called in a study."""
    name, equals, _ = model.partition("=")
    return name if equals else name_of(Path(model))


def found_in_folders(
    names: Iterable[str], folders: Mapping[str, Path]
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield pictures by the methods whose folders hold them, under names without suffix.

    Raises
    ------
    StudyError
        If a folder lacks a picture, or has two of one name.
    """
    files = {method: by_name(find_images(folder)) for method, folder in folders.items()}
    for name in names:
        for method, found in files.items():
            if name not in found:
                raise StudyError(f"{folders[method]} has no picture that is called {name}")
        yield name, {method: read_photo(found[name]) for method, found in files.items()}


def by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """Return pictures by their names.

    Raises
    ------
    StudyError
        If two have one name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        name = name_of(path)
        other = found.setdefault(name, path)
        if other != path:
            raise StudyError(f"{other} and {path} would both be called {name}; rename one")
    return found


def make_study(
    folder: Path,
    study: Study,
    pictures: Iterable[tuple[str, Pictures]],
    crop: Optional[int] = None,
) -> None:
    """Make a study's folder, or leave nothing.

    Files are written anew, from pixels alone: what a file says of itself, such as the program that
    has made it, would tell raters what they see.

    Parameters
    ----------
    folder : Path
        Not there yet.
    study : Study
    pictures : iterable of (str, mapping of str to ndarray)
        Each picture by its name, as all methods show it: (H, W, 3) uint8.
    crop : int, optional
        Keep so many pixels of the middle, each way.

    Raises
    ------
    StudyError
        If the folder is there or cannot be written, or the methods' pictures differ in size.
    """
    if folder.exists() or folder.is_symlink():
        raise StudyError(f"{folder} is there already; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder.parent) as beside:
        draft = beside / folder.name
        try:
            for name, shown in pictures:
                _check_sizes(name, shown)
                _write(draft, name, shown, crop)
            write_text(draft / FILE, study_text(study))
        except (ImageError, OSError) as error:
            # By its name, as the draft is gone when it is read.
            raise StudyError(str(error).replace(str(draft), str(folder))) from error
        draft.rename(folder)


def _write(folder, name, shown, crop):
    for method, pixels in shown.items():
        path = picture_file(folder, method, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, Photo(np.ascontiguousarray(middle(pixels, crop))))


def middle(pixels: np.ndarray, side: Optional[int]) -> np.ndarray:
    """Return the middle of a picture, at most so many pixels wide and high."""
    if side is None:
        return pixels
    starts = [max(0, (length - side) // 2) for length in pixels.shape[:2]]
    return pixels[tuple(slice(start, start + side) for start in starts)]


def check_files(folder: Path, study: Study) -> None:
    """Refuse a study that lacks a picture.

    Raises
    ------
    StudyError
        It names the first.
    """
    for picture in (*study.pictures, *study.training):
        for method in study.methods:
            path = picture_file(folder, method, picture)
            if not path.is_file():
                raise StudyError(f"{path} is missing; make the study again")


def _check_sizes(name, shown):
    sizes = {pixels.shape for pixels in shown.values()}
    if len(sizes) > 1:
        said = ", ".join(f"{m} {p.shape[1]}x{p.shape[0]}" for m, p in shown.items())
        raise StudyError(f"{name}: all methods must show it in one size, not {said}")
