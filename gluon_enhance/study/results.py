"""The results of a study: from its ratings to tables of methods, pictures and raters."""

from __future__ import annotations

import csv
import itertools
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gluon_enhance.atomic import whole_file
from gluon_enhance.study.database import NOBODY, Rating
from gluon_enhance.study.design import Study, StudyError
from gluon_enhance.study.statistics import (
    Array,
    Estimate,
    bradley_terry,
    mean_of_raters,
    normal,
    ordinal_alpha,
    rejected_raters,
    weighted_by_consistency,
)

ENOUGH = 0.5
"""Who has given less than this share of what the most diligent has is left out of estimates of
raters: of a few ratings nobody's consistency can be told."""
TAKEN_OVER = 0.1
"""Rounding to whole numbers alone makes raters less consistent. Who seems to be more has been given
all the weight: P.910's iteration can end so if raters are few, at a likelihood without bound, with
this rater's ratings for estimates and intervals that promise far too much."""
OF_CATEGORIES = (
    "mos: mean over the raters whom BT.500's screening keeps, each with the mean of their own "
    "ratings, and Student's 95% interval, which tells of other people and not of other pictures; "
    "weighted: P.910's estimate from all who gave half of the ratings or more, by their bias and "
    "consistency, with its 95% interval, made wider by the spread of biases, and nothing if one "
    "rater would get all the weight; "
)
OF_REFERENCE = (
    "dmos: the same as mos of a rating less the rater's own of the hidden reference {name}, plus "
    "{top}; "
)
OF_DEGRADATION = "dmos is mos: the reference {name} was shown beside each picture; "
OF_AGREEMENT = "alpha: Krippendorff's, ordinal, of all raters; training and repeats do not count"
OF_PAIRS = (
    "score: Bradley-Terry's, of mean 0; the difference of two is the logit of one being preferred "
    "to the other; 95% intervals with raters as clusters; training and repeats do not count"
)
DRAWN = {"acr": "MOS", "dcr": "DMOS", "pairs": "Bradley-Terry score"}
"""Kind -> what a plot of the results calls them."""


class _Table(NamedTuple):
    """Ratings of the test: (raters, methods, pictures), NaN where there are none."""

    places: list[int]
    values: Array


def results_of(study: Study, ratings: list[Rating], joined: int) -> dict[str, Any]:
    """Return a study's results.

    Parameters
    ----------
    study : Study
    ratings : list of Rating
        All that are stored.
    joined : int
        How many people have begun.

    Returns
    -------
    dict
        That JSON can hold, with None where there is no number: ``methods`` and ``pictures`` (lists
        of rows), ``raters`` (a row for each, by order of their coming), ``alpha`` and
        ``differences`` or ``wins``, and ``protocol``, which says how the numbers are made.

    Raises
    ------
    StudyError
        If nobody has rated.
    """
    test = [rating for rating in ratings if rating.stage == "test"]
    if not test:
        raise StudyError(NOBODY)
    answers = Counter(rating.place for rating in ratings)
    finished = sum(count == len(study.sequence(place)) for place, count in answers.items())
    head = {
        "title": study.title,
        "question": study.question,
        "kind": study.kind,
        "people": {
            "joined": joined,
            "rated": len({rating.place for rating in test}),
            "finished": finished,
        },
    }
    body = _of_pairs(study, ratings) if study.kind == "pairs" else _of_categories(study, ratings)
    return _finite({**head, **body})


def _of_categories(study, ratings):
    table = _table(study, ratings)
    raters, methods, pictures = table.values.shape
    stimuli = table.values.reshape(raters, -1)
    rejected = rejected_raters(stimuli)
    kept = table.values[~rejected]
    columns = {"mos": _by_method_and_picture(kept)}
    differences = _differences(study.methods, kept)
    protocol = OF_CATEGORIES
    if study.kind == "dcr":
        protocol += OF_DEGRADATION.format(name=study.reference)
    elif study.reference:
        top = len(study.scale)
        hidden = kept[:, [study.methods.index(study.reference)]]
        columns["dmos"] = _by_method_and_picture(kept - hidden + top)
        protocol += OF_REFERENCE.format(name=study.reference, top=top)
    columns["weighted"], of_raters = _weighted(table.values)
    rows = _rater_rows(study, ratings, table.places, of_raters)
    for row, is_rejected in zip(rows, rejected):
        row["rejected"] = bool(is_rejected)
    return {
        "protocol": protocol + OF_AGREEMENT,
        "alpha": ordinal_alpha(stimuli),
        "methods": [
            {"method": method, **_cells(columns, k)} for k, method in enumerate(study.methods)
        ],
        "pictures": [
            {"picture": picture, "method": method, **_cells(columns, k, n)}
            for n, picture in enumerate(study.pictures)
            for k, method in enumerate(study.methods)
        ],
        "differences": differences,
        "raters": rows,
    }


