"""Color conversions."""

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np
from numpy.typing import NDArray

from gluon_enhance.imaging.arrays import dtype_range

#: Linear sRGB to XYZ, ITU-R BT.709 primaries and D65.
XYZ_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
#: D65, 2 degree observer.
WHITE = np.array([0.95047, 1, 1.08883])
WHITE_U, WHITE_V = float(4 * WHITE[0] / (WHITE @ [1, 15, 3])), float(9 / (WHITE @ [1, 15, 3]))
KNEE = 6 / 29


def rgb_to_y(image: NDArray[Any], data_range: Optional[float] = None) -> NDArray[Any]:
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
    y: NDArray[Any] = (image.astype(np.float64) @ weights + 16 * white) / 255
    return y


def rgb_to_xyz(rgb: NDArray[Any]) -> NDArray[Any]:
    """Convert sRGB [1]_ to CIE XYZ under D65, 2 degree observer, white at Y = 1.

    The definitions of all the color spaces here are scikit-image's. Those of rio-color, which
    rio-hist uses, differ: a plain gamma of 2.2, X and Z divided by the white, hues from -pi to
    pi, and a LUV with u'n = 0.2009, v'n = 0.4610 taken of the divided XYZ, NaN for black.

    Parameters
    ----------
    rgb : ndarray of shape (..., 3), float32 or float64 in [0, 1]

    Returns
    -------
    ndarray of shape (..., 3), same dtype

    References
    ----------
    .. [1] IEC 61966-2-1:1999.

    Examples
    --------
    >>> rgb_to_xyz(np.ones(3)).round(4)
    array([0.9505, 1.    , 1.0888])
    """
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz: NDArray[Any] = linear @ XYZ_FROM_RGB.T.astype(rgb.dtype)
    return xyz


def xyz_to_rgb(xyz: NDArray[Any]) -> NDArray[Any]:
    """Undo `rgb_to_xyz`; colors that sRGB does not have are clipped to [0, 1]."""
    linear = np.clip(xyz @ np.linalg.inv(XYZ_FROM_RGB).T.astype(xyz.dtype), 0, 1)
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, linear * 12.92)


def rgb_to_lab(rgb: NDArray[Any]) -> NDArray[Any]:
    """Convert sRGB to CIE 1976 L*a*b* [1]_: L in [0, 100], a and b about [-110, 100].

    Parameters
    ----------
    rgb : ndarray of shape (..., 3), float32 or float64 in [0, 1]

    Returns
    -------
    ndarray of shape (..., 3), same dtype

    References
    ----------
    .. [1] ISO/CIE 11664-4:2019.

    Examples
    --------
    >>> rgb_to_lab(np.array([1.0, 0.0, 0.0])).round(2)
    array([53.24, 80.09, 67.2 ])
    """
    ratio = rgb_to_xyz(rgb) / WHITE.astype(rgb.dtype)
    x, y, z = np.moveaxis(_cube_root(ratio), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_rgb(lab: NDArray[Any]) -> NDArray[Any]:
    """Undo `rgb_to_lab`; colors that sRGB does not have are clipped to [0, 1]."""
    lightness, a, b = np.moveaxis(lab, -1, 0)
    y = (lightness + 16) / 116
    ratio = _cube(np.stack([y + a / 500, y, y - b / 200], axis=-1))
    return xyz_to_rgb(ratio * WHITE.astype(lab.dtype))


def rgb_to_lch(rgb: NDArray[Any]) -> NDArray[Any]:
    """Convert sRGB to L*, chroma and hue of `rgb_to_lab`; hue in radians, from 0 to 2 pi."""
    lightness, a, b = np.moveaxis(rgb_to_lab(rgb), -1, 0)
    hue = np.arctan2(b, a)
    hue = np.where(hue < 0, hue + 2 * np.pi, hue).astype(rgb.dtype, copy=False)
    return np.stack([lightness, np.hypot(a, b), hue], axis=-1)


def lch_to_rgb(lch: NDArray[Any]) -> NDArray[Any]:
    """Undo `rgb_to_lch`; colors that sRGB does not have are clipped to [0, 1]."""
    lightness, chroma, hue = np.moveaxis(lch, -1, 0)
    return lab_to_rgb(np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1))


def rgb_to_luv(rgb: NDArray[Any]) -> NDArray[Any]:
    """Convert sRGB to CIE 1976 L*u*v* [1]_: L in [0, 100], u and v about [-140, 180].

    Parameters
    ----------
    rgb : ndarray of shape (..., 3), float32 or float64 in [0, 1]

    Returns
    -------
    ndarray of shape (..., 3), same dtype
        Black has u = v = 0.

    References
    ----------
    .. [1] ISO/CIE 11664-5:2016.

    Examples
    --------
    >>> rgb_to_luv(np.array([1.0, 0.0, 0.0])).round(2)
    array([ 53.24, 175.01,  37.76])
    """
    x, y, z = np.moveaxis(rgb_to_xyz(rgb), -1, 0)
    lightness = 116 * _cube_root(y) - 16
    total = x + 15 * y + 3 * z
    total = np.where(total > 0, total, 1)
    u, v = 13 * lightness * (4 * x / total - WHITE_U), 13 * lightness * (9 * y / total - WHITE_V)
    return np.stack([lightness, u, v], axis=-1)


def luv_to_rgb(luv: NDArray[Any]) -> NDArray[Any]:
    """Undo `rgb_to_luv`; colors that sRGB does not have are clipped to [0, 1]."""
    lightness, u, v = np.moveaxis(luv, -1, 0)
    y = _cube((lightness + 16) / 116)
    divisor = 13 * np.where(lightness > 0, lightness, 1)
    u = u / divisor + WHITE_U
    v = np.maximum(v / divisor + WHITE_V, 1e-6)  # no color has v' <= 0, though matched ones may
    x, z = 9 * u / (4 * v), (12 - 3 * u - 20 * v) / (4 * v)
    return xyz_to_rgb(np.stack([x * y, y, z * y], axis=-1))


def _cube_root(ratio: NDArray[Any]) -> NDArray[Any]:
    """CIE's compressed lightness: the cube root, with a straight line near black."""
    return np.where(ratio > KNEE**3, np.cbrt(ratio), ratio / (3 * KNEE**2) + 4 / 29)


def _cube(root: NDArray[Any]) -> NDArray[Any]:
    return np.where(root > KNEE, root**3, 3 * KNEE**2 * (root - 4 / 29))


Conversion = Callable[[NDArray[Any]], NDArray[Any]]
#: Color space -> functions that convert RGB in [0, 1] to it and back.
COLOR_SPACES: dict[str, tuple[Conversion, Conversion]] = {
    "LCH": (rgb_to_lch, lch_to_rgb),
    "Lab": (rgb_to_lab, lab_to_rgb),
    "LUV": (rgb_to_luv, luv_to_rgb),
    "XYZ": (rgb_to_xyz, xyz_to_rgb),
}
