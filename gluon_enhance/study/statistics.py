"""What ratings say: means, rejection of raters, biases, agreement, and scores of pairs.

Ratings of categories are arrays of shape (raters, stimuli), float64, NaN where there is none.

References
----------
.. [1] ITU-R BT.500-14, "Methodologies for the subjective assessment of the quality of television
   images", 2019, annex 1, on intervals and the screening of observers.
.. [2] ITU-T P.910, 2023, on estimates that weigh raters by their consistency; Li et al., "A simple
   model for subject behavior in subjective experiments", 2020. https://arxiv.org/abs/2004.02067
.. [3] Krippendorff, "Computing Krippendorff's alpha-reliability", 2011.
.. [4] Bradley, Terry, "Rank analysis of incomplete block designs", 1952.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONFIDENCE = 0.95
OUTLIERS, ONE_SIDED = 0.05, 0.3
"""Who has a larger share of outliers is rejected, if their sides differ by less than the other."""
NO_VARIANCE = 1e-8
"""Added to variances that are divided by."""
STEPS, STILL = 1000, 1e-8
TIES = 0.01
"""So many times each method has also won over each other one: that bounds the score of what has
always won, and hardly changes others."""
LONGEST = 100_000
"""Steps of the estimate of Bradley-Terry scores; a hundred and less as a rule."""


class Estimate(NamedTuple):
    """Means with the bounds of their 95% intervals, each of shape (n,)."""

    mean: Array
    low: Array
    high: Array


class Weighted(NamedTuple):
    """An estimate of stimuli; of raters the bias and the standard deviation, (raters,) each."""

    estimate: Estimate
    variance: Array
    bias: Array
    inconsistency: Array


def mean_of_raters(ratings: Array) -> Estimate:
    """Return the mean over raters of each column, with Student's interval of BT.500.

    Parameters
    ----------
    ratings : ndarray of shape (raters, n)
        Of one stimulus a column; or of one method, with each rater's own mean.

    Returns
    -------
    Estimate
        NaN where nobody rated, and in the bounds where one rater did.
    """
    from scipy.stats import t

    count = (~np.isnan(ratings)).sum(axis=0)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of empty columns
        mean = np.nanmean(ratings, axis=0)
        error = np.nanstd(ratings, axis=0, ddof=1) / np.sqrt(count)
        half = t.ppf((1 + CONFIDENCE) / 2, count - 1) * error
    return Estimate(mean, mean - half, mean + half)


def rejected_raters(ratings: Array) -> NDArray[np.bool_]:
    """Screen raters as BT.500 does: who often is an outlier, to both sides, is rejected.

    A rating is an outlier if it is 2 standard deviations or more from the mean of its stimulus, or
    the root of 20 where the kurtosis is outside of 2 to 4. Stimuli that all rate alike, of which
    the Recommendation's inequalities would make everyone an outlier to both sides, do not count.

    Parameters
    ----------
    ratings : ndarray of shape (raters, stimuli)

    Returns
    -------
    ndarray of shape (raters,), bool
        None is rejected if all were.
    """
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        deviations = ratings - np.nanmean(ratings, axis=0)
        variance = np.nanmean(deviations**2, axis=0)
        kurtosis = np.nanmean(deviations**4, axis=0) / variance**2
        spread = np.nanstd(ratings, axis=0, ddof=1)
        spread[~(spread > 0)] = np.inf
        limit = np.where((kurtosis >= 2) & (kurtosis <= 4), 2, np.sqrt(20)) * spread
    above = (deviations >= limit).sum(axis=1)
    below = (deviations <= -limit).sum(axis=1)
    outliers, given = above + below, (~np.isnan(ratings)).sum(axis=1)
    rejected = (outliers > OUTLIERS * given) & (np.abs(above - below) < ONE_SIDED * outliers)
    return rejected & ~rejected.all()


def weighted_by_consistency(ratings: Array) -> Weighted:
    """Estimate what stimuli are worth and how raters are, by the alternating projection of P.910.

    A rating is the stimulus's worth, plus the rater's bias, plus noise of the rater's own standard
    deviation. Nobody needs to be rejected: who is inconsistent counts less.

    Parameters
    ----------
    ratings : ndarray of shape (raters, stimuli)
        Each rater and each stimulus has a rating.

    Returns
    -------
    Weighted
        Biases have mean 0.
    """
    # Netflix's sureal does this too, and is what the tests compare with; but it takes its data from
    # files of its own, prints each step, and asks for pandas and a tool to build packages.
    rated = ~np.isnan(ratings)
    worth = np.nanmean(ratings, axis=0)
    bias = np.nanmean(ratings - worth, axis=1)
    for _ in range(STEPS):
        before = worth
        spread = np.nanstd(ratings - worth - bias[:, None], axis=1)
        weights = np.where(rated, 1 / (spread[:, None] ** 2 + NO_VARIANCE), 0)
        worth = np.nansum(weights * (ratings - bias[:, None]), axis=0) / weights.sum(axis=0)
        bias = np.nanmean(ratings - worth, axis=1)
        if np.linalg.norm(before - worth) < STILL:
            break
    shift = bias.mean()
    variance = 1 / weights.sum(axis=0)
    return Weighted(normal(worth + shift, variance), variance, bias - shift, spread)


def normal(mean: Array, variance: Array) -> Estimate:
    """Return means with the interval of a normal distribution."""
    from scipy.stats import norm

    half = norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(variance)
    return Estimate(mean, mean - half, mean + half)


def ordinal_alpha(ratings: Array) -> float:
    """Return Krippendorff's alpha of ordered categories: 1 if raters agree, 0 as if by chance.

    Parameters
    ----------
    ratings : ndarray of shape (raters, stimuli)

    Returns
    -------
    float
        NaN if all ratings are of one category, or no stimulus has two raters.
    """
    # The package krippendorff, which the tests compare with, is under GPL-3, and this one is not.
    categories = np.unique(ratings[~np.isnan(ratings)])
    counts = (ratings[:, :, None] == categories).sum(axis=0).astype(float)
    counts = counts[counts.sum(axis=1) > 1]
    if len(categories) < 2 or not len(counts):
        return float("nan")
    pairs = np.einsum("ui,uj->uij", counts, counts)
    pairs[:, range(len(categories)), range(len(categories))] -= counts
    observed = (pairs / (counts.sum(axis=1) - 1)[:, None, None]).sum(axis=0)
    totals = observed.sum(axis=0)
    expected = (np.outer(totals, totals) - np.diag(totals)) / (totals.sum() - 1)
    ranks = np.cumsum(totals) - totals / 2
    distances = (ranks[:, None] - ranks) ** 2
    chance = (expected * distances).sum()
    return float(1 - (observed * distances).sum() / chance) if chance > 0 else float("nan")


def bradley_terry(count: int, raters: list[list[tuple[int, int]]]) -> Estimate:
    """Return Bradley-Terry scores: the difference of two is the logit that one is preferred.

    Parameters
    ----------
    count : int
        Of methods.
    raters : list of list of (int, int)
        What each rater chose: winner, loser.

    Returns
    -------
    Estimate
        Of mean 0. Variances are the larger of two: from the curvature of the likelihood, as if all
        choices were independent, and from how much raters differ, with each as a cluster.
    """
    import choix

    winners, losers = np.array([pair for pairs in raters for pair in pairs]).T
    own = np.repeat(np.arange(len(raters)), [len(pairs) for pairs in raters])
    wins = TIES * (1 - np.eye(count))
    np.add.at(wins, (winners, losers), 1)
    scores = choix.ilsr_pairwise_dense(wins, max_iter=LONGEST)
    scores = scores - scores.mean()
    preferred = 1 / (1 + np.exp(scores - scores[:, None]))
    information = (wins + wins.T) * preferred * preferred.T
    curvature = np.diag(information.sum(axis=1)) - information
    surprise = preferred[losers, winners]
    gradients = np.zeros((len(raters), count))
    np.add.at(gradients, (own, winners), surprise)
    np.add.at(gradients, (own, losers), -surprise)
    inverse = np.linalg.pinv(curvature)  # the scores' mean is free
    weight = len(raters) / (len(raters) - 1) if len(raters) > 1 else 0
    between = weight * inverse @ gradients.T @ gradients @ inverse
    return normal(scores, np.maximum(np.diag(inverse), np.diag(between)))
