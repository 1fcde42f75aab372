"""Photos for super-resolution: their reductions are made here, or are the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

from gluon_enhance.data.degradations import make_degradation
from gluon_enhance.data.folders import find_images
from gluon_enhance.data.held_out_photos import (
    VALIDATION_CROP,
    Data,
    held_out_pairs,
    parse_held_out,
    read_named,
    split_photos,
)
from gluon_enhance.data.pairing import find_truths
from gluon_enhance.data.patches import SuperResolutionPatches
from gluon_enhance.data.real_esrgan import read_numbers
from gluon_enhance.errors import plural


def enlarging_photos(
    folders: Sequence[str | Path],
    scale: int,
    patch_size: int,
    reductions: Sequence[float] = (1.0,),
    degrade: str = "bicubic",
    multiple: int = 1,
    lr: str | Path | None = None,
    validation: Sequence[str] = (),
    test: Sequence[str] = (),
    degrade_options: str | Path | None = None,
    sharpen_truth: bool = False,
) -> Data:
    """Make a data set of low- and high-resolution patches, and the pairs to score with.

    Parameters
    ----------
    folders : sequence of path
        Of true photos.
    scale : int
        Ratio of the sizes.
    patch_size : int
        Side of a low-resolution patch, in pixels.
    reductions : sequence of float
        Each photo is used at these sizes, without `lr`.
    degrade : str
        One of `gluon_enhance.data.degradations.DEGRADATIONS`, without `lr`.
    multiple : int
        What the sides of inputs must be multiples of.
    lr : path, optional
        Folder of the photos' reductions, named as they are, but for what such names end in.
    validation, test : sequence of str
        Folders of photos, of which the centers are scored, or sets of whole images as
        ``NAME=TRUTHS,INPUTS``; default: photos of `folders`, chosen by their names.
    degrade_options : path, optional
        File of `gluon_enhance.data.real_esrgan.Numbers`.
    sharpen_truth : bool
        As of `SuperResolutionPatches`; photos that are scored stay as they are.

    Raises
    ------
    ValueError
        If a folder is missing or empty, photos have no reduction or one of another scale, or none
        is as large as a patch.
    """
    parts = parse_held_out(validation), parse_held_out(test, "--test")
    split = split_photos(folders, parts[0].folders, parts[1].folders, lr)
    inputs = lr and find_inputs([*folders, *(f for p in parts for f in p.folders or ())], lr)
    numbers = read_numbers(degrade_options) if degrade_options else None
    if inputs:
        if numbers:
            raise ValueError("--degrade-options is for inputs that are made here; leave out --lr")
        _check_all(split, inputs, lr)
        reductions, degradation = (1.0,), None
    else:
        largest = max(patch_size, VALIDATION_CROP // scale)
        degradation = make_degradation(degrade, split.training, scale, largest, numbers)
    patches = SuperResolutionPatches(
        split.training,
        scale,
        patch_size,
        reductions,
        degradation,
        inputs or None,
        sharpen_truth,
    )
    data = Data(patches)
    for sets, paths, part in zip(
        (data.validation, data.test), (split.validation, split.test), parts
    ):
        if paths:
            sets[""] = held_out_pairs(
                paths, VALIDATION_CROP, scale, degradation, multiple, inputs or None
            )
        sets.update(read_named(part.named, scale, multiple, part.option))
    return data


def find_inputs(folders: Sequence[str | Path], lr: str | Path) -> Mapping[Path, Path]:
    """Find the reductions of the photos in some folders: photo to reduction."""
    paths = find_images(lr)
    return {
        truth: path
        for folder in folders
        for path, truth in find_truths(paths, [lr], folder).items()
        if truth != path
    }


def _check_all(split, inputs: Mapping, lr: Optional[str | Path]):
    photos = [*split.training, *split.validation, *split.test]
    missing = [path for path in photos if path not in inputs]
    if missing:
        raise ValueError(
            f"--lr {lr} has no image for {len(missing)} of {plural(len(photos), 'photo')}, "
            f"{missing[0]} first; names are the photos' own, with or without an ending such as "
            "x4 or _LR"
        )
