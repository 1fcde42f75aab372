"""The options by which commands choose the metrics of photos."""

from __future__ import annotations

import click

from gluon_enhance.commands.options import FilePath, together
from gluon_enhance.scoring.metrics import NAMES, Metrics, check_names, load_metrics


def _names(context, option, text):
    try:
        return check_names(name.strip() for name in text.split(","))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def writable(context, option, path):
    """Refuse before the work what could not be written after it."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise click.BadParameter(f"{str(path)!r} is a folder, or in a folder that is not there")
    return path


#: The options that `take_metrics` takes, and ``--csv``.
metric_options = together(
    click.option(
        "--metrics",
        default="psnr,ssim",
        show_default=True,
        metavar="NAMES",
        callback=_names,
        help=f"Photos: some of {','.join(NAMES)}.",
    ),
    click.option(
        "--niqe",
        type=FilePath(),
        metavar="FILE",
        help="Photos: score by NIQE with this model, of `gluon-enhance niqe fit`. Default "
        "for --metrics niqe: the official one.",
    ),
    click.option(
        "--csv",
        type=FilePath(),
        metavar="FILE",
        callback=writable,
        help="Write the scores of each image to a file.",
    ),
)


def take_metrics(options: dict) -> Metrics:
    """Take the metrics out of a command's options, and load what they need."""
    names, path = options.pop("metrics"), options.pop("niqe")
    if path and "niqe" not in names:
        names = (*names, "niqe")
    return load_metrics(names, path)
