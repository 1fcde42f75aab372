"""Photos of a phone and of a camera: folders of both, DPED's, or photos with a phone's look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import numpy as np

from gluon_enhance.data.degradations import PhoneLook
from gluon_enhance.data.folders import dped_folders, find_images, split_photos
from gluon_enhance.data.pairing import find_truths
from gluon_enhance.data.patches import (
    PairedPatches,
    PhotoPatches,
    Unpaired,
    held_out_crops,
    held_out_pairs,
    read_pairs,
)
from gluon_enhance.imaging.metrics import psnr, ssim

PHONES = ("blackberry", "iphone", "sony")
VALIDATION_CROP = 192
VALIDATION_PATCHES = 64
"""Of the DPED data set's test patches."""


def phone_photos(
    folders: Sequence[str | Path],
    patch_size: int,
    phone: str | None = None,
    target: str | Path | None = None,
    held_out: str | Path | None = None,
    paired: bool = True,
    held_out_target: str | Path | None = None,
) -> tuple:
    """Make a data set of a phone's patches and a camera's.

    Parameters
    ----------
    folders : sequence of path
        Of a phone's photos, with `target`; with `phone`, the one of the DPED data set; with
        neither, of any photos: `PhoneLook` makes the phone's of them.
    patch_size : int
        Side of a patch, in pixels.
    phone : {'blackberry', 'iphone', 'sony'}, optional
    target : path, optional
        Folder of a camera's photos: with `paired`, of the phone's sizes, and at the same paths.
    held_out : path, optional
        Folder of validation photos; default: every 18th. The DPED data set has its own.
    paired : bool
        Whether the patches of a sample are of the same place; else they are of any two.
    held_out_target : path, optional
        Folder of the camera's photos of `held_out`, which `target` has only of what is in
        `folders` too.

    Returns
    -------
    patches : data set
    pairs : list of (input, truth)
        For validation: (h, w, 3), uint8. Without pairs, in two folders, the truths are None.

    Raises
    ------
    ValueError
        If a folder is missing or empty, photos have no target or it is not plain which, or none is
        as large as a patch.
    """
    if phone and (target or len(folders) != 1 or held_out):
        raise ValueError(
            "--phone takes the one folder of the DPED data set as --data, no --target and no --val"
        )
    if held_out_target and not (held_out and target):
        raise ValueError("--val-target is of the photos of --val, for --target; give all three")
    if target and not paired:
        return _two_folders(folders, patch_size, target, held_out)
    if phone:
        patches, pairs = _dped(folders[0], patch_size, phone)
    else:
        training, validation = split_photos(folders, held_out)
        if target:
            patches = PairedPatches(_with_truths(training, folders, target), patch_size)
            if held_out_target:
                folders, target = [held_out], held_out_target
            elif not all(_is_within(path, folders) for path in validation):
                raise ValueError(
                    f"--val {held_out} is not within --data, and --target has the photos of that; "
                    "give the camera's photos of --val as --val-target"
                )
            pairs = read_pairs(_with_truths(validation, folders, target), VALIDATION_CROP)
        else:
            patches = PhotoPatches(training, patch_size, PhoneLook())
            pairs = held_out_pairs(validation, VALIDATION_CROP, degrade=PhoneLook())
    return (patches if paired else Unpaired(patches, patches)), pairs


def _dped(folder, patch_size, phone):
    inputs, targets = dped_folders(folder, phone)
    patches = PairedPatches(_with_truths(find_images(inputs), [inputs], targets), patch_size)
    inputs, targets = dped_folders(folder, phone, "test_data/patches")
    tests = _with_truths(find_images(inputs)[:VALIDATION_PATCHES], [inputs], targets)
    return patches, read_pairs(tests)


def _with_truths(paths, folders, target):
    """Return photos with those that belong to them, which all must have."""
    truths = find_truths(paths, folders, target)
    missing = [path for path in paths if path not in truths]
    if missing:
        raise ValueError(
            f"{target} has no image for {len(missing)} of {len(paths)} photos, {missing[0]} first; "
            "give folders with the same paths in them"
        )
    return truths


def _is_within(path, folders):
    return any(path.is_relative_to(folder) for folder in folders)


def _two_folders(folders, patch_size, target, held_out):
    training, validation = split_photos(folders, held_out)
    sources = (PhotoPatches(paths, patch_size) for paths in (training, find_images(target)))
    return Unpaired(*sources), [
        (crop, None) for crop in held_out_crops(validation, VALIDATION_CROP)
    ]


def scores_of_inputs(pairs: Sequence) -> Callable:
    """Score the inputs of `pairs` as they are, for the log of a net that shall bring them closer.

    There are no scores if the pairs have no truths.

    Returns
    -------
    callable
        For `gluon_enhance.training.validation.Validation`, as ``extra``.
    """
    known = [pair for pair in pairs if pair[1] is not None]
    metrics = {"psnr_of_input": psnr, "ssim_of_input": ssim} if known else {}
    scores = {name: float(np.mean([f(*pair) for pair in known])) for name, f in metrics.items()}
    return lambda outputs, truths: scores
