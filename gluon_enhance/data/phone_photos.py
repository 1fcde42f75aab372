"""Photos of a phone and of a camera: folders of both, DPED's, or photos with a phone's look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gluon_enhance.data.degradations import PhoneLook, PhoneLooks
from gluon_enhance.data.folders import dped_folders, find_images
from gluon_enhance.data.held_out_photos import (
    VALIDATION_CROP,
    Data,
    Split,
    held_out_crops,
    held_out_pairs,
    held_out_patches,
    parse_held_out,
    read_named,
    read_pairs,
    split_photos,
)
from gluon_enhance.data.pairing import find_truths
from gluon_enhance.data.patches import PairedPatches, PhotoPatches, Unpaired
from gluon_enhance.errors import plural
from gluon_enhance.imaging.metrics import ms_ssim, psnr, ssim

PHONES = ("blackberry", "iphone", "sony")
LOOKS = {
    "many": (PhoneLooks(), PhoneLooks(as_it_is=0), (1.0, 0.5, 0.25)),
    "one": (PhoneLook(), PhoneLook(), (1.0,)),
}
"""Looks that photos are given -> those of training, those of photos that are held out, and the
sizes at which photos are used: people have small ones, too."""
VALIDATION_PATCHES = 64
"""Of the DPED data set's test patches; as many more are for the test."""


def phone_photos(
    folders: Sequence[str | Path],
    patch_size: int,
    phone: str | None = None,
    target: str | Path | None = None,
    validation: Sequence[str] = (),
    paired: bool = True,
    validation_target: str | Path | None = None,
    test: Sequence[str] = (),
    losses: bool = False,
    looks: str = "many",
) -> Data:
    """Make a data set of a phone's patches and a camera's.

    Parameters
    ----------
    folders : sequence of path
        Of a phone's photos, with `target`; with `phone`, the one of the DPED data set; with
        neither, of any photos: `looks` makes the phone's of them.
    patch_size : int
        Side of a patch, in pixels.
    phone : {'blackberry', 'iphone', 'sony'}, optional
    target : path, optional
        Folder of a camera's photos: with `paired`, of the phone's sizes, and at the same paths.
    validation, test : sequence of str
        Folders of photos, of which the centers are scored, or sets of whole images as
        ``NAME=TRUTHS,INPUTS``; default: photos of `folders`, chosen by their names. The DPED data
        set has its own.
    paired : bool
        Whether the patches of a sample are of the same place; else they are of any two.
    validation_target : path, optional
        Folder of the camera's photos of the folders in `validation` and `test`, which `target`
        has only of what is in `folders` too.
    losses : bool
        Whether losses are to be measured on what validates. Of the photos of `target` without
        pairs some are held out for it then, by their names.
    looks : {'many', 'one'}
        Where `folders` are of any photos: the look of another phone each time, or of one phone.

    Returns
    -------
    Data
        Without pairs, in two folders, the truths of held-out photos are None.

    Raises
    ------
    ValueError
        If a folder is missing or empty, photos have no target or it is not plain which, or none is
        as large as a patch.
    """
    parts = parse_held_out(validation), parse_held_out(test, "--test")
    given = [folder for part in parts for folder in part.folders or ()]
    if phone and (target or len(folders) != 1 or given):
        raise ValueError(
            "--phone takes the one folder of the DPED data set as --data, no --target, and no "
            "folder as --val or --test"
        )
    if validation_target and not (given and target):
        raise ValueError(
            "--val-target is of the photos of --val, for --target; give all three, or --test in "
            "place of --val"
        )
    if phone:
        data = _dped(folders[0], patch_size, phone)
    else:
        split = split_photos(folders, parts[0].folders, parts[1].folders)
        if target and not paired:
            data = _two_folders(split, patch_size, target, losses)
        elif target:
            data = _pairs(split, patch_size, folders, target, parts, validation_target)
        else:
            data = _looks(split, patch_size, *LOOKS[looks])
    if not (paired or target):
        data.patches = Unpaired(data.patches, data.patches)
    for sets, part in zip((data.validation, data.test), parts):
        sets.update(read_named(part.named, 1, option=part.option))
    if losses:
        for name in data.validation.keys() - data.held_out.keys():
            inputs, truths = zip(*data.validation[name])
            data.held_out[name] = held_out_patches(inputs, truths, patch_size)
    return data


