"""The metrics of photos that commands and validation know by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Optional, cast

import numpy as np

from gluon_enhance.imaging.metrics import (
    NIQEModel,
    blockiness,
    checkerboard,
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
    "checkerboard": "checkerboard: power at the periods of {period} pixels, of that of all fine "
    "structure; 1 is noise",
    "ringing": "ringing: Marziliano's, within 16 pixels of edges, in levels of 255 times pixels; 0 "
    "is best",
    "niqe": "niqe: distance from the model of good photos, on Y; less is better",
    "lpips": "lpips: version 0.1 on AlexNet, of RGB; 0 is best",
    "lpips_alex": "lpips_alex: version 0.1 on AlexNet, of RGB; 0 is best",
    "lpips_vgg": "lpips_vgg: version 0.1 on VGG-16, of RGB; 0 is best",
    "lpips_squeeze": "lpips_squeeze: version 0.1 on SqueezeNet 1.1, of RGB; 0 is best",
    "dists": "dists: of RGB in full size; 0 is best",
}
NAMES = ("psnr", "ssim", *NOTES)
WITHOUT_REFERENCE = ("blockiness", "checkerboard", "niqe")
"""Metrics that look at the image alone."""
LEARNED = ("lpips", "lpips_alex", "lpips_vgg", "lpips_squeeze", "dists")
"""Metrics that a net computes: `gluon_enhance.losses.LearnedMetric`."""


class Metrics(NamedTuple):
    """What photos are scored by."""

    names: tuple[str, ...] = ("psnr", "ssim")
    block: int = 8
    niqe_model: Optional[NIQEModel] = None
    learned: Mapping[str, Callable[..., float]] = {}

    @property
    def period(self) -> int:
        """Of patterns that a net draws: the scale, of which JPEG's blocks are 8 times as large."""
        return max(2, self.block // 8)


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of metrics, each once.

    Raises
    ------
    ValueError
        If one is no metric.
    """
    names = tuple(dict.fromkeys(names))
    for name in names:
        if name not in NAMES:
            raise ValueError(f"{name!r} is no metric; choose some of {', '.join(NAMES)}")
    return names


def named_metrics(texts: Iterable[str]) -> tuple[tuple[str, ...], Optional[str]]:
    """Split what ``--val-metrics`` takes into names, as of `check_names`, and the file of NIQE.

    Parameters
    ----------
    texts : iterable of str
        Names, and ``niqe=FILE``.
    """
    parts = [text.partition("=") for text in texts]
    files = [file for name, _, file in parts if name == "niqe" and file]
    names = (name if name == "niqe" else name + sign + file for name, sign, file in parts)
    return check_names(names), files[-1] if files else None


def load_metrics(
    names: tuple[str, ...], niqe_file: str | os.PathLike | None = None, ctx: Any = "cpu"
) -> Metrics:
    """Load what metrics need: the model of NIQE, by default the official one, and nets.

    Parameters
    ----------
    names : tuple of str
        As of `check_names`.
    niqe_file : path, optional
        A model of NIQE.
    ctx : str or mxnet.Context
        Where nets compute.

    Raises
    ------
    WeightsError
        If a file cannot be had or read.
    EngineError
        If a net is needed, and MXNet is not installed.
    """
    model, learned = None, {}
    if "niqe" in names:
        from gluon_enhance.weights.niqe import official_niqe, read_niqe

        model = read_niqe(niqe_file) if niqe_file else official_niqe()
    for name in names:
        if name in LEARNED:
            from gluon_enhance.losses import LearnedMetric

            learned[name] = LearnedMetric(name, ctx)
    return Metrics(names, niqe_model=model, learned=learned)


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
        "checkerboard": lambda: checkerboard(image, period=metrics.period, **options),
        "ringing": lambda: ringing(image, reference, **options),
        "niqe": lambda: niqe(image, cast(NIQEModel, metrics.niqe_model), **options),
    }
    scores.update({name: others[name]() for name in metrics.names if name in others})
    learned = {name: score(image, reference, **options) for name, score in metrics.learned.items()}
    return {**scores, **learned}


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
    notes += [
        NOTES[name].format(block=metrics.block, period=metrics.period)
        for name in metrics.names
        if name in NOTES
    ]
    return "; ".join(notes)
