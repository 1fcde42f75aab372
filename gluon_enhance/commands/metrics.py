"""The metrics of photos that ``score`` and ``evaluate`` know by name."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, cast

import click
import numpy as np

from gluon_enhance.commands.options import FilePath, together
from gluon_enhance.imaging.metrics import (
    NIQEModel,
    blockiness,
    delta_e,
    ms_ssim,
    niqe,
    psnr,
    ringing,
    ssim,
)

OF_CHANNELS = {"psnr": psnr, "ssim": ssim, "ms_ssim": ms_ssim}
"""Metrics of Y, and of RGB too."""
NOTES = {
    "ms_ssim": "ms_ssim: five scales, Wang's weights, channels averaged",
    "ms_ssim_dped": "ms_ssim_dped: of RGB, with a window that shrinks, as in DPED's tables",
    "delta_e": "delta_e: mean CIEDE2000, 0 is best",
    "blockiness": "blockiness: steps at the borders of JPEG's blocks, {block} pixels apart, of "
    "those elsewhere; 1 is none",
    "ringing": "ringing: Marziliano's, within 16 pixels of edges, in levels of 255 times pixels; 0 "
    "is best",
    "niqe": "niqe: distance from the model of good photos, on Y; less is better",
}
NAMES = ("psnr", "ssim", *NOTES)


class Metrics(NamedTuple):
    """What photos are scored by."""

    names: tuple[str, ...] = ("psnr", "ssim")
    block: int = 8
    niqe_model: Optional[NIQEModel] = None


def scores_of(
    image: np.ndarray, reference: np.ndarray, border: int, metrics: Metrics, y_only: bool = False
) -> dict:
    """Score an image; gray ones have one channel, which counts as Y."""
    options: dict[str, Any] = {"crop_border": border}
    of_channels = [name for name in metrics.names if name in OF_CHANNELS]
    scores = {}
    for name in of_channels:
        y = OF_CHANNELS[name](image, reference, y_channel=image.ndim == 3, **options)
        scores[f"{name}_y"] = y
    for name in () if y_only else of_channels:
        scores[name] = OF_CHANNELS[name](image, reference, **options)
    others = {
        "ms_ssim_dped": lambda: ms_ssim(image, reference, form="dped", **options),
        "delta_e": lambda: delta_e(image, reference, **options),
        "blockiness": lambda: blockiness(image, block=metrics.block, **options),
        "ringing": lambda: ringing(image, reference, **options),
        "niqe": lambda: niqe(image, cast(NIQEModel, metrics.niqe_model), **options),
    }
    scores.update({name: others[name]() for name in metrics.names if name in others})
    return scores


def protocol_of(metrics: Metrics) -> str:
    """Say how the numbers are made."""
    of_channels = [name for name in metrics.names if name in OF_CHANNELS]
    notes = []
    if of_channels:
        notes.append(
            f"{', '.join(f'{name}_y' for name in of_channels)}: Y of BT.601 (16-235), for 8-bit "
            f"images rounded as MATLAB's rgb2ycbcr does; {', '.join(of_channels)}: RGB"
        )
    if any("ssim" in name for name in metrics.names):
        notes.append("SSIM: 11x11 Gaussian, sigma 1.5, valid area")
    notes += [NOTES[name].format(block=metrics.block) for name in metrics.names if name in NOTES]
    return "; ".join(notes)


def _names(context, option, text):
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in NAMES:
            raise click.BadParameter(f"{name!r} is no metric; choose some of {', '.join(NAMES)}")
    return names


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
    """Take the metrics out of a command's options, and load the model that they need."""
    names, path = options.pop("metrics"), options.pop("niqe")
    if path and "niqe" not in names:
        names = (*names, "niqe")
    if "niqe" not in names:
        return Metrics(names)
    from gluon_enhance.weights.niqe import official_niqe, read_niqe

    return Metrics(names, niqe_model=read_niqe(path) if path else official_niqe())
