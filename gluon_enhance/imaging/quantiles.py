"""Counting the values of a channel, and the table that gives them another's distribution.

The windows of a raster are counted one by one (`Histogram`), then looked up one by one
(`Table.apply`); `match_table` stands between. Memory does not grow with the raster, unless every
value is asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gluon_enhance.errors import plural
from gluon_enhance.imaging.arrays import dtype_range

DTYPES = [np.dtype(code) for code in ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8")]
LIMIT = 1 << 20
"""Distinct values kept, unless all are asked for; they take 16 MB."""


class Histogram:
    """How often each value of a channel occurs, gathered block by block.

    Dtypes of 8 and 16 bits have a counter for every value. Of others up to `LIMIT` distinct values
    are kept as they are, or all if so asked. Where there are more, every value loses as many low
    bits as it takes to have no more (of floating values the last of the fraction, so the step is
    relative): blocks in any order and of any size give the same result. Least and greatest value
    are kept whole.

    Parameters
    ----------
    dtype : integer of at most 32 bits, or floating of at most 64
    exact : bool
        Keep all distinct values, however many there are.

    Attributes
    ----------
    lost_bits : int
        Low bits that values lost so far. 7 is usual for noise in float32: steps of 2**-16.

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

    def __init__(self, dtype: DTypeLike, exact: bool = False) -> None:
        self._exact = exact
        self.dtype = np.dtype(dtype).newbyteorder("=")
        if self.dtype not in DTYPES:
            raise ValueError(
                f"dtype is {self.dtype}; need integers of at most 32 bits or floating values of at "
                "most 64"
            )
        self.lost_bits = 0
        self._counts = np.zeros(_every_value(self.dtype).size, np.int64)
        self._parts = [(np.empty(0, self.dtype), np.empty(0, np.int64))]
        self._extremes: list[np.generic] = []

    def add(self, samples: NDArray[Any]) -> None:
        """Count samples: an ndarray of any shape, of the histogram's dtype, without NaN."""
        samples = samples.astype(self.dtype, copy=False).ravel()
        if self._counts.size:
            self._counts += np.bincount(_bits(samples), minlength=self._counts.size)
        elif samples.size:
            self._hold(samples.min(), samples.max())
            self._parts.append(np.unique(self._shortened(samples), return_counts=True))
            self._compact_many()

    def merge(self, other: Histogram) -> None:
        """Count what another histogram of the same dtype has counted."""
        self._counts += other._counts
        self._hold(*other._extremes)
        self.lost_bits = max(self.lost_bits, other.lost_bits)
        parts = self._parts + other._parts
        self._parts = [(self._shortened(values), counts) for values, counts in parts]
        self._compact_many()

    def distinct(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the values that occur, in ascending order, and their counts."""
        if self._counts.size:
            occurs = np.flatnonzero(self._counts)
            return _sorted(_every_value(self.dtype)[occurs], self._counts[occurs])
        self._compact()
        values, counts = (array.copy() for array in self._parts[0])
        if self.lost_bits:
            values[[0, -1]] = self._extremes
        return values, counts

    def __str__(self) -> str:
        values, counts = self.distinct()
        text = f"{plural(counts.sum(), 'sample')} of {plural(len(values), 'value')}"
        return f"{text} without their last {self.lost_bits} bits" if self.lost_bits else text

    def _hold(self, *extremes: Any) -> None:
        held = [*self._extremes, *extremes]
        self._extremes = [min(held), max(held)] if held else []

    def _compact_many(self) -> None:
        held = [len(values) for values, _ in self._parts]
        if sum(held) > 2 * max(LIMIT, held[0]):
            self._compact()

    def _compact(self) -> None:
        """Join the parts, and shorten values until there are no more than allowed."""
        values, counts = _sorted(*(np.concatenate(arrays) for arrays in zip(*self._parts)))
        while len(values) > LIMIT and not self._exact:
            self.lost_bits += 1
            values, counts = _sorted(self._shortened(values), counts)
        self._parts = [(values, counts)]

    def _shortened(self, values: NDArray[Any]) -> NDArray[Any]:
        """Clear low bits, which keeps the order; zero, 1 and other round values stay."""
        if not self.lost_bits:
            return values
        integers = values.view(f"i{values.itemsize}")
        shortened: NDArray[Any] = integers & integers.dtype.type(-1 << self.lost_bits)
        return shortened.view(values.dtype)


class Table(NamedTuple):
    """What becomes of each value: linear between those that were counted.

    Attributes
    ----------
    values : ndarray of shape (n,)
        Every value of dtypes of 8 and 16 bits, in the order of their bits; else those that were
        counted, ascending.
    targets : ndarray of shape (n,)
        Of the dtype of `values` and rounded in the first case, else float64.
    """

    values: NDArray[Any]
    targets: NDArray[Any]

    def apply(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Look samples up.

        Parameters
        ----------
        samples : ndarray of any shape, of the table's dtype, without NaN

        Returns
        -------
        ndarray of the same shape and dtype
            Integers are rounded, half to even.
        """
        if _is_counted(self.values.dtype):
            native = samples.astype(self.values.dtype, copy=False)
            found: NDArray[Any] = self.targets[_bits(native)]
            return found.astype(samples.dtype, copy=False)
        order = np.argsort(samples, axis=None)  # ascending ones are looked up much faster
        result = np.empty(samples.size, samples.dtype)
        targets = np.interp(samples.ravel()[order], self.values, self.targets)
        result[order] = _cast(targets, samples.dtype)
        return result.reshape(samples.shape)


def match_table(source: Histogram, reference: Histogram, match_proportion: float = 1.0) -> Table:
    """Make the table that gives samples of one histogram the distribution of another [1]_.

    A value's quantile is the share of samples up to and with it. Its target is interpolated
    linearly between the reference's values at their quantiles; below the first of these it is the
    reference's least value. Values that lost bits are off by as much as if they were moved by two
    steps of the last bit kept.

    Parameters
    ----------
    source, reference : Histogram
        If dtypes differ, values are compared by their share of white (`arrays.dtype_range`).
    match_proportion : float in [0, 1]
        Part of the way from a value to its target.

    Returns
    -------
    Table of the source's dtype

    Raises
    ------
    ValueError
        If a histogram is empty, `match_proportion` is out of range, or the dtypes differ and the
        white of one is not known or its floating values leave [0, 1].

    References
    ----------
    .. [1] Gonzalez and Woods, "Digital Image Processing", 4th ed., section 3.3, 2018.
    """
    if not 0 <= match_proportion <= 1:
        raise ValueError(f"match_proportion is {match_proportion}; need 0 to 1")
    white, reference_white = common_whites(source.dtype, reference.dtype)
    values, counts = source.distinct()
    reference_values, reference_counts = reference.distinct()
    for name, found in (("source", values), ("reference", reference_values)):
        if not found.size:
            raise ValueError(f"{name} has no valid value: all is masked, NaN or infinite, or empty")
        if (
            white != reference_white
            and found.dtype.kind == "f"
            and not 0 <= found[0] <= found[-1] <= 1
        ):
            raise ValueError(
                f"{name} is {found.dtype} and spans [{found[0]:g}, {found[-1]:g}]; need [0, 1] "
                "where the other is of integers"
            )
    reference_values = reference_values.astype(np.float64) * white / reference_white
    targets = np.interp(quantiles(counts), quantiles(reference_counts), reference_values)
    targets *= match_proportion
    targets += (1 - match_proportion) * values.astype(np.float64)
    if not _is_counted(values.dtype):
        return Table(values, targets)
    every = _every_value(values.dtype)
    return Table(every, _cast(np.interp(every, values, targets), every.dtype))


def common_whites(source: np.dtype[Any], reference: np.dtype[Any]) -> tuple[float, float]:
    """Return the values of two dtypes that mean the same; 1 and 1 for equal dtypes.

    Raises
    ------
    ValueError
        If the dtypes differ and one is not uint8, uint16 or floating.
    """
    if source.newbyteorder("=") == reference.newbyteorder("="):
        return 1.0, 1.0
    try:
        return dtype_range(source), dtype_range(reference)
    except ValueError:
        raise ValueError(
            f"source is {source}, reference {reference}; bring both to one dtype: only those of "
            "uint8, uint16 and floating values in [0, 1] can be compared"
        ) from None


def quantiles(counts: NDArray[Any]) -> NDArray[Any]:
    """Return the share of samples up to and with each of ascending values."""
    totals = np.cumsum(counts)
    shares: NDArray[Any] = totals / totals[-1]
    return shares


def _sorted(values: NDArray[Any], counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Bring values in order and join equal ones."""
    order = np.argsort(values, kind="stable")  # merges runs that are in order already
    values, counts = values[order], counts[order]
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1])[: len(values)])
    return values[first], np.add.reduceat(counts, first)


def _cast(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    return (values if dtype.kind == "f" else np.rint(values)).astype(dtype)


def _is_counted(dtype: np.dtype[Any]) -> bool:
    """Tell whether one counter for every value of a dtype is little."""
    return dtype.itemsize <= 2


def _every_value(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return all values of a dtype in the order of their bits; none if these are too many."""
    if not _is_counted(dtype):
        return np.empty(0, dtype)
    return np.arange(256**dtype.itemsize, dtype=f"u{dtype.itemsize}").view(dtype)


def _bits(samples: NDArray[Any]) -> NDArray[Any]:
    """Return the place of each sample in `_every_value`."""
    return np.ascontiguousarray(samples).view(f"u{samples.itemsize}")
