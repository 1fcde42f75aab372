"""Scores and pictures of held-out images while a net trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import numpy as np

from gluon_enhance.framework import mx
from gluon_enhance.imaging.arrays import from_nchw, to_dtype, to_nchw
from gluon_enhance.imaging.histogram import match_histograms
from gluon_enhance.imaging.metrics import psnr, ssim
from gluon_enhance.imaging.resize import resize

PICTURES = 4


class Validation:
    """Enhance held-out images and compare them with the truth.

    Parameters
    ----------
    net : HybridBlock
    pairs : sequence of (input, truth)
        uint8 (h, w, 3) and (h * scale, w * scale, 3), all of one size.
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
    ):
        if not pairs:
            raise ValueError("no held-out photo is as large as the validation crop; give larger")
        self._net = net
        self._pairs = pairs
        self._ctx = ctx
        self._scale = scale
        self._match_colors = match_colors
        self._extra = extra
        self._start: dict = {}
        if with_start:
            self._start = {f"{name}_of_start": value for name, value in self()[0].items()}

    def __call__(self) -> tuple[dict, list]:
        """Score the net as it is.

        Returns
        -------
        scores : dict of str to float
        pictures : list of ndarray of shape (H, W, 3), uint8
            Input, output and truth side by side.
        """
        outputs = [self._enhance(image) for image, _ in self._pairs]
        suffix = "_y" if self._scale > 1 else ""
        options = {"crop_border": self._scale, "y_channel": True} if self._scale > 1 else {}
        pairs = [(output, truth) for output, (_, truth) in zip(outputs, self._pairs)]
        scores = {
            f"psnr{suffix}": float(np.mean([psnr(*pair, **options) for pair in pairs])),
            f"ssim{suffix}": float(np.mean([ssim(*pair, **options) for pair in pairs])),
        }
        if self._extra:
            batches = (_batch(images, self._ctx) for images in zip(*pairs))
            scores.update({name: float(v) for name, v in self._extra(*batches).items()})
        return {**scores, **self._start}, [
            self._strip(image, output, truth)
            for output, (image, truth) in zip(outputs[:PICTURES], self._pairs)
        ]

    def _enhance(self, image):
        pred = self._net(mx.nd.array(to_nchw(image), ctx=self._ctx))
        return to_dtype(from_nchw(pred.asnumpy()), np.uint8)

    def _strip(self, image, output, truth):
        large = resize(image, self._scale, kernel="nearest") if self._scale > 1 else image
        matched = [match_histograms(output, large)] if self._match_colors else []
        return np.hstack([large, output, *matched, truth])


def _batch(images, ctx):
    return mx.nd.array(np.concatenate([to_nchw(image) for image in images]), ctx=ctx)
