"""Structural similarity over five scales, in its authors' form and in that of DPED's paper."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from gluon_enhance.imaging.image_pairs import check_pair, planes_in_strips
from gluon_enhance.imaging.ssim_maps import WINDOW, similarity_maps

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
"""Exponents of the scales, the finest first."""
SMALLEST = (WINDOW - 1) * 2 ** (len(WEIGHTS) - 1) + 1
"""Side at which the window fits into the coarsest scale."""
FORMS = ("wang", "dped")


def ms_ssim(
    image: NDArray[Any],
    reference: NDArray[Any],
    *,
    form: str = "wang",
    data_range: Optional[float] = None,
    crop_border: int = 0,
    y_channel: bool = False,
) -> float:
    """Return the multi-scale structural similarity [1]_; 1 for equal images.

    Between scales, 2x2 pixels become their mean; a last odd row or column is its own neighbor. The
    mean contrast and structure of each scale, and the mean SSIM of the coarsest, are multiplied
    after they are raised to the scales' weights; those below 0 count as 0.

    Parameters
    ----------
    image, reference : ndarray of shape (H, W) or (H, W, C), the same shape and dtype
    form : {'wang', 'dped'}
        'wang': the window is 11x11 on every scale, and the scores of channels are averaged.
        'dped' [2]_: it shrinks to what fits into the scale, and channels are averaged on every
        scale, before the product; with RGB this is the number in tables of DPED.
    data_range : float, optional
        Value of white. Default: 255 for uint8, 65535 for uint16, 1 for floating dtypes.
    crop_border : int
        Pixels left out at each side.
    y_channel : bool
        Score Y of BT.601 (`rgb_to_y`) of RGB images, rounded for uint8 ones.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        As `psnr`, if there is no such form, and, for 'wang', if fewer than 161 pixels are left
        inside the border on either axis.

    References
    ----------
    .. [1] Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality
       assessment", Asilomar Conference on Signals, Systems and Computers, 2003.
    .. [2] Ignatov et al., "DSLR-quality photos on mobile devices with deep convolutional
       networks", ICCV 2017, and the code published with it.

    Examples
    --------
    >>> image = np.arange(2**15, dtype=np.float32).reshape(2**7, 2**8) / 2**15
    >>> ms_ssim(image, image, form="dped")
    1.0
    """
    if form not in FORMS:
        raise ValueError(f"form is {form!r}; choose one of {', '.join(FORMS)}")
    peak = check_pair(image, reference, data_range, crop_border, y_channel)
    height, width = (n - 2 * crop_border for n in image.shape[:2])
    if form == "wang" and min(height, width) < SMALLEST:
        raise ValueError(
            f"{height}x{width} pixels are left of shape {image.shape} inside crop_border "
            f"{crop_border}; ms_ssim needs {SMALLEST}x{SMALLEST}, or form='dped'"
        )
    pairs = [(image, reference)]
    if image.ndim == 3 and not y_channel:
        pairs = [(image[..., c], reference[..., c]) for c in range(image.shape[2])]
    means = np.array([_means(pair, peak, crop_border, y_channel, form) for pair in pairs])
    if form == "dped":
        means = means.mean(axis=0, keepdims=True)
    return float(np.prod(np.maximum(means, 0) ** WEIGHTS, axis=1).mean())


def _means(
    pair: tuple[NDArray[Any], NDArray[Any]],
    peak: float,
    crop_border: int,
    y_channel: bool,
    form: str,
) -> list[float]:
    """Return what is multiplied: a mean for each scale, the finest first."""
    a, b = pair
    means = []
    for scale in range(len(WEIGHTS)):
        sides = [n - 2 * crop_border for n in a.shape[:2]]
        window = WINDOW if form == "wang" else min(WINDOW, *sides)
        is_last = scale == len(WEIGHTS) - 1
        total, count = 0.0, 0
        for planes in planes_in_strips(a, b, peak, crop_border, y_channel, window - 1):
            ssim, contrast_structure = similarity_maps(*planes, peak, window)
            total += float(np.sum(ssim if is_last else contrast_structure))
            count += ssim.size
        means.append(total / count)
        if not is_last:
            strips = planes_in_strips(a, b, peak, crop_border, y_channel, 0)
            halves = zip(*([_halved(plane) for plane in planes] for planes in strips))
            a, b = (np.concatenate(half) for half in halves)
            crop_border, y_channel = 0, False
    return means


def _halved(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the means of 2x2 pixels; strips of rows may go one by one, as they are even."""
    edges = [(0, n % 2) for n in plane.shape]
    plane = np.pad(plane, edges, mode="edge")
    rows = plane[::2] + plane[1::2]
    means: NDArray[Any] = (rows[:, ::2] + rows[:, 1::2]) / 4
    return means
