"""Scores of image pairs, as ``score`` and ``evaluate`` print them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from gluon_enhance.atomic import whole_file
from gluon_enhance.commands import printable
from gluon_enhance.commands.intervals import with_intervals
from gluon_enhance.commands.metrics import Metrics, protocol_of, scores_of
from gluon_enhance.errors import plural

DEFAULT = Metrics()


def protocol(crop_border: int, metrics: Metrics = DEFAULT) -> str:
    """Say how the numbers are made."""
    return f"{plural(crop_border, 'pixel')} cropped at each side; {protocol_of(metrics)}"


def raster_protocol(crop_border: int) -> str:
    """Say how the numbers of rasters are made."""
    return (
        f"{plural(crop_border, 'pixel')} cropped at each side; valid: share of pixels valid in "
        "both, which count; bias: mean of image - reference; bias and rmse in the rasters' "
        "numbers; nan where none is valid"
    )


def score_raster(
    name: str, image, reference, crop_border: int, data_range=None, trust=False
) -> Iterator[dict]:
    """Score a raster, and yield a row for each band."""
    from gluon_enhance.rasters.score import score_rasters

    for row in score_rasters(image, reference, crop_border, data_range, trust):
        yield {"image": f"{name} band {row.pop('band')}", **row}


def score_pair(
    image: np.ndarray,
    reference: np.ndarray,
    crop_border: int,
    y_only=False,
    per_band=False,
    metrics: Metrics = DEFAULT,
) -> dict:
    """Score one image; gray images have one channel, which counts as Y.

    With `per_band` also the bias (mean of image - reference) and the root mean square of the error
    of each channel, in the image's numbers.
    """
    if image.shape != reference.shape or image.dtype != reference.dtype:
        raise ValueError(
            f"the image is {_text(image)}, the reference {_text(reference)}; they must be alike"
        )
    scores = scores_of(image, reference, crop_border, metrics, y_only)
    return {**scores, **_errors(image, reference, crop_border)} if per_band else scores


def _errors(image, reference, border):
    inner = np.s_[border : image.shape[0] - border, border : image.shape[1] - border]
    errors = np.atleast_3d(image[inner].astype(np.float64) - reference[inner])
    result = {}
    for channel in range(errors.shape[2]):
        own = errors[..., channel]
        result[f"bias_{channel + 1}"] = float(own.mean())
        result[f"rmse_{channel + 1}"] = float(np.sqrt(np.square(own).mean()))
    return result


def _text(image):
    return (
        f"{image.shape[1]}x{image.shape[0]} {'gray' if image.ndim == 2 else image.shape[2]} "
        f"{image.dtype}"
    )


def summary(protocol: str, rows: list) -> dict:
    """Return rows of scores with their mean, and how they are made; NaN means there is no score."""
    names = [name for name in rows[0] if name != "image"] if rows else []
    mean = {name: float(np.nanmean([row[name] for row in rows])) for name in names}
    return {"protocol": protocol, "images": rows, "mean": mean}


def photo_summary(rows: list, crop_border: int, metrics: Metrics) -> dict:
    """Return the `summary` of photos, with the intervals of their means."""
    return with_intervals(summary(protocol(crop_border, metrics), rows))


def print_scores(model, photos: dict, rasters: dict, as_json: bool) -> None:
    """Print a `summary` of photos and one of rasters, as tables or as one JSON object."""
    if as_json:
        click.echo(json.dumps(finite(_report(model, photos, rasters)), indent=1))
        return
    for scores in (photos, rasters):
        if scores["images"]:
            print_table(scores["protocol"], [*scores["images"], *_mean_rows(scores)])


def print_comparison(first: tuple, second: tuple, difference: dict, as_json: bool) -> None:
    """Print what `print_scores` does of two models, and how their photos' scores differ."""
    if as_json:
        report = {**_report(*first), "against": _report(*second), "difference": difference}
        click.echo(json.dumps(finite(report), indent=1))
        return
    for summaries in (first, second):
        click.echo(f"{printable(summaries[0])}:")
        model, photos, rasters = summaries
        print_scores(model, photos, rasters, as_json=False)
        click.echo()
    if difference["mean"]:
        names = " less ".join(printable(summaries[0]) for summaries in (first, second))
        print_table(f"{names}, image by image:", _mean_rows(difference))


def _report(model, photos, rasters):
    return {"model": model, **photos, **({"rasters": rasters} if rasters["images"] else {})}


def _mean_rows(scores):
    """Return the rows that end a table: the mean and, where there is one, its interval."""
    rows = [{"image": "mean", **scores["mean"]}]
    bounds = scores.get("interval")
    if bounds:
        for index, name in enumerate(("95% from", "95% to")):
            rows.append({"image": name, **{key: pair[index] for key, pair in bounds.items()}})
    return rows


def print_table(protocol: str, rows: list) -> None:
    """Print rows of scores under the protocol that they were made with."""
    widths = {name: max(9, len(name) + 1) for name in rows[0] if name != "image"}
    click.echo(protocol)
    click.echo(f"{'image':32}" + "".join(f"{name:>{width}}" for name, width in widths.items()))
    for row in rows:
        values = "".join(
            f"{score_text(name, row[name]):>{width}}" for name, width in widths.items()
        )
        click.echo(f"{printable(row['image'])[-32:]:32}{values}")


def score_text(name: str, value: float) -> str:
    """Write a score with as many decimals as the metric of this name has."""
    return f"{value:.{4 if 'ssim' in name else 3}f}"


def write_csv(path: Path, rows: list) -> None:
    """Write rows of scores to a file, a column for each name that is in any of them."""
    names = dict.fromkeys(name for row in rows for name in row)
    with (
        whole_file(path) as draft,
        draft.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def finite(value):
    """JSON has no infinity and no NaN: the PSNR of equal images becomes null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
