"""Histogram matching: an image takes the values of another one, rank for rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gluon_enhance.imaging.arrays import dtype_range, to_dtype, to_float
from gluon_enhance.imaging.color import COLOR_SPACES, Conversion
from gluon_enhance.imaging.quantiles import (
    Histogram,
    Table,
    common_whites,
    match_table,
    quantiles,
)

BLOCK = 1 << 20
"""Pixels worked on at a time; those of an RGB image take 24 MB in float64."""


def match_histograms(
    source: NDArray[Any],
    reference: NDArray[Any],
    *,
    match_proportion: float = 1.0,
    color_space: str = "RGB",
    source_mask: Optional[NDArray[Any]] = None,
    reference_mask: Optional[NDArray[Any]] = None,
) -> NDArray[Any]:
    """Give each channel of an image the distribution of values of another image's.

    The post-process of nets trained with perceptual losses [1]_, in the way of rio-hist [2]_:
    exact quantiles of all values that occur, no bins; see `quantiles`. Rasters that do not fit
    in memory: `rasters.match.match_rasters`.

    Parameters
    ----------
    source : ndarray of shape (H, W) or (H, W, C)
        Integers of at most 32 bits, or floating; leave alpha out.
    reference : ndarray of shape (M, N) or (M, N, C)
        Of another dtype only among uint8, uint16 and floating in [0, 1]: values are then compared
        by their share of white.
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
    _check_images(source, reference, color_space)
    _check_mask("source", source, source_mask)
    _check_mask("reference", reference, reference_mask)
    result = source.copy()
    channels = range(np.atleast_3d(source).shape[2])
    matcher = Matcher(source.dtype, reference.dtype, channels, color_space, exact=True)
    for block, valid in _blocks(source, source_mask):
        matcher.count_source(block, valid)
    for block, valid in _blocks(reference, reference_mask):
        matcher.count_reference(block, valid)
    matcher.solve(match_proportion)
    for block, valid in _blocks(result, source_mask):
        matcher.apply(block, valid)
    return result


class Curves(NamedTuple):
    """Cumulative distributions of a channel, each of ascending values and the share up to each.

    Attributes
    ----------
    source, reference, result : tuple of two ndarrays of shape (n,)
        Values are on the source's scale.
    """

    source: tuple[NDArray[Any], NDArray[Any]]
    reference: tuple[NDArray[Any], NDArray[Any]]
    result: tuple[NDArray[Any], NDArray[Any]]


class Matcher:
    """Histogram matching of an image that comes in blocks of (h, w, C).

    Count the blocks of both images, `solve`, then `apply` to the blocks of the source. With a
    block goes a bool array of its shape, True where values are valid, or None if all are; NaN and
    infinite values never are. In color spaces other than 'RGB' a pixel is valid if it is so in
    all channels.

    Parameters
    ----------
    source_dtype, reference_dtype : dtype
    channels : sequence of int
        Which are matched, of the blocks or, from 0 to 2, of the color space.
    color_space : str
        As in `match_histograms`.
    exact : bool
        Count every value as it is; else memory has a bound. See `quantiles.Histogram`.

    Attributes
    ----------
    source, reference : list of Histogram, one for each of `channels`
    tables : list of Table
        One for each of `channels`, once solved.

    Raises
    ------
    ValueError
        If the color space or a dtype is not known, or the dtypes cannot be compared.
    """

    def __init__(
        self,
        source_dtype: DTypeLike,
        reference_dtype: DTypeLike,
        channels: Sequence[int],
        color_space: str = "RGB",
        exact: bool = False,
    ) -> None:
        self._conversions = _conversions(color_space)
        self._channels = channels
        dtypes = np.dtype(source_dtype), np.dtype(reference_dtype)
        if self._conversions:
            for dtype in dtypes:
                dtype_range(dtype)
            dtypes = np.dtype(np.float32), np.dtype(np.float32)
        common_whites(*dtypes)
        self.source, self.reference = (
            [Histogram(dtype, exact) for _ in channels] for dtype in dtypes
        )
        self.tables: list[Table] = []

    def count_source(self, block: NDArray[Any], valid: Optional[NDArray[Any]] = None) -> None:
        """Count a block of the source."""
        self._count(self.source, block, valid)

    def count_reference(self, block: NDArray[Any], valid: Optional[NDArray[Any]] = None) -> None:
        """Count a block of the reference."""
        self._count(self.reference, block, valid)

    def merge(self, other: Matcher) -> None:
        """Count the blocks that another matcher of the same kind has counted."""
        counted = other.source + other.reference
        for own, more in zip(self.source + self.reference, counted):
            own.merge(more)

    def solve(self, match_proportion: float = 1.0) -> None:
        """Make the tables; for the errors see `quantiles.match_table`."""
        self.tables = [
            match_table(*histograms, match_proportion)
            for histograms in zip(self.source, self.reference)
        ]

    def apply(self, block: NDArray[Any], valid: Optional[NDArray[Any]] = None) -> None:
        """Match a block of the source in place."""
        if not self._conversions:
            for channel, table in zip(self._channels, self.tables):
                plane, where = _plane(block, valid, channel)
                plane[where] = table.apply(plane[where])
            return
        to_space, to_rgb = self._conversions
        where = _valid_pixels(block, valid)
        pixels = _converted(block[where], to_space)
        for channel, table in zip(self._channels, self.tables):
            pixels[:, channel] = table.apply(pixels[:, channel])
        block[where] = to_dtype(to_rgb(pixels.astype(np.float64)), block.dtype)

    def curves(self) -> list[Curves]:
        """Return what was counted and becomes of it, for each channel, once solved."""
        result = []
        for source, reference, table in zip(self.source, self.reference, self.tables):
            white, reference_white = common_whites(source.dtype, reference.dtype)
            (values, counts), (levels, level_counts) = source.distinct(), reference.distinct()
            shares, levels = quantiles(counts), levels * (white / reference_white)
            reference_curve = (levels, quantiles(level_counts))
            result.append(Curves((values, shares), reference_curve, (table.apply(values), shares)))
        return result

    def _count(
        self,
        histograms: list[Histogram],
        block: NDArray[Any],
        valid: Optional[NDArray[Any]],
    ) -> None:
        if not self._conversions:
            for channel, histogram in zip(self._channels, histograms):
                plane, where = _plane(block, valid, channel)
                histogram.add(plane[where])
            return
        pixels = _converted(block[_valid_pixels(block, valid)], self._conversions[0])
        for channel, histogram in zip(self._channels, histograms):
            histogram.add(pixels[:, channel])


