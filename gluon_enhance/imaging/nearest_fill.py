"""Filling holes of images, so that what lies in them has no influence on what is around."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

STRIP = 64
"""Rows that are gathered at once: lists of a whole image's pixels would take more than itself."""


def fill_holes(image: NDArray[Any], valid: NDArray[Any]) -> NDArray[Any]:
    """Give each pixel that is not valid the value of the valid one nearest to it.

    Parameters
    ----------
    image : ndarray of shape (H, W, C), floating
    valid : ndarray of shape (H, W, C), bool

    Returns
    -------
    ndarray of shape (H, W, C)
        A copy where anything was filled. Channels without a valid pixel become 0.
    """
    if valid.all():
        return image
    result = image.copy()
    for channel in range(image.shape[2]):
        own = valid[..., channel]
        if not own.any():
            result[..., channel] = 0
            continue
        _spread(result[..., channel : channel + 1], own)
    return result


def fill_hidden(image: NDArray[Any]) -> NDArray[Any]:
    """Give each pixel that is wholly transparent the color of the nearest one that is not.

    What lies under alpha 0 is nobody's color: black in most files. A net, or a resize, would mix it
    into the edge of what is seen.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 1|2|3|4), any dtype
        Two and four channels have alpha last, not multiplied into the colors.

    Returns
    -------
    ndarray of the same shape and dtype
        A copy, with alpha as it was, where anything was filled. An image of which nothing is seen
        stays as it is.
    """
    if image.shape[2:] not in ((2,), (4,)):
        return image
    seen = image[..., -1] > 0
    if seen.all() or not seen.any():
        return image
    result = image.copy()
    _spread(result[..., :-1], seen)
    return result


def _spread(image: NDArray[Any], valid: NDArray[Any]) -> None:
    """Give pixels (H, W, C) that are not valid the value of the nearest one that is, in place."""
    labels = _nearest(valid)
    values = np.empty((labels.max() + 1, image.shape[2]), image.dtype)
    strips = [np.s_[top : top + STRIP] for top in range(0, len(image), STRIP)]
    for rows in strips:
        values[labels[rows][valid[rows]]] = image[rows][valid[rows]]
    for rows in strips:
        image[rows][~valid[rows]] = values[labels[rows][~valid[rows]]]


def _nearest(valid: NDArray[Any]) -> NDArray[Any]:
    """Number the valid pixels, and give each pixel the number of the one nearest to it."""
    import cv2

    _, labels = cv2.distanceTransformWithLabels(
        (~valid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    return labels
