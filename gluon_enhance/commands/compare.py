"""``gluon-enhance compare``: pictures side by side, as a page or a sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Callable, Optional

import click
import numpy as np
from click.core import ParameterSource

from gluon_enhance.atomic import whole_file
from gluon_enhance.commands import printable
from gluon_enhance.commands.comparison_page import comparison_page
from gluon_enhance.commands.metrics import Metrics, metric_options, take_metrics, writable
from gluon_enhance.commands.options import FilePath, engine_options, trust_option
from gluon_enhance.commands.scores import print_table, protocol, score_pair, write_csv
from gluon_enhance.data.folders import read_photo
from gluon_enhance.errors import plural
from gluon_enhance.imaging.pictures import comparison_sheet
from gluon_enhance.imaging.resize import KERNELS, resize_rounding_once
from gluon_enhance.inference.enhancer import Enhancer
from gluon_enhance.inference.kernel import Baseline
from gluon_enhance.photos import Photo, write_image

FEWEST, MOST = 2, 6
PAGES, SHEETS = (".html", ".htm"), (".png", ".jpg", ".jpeg", ".webp")


def _by_its_name(context, option, path):
    if path.suffix.lower() not in PAGES + SHEETS:
        known = ", ".join(PAGES + SHEETS)
        raise click.BadParameter(f"{path.name!r} has none of the endings {known}")
    return writable(context, option, path)


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=FilePath())
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="What enhances the picture, as of `enhance`; or bicubic, bilinear or nearest. May be "
    "given several times.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=FilePath(),
    callback=_by_its_name,
    help="A page, .html, or a sheet, .png, .jpg or .webp.",
)
@click.option("--reference", type=FilePath(), metavar="FILE", help="The truth, to score against.")
@click.option(
    "--crop-border",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Pixels that scores leave out at each side.",
)
@click.option(
    "--parts",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Sheets: how many parts, in which the pictures differ most, are magnified.",
)
@metric_options
@trust_option
@engine_options
def compare(pictures, models, output, reference, crop_border, parts, csv, **options):
    """Put 2 to 6 PICTURES of one subject side by side: files, or what models make of a file.

    With -m there is one PICTURE, which is shown too. Smaller pictures are enlarged to the size of
    the largest, by the bicubic kernel. A page has all in one file, and asks no other host for
    anything: its pictures are moved and magnified together, two of them with a slider between them
    or by their difference. A sheet has a column for each picture, and magnifies the parts in which
    they differ most. With --reference, that is shown too, and the others are scored. Pictures are
    shown and scored in RGB of 8 bits. Exit status: 0 done, 2 nothing was written.
    """
    source_of = click.get_current_context().get_parameter_source
    asked = [
        name
        for name in ("metrics", "niqe", "csv")
        if source_of(name) is not ParameterSource.DEFAULT
    ]
    if asked and not reference:
        raise click.UsageError(
            f"--{asked[0]} is of scores, which need the truth: give --reference FILE"
        )
    metrics = take_metrics(options)
    check_count(len(pictures), models)
    shown = _read(pictures)
    if models:
        (source,) = shown.values()
        shown.update(made(source, models, lambda name: Enhancer(name, **options)))
    truth = read_photo(reference) if reference else None
    name = f"reference: {reference.name}" if reference else ""
    shown, rows, how = scored(shown, name, truth, crop_border, metrics)
    if rows:
        print_table(how, rows)
        if csv:
            write_csv(csv, rows)
    if output.suffix.lower() in SHEETS:
        write_image(output, Photo(comparison_sheet(shown, parts)))
    else:
        page = comparison_page(shown, rows, how)
        with whole_file(output) as draft:
            draft.write_text(page, encoding="utf-8")
    click.echo(printable(f"wrote {output}"), err=True)


def check_count(pictures: int, models: Sequence[str]) -> None:
    """Refuse what is not 2 to 6 pictures, or one and what models make of it.

    Raises
    ------
    click.UsageError
    """
    if models and pictures > 1:
        raise click.UsageError(f"with -m give one picture, not {pictures}")
    if len(set(models)) < len(models):
        raise click.UsageError("a model is named twice")
    count = pictures + len(models)
    if not FEWEST <= count <= MOST:
        raise click.UsageError(
            f"{plural(count, 'picture')} cannot be compared; give {FEWEST} to {MOST}"
        )


def _read(paths):
    """Read pictures; their names are as short as tells them apart."""
    depth = 1
    while True:
        names = ["/".join(path.resolve().parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            break
        if depth > max(len(path.resolve().parts) for path in paths):
            raise click.UsageError("a picture is named twice")
        depth += 1
    return {name: read_photo(path) for name, path in zip(names, paths)}


def made(source: np.ndarray, models: Iterable[str], load: Callable) -> dict[str, np.ndarray]:
    """Enhance a picture by each model; kernels enlarge it as much as the models do, or 4 times.

    Parameters
    ----------
    source : ndarray of shape (H, W, 3), uint8
    models : iterable of str
        Names of models and of kernels.
    load : callable
        Gives the `Enhancer` of a name; one at a time is in use.
    """
    results, scale = {}, 0
    for name in models:
        if name not in KERNELS:
            results[name], own = _run(load(name), source)
            scale = max(scale, own)
    for name in models:
        if name in KERNELS:
            results[name] = Baseline(name, scale or 4)(source)
    return {name: results[name] for name in models}


def _run(enhancer, source):
    """Return a result and its scale; the enhancer leaves the memory before there is another."""
    return enhancer(source), enhancer.scale


def scored(
    shown: dict[str, np.ndarray],
    name: str,
    truth: Optional[np.ndarray],
    crop_border: int,
    metrics: Metrics,
) -> tuple[dict[str, np.ndarray], list[dict], str]:
    """Bring pictures to one size, and score them against a truth if there is one.

    Parameters
    ----------
    shown : dict of str to ndarray of shape (H, W, 3), uint8
    name : str
        What to call the truth.
    truth : ndarray of shape (H, W, 3), uint8, optional
    crop_border : int
    metrics : Metrics

    Returns
    -------
    shown : dict of str to ndarray
        All, the truth last, with what was enlarged named so.
    rows : list of dict
        The scores of each.
    how : str
        The protocol.

    Raises
    ------
    click.UsageError
        If they are not of one shape.
    """
    how = protocol(crop_border, metrics)
    if truth is None:
        return _of_one_size(shown), [], how
    shown = _of_one_size({**shown, name: truth})
    *others, last = shown
    rows = [
        {"image": one, **score_pair(shown[one], shown[last], crop_border, metrics=metrics)}
        for one in others
    ]
    return shown, rows, how


def _of_one_size(pictures):
    """Enlarge pictures to the size of the largest, and say so in their names."""
    width, height = largest = max(image.shape[1::-1] for image in pictures.values())
    alike = {}
    for name, image in pictures.items():
        rows, columns = image.shape[:2]
        scale = width // columns
        if (columns * scale, rows * scale) != largest:
            raise click.UsageError(
                f"{name} has {columns}x{rows} pixels, and the largest {width}x{height}, which is "
                "no whole number of times as much; give pictures of one subject and shape"
            )
        if scale > 1:
            image = resize_rounding_once(image, scale)
            name = f"{name} ({columns}x{rows}, bicubic)"
        alike[name] = image
    return alike
