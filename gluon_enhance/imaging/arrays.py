"""The one place where pixels change range, dtype or layout.

Nets take and give (N, 3, H, W) float32 RGB in [0, 1]; outside nets an image is (H, W) or (H, W, C).
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gluon_enhance.errors import plural

#: Weights of R, G and B in the gray of ITU-R BT.601; they sum to 1, so gray stays gray.
LUMA = (0.299, 0.587, 0.114)


def dtype_range(dtype: DTypeLike) -> float:
    """Return the value of white: 255 for uint8, 65535 for uint16, 1 for floating dtypes.

    Raises
    ------
    ValueError
        If the dtype is another one: its white is not known.
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return 1.0
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return float(np.iinfo(dtype).max)
    raise ValueError(f"dtype is {dtype}; need uint8, uint16 or a floating one in [0, 1]")


def to_float(image: NDArray[Any]) -> NDArray[Any]:
    """Convert an image to float32 in [0, 1].

    Parameters
    ----------
    image : ndarray of any shape but empty, uint8, uint16 or floating in [0, 1]

    Returns
    -------
    ndarray of the same shape, float32
        The image itself, not a copy, if it is float32 already.

    Raises
    ------
    ValueError
        If the dtype is another one, the image is empty, or floating values are NaN, infinite or
        outside [0, 1].

    Examples
    --------
    >>> to_float(np.array([[0, 51, 255]], np.uint8))
    array([[0. , 0.2, 1. ]], dtype=float32)
    """
    white = dtype_range(image.dtype)
    if image.size == 0:
        raise ValueError(f"image has shape {image.shape}; it holds no pixel")
    if image.dtype.kind == "f":
        _check_unit_range(image)
        return image.astype(np.float32, copy=False)
    result = image.astype(np.float32)
    result /= np.float32(white)
    return result


def _check_unit_range(image: NDArray[Any]) -> None:
    low, high = image.min(), image.max()
    if low >= 0 and high <= 1:
        return
    bad = image.size - np.count_nonzero(np.isfinite(image))
    if bad:
        raise ValueError(
            f"image has NaN or infinity in {bad:,} of {plural(image.size, 'value')}; replace them"
        )
    raise ValueError(
        f"{image.dtype} image spans [{low:g}, {high:g}]; need [0, 1]: divide it by its data range "
        "or clip it"
    )


def to_dtype(image: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Convert a floating image to a dtype: clip to [0, 1], scale, round half to even, cast.

    Parameters
    ----------
    image : ndarray of any shape, floating
        Values outside [0, 1], as nets give them, are clipped.
    dtype : uint8, uint16 or a floating dtype

    Returns
    -------
    ndarray of the same shape, a copy
        In [0, 255], [0, 65535] or [0, 1].

    Raises
    ------
    ValueError
        If the image is not floating or holds NaN, or the dtype is another one.

    Examples
    --------
    >>> to_dtype(np.array([-0.1, 0.5, 1.2]), np.uint8)
    array([  0, 128, 255], dtype=uint8)
    """
    white = dtype_range(dtype)
    if image.dtype.kind != "f":
        raise ValueError(f"image has dtype {image.dtype}; only floating images are converted")
    bad = np.count_nonzero(np.isnan(image))
    if bad:
        raise ValueError(
            f"image has NaN in {bad:,} of {plural(image.size, 'value')}; none is a pixel"
        )
    # float16 cannot hold 65535.
    result = np.clip(image, 0, 1).astype(np.promote_types(image.dtype, np.float32), copy=False)
    if np.dtype(dtype).kind == "u":
        result *= result.dtype.type(white)
        np.rint(result, out=result)
    return result.astype(dtype, copy=False)


def to_nchw(image: NDArray[Any]) -> NDArray[Any]:
    """Lay an image out for a net.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8, uint16 or floating in [0, 1]

    Returns
    -------
    ndarray of shape (1, 3, H, W), float32 in [0, 1], C-contiguous

    Raises
    ------
    ValueError
        If the shape is another one, or `to_float` refuses the image.
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image has shape {image.shape}; need (H, W, 3)")
    return np.ascontiguousarray(to_float(image).transpose(2, 0, 1)[None])


def from_nchw(batch: NDArray[Any]) -> NDArray[Any]:
    """Undo `to_nchw`'s layout: (1, 3, H, W) -> (H, W, 3), a view with the same values.

    Raises
    ------
    ValueError
        If the shape is another one.
    """
    if batch.ndim != 4 or batch.shape[:2] != (1, 3):
        raise ValueError(f"batch has shape {batch.shape}; need (1, 3, H, W)")
    image: NDArray[Any] = batch[0]
    return image.transpose(1, 2, 0)


def to_rgb(image: NDArray[Any]) -> tuple[NDArray[Any], Optional[NDArray[Any]]]:
    """Split an image into RGB for a net and alpha.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 1|2|3|4)
        Gray, gray, gray and alpha, RGB, or RGB and alpha.

    Returns
    -------
    rgb : ndarray of shape (H, W, 3)
        Gray is repeated in the three channels. May be a view of `image`.
    alpha : ndarray of shape (H, W), or None if there is none

    Raises
    ------
    ValueError
        If the shape is another one.
    """
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or not 1 <= image.shape[2] <= 4:
        raise ValueError(f"image has shape {image.shape}; need (H, W) or (H, W, 1 to 4)")
    channels = image.shape[2]
    alpha = image[:, :, -1] if channels in (2, 4) else None
    rgb = image[:, :, :3] if channels >= 3 else np.repeat(image[:, :, :1], 3, axis=2)
    return rgb, alpha


def from_rgb(
    rgb: NDArray[Any], alpha: Optional[NDArray[Any]] = None, channels: Optional[int] = None
) -> NDArray[Any]:
    """Undo `to_rgb`: put RGB and alpha back into the layout that an image came in.

    Parameters
    ----------
    rgb : ndarray of shape (H, W, 3), floating
    alpha : ndarray of shape (H, W), floating
        Needed for 2 and 4 channels, and only there.
    channels : {None, 1, 2, 3, 4}
        Channels of the result; None for gray of shape (H, W).

    Returns
    -------
    ndarray of shape (H, W) or (H, W, channels)
        Gray is the BT.601 luma of the three channels [1]_.

    Raises
    ------
    ValueError
        If `channels` is another number, or alpha is missing, not wanted, or of another size.

    References
    ----------
    .. [1] Recommendation ITU-R BT.601-7, section 2.5.1.
    """
    if channels not in (None, 1, 2, 3, 4):
        raise ValueError(f"channels is {channels}; choose None, 1, 2, 3 or 4")
    if (alpha is not None) != (channels in (2, 4)):
        given = "absent" if alpha is None else "given"
        raise ValueError(f"alpha is {given} for {channels} channels; 2 and 4 need it, others not")
    if alpha is not None and alpha.shape != rgb.shape[:2]:
        raise ValueError(f"alpha has shape {alpha.shape}, rgb {rgb.shape}; they must be alike")
    color = rgb if channels in (3, 4) else rgb @ np.array(LUMA, rgb.dtype)
    if channels in (None, 3):
        return color
    return np.dstack([color] if alpha is None else [color, alpha])
