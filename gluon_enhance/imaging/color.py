"""Color conversions."""

from __future__ import annotations

from typing import Optional

import numpy as np

from gluon_enhance.imaging.arrays import dtype_range


def rgb_to_y(image: np.ndarray, data_range: Optional[float] = None) -> np.ndarray:
    """Return the studio-range luma Y of ITU-R BT.601 [1]_, not rounded.

    ``Y = (16 white + 65.481 R + 128.553 G + 24.966 B) / 255``: for 8 bits from 16 to 235.

    Parameters
    ----------
    image : ndarray of shape (..., 3), RGB from 0 to `data_range`
    data_range : float, optional
        Value of white. Default: 255 for uint8, 65535 for uint16, 1 for floating dtypes.

    Returns
    -------
    ndarray of shape (...), float64
        In the units of `image`: white is ``235 / 255 * data_range``.

    Raises
    ------
    ValueError
        If the last axis is not 3 long, or the data range is not given and the dtype has none.

    References
    ----------
    .. [1] Recommendation ITU-R BT.601-7, section 2.5.

    Examples
    --------
    >>> rgb_to_y(np.array([[0, 0, 0], [255, 255, 255]], np.uint8))
    array([ 16., 235.])
    """
    if image.ndim == 0 or image.shape[-1] != 3:
        raise ValueError(f"image has shape {image.shape}; Y needs three channels, RGB")
    white = dtype_range(image.dtype) if data_range is None else data_range
    weights = np.array([65.481, 128.553, 24.966])
    return (image.astype(np.float64) @ weights + 16 * white) / 255