def _data(patches, validation, test):
    sets = ({"": pairs} if pairs else {} for pairs in (validation, test))
    return Data(patches, *sets)


def _dped(folder, patch_size, phone):
    inputs, targets = dped_folders(folder, phone)
    patches = PairedPatches(_with_truths(find_images(inputs), [inputs], targets), patch_size)
    inputs, targets = dped_folders(folder, phone, "test_data/patches")
    paths = find_images(inputs)
    parts = paths[:VALIDATION_PATCHES], paths[VALIDATION_PATCHES:][:VALIDATION_PATCHES]
    return _data(patches, *(read_pairs(_with_truths(p, [inputs], targets)) for p in parts))


def _two_folders(split, patch_size, target, losses):
    camera = split_photos([target], test=()) if losses else Split(find_images(target), [], [])
    sources = (PhotoPatches(part.training, patch_size) for part in (split, camera))
    crops = [held_out_crops(part, VALIDATION_CROP) for part in (split.validation, split.test)]
    data = _data(Unpaired(*sources), *([(crop, None) for crop in part] for part in crops))
    if losses:
        others = held_out_crops(camera.validation, VALIDATION_CROP)
        data.held_out[""] = held_out_patches(crops[0], others, patch_size)
    return data


def _pairs(split, patch_size, folders, target, parts, given_target):
    patches = PairedPatches(_with_truths(split.training, folders, target), patch_size)
    pairs = []
    for part, paths in zip(parts, (split.validation, split.test)):
        within = [path for path in paths if _is_within(path, folders)]
        others = [path for path in paths if path not in within]
        if others and not given_target:
            folder = next(f for f in part.folders if others[0].is_relative_to(f))
            raise ValueError(
                f"{part.option} {folder} is not within --data, and --target has the photos of "
                f"that; give the camera's photos of {part.option} as --val-target"
            )
        truths = _with_truths(within, folders, target) if within else {}
        if others:
            truths.update(_with_truths(others, part.folders, given_target))
        pairs.append(read_pairs(truths, VALIDATION_CROP))
    return _data(patches, *pairs)


def _looks(split, patch_size, look, look_of_held_out, reductions):
    parts = split.validation, split.test
    pairs = (held_out_pairs(paths, VALIDATION_CROP, degrade=look_of_held_out) for paths in parts)
    return _data(PhotoPatches(split.training, patch_size, look, reductions), *pairs)


def _with_truths(paths, folders, target):
    """Return photos with those that belong to them, which all must have."""
    truths = find_truths(paths, folders, target)
    missing = [path for path in paths if path not in truths]
    if missing:
        raise ValueError(
            f"{target} has no image for {len(missing)} of {plural(len(paths), 'photo')}, "
            f"{missing[0]} first; give folders with the same paths in them"
        )
    return truths


def _is_within(path, folders):
    return any(path.is_relative_to(folder) for folder in folders)


def score_input(image: np.ndarray, truth: np.ndarray | None) -> dict:
    """Score an input as it is, for the log of a net that shall bring it closer to the truth.

    Without a truth there are no scores.
    """
    if truth is None:
        return {}
    return {
        "psnr_of_input": psnr(image, truth),
        "ssim_of_input": ssim(image, truth),
        "ms_ssim_dped_of_input": ms_ssim(image, truth, form="dped"),
    }


def score_output(output: np.ndarray, truth: np.ndarray | None, image: np.ndarray) -> dict:
    """Score an output by the measure of DPED's paper; without a truth there are no scores."""
    return {} if truth is None else {"ms_ssim_dped": ms_ssim(output, truth, form="dped")}


SCORES = {"extra": score_output, "of_input": score_input}
"""What `gluon_enhance.training.validation.Validation` scores of a phone's photos."""
