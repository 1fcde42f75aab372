"""Numbers from ratings, against closed forms, published examples and other programs."""

import math
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from gluon_enhance.study.statistics import (
    bradley_terry,
    mean_of_raters,
    ordinal_alpha,
    rejected_raters,
    weighted_by_consistency,
)

NAN = math.nan


@pytest.fixture
def ratings(rng):
    """24 raters of 40 stimuli, with biases, and the last two by chance."""
    worth = rng.uniform(1.2, 4.8, 40)
    noise = rng.normal(0, rng.uniform(0.4, 0.9, (24, 1)), (24, 40))
    made = np.rint(worth + rng.normal(0, 0.4, (24, 1)) + noise)
    made[-2:] = rng.integers(1, 6, (2, 40))
    return np.clip(made, 1, 5)


def of_sureal(model, ratings, **options):
    """Run a model of Netflix's sureal on the same ratings."""
    reader = pytest.importorskip("sureal.dataset_reader")
    models = pytest.importorskip("sureal.subjective_model")
    videos = [
        {"content_id": n, "asset_id": n, "path": str(n), "os": [[v] for v in column]}
        for n, column in enumerate(ratings.T.tolist())
    ]
    references = [{"content_id": n, "content_name": str(n)} for n in range(len(videos))]
    data = SimpleNamespace(dis_videos=videos, ref_videos=references, ref_score=5)
    with np.errstate(invalid="ignore"):  # of raters without outliers
        return getattr(models, model)(reader.RawDatasetReader(data)).run_modeling(**options)


def test_a_mean_has_the_interval_of_student():
    """The 97.5th percentile of t with 4 degrees of freedom is 2.776445."""
    mean, low, high = mean_of_raters(np.array([[4, 5], [5, NAN], [3, NAN], [4, NAN], [4, NAN]]))
    half = 2.776445 * math.sqrt(0.5) / math.sqrt(5)
    assert np.allclose([mean[0], low[0], high[0]], [4, 4 - half, 4 + half], atol=1e-6)
    assert mean[1] == 5 and np.isnan([low[1], high[1]]).all()


def test_what_nobody_rated_has_no_mean():
    assert np.isnan(mean_of_raters(np.full((3, 1), NAN))).all()


def test_screening_rejects_whom_sureal_rejects(rng):
    """Of two who answer 1 or 5 by chance, while the others agree in part."""
    ratings = np.rint(rng.uniform(2.2, 3.8, 40) + rng.normal(0, 0.8, (24, 40))).clip(1, 5)
    ratings[-2:] = rng.choice([1, 5], (2, 40))
    expected = of_sureal("MosModel", ratings, subject_rejection=True)["observer_rejected"]
    assert rejected_raters(ratings).tolist() == expected
    assert sum(expected) == 2 and expected[-2:] == [True, True]


def test_stimuli_that_all_rate_alike_reject_nobody():
    """By the inequalities, 0 is 0 deviations or more from the mean, and all are outliers twice."""
    assert not rejected_raters(np.full((5, 10), 3.0)).any()


def test_a_rater_who_is_an_outlier_to_one_side_is_kept(ratings):
    ratings[0] = 1
    assert not rejected_raters(ratings)[0]


def test_estimates_by_consistency_are_those_of_sureal(ratings):
    found = weighted_by_consistency(ratings)
    expected = of_sureal("SubjectMLEModelProjectionSolver", ratings)
    assert np.allclose(found.estimate.mean, expected["quality_scores"], atol=1e-6)
    below, above = expected["quality_scores_ci95"]
    assert np.allclose(found.estimate.mean - found.estimate.low, below, atol=1e-4)
    assert np.allclose(found.estimate.high - found.estimate.mean, above, atol=1e-4)
    assert np.allclose(found.bias, expected["observer_bias"], atol=1e-6)
    assert np.allclose(found.inconsistency, expected["observer_inconsistency"], atol=1e-6)


def test_estimates_by_consistency_are_those_of_sureal_where_ratings_are_missing(ratings, rng):
    ratings[rng.random(ratings.shape) < 0.3] = NAN
    found = weighted_by_consistency(ratings)
    expected = of_sureal("SubjectMLEModelProjectionSolver", ratings)
    assert np.allclose(found.estimate.mean, expected["quality_scores"], atol=1e-6)
    assert np.allclose(found.bias, expected["observer_bias"], atol=1e-6)