def _plane(
    block: NDArray[Any], valid: Optional[NDArray[Any]], channel: int
) -> tuple[NDArray[Any], Any]:
    """Return a view of a channel, and an index of its valid samples."""
    plane = block[..., channel]
    where = ... if valid is None else valid[..., channel]
    if plane.dtype.kind == "f":
        where = np.isfinite(plane) if valid is None else np.isfinite(plane) & where
    return plane, where


def _valid_pixels(block: NDArray[Any], valid: Optional[NDArray[Any]]) -> NDArray[Any]:
    pixels: NDArray[Any] = np.isfinite(block).all(axis=2)
    if valid is not None:
        pixels &= valid.all(axis=2)
    return pixels


def _converted(pixels: NDArray[Any], to_space: Conversion) -> NDArray[Any]:
    """Convert (n, 3) pixels to a color space, in float32."""
    if not pixels.size:
        return pixels.astype(np.float32)
    return to_space(to_float(pixels).astype(np.float64)).astype(np.float32)


def _blocks(
    image: NDArray[Any], mask: Optional[NDArray[Any]]
) -> Iterator[tuple[NDArray[Any], Optional[NDArray[Any]]]]:
    """Yield (h, w, C) views of bands of rows, each with the valid samples in it."""
    image = np.atleast_3d(image)
    height = max(1, BLOCK // max(1, image.shape[1]))
    for top in range(0, image.shape[0], height):
        block = image[top : top + height]
        valid = None if mask is None else mask[top : top + height, :, None]
        yield block, None if valid is None else np.broadcast_to(valid, block.shape)


def _conversions(color_space: str) -> Optional[tuple[Conversion, Conversion]]:
    """Return the functions to a color space and back; for RGB none."""
    spaces = {"RGB": None, **{name.upper(): pair for name, pair in COLOR_SPACES.items()}}
    if color_space.upper() not in spaces:
        choices = ", ".join(["RGB", *COLOR_SPACES])
        raise ValueError(f"color_space is {color_space!r}; choose {choices}")
    return spaces[color_space.upper()]


def _check_images(source: NDArray[Any], reference: NDArray[Any], color_space: str) -> None:
    for name, image in (("source", source), ("reference", reference)):
        if isinstance(image, np.ma.MaskedArray):
            raise ValueError(
                f"{name} is a masked array, which means the opposite by True; give {name}.data and "
                f"{name}_mask=~np.ma.getmaskarray({name})"
            )
        if _conversions(color_space) and image.shape[2:] != (3,):
            raise ValueError(f"{name} has shape {image.shape}; {color_space} needs (H, W, 3)")
    same = source.ndim == reference.ndim and source.shape[2:] == reference.shape[2:]
    if source.ndim not in (2, 3) or not same:
        raise ValueError(
            f"source has shape {source.shape}, reference {reference.shape}; need (H, W) or "
            "(H, W, C) with the same channels"
        )


def _check_mask(name: str, image: NDArray[Any], mask: Optional[NDArray[Any]]) -> None:
    if mask is not None and (mask.dtype != bool or mask.shape != image.shape[:2]):
        raise ValueError(
            f"{name}_mask is {mask.dtype} of shape {mask.shape}; need bool of shape "
            f"{image.shape[:2]}, True where {name} is valid"
        )
