"""A raster on its way into a file, of which blocks without anything may be left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rasterio.enums import Interleaving

from gluon_enhance.imaging.nearest_fill import fill_holes


class Output:
    """A raster that is written window by window.

    With ``SPARSE_OK`` GDAL leaves out blocks that have nothing but nodata, or 0. Those that have
    something are noted, as on a full disk they may be missing too.

    Parameters
    ----------
    dataset : rasterio dataset, open for writing
    is_masked : bool
        Whether a mask tells what is valid, which nodata or alpha did in the source.
    is_sparse : bool
        Whether blocks may be left out.
    """

    def __init__(self, dataset, is_masked: bool, is_sparse: bool) -> None:
        self._dataset, self.is_masked, self._is_sparse = dataset, is_masked, is_sparse
        self.count, self.block_shapes = dataset.count, dataset.block_shapes
        self._filled: set = set()

    def write(self, bands: np.ndarray, window) -> None:
        """Write all bands (C, h, w) of a window."""
        self._dataset.write(bands, window=window)
        if self._is_sparse:
            self._note(bands, window)

    def write_mask(self, mask: np.ndarray, window) -> None:
        """Write what is valid in a window."""
        self._dataset.write_mask(mask, window=window)

    def may_lack(self, band: int, row: int, column: int) -> bool:
        """Tell whether a block may be missing."""
        return self._is_sparse and (band, row, column) not in self._filled

    def _note(self, bands, window):
        filled = has_something(bands, self._dataset.nodata)
        if self._dataset.interleaving != Interleaving.band:
            filled = filled.any(axis=0, keepdims=True)
        starts = window.row_off, window.col_off
        for axis, (start, side) in enumerate(zip(starts, self.block_shapes[0]), 1):
            blocks = np.arange(start, start + filled.shape[axis]) // side
            firsts = np.flatnonzero(np.diff(blocks, prepend=-1))
            filled = np.logical_or.reduceat(filled, firsts, axis=axis)
        top, left = (int(k // side) for k, side in zip(starts, self.block_shapes[0]))
        self._filled.update((b + 1, r + top, c + left) for b, r, c in np.argwhere(filled).tolist())


def fill_hidden(bands: np.ndarray, valid: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Give hidden pixels of some bands of (C, h, w) the values next to them.

    Compression with losses would smear what they have into what is valid.
    """
    own = [number - 1 for number in numbers]
    image = np.moveaxis(bands[own], 0, 2)
    result = bands.copy()
    filled = fill_holes(image, np.broadcast_to(valid[..., None], image.shape))
    result[own] = np.moveaxis(filled, 2, 0)
    return result


def has_something(bands: np.ndarray, nodata) -> np.ndarray:
    """Tell of each sample whether it is neither nodata nor, where there is none, 0."""
    nothing = 0 if nodata is None else nodata
    return ~np.isnan(bands) if np.isnan(nothing) else bands != nothing
