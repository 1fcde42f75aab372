"""Intervals of means over images, by the bootstrap: with one seed, so they are the same each time.

References
----------
.. [1] Efron, Tibshirani, "An introduction to the bootstrap", 1993, chapter 13: the percentiles.
"""

from __future__ import annotations

import math

import numpy as np

RESAMPLES = 10_000
AT_ONCE = 500
"""Resamples whose indices are in memory."""
PERCENTILES = (2.5, 97.5)
PROTOCOL = (
    f"95%: percentiles of the mean over {RESAMPLES:,} resamples of the images (bootstrap, seed 0)"
)


def interval(values) -> tuple[float, float]:
    """Return the bounds of the mean with 95% confidence; NaN for less than two or infinite values.

    Parameters
    ----------
    values : sequence of float
        One for each image; for two models that are compared, the differences.
    """
    values = np.asarray(values, float)
    if len(values) < 2 or not np.isfinite(values).all():
        return math.nan, math.nan
    rng = np.random.default_rng(0)
    means = [
        values[rng.integers(0, len(values), (AT_ONCE, len(values)))].mean(axis=1)
        for _ in range(RESAMPLES // AT_ONCE)
    ]
    low, high = np.percentile(np.concatenate(means), PERCENTILES)
    return float(low), float(high)


def with_intervals(summary: dict) -> dict:
    """Add intervals of the mean to what `gluon_enhance.commands.scores.summary` gives of photos."""
    rows = summary["images"]
    if len(rows) < 2:
        return summary
    bounds = {name: interval([row[name] for row in rows]) for name in summary["mean"]}
    return {
        **summary,
        "protocol": f"{summary['protocol']}; {PROTOCOL}",
        "interval": {name: list(pair) for name, pair in bounds.items()},
    }


def difference(rows: list, others: list) -> dict:
    """Compare two models by their scores of the same images: mean of the first less the second."""
    names = [name for name in rows[0] if name != "image"] if rows else []
    pairs = list(zip(rows, others))
    with np.errstate(invalid="ignore"):  # infinite less infinite
        apart = {name: [np.subtract(a[name], b[name]) for a, b in pairs] for name in names}
    return {
        "mean": {name: float(np.mean(values)) for name, values in apart.items()},
        "interval": {name: list(interval(values)) for name, values in apart.items()},
    }
