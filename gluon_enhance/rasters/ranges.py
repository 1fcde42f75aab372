"""Which numbers of a raster a net sees as black and white.

They are found once, before the work is divided, so that all parts and workers see the same.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Optional, Union

import numpy as np
from rasterio.windows import Window

from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.quantiles import Histogram
from gluon_enhance.rasters.io import is_min_is_white, limits_of, read_bands

logger = logging.getLogger(__name__)

SAMPLES = 1 << 28
"""Samples that are counted for percentiles, about. Of a larger raster evenly spread blocks of its
file have as many."""
PIECE = 1 << 22
"""Samples read at once, at most: 32 MB of float64."""
FORMS = "LOW,HIGH in numbers, LOW%,HIGH% in percentiles, scaled:LOW,HIGH, or statistics"


class Range(NamedTuple):
    """Black and white as a user gives them.

    Attributes
    ----------
    kind : {'numbers', 'percentiles', 'scaled', 'statistics'}
        Numbers of the file; percentiles of the valid ones; values, which the file's scale and
        offset make of its numbers; or least and greatest of STATISTICS tags.
    low, high : float
        Of 'statistics' they mean nothing.
    """

    kind: str
    low: float = 0.0
    high: float = 100.0


DEFAULT = Range("percentiles", 2, 98)
"""QGIS stretches rasters so. A few clouds or roofs must not leave all else dark."""

InputRange = Union[str, Sequence[float], Mapping[Optional[int], Union[str, Sequence[float]]]]


def parse_range(text: str) -> tuple[Optional[int], Range]:
    """Read ``[BAND=]RANGE``; the band is None if it is not said.

    Raises
    ------
    ValueError
        If the text is no range.
    """
    prefix, equals, own = text.rpartition("=")
    if equals and not (prefix.isdigit() and int(prefix)):
        raise ValueError(f"input_range is {text!r}; give BAND=RANGE with the band's number, from 1")
    return int(prefix) if equals else None, _parsed(own)


def ranges_of(
    src, groups: Sequence[Sequence[int]], input_range: Optional[InputRange] = None
) -> tuple[tuple[float, float], ...]:
    """Return the numbers that are black and white for each band of a raster, and tell of them.

    Parameters
    ----------
    src : rasterio dataset
    groups : sequence of sequences of int
        Bands that go through the net together, and share a range but where one has its own. For
        bands in none of them (0, 1) is returned.
    input_range : str, sequence of two numbers, or mapping, optional
        A range in one of the forms of `parse_range`, for all bands, or a mapping from bands to
        such, where None is all others. Default: `DEFAULT`, but 0 and the largest number for uint8.

    Raises
    ------
    ImageError
        If a band has no statistics.
    ValueError
        If the range is none, or is of bands that do not go through the net.
    """
    wanted = _by_band(src, groups, input_range)
    sharing = []  # pairs: bands that share a range, and that range
    for group in groups:
        together = tuple(band for band in group if band not in wanted)
        sharing += [(together, wanted.get(None, _default(src)))] if together else []
        sharing += [((band,), wanted[band]) for band in group if band in wanted]
    counted = [bands for bands, own in sharing if own.kind == "percentiles"]
    histograms = _count(src, counted) if counted else {}
    result = [(0.0, 1.0)] * src.count
    for bands, own in sharing:
        for band, (low, high) in zip(bands, _resolved(src, bands, own, histograms.get(bands))):
            # Nets see white as 1, be it the least number or the largest.
            result[band - 1] = (high, low) if is_min_is_white(src) else (low, high)
        if own.kind != "numbers":
            _log(src, bands, own, result)
    return tuple(result)


def _by_band(src, groups, input_range):
    """Return what is wanted of bands, and under None of all others, if it is said."""
    if input_range is None:
        return {}
    if not isinstance(input_range, Mapping):
        input_range = {None: input_range}
    through_net = sorted(sum(map(tuple, groups), ()))
    for band in input_range:
        if band is not None and band not in through_net:
            raise ValueError(
                f"input_range has a range for band {band}, which does not go through the net; the "
                f"bands {','.join(map(str, through_net))} of {src.name} do"
            )
    return {band: _parsed(own) for band, own in input_range.items()}


def _default(src):
    """Return the range where none is given: of uint8 all there is, as pictures are meant."""
    if src.dtypes[0] != "uint8":
        return DEFAULT
    return Range("numbers", 0, float(limits_of(src)[1]))


def _parsed(own):
    """Return the `Range` that a text or a pair of numbers says."""
    if isinstance(own, Range):
        return own
    if own == "statistics":
        return Range("statistics")
    text = own if isinstance(own, str) else ",".join(map(repr, map(float, own)))
    kind, ends = "numbers", text
    if text.startswith("scaled:"):
        kind, ends = "scaled", text[len("scaled:") :]
    elif text.count("%") == 2:
        kind, ends = "percentiles", text.replace("%,", ",", 1).removesuffix("%")
    try:
        low, high = map(float, ends.split(","))
    except ValueError:
        raise ValueError(f"input_range is {text!r}; give {FORMS}") from None
    fits = math.isfinite(low) and math.isfinite(high) and low < high
    if not fits or (kind == "percentiles" and not 0 <= low < high <= 100):
        raise ValueError(f"input_range is {text}; give {FORMS}, the lower one first")
    return Range(kind, low, high)


def _resolved(src, bands, own, histogram):
    """Return (low, high) of each of some bands that share a range."""
    if own.kind == "percentiles":
        return [_percentiles(histogram, own)] * len(bands)
    if own.kind == "statistics":
        return [_statistics(src, bands)] * len(bands)
    if own.kind == "scaled":
        return [_unscaled(src, band, own) for band in bands]
    return [(float(own.low), float(own.high))] * len(bands)


def _percentiles(histogram, own):
    """Return the values (low, high) of which so many percent of those counted are not larger."""
    values, counts = histogram.distinct()  # each of shape (n,), values in ascending order
    if not values.size:  # nothing is valid, so that any range will do
        return 0.0, 1.0
    totals = np.cumsum(counts)
    ends = np.searchsorted(totals, np.array([own.low, own.high]) / 100 * totals[-1])
    low, high = values[ends].astype(np.float64).tolist()
    if low == high:  # such as of a scene that is mostly a border of zeros
        low, high = float(values[0]), float(values[-1])
    # One value alone is black; the range only must not be empty, also in float64.
    return low, high if low < high else low + max(1.0, abs(low))


def _unscaled(src, band, own):
    """Return the numbers of the file (low, high) that its scale and offset make values of."""
    scale, offset = src.scales[band - 1], src.offsets[band - 1]
    if not scale:
        raise ImageError(f"{src.name} has the scale 0 in band {band}; give a range in its numbers")
    low, high = sorted((end - offset) / scale for end in (own.low, own.high))
    return low, high


def _statistics(src, bands):
    """Return the least minimum and the greatest maximum that the tags of bands tell."""
    ends = []
    for name, choose in (("STATISTICS_MINIMUM", min), ("STATISTICS_MAXIMUM", max)):
        try:
            ends.append(choose(float(src.tags(band)[name]) for band in bands))
        except (KeyError, ValueError):
            raise ImageError(
                f"{src.name} has no {name} of bands {','.join(map(str, bands))}; compute "
                "statistics (gdalinfo -stats), or give percentiles (--input-range 2%,98%)"
            ) from None
    if not ends[0] < ends[1]:
        raise ImageError(
            f"{src.name} has statistics from {ends[0]:g} to {ends[1]:g}; say which numbers are "
            "black and white (--input-range LOW,HIGH)"
        )
    return tuple(ends)


def _count(src, groups):
    """Count the valid values of groups of bands, of all blocks or of evenly spread ones.

    Returns
    -------
    dict
        Group -> the `Histogram` of all its bands together.
    """
    bands = sorted(sum(groups, ()))
    _, columns = src.block_shapes[0]
    across = -(-src.width // columns)
    step = -(-src.width * src.height * len(bands) // SAMPLES)
    # Blocks are numbered row by row. Every `step`-th of them comes to all columns of blocks only if
    # their number and the step have no common divisor.
    while math.gcd(step, across) > 1:
        step += 1
    # Counters of 64-bit integers are those of float64, which what is counted becomes anyway.
    dtype = np.dtype(src.dtypes[0])
    dtype = np.dtype(np.float64) if dtype.kind != "f" and dtype.itemsize > 4 else dtype
    for every in (step, 1):  # all of them where the others have only holes
        counted = {group: Histogram(dtype) for group in groups}
        for window in _spread_windows(src, every):
            block, valid = read_bands(src, bands, window)  # (h, w, C), C the number of bands
            valid = np.isfinite(block) & (True if valid is None else valid)
            for group, histogram in counted.items():
                own = [bands.index(band) for band in group]
                histogram.add(block[..., own][valid[..., own]].astype(dtype, copy=False))
        if every == 1 or all(histogram.distinct()[0].size for histogram in counted.values()):
            return counted


def _spread_windows(src, every):
    """Yield every so many of a file's blocks, in pieces if one is large."""
    for _, block in islice(src.block_windows(1), 0, None, every):
        rows = max(1, PIECE // (block.width * src.count))
        for top in range(0, block.height, rows):
            height = min(rows, block.height - top)
            yield Window(block.col_off, block.row_off + top, block.width, height)


def _log(src, bands, own, ranges):
    """Log what black and white came to for bands that share a range."""
    pairs = [ranges[band - 1] for band in bands]
    pairs = [f"{low:g} to {high:g}" for low, high in (pairs if len(set(pairs)) > 1 else pairs[:1])]
    source = {
        "percentiles": f"percentiles {own.low:g} and {own.high:g}",
        "scaled": f"values {own.low:g} and {own.high:g}",
        "statistics": "of its statistics",
    }[own.kind]
    logger.warning(
        "%s: the net sees %s in band%s %s as black to white (%s); --input-range changes it",
        src.name,
        "; ".join(pairs),
        "s" if len(bands) > 1 else "",
        ",".join(map(str, bands)),
        source,
    )
