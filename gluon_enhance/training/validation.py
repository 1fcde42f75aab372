"""Scores and pictures of held-out images while a net trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import numpy as np

from gluon_enhance.framework import mx
from gluon_enhance.imaging.arrays import from_nchw, to_dtype, to_nchw
from gluon_enhance.imaging.histogram import match_histograms
from gluon_enhance.imaging.metrics import psnr, ssim
from gluon_enhance.imaging.resize import resize, resize_rounding_once

PICTURES = 4


class Validation:
    """Enhance held-out images and compare them with the truth.

    Parameters
    ----------
    net : HybridBlock
    pairs : sequence of (input, truth)
        uint8 (h, w, 3) and (h * scale, w * scale, 3), all of one size. Where all truths are None,
        outputs are compared with the inputs: ``psnr_to_input`` says how much the net changes.
    ctx : mxnet.Context
    scale : int
        Pixels left out at the border of the scores, and the ratio of the sizes. PSNR and SSIM
        are of Y where the net enlarges and of RGB where it does not.
    match_colors : bool
        Also show the output with its histograms matched to the input's.
    extra : callable, optional
        Takes the outputs and the truths, (N, 3, H, W) each; returns more scores by name.
    with_start : bool
        Repeat, as ``NAME_of_start``, the scores of the net as it is now.
    backward : HybridBlock, optional
        Also show what this net restores of the output.
    """

    def __init__(
        self,
        net,
        pairs: Sequence,
        ctx,
        scale: int = 1,
        match_colors: bool = False,
        extra: Callable | None = None,
        with_start: bool = False,
        backward=None,
    ):
        if not pairs:
            raise ValueError("no held-out photo is as large as the validation crop; give larger")
        self._net = net
        self._pairs = pairs
        self._ctx = ctx
        self._scale = scale
        self._match_colors = match_colors
        self._extra = extra
        self._backward = backward
        self._start: dict = {}
        if with_start:
            self._start = {f"{name}_of_start": value for name, value in self()[0].items()}

    def __call__(self) -> tuple[dict, list]:
        """Score the net as it is.

        Returns
        -------
        scores : dict of str to float
        rows : list of dict of str to ndarray of shape (H, W, 3), uint8
            Input, output, and whatever there is to compare it with, by heading.
        """
        outputs = [_apply(self._net, image, self._ctx) for image, _ in self._pairs]
        has_truths = self._pairs[0][1] is not None
        suffix = "_y" if self._scale > 1 else "" if has_truths else "_to_input"
        options = {"crop_border": self._scale, "y_channel": True} if self._scale > 1 else {}
        pairs = [
            (output, truth if has_truths else image)
            for output, (image, truth) in zip(outputs, self._pairs)
        ]
        scores = {
            f"psnr{suffix}": float(np.mean([psnr(*pair, **options) for pair in pairs])),
            f"ssim{suffix}": float(np.mean([ssim(*pair, **options) for pair in pairs])),
        }
        if self._extra:
            batches = (_batch(images, self._ctx) for images in zip(*pairs))
            scores.update({name: float(v) for name, v in self._extra(*batches).items()})
        return {**scores, **self._start}, [
            self._row(image, output, truth)
            for output, (image, truth) in zip(outputs[:PICTURES], self._pairs)
        ]

    def _row(self, image, output, truth):
        large = resize(image, self._scale, kernel="nearest") if self._scale > 1 else image
        row = {"input": large, "output": output}
        if self._match_colors:
            row["output, colors matched"] = match_histograms(output, large)
        if self._backward:
            row["restored"] = _apply(self._backward, output, self._ctx)
        return row if truth is None else {**row, "truth": truth}


def feature_distances(distance, pairs, scale) -> Callable:
    """Make a `Validation`'s extra scores: distances of outputs and of bicubic from the truth.

    Parameters
    ----------
    distance : gluon.loss.Loss
        Of two batches of images, one value for each.
    pairs : sequence of (input, truth)
        Those of the `Validation`.
    scale : int
        Ratio of their sizes.

    Returns
    -------
    callable
        Takes the outputs and the truths, (N, 3, H, W) each.
    """
    bicubic = np.concatenate([to_nchw(resize_rounding_once(lr, scale)) for lr, _ in pairs])
    return lambda sr, hr: {
        "feature_distance": distance(sr, hr).mean().asscalar(),
        "bicubic_distance": distance(mx.nd.array(bicubic, ctx=hr.context), hr).mean().asscalar(),
    }


def _apply(net, image, ctx):
    return to_dtype(from_nchw(net(mx.nd.array(to_nchw(image), ctx=ctx)).asnumpy()), np.uint8)


def _batch(images, ctx):
    return mx.nd.array(np.concatenate([to_nchw(image) for image in images]), ctx=ctx)