def _differences(methods, values):
    """Compare each two methods within raters and pictures, which tells more than two intervals."""
    rows = []
    for first, second in itertools.combinations(range(len(methods)), 2):
        apart = _by_method_and_picture(values[:, [first]] - values[:, [second]])[0]
        bounds = dict(zip(("difference", "low", "high"), (float(part[0]) for part in apart)))
        rows.append({"first": methods[first], "second": methods[second], **bounds})
    return rows


def _table(study, ratings):
    """Return the ratings of the test; those who gave none are left out."""
    test = [rating for rating in ratings if rating.stage == "test"]
    places = sorted({rating.place for rating in test})
    values = np.full((len(places), len(study.methods), len(study.pictures)), np.nan)
    for rating in test:
        method, picture = rating.shown[-1], rating.picture
        at = study.methods.index(method), study.pictures.index(picture)
        values[places.index(rating.place), at[0], at[1]] = rating.value
    return _Table(places, values)


def _by_method_and_picture(values):
    """Estimate means of methods, from each rater's own mean, and of pictures."""
    raters, methods, pictures = values.shape
    counts = (~np.isnan(values)).sum(axis=2)
    with np.errstate(invalid="ignore"):
        own = np.where(counts, np.nansum(values, axis=2) / counts, np.nan)
    each = mean_of_raters(values.reshape(raters, -1))
    return mean_of_raters(own), Estimate(*(part.reshape(methods, pictures) for part in each))


