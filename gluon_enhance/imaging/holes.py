"""Filling holes of images, so that what lies in them has no influence on what is around."""

from __future__ import annotations

import numpy as np


def fill_holes(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
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
    import cv2

    if valid.all():
        return image
    result = image.copy()
    for channel in range(image.shape[2]):
        own = valid[..., channel]
        if not own.any():
            result[..., channel] = 0
            continue
        _, labels = cv2.distanceTransformWithLabels(
            (~own).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        values = np.zeros(labels.max() + 1)
        values[labels[own]] = image[..., channel][own]
        result[..., channel] = values[labels]
    return result
