"""Photos of a phone and of a camera: the DPED data set's, or photos with a phone's look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import numpy as np

from gluon_enhance.data.degradations import PhoneLook
from gluon_enhance.data.folders import dped_folders, find_images, read_photo, split_photos
from gluon_enhance.data.patches import PairedPatches, PhotoPatches, held_out_pairs
from gluon_enhance.imaging.metrics import psnr, ssim

PHONES = ("blackberry", "iphone", "sony")
VALIDATION_CROP = 192
VALIDATION_PATCHES = 64
"""Of the DPED data set's test patches."""


def phone_photos(
    folders: Sequence[str | Path],
    patch_size: int,
    phone: str | None = None,
    held_out: str | Path | None = None,
) -> tuple:
    """Make a data set of a phone's patches and the camera's of the same places.

    Parameters
    ----------
    folders : sequence of path
        Of photos, to which `PhoneLook` is given; with `phone`, the one of the DPED data set.
    patch_size : int
        Side of a patch, in pixels.
    phone : {'blackberry', 'iphone', 'sony'}, optional
    held_out : path, optional
        Folder of validation photos; default: every 18th. With `phone` it is the data set's own.

    Returns
    -------
    patches : data set
        `PairedPatches` or `PhotoPatches`.
    pairs : list of (input, truth)
        For validation: (h, w, 3), uint8.

    Raises
    ------
    ValueError
        If a folder is missing or empty, or no photo is as large as a patch.
    """
    if phone is None:
        training, validation = split_photos(folders, held_out)
        look = PhoneLook()
        pairs = held_out_pairs(validation, VALIDATION_CROP, degrade=look)
        return PhotoPatches(training, patch_size, look), pairs
    if len(folders) != 1 or held_out:
        raise ValueError(
            "--phone takes the one folder of the DPED data set as --data, and no --val"
        )
    tests = dped_folders(folders[0], phone, "test_data/patches")
    images = (find_images(folder)[:VALIDATION_PATCHES] for folder in tests)
    pairs = [(read_photo(image), read_photo(truth)) for image, truth in zip(*images)]
    return PairedPatches(*dped_folders(folders[0], phone), patch_size), pairs


def unpaired(draw: Callable) -> Callable:
    """Make of the `draw` of pairs one whose input and truth have nothing to do with each other."""
    return lambda rng: (draw(rng)[0], draw(rng)[1])


def scores_of_inputs(pairs: Sequence) -> Callable:
    """Score the inputs of `pairs` as they are, for the log of a net that shall bring them closer.

    Returns
    -------
    callable
        For `gluon_enhance.training.validation.Validation`, as ``extra``.
    """
    scores = {
        "psnr_of_input": float(np.mean([psnr(*pair) for pair in pairs])),
        "ssim_of_input": float(np.mean([ssim(*pair) for pair in pairs])),
    }
    return lambda outputs, truths: scores
