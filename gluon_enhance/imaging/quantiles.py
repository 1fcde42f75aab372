"""Counting the values of a channel, and the table that gives them another's distribution.

The windows of a raster are counted one by one (`Histogram`), then looked up one by one
(`Table.apply`); `match_table` stands between.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

DTYPES = [np.dtype(code) for code in ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8")]


class Histogram:
    """How often each value of a channel occurs, gathered block by block.

    Integers of 8 and 16 bits are counted, not sorted, in 65536 counters at most; others take an
    entry for each distinct value of each block.

    Parameters
    ----------
    dtype : integer of at most 32 bits, or floating of at most 64

    Raises
    ------
    ValueError
        If the dtype is another one.

    Examples
    --------
    >>> histogram = Histogram(np.int16)
    >>> histogram.add(np.array([7, -2, 7], np.int16))
    >>> histogram.distinct()
    (array([-2,  7], dtype=int16), array([1, 2]))
    """

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.newbyteorder("=") not in DTYPES:
            raise ValueError(
                f"dtype is {self.dtype}; need integers of at most 32 bits or floating values of at "
                "most 64"
            )
        self._counts = np.zeros(_every_value(self.dtype).size, np.int64)
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, samples: np.ndarray) -> None:
        """Count samples: an ndarray of any shape, of the histogram's dtype, without NaN."""
        if self._counts.size:
            self._counts += np.bincount(_index(samples.ravel()), minlength=self._counts.size)
        elif samples.size:
            self._parts.append(np.unique(samples, return_counts=True))

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values that occur, in ascending order, and their counts."""
        if self._counts.size:
            occurs = np.flatnonzero(self._counts)
            return _every_value(self.dtype)[occurs], self._counts[occurs]
        if not self._parts:
            return np.empty(0, self.dtype), np.empty(0, np.int64)
        values, counts = (np.concatenate(arrays) for arrays in zip(*self._parts))
        order = np.argsort(values, kind="stable")  # merges runs that are in order already
        values, counts = values[order], counts[order]
        first = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        return values[first], np.add.reduceat(counts, first)


class Table(NamedTuple):
    """What becomes of each value.

    Attributes
    ----------
    values : ndarray of shape (n,), ascending
        Every value of 8- and 16-bit dtypes; else those that were counted.
    targets : ndarray of shape (n,), same dtype
    """

    values: np.ndarray
    targets: np.ndarray

    def apply(self, samples: np.ndarray) -> np.ndarray:
        """Look samples up.

        Parameters
        ----------
        samples : ndarray of any shape, of the table's dtype, without NaN

        Returns
        -------
        ndarray of the same shape and dtype
            A value that was not counted takes the target of the next one above it, or of the
            last one.
        """
        if _is_counted(self.values.dtype):
            return self.targets[_index(samples)]
        # In order, the searches of a block touch the table from front to back.
        distinct, inverse = np.unique(samples, return_inverse=True)
        return _look_up(distinct, *self)[inverse].reshape(samples.shape)


def match_table(source: Histogram, reference: Histogram, match_proportion: float = 1.0) -> Table:
    """Make the table that gives samples of one histogram the distribution of another [1]_.

    A value's quantile is the share of samples up to and with it. Its target is interpolated
    linearly between the reference's values at their quantiles; below the first of these it is the
    reference's least value.

    Parameters
    ----------
    source, reference : Histogram of one dtype
    match_proportion : float in [0, 1]
        Part of the way from a value to its target.

    Returns
    -------
    Table of that dtype
        Targets of integers are rounded, half to even.

    Raises
    ------
    ValueError
        If a histogram is empty, the dtypes differ or `match_proportion` is out of range.

    References
    ----------
    .. [1] Gonzalez and Woods, "Digital Image Processing", 4th ed., section 3.3, 2018.
    """
    if not 0 <= match_proportion <= 1:
        raise ValueError(f"match_proportion is {match_proportion}; need 0 to 1")
    check_dtypes(source.dtype, reference.dtype)
    values, counts = source.distinct()
    reference_values, reference_counts = reference.distinct()
    for name, found in (("source", values), ("reference", reference_values)):
        if not found.size:
            raise ValueError(f"{name} has no valid value: all is masked, NaN or infinite, or empty")
    targets = np.interp(_quantiles(counts), _quantiles(reference_counts), reference_values)
    targets = (1 - match_proportion) * values + match_proportion * targets
    if values.dtype.kind != "f":
        np.rint(targets, out=targets)
    targets = targets.astype(values.dtype)
    if not _is_counted(values.dtype):
        return Table(values, targets)
    every = _every_value(values.dtype)
    return Table(every, _look_up(every, values, targets))


def check_dtypes(source: np.dtype, reference: np.dtype) -> None:
    """Raise ValueError unless values of one dtype can be given to the other."""
    if source.newbyteorder("=") != reference.newbyteorder("="):
        raise ValueError(
            f"source is {source}, reference {reference}; bring both to one dtype, such as by "
            "imaging.arrays.to_float"
        )


def _quantiles(counts):
    totals = np.cumsum(counts)
    return totals / totals[-1]


def _is_counted(dtype):
    """Tell whether one counter for every value of a dtype is little."""
    return dtype.kind != "f" and dtype.itemsize <= 2


def _every_value(dtype):
    """Return all values of a dtype in order; none of those that are not counted so."""
    if not _is_counted(dtype):
        return np.empty(0, dtype)
    limits = np.iinfo(dtype)
    return np.arange(limits.min, limits.max + 1).astype(dtype)


def _index(samples):
    """Return the places of samples among all values of their dtype."""
    index = samples.astype(np.intp)
    index -= np.iinfo(samples.dtype).min
    return index


def _look_up(samples, values, targets):
    return targets[np.minimum(np.searchsorted(values, samples), len(values) - 1)]
