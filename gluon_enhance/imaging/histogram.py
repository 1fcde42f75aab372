"""Histogram matching: an image takes the values of another one, rank for rank."""

from __future__ import annotations

from typing import Optional

import numpy as np

from gluon_enhance.imaging.arrays import to_dtype, to_float
from gluon_enhance.imaging.color import COLOR_SPACES
from gluon_enhance.imaging.quantiles import Histogram, check_dtypes, match_table

BLOCK = 1 << 20
"""Samples worked on at a time; their indices take 8 MB."""


def match_histograms(
    source: np.ndarray,
    reference: np.ndarray,
    *,
    match_proportion: float = 1.0,
    color_space: str = "RGB",
    source_mask: Optional[np.ndarray] = None,
    reference_mask: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Give each channel of an image the distribution of values of another image's.

    The post-process of nets trained with perceptual losses [1]_, in the way of rio-hist [2]_:
    exact quantiles of the values that occur, no bins; see `quantiles.match_table`.

    Parameters
    ----------
    source : ndarray of shape (H, W) or (H, W, C)
        Integers of at most 32 bits, or floating; leave alpha out.
    reference : ndarray of shape (M, N) or (M, N, C), same dtype
    match_proportion : float in [0, 1]
        Part of the way from the source to the match.
    color_space : {'RGB', 'LCH', 'Lab', 'LUV', 'XYZ'}
        Where channels are matched, in any case of letters. 'RGB' takes the channels as they are,
        whatever their number and range. The others, defined as scikit-image does and not
        rio-color (see `color.rgb_to_xyz`), need RGB in uint8, uint16, or floating in [0, 1];
        they are held as float32, and what leaves sRGB is clipped.
    source_mask : ndarray of shape (H, W), bool, optional
        True where the source is valid; the rest is not counted and stays as it is.
    reference_mask : ndarray of shape (M, N), bool, optional
        True where the reference is valid; the rest is not counted.

    Returns
    -------
    ndarray of the source's shape and dtype, a copy
        Integers are rounded, half to even. NaN and infinite values count as not valid, so they
        stay; in the other color spaces the pixel's other channels then stay too.

    Raises
    ------
    ValueError
        If shapes, dtypes or masks do not fit, `color_space` or `match_proportion` is not one of
        those above, or a channel has no valid value.

    References
    ----------
    .. [1] Johnson et al., "Perceptual losses for real-time style transfer and super-resolution",
       ECCV 2016, section 4.2.
    .. [2] https://github.com/mapbox/rio-hist

    Examples
    --------
    >>> dark, bright = np.array([[0, 0, 10, 20]], np.uint8), np.array([[7, 100, 200]], np.uint8)
    >>> match_histograms(dark, bright)
    array([[ 54,  54, 125, 200]], dtype=uint8)
    """
    images, masks = (source, reference), (source_mask, reference_mask)
    _check_images(*images)
    _check_mask("source", source, source_mask)
    _check_mask("reference", reference, reference_mask)
    if color_space.upper() == "RGB":
        return _match(images, masks, match_proportion)
    conversions = _conversions(color_space, *images)
    return _match_in(conversions, images, masks, match_proportion)


def _match(images, masks, match_proportion):
    """Match channel by channel."""
    result = images[0].copy()
    for plane, reference_plane, matched in zip(*map(_planes, (*images, result))):
        histograms = (_count(*pair) for pair in zip((plane, reference_plane), masks))
        table = match_table(*histograms, match_proportion)
        for rows, valid in _blocks(plane, masks[0]):
            matched[rows][valid] = table.apply(plane[rows][valid])
    return result


def _match_in(conversions, images, masks, match_proportion):
    """Match the valid pixels, laid out in a column, in another color space."""
    to_space, to_rgb = conversions
    source = images[0]
    valid = [_valid(image, mask) for image, mask in zip(images, masks)]
    columns = [
        _convert(
            lambda block: to_space(to_float(block).astype(np.float64)),
            image[where].reshape(-1, 1, 3),
            np.float32,
        )
        for image, where in zip(images, valid)
    ]
    matched = _match(columns, (None, None), match_proportion)
    pixels = _convert(
        lambda block: to_dtype(to_rgb(block.astype(np.float64)), source.dtype),
        matched,
        source.dtype,
    )
    result = source.copy()
    result[valid[0]] = pixels.reshape(result[valid[0]].shape)
    return result


def _convert(function, pixels, dtype):
    result = np.empty(pixels.shape, dtype)
    for start in range(0, len(pixels), BLOCK):
        result[start : start + BLOCK] = function(pixels[start : start + BLOCK])
    return result


def _count(plane, mask):
    histogram = Histogram(plane.dtype)
    for rows, valid in _blocks(plane, mask):
        histogram.add(plane[rows][valid])
    return histogram


def _blocks(plane, mask):
    """Yield bands of rows, each with an index of the valid samples in it."""
    height = max(1, BLOCK // max(1, plane.shape[1]))
    for top in range(0, plane.shape[0], height):
        rows = slice(top, top + height)
        yield rows, _valid(plane[rows], None if mask is None else mask[rows])


def _valid(image, mask):
    """Return an index of the valid samples of (H, W), or the valid pixels of (H, W, C)."""
    if image.dtype.kind != "f":
        return ... if mask is None else mask
    finite = np.isfinite(image)
    finite = finite if image.ndim == 2 else finite.all(axis=2)
    return finite if mask is None else finite & mask


def _planes(image):
    return np.moveaxis(np.atleast_3d(image), 2, 0)


def _conversions(color_space, *images):
    spaces = {name.upper(): functions for name, functions in COLOR_SPACES.items()}
    if color_space.upper() not in spaces:
        choices = ", ".join(["RGB", *COLOR_SPACES])
        raise ValueError(f"color_space is {color_space!r}; choose {choices}")
    for image in images:
        if image.shape[2:] != (3,):
            raise ValueError(f"an image has shape {image.shape}; {color_space} needs (H, W, 3)")
    return spaces[color_space.upper()]


def _check_images(source, reference):
    for name, image in (("source", source), ("reference", reference)):
        if isinstance(image, np.ma.MaskedArray):
            raise ValueError(
                f"{name} is a masked array, which means the opposite by True; give {name}.data and "
                f"{name}_mask=~np.ma.getmaskarray({name})"
            )
    same = source.ndim == reference.ndim and source.shape[2:] == reference.shape[2:]
    if source.ndim not in (2, 3) or not same:
        raise ValueError(
            f"source has shape {source.shape}, reference {reference.shape}; need (H, W) or "
            "(H, W, C) with the same channels"
        )
    check_dtypes(source.dtype, reference.dtype)


def _check_mask(name, image, mask):
    if mask is not None and (mask.dtype != bool or mask.shape != image.shape[:2]):
        raise ValueError(
            f"{name}_mask is {mask.dtype} of shape {mask.shape}; need bool of shape "
            f"{image.shape[:2]}, True where {name} is valid"
        )
