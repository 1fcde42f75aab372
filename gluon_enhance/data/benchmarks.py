"""Benchmark sets, such as Set5: folders of true images, and of their reductions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from gluon_enhance.data.folders import find_images
from gluon_enhance.data.pairing import find_truths
from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.resize import resize
from gluon_enhance.photos import read_image


@dataclass(frozen=True)
class Pair:
    """A true image and its reduction; without one, it is made when read.

    Of rasters either may also be the name of what only GDAL opens.
    """

    name: str
    hr: Path | str
    lr: Optional[Path | str]


def find_pairs(hr_folder: str | Path, lr_folder: str | Path | None = None) -> list[Pair]:
    """Match two folders as `gluon_enhance.data.pairing.find_truths` does; names are paths in them.

    Raises
    ------
    ValueError
        If a folder is missing or empty, a true image has no reduction, or it is not plain which.
    """
    hr = find_images(hr_folder)
    if lr_folder is None:
        lr = dict.fromkeys(hr)
    else:
        truths = find_truths(find_images(lr_folder), [lr_folder], hr_folder)
        lr = {truth: path for path, truth in truths.items()}
    names = {path: path.relative_to(hr_folder).as_posix() for path in hr}
    missing = [names[path] for path in hr if path not in lr]
    if missing:
        raise ValueError(f"{lr_folder} has no image for {', '.join(missing)} of {hr_folder}")
    return [Pair(names[path], path, lr[path]) for path in hr]


def read_pair(pair: Pair, scale: Optional[int] = None) -> tuple[np.ndarray, np.ndarray, int]:
    """Read a pair, the true image cropped to `scale` times the reduction's size.

    Parameters
    ----------
    scale : int, optional
        Default: what the sizes say; needed where the reduction is made here.

    Returns
    -------
    lr, hr : ndarray of shape (h, w[, C]) and (h * scale, w * scale[, C])
    scale : int

    Raises
    ------
    ImageError
        If a file cannot be read, or the sizes do not fit the scale.
    """
    hr = read_image(pair.hr, strict=True).pixels
    if pair.lr is None:
        if scale is None:
            raise ValueError("scale is not given; it is needed where there is no --lr folder")
        hr = hr[: hr.shape[0] // scale * scale, : hr.shape[1] // scale * scale]
        if hr.size == 0:
            raise ImageError(f"{pair.hr} is smaller than the scale ({scale})")
        return resize(hr, 1 / scale), hr, scale
    lr = read_image(pair.lr, strict=True).pixels
    scale = scale or max(1, round(hr.shape[0] / lr.shape[0]))
    height, width = (n * scale for n in lr.shape[:2])
    excess = (hr.shape[0] - height, hr.shape[1] - width)
    if min(excess) < 0 or max(excess) >= scale:
        raise ImageError(
            f"{pair.lr} is {lr.shape[1]}x{lr.shape[0]} and {pair.hr} {hr.shape[1]}x{hr.shape[0]}: "
            f"not {scale} times as large"
        )
    return lr, hr[:height, :width], scale