def test_known_biases_and_inconsistencies_are_recovered(rng):
    worth, bias = rng.uniform(1, 5, 400), np.array([-0.5, -0.2, 0.0, 0.2, 0.5])
    spread = np.array([0.2, 0.4, 0.6, 0.8, 1.0])
    noise = rng.normal(0, spread[:, None], (5, 400))
    found = weighted_by_consistency(worth + bias[:, None] + noise)
    assert np.allclose(found.bias, bias, atol=0.1)
    assert (np.diff(found.inconsistency) > 0).all()
    plain = np.sqrt(np.mean((noise.mean(axis=0)) ** 2))
    assert np.sqrt(np.mean((found.estimate.mean - worth) ** 2)) < 0.8 * plain


def test_alpha_is_that_of_krippendorffs_example():
    """Krippendorff, "Computing Krippendorff's alpha-reliability", C: four observers, 12 units."""
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
    assert round(ordinal_alpha(np.array(table)), 3) == 0.815


def test_alpha_is_that_of_the_package(ratings, rng):
    package = pytest.importorskip("krippendorff")
    ratings[rng.random(ratings.shape) < 0.4] = NAN
    expected = package.alpha(ratings, level_of_measurement="ordinal")
    assert abs(ordinal_alpha(ratings) - expected) < 1e-12


@pytest.mark.parametrize("table", [[[3, 3], [3, 3]], [[1, NAN], [NAN, 2]]])
def test_there_is_no_alpha_of_one_category_or_of_lone_raters(table):
    assert math.isnan(ordinal_alpha(np.array(table, float)))


BASEBALL = [
    [0, 7, 9, 7, 7, 9, 11],
    [6, 0, 7, 5, 11, 9, 9],
    [4, 6, 0, 7, 7, 8, 12],
    [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12],
    [4, 4, 5, 6, 6, 0, 6],
    [2, 4, 1, 3, 1, 7, 0],
]
"""Wins of Milwaukee, Detroit, Toronto, New York, Boston, Cleveland and Baltimore in 1987, from
Agresti, "Categorical data analysis"."""


def test_scores_of_pairs_are_those_of_agrestis_example():
    games = [
        (i, j) for i, row in enumerate(BASEBALL) for j, wins in enumerate(row) for _ in range(wins)
    ]
    scores = bradley_terry(7, [games]).mean
    published = [1.5814, 1.4364, 1.2945, 1.2476, 1.1077, 0.6839, 0]
    assert np.allclose(scores - scores[-1], published, atol=0.005)


def test_a_choice_of_two_has_the_closed_form():
    """With one choice of each of n raters the logit's variance is 1 / ((n - 1) p (1 - p))."""
    raters = [[(0, 1)]] * 30 + [[(1, 0)]] * 10
    mean, low, high = bradley_terry(2, raters)
    assert np.allclose(mean[0] - mean[1], math.log(3), atol=0.005)
    half = 1.959964 * math.sqrt(1 / (39 * 0.75 * 0.25)) / 2  # the score is half of the difference
    assert np.allclose(high - mean, half, rtol=0.005) and np.allclose(mean - low, half, rtol=0.005)


def test_raters_of_one_mind_make_the_interval_wider_than_as_many_choices_of_others():
    agreed = bradley_terry(2, [[(0, 1)] * 10] * 3 + [[(1, 0)] * 10])
    others = bradley_terry(2, [[(0, 1)]] * 30 + [[(1, 0)]] * 10)
    assert agreed.high[0] - agreed.low[0] > 3 * (others.high[0] - others.low[0])


def test_who_has_won_always_has_a_score_and_a_wide_interval():
    mean, low, high = bradley_terry(2, [[(0, 1)]] * 20)
    assert 2 < mean[0] < 5 and low[0] < 1.5 and high[0] - mean[0] > 1


def test_intervals_of_scores_hold_what_they_promise(rng):
    """Of raters whose tastes differ, the 95% intervals hold the mean scores in 88 to 99%."""
    truth, held = np.array([-0.8, -0.2, 0.2, 0.8]), []
    for _ in range(30):
        raters = []
        for _ in range(25):
            own = truth + rng.normal(0, 0.3, 4)
            chances = {
                (i, j): 1 / (1 + np.exp(own[j] - own[i])) for i, j in combinations(range(4), 2)
            }
            raters.append([(i, j) if rng.random() < p else (j, i) for (i, j), p in chances.items()])
        _, low, high = bradley_terry(4, raters)
        held.append((low <= truth) & (truth <= high))
    assert 0.88 <= np.mean(held) <= 0.99
