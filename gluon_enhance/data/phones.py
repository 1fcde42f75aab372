"""Photos of a phone and of a camera: folders of both, DPED's, or photos with a phone's look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import numpy as np

from gluon_enhance.data.degradations import PhoneLook
from gluon_enhance.data.folders import dped_folders, find_images, match_names, split_photos
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
        Folder of a camera's photos: with `paired`, of the same names and sizes as the phone's.
    held_out : path, optional
        Folder of validation photos; default: every 18th. The DPED data set has its own.
    paired : bool
        Whether the patches of a sample are of the same place; else they are of any two.

    Returns
    -------
    patches : data set
    pairs : list of (input, truth)
        For validation: (h, w, 3), uint8. Without pairs, in two folders, the truths are None.

    Raises
    ------
    ValueError
        If a folder is missing or empty, photos have no target, or none is as large as a patch.
    """
    if phone and (target or len(folders) != 1 or held_out):
        raise ValueError(
            "--phone takes the one folder of the DPED data set as --data, no --target and no --val"
        )
    if target and not paired:
        return _two_folders(folders, patch_size, target, held_out)
    if phone:
        patches, pairs = _dped(folders[0], patch_size, phone)
    else:
        training, validation = split_photos(folders, held_out)
        if target:
            patches = PairedPatches(match_names(training, target), patch_size)
            pairs = read_pairs(match_names(validation, target), VALIDATION_CROP)
        else:
            patches = PhotoPatches(training, patch_size, PhoneLook())
            pairs = held_out_pairs(validation, VALIDATION_CROP, degrade=PhoneLook())
    return (patches if paired else Unpaired(patches, patches)), pairs


def _dped(folder, patch_size, phone):
    inputs, targets = dped_folders(folder, phone)
    patches = PairedPatches(match_names(find_images(inputs), targets), patch_size)
    inputs, targets = dped_folders(folder, phone, "test_data/patches")
    tests = match_names(find_images(inputs)[:VALIDATION_PATCHES], targets)
    return patches, read_pairs(tests)


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