def _weighted(values):
    """Estimate methods and pictures, and of raters the bias and inconsistency, as P.910 does."""
    raters, methods, pictures = values.shape
    stimuli = values.reshape(raters, -1)
    given = (~np.isnan(stimuli)).sum(axis=1)
    enough = given >= ENOUGH * given.max()
    rated = ~np.isnan(stimuli[enough]).all(axis=0)
    found = weighted_by_consistency(stimuli[enough][:, rated])
    known = rated & (found.inconsistency.min() > TAKEN_OVER)
    sure = enough & known.any()
    worth, variance = (
        _scattered(part[known[rated]], known).reshape(methods, pictures)
        for part in (found.estimate.mean, found.variance)
    )
    of_raters = {
        name: _scattered(part[sure[enough]], sure)
        for name, part in (("bias", found.bias), ("inconsistency", found.inconsistency))
    }
    # The errors of pictures are independent, but for how much the mean of these raters' biases is
    # off other people's. P.910 leaves that out, and its intervals then hold the truth too seldom.
    common = found.bias.var(ddof=1) / len(found.bias) if len(found.bias) > 1 else np.nan
    counts = (~np.isnan(worth)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, own = np.nansum(worth, 1) / counts, np.nansum(variance, 1) / counts**2
    return (normal(mean, own + common), normal(worth, variance + common)), of_raters


def _scattered(values, mask):
    """Put values where a mask is true, and NaN elsewhere."""
    whole = np.full(mask.shape, np.nan)
    whole[mask] = values
    return whole


def _cells(columns, method, picture=None):
    """Return a row's numbers: name, name_low and name_high of each estimate."""
    cells = {}
    for name, (of_methods, of_pictures) in columns.items():
        estimate = of_methods if picture is None else of_pictures
        where = method if picture is None else (method, picture)
        for end, part in zip(("", "_low", "_high"), estimate):
            cells[name + end] = float(part[where])
    return cells


def _rater_rows(study, ratings, places, columns):
    """Return a row for each rater: what they gave, and how they met the hidden checks."""
    rows = []
    for k, place in enumerate(places):
        own = [rating for rating in ratings if rating.place == place]
        row = {"rater": place + 1, "ratings": sum(rating.stage == "test" for rating in own)}
        row.update({name: float(values[k]) for name, values in columns.items()})
        rows.append({**row, **_checks(study, own)})
    return rows


def _checks(study, own):
    """Return how a rater rated the hidden reference, and how differently what came twice."""
    test = {_asked(rating): rating for rating in own if rating.stage == "test"}
    twice = [(test[_asked(r)], r) for r in own if r.stage == "repeat" and _asked(r) in test]
    if study.kind == "pairs":
        same = [_winner(before) == _winner(after) for before, after in twice]
        return {
            "repeats_same": _mean(same),
            "chose_first": _mean(r.value == 1 for r in test.values()),
        }
    apart = _mean(abs(before.value - after.value) for before, after in twice)
    hidden = [r.value for r in test.values() if r.shown[-1] == study.reference]
    return {"repeats_apart": apart, "reference": _mean(hidden)}


def _asked(rating):
    """Return what was asked, whichever side it was on; both methods may be one."""
    return rating.picture, tuple(sorted(rating.shown))


def _winner(rating):
    return rating.shown[rating.value - 1]


def _mean(values):
    values = list(values)
    return float(np.mean(values)) if values else math.nan


def _of_pairs(study, ratings):
    test = [rating for rating in ratings if rating.stage == "test"]
    places = sorted({rating.place for rating in test})
    wins = np.zeros((len(study.methods),) * 2, int)
    for rating in test:
        wins[_outcome(study, rating)] += 1
    overall = _preferences(study, test)
    pictures = []
    for picture in study.pictures:
        own = [rating for rating in test if rating.picture == picture]
        pictures += [{"picture": picture, **row} for row in _preferences(study, own)] if own else []
    return {
        "protocol": OF_PAIRS,
        "methods": overall,
        "wins": {
            method: dict(zip(study.methods, wins[k].tolist()))
            for k, method in enumerate(study.methods)
        },
        "pictures": pictures,
        "raters": _rater_rows(study, ratings, places, {}),
    }


def _outcome(study, rating):
    """Return the indices of the winner and the loser."""
    ends = rating.value - 1, 2 - rating.value
    return tuple(study.methods.index(rating.shown[end]) for end in ends)


def _preferences(study, test):
    by_rater: dict[int, list] = {}
    for rating in test:
        by_rater.setdefault(rating.place, []).append(_outcome(study, rating))
    estimate = bradley_terry(len(study.methods), list(by_rater.values()))
    choices = [pair for pairs in by_rater.values() for pair in pairs]
    rows = []
    for k, method in enumerate(study.methods):
        won = [winner == k for winner, loser in choices if k in (winner, loser)]
        score, low, high = (float(part[k]) for part in estimate)
        cells = {"score": score, "score_low": low, "score_high": high, "won": _mean(won)}
        rows.append({"method": method, **cells})
    return rows


def _finite(value):
    """Replace NaN by None, which JSON can hold."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Write methods, over all pictures, and pictures as a CSV file."""
    rows = [{"picture": "", **row} for row in results["methods"]] + results["pictures"]
    write_rows(path, rows)


def write_ratings(path: Path, ratings: Iterable[Rating]) -> None:
    """Write all ratings as a CSV file, for other programs."""
    columns = ("first", "second")
    write_rows(
        path,
        [
            {
                "rater": rating.place + 1,
                "stage": rating.stage,
                "picture": rating.picture,
                **dict(zip(columns, (*rating.shown, "")[:2])),
                "rating": rating.value,
            }
            for rating in ratings
        ],
    )


def write_rows(path: Path, rows: list[dict]) -> None:
    """Write rows of the same keys as a CSV file; None becomes an empty cell."""
    with whole_file(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def plot_results(path: Path, results: dict[str, Any]) -> None:
    """Draw each method's number with its interval, the best on top, as a PNG or SVG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    name = "score" if results["kind"] == "pairs" else "mos"
    rows = sorted(
        (row for row in results["methods"] if row[name] is not None), key=lambda row: row[name]
    )
    figure = Figure(figsize=(7, 1.5 + 0.4 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, row in enumerate(rows):
        bounds = [row[f"{name}_{end}"] for end in ("low", "high")]
        if None not in bounds:  # a single rater has none
            axes.plot(bounds, [place, place], color="tab:blue", linewidth=2)
        axes.plot(row[name], place, "o", color="tab:blue")
    axes.set_yticks(range(len(rows)), [row["method"] for row in rows])
    axes.set_title(results["title"].replace("$", r"\$"))  # dollars would begin a formula
    axes.set_xlabel(f"{DRAWN[results['kind']]}, 95% intervals")
    axes.grid(axis="x", alpha=0.3)
    with whole_file(path) as draft:
        figure.savefig(draft, format=path.suffix[1:].lower(), dpi=150)
