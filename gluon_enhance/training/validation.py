"""Scores and pictures of held-out images while a net trains, and the net that scored best."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Callable

import numpy as np

from gluon_enhance.errors import TrainingError
from gluon_enhance.framework import mx
from gluon_enhance.imaging.arrays import from_nchw, to_dtype, to_nchw
from gluon_enhance.imaging.histogram import match_histograms
from gluon_enhance.imaging.metrics import psnr, ssim
from gluon_enhance.imaging.resize import resize, resize_rounding_once
from gluon_enhance.scoring.metrics import WITHOUT_REFERENCE, Metrics, scores_of

BLOCK = 8
"""Side of JPEG's blocks."""
PICTURES = 4
LARGEST_PICTURE = 512
"""Side of what is shown of an image, in pixels: its middle."""


LOWER = re.compile(
    r"held_out_(?!.*accuracy)|(?!psnr|ssim|ms_ssim).*(distance|loss)|"
    r"lpips|dists|delta_e|blockiness|checkerboard|ringing|niqe"
)
"""Beginnings of the scores of which the lowest is the best; the name of a set ends them."""


class Validation:
    """Enhance held-out images and compare them with the truth.

    Parameters
    ----------
    net : HybridBlock
    sets : mapping of str to sequence of (input, truth)
        By name, as `gluon_enhance.data.held_out_photos.Data` has them; the scores of a set with a
        name end in ``_NAME``. Images are uint8 (h, w, 3) and (h * scale, w * scale, 3). Where all
        truths of a set are None, outputs are compared with the inputs: ``psnr_to_input`` says how
        much the net changes.
    ctx : mxnet.Context
    scale : int
        Pixels left out at the border of the scores, and the ratio of the sizes. PSNR and SSIM
        are of Y where the net enlarges and of RGB where it does not.
    match_colors : bool
        Also show the output with its histograms matched to the input's, and score it, as
        ``NAME_matched``.
    extra : callable, optional
        Takes an output, its truth or None, and the input, uint8 each; returns more scores by
        name, of which the mean counts.
    of_input : callable, optional
        Takes an input and its truth or None, and returns scores that no net changes: they are
        computed once.
    with_start : bool
        Repeat, as ``NAME_of_start``, the scores of the net as it is now.
    backward : HybridBlock, optional
        Also show what this net restores of the output.
    metrics : Metrics, optional
        Also score by these, under the names that the command ``score`` gives them; outputs that
        are compared with inputs get ``_to_input`` behind these names, too.

    Raises
    ------
    ValueError
        If a set is empty, or there is none, or an image is too small for a metric.
    """

    def __init__(
        self,
        net,
        sets: Mapping[str, Sequence],
        ctx,
        scale: int = 1,
        match_colors: bool = False,
        extra: Callable | None = None,
        of_input: Callable | None = None,
        with_start: bool = False,
        backward=None,
        metrics: Metrics | None = None,
    ):
        if not sets or not all(sets.values()):
            raise ValueError("no held-out photo is large enough to be scored; give larger")
        self._net = net
        self._sets = sets
        self._ctx = ctx
        self._scale = scale
        self._match_colors = match_colors
        self._extra = extra
        self._of_input = of_input
        self._inputs_scores: dict = {}
        self._backward = backward
        self._metrics = metrics and metrics._replace(block=BLOCK * scale)
        if metrics:
            self._try_metrics()
        self._start: dict = {}
        if with_start:
            self._start = {f"{name}_of_start": value for name, value in self()[0].items()}

    def __call__(self) -> tuple[dict, list]:
        """Score the net as it is.

        Returns
        -------
        scores : dict of str to float
        rows : list of dict of str to ndarray of shape (H, W, 3), uint8
            Input, output, and whatever there is to compare it with, by heading; of one size.
        """
        scores: dict[str, float] = {}
        rows: list = []
        for name, pairs in self._sets.items():
            of_images = []
            if self._of_input and name not in self._inputs_scores:
                self._inputs_scores[name] = [self._of_input(*pair) for pair in pairs]
            of_inputs = self._inputs_scores.get(name, [{}] * len(pairs))
            for (image, truth), of_input in zip(pairs, of_inputs):
                output = _apply(self._net, image, self._ctx)
                of_images.append({**self._score(output, image, truth), **of_input})
                if len(rows) < PICTURES:
                    rows.append(self._row(image, output, truth))
            suffix = f"_{name}" if name else ""
            for key in of_images[0]:
                scores[f"{key}{suffix}"] = float(np.mean([one[key] for one in of_images]))
        return {**scores, **self._start}, same_size(rows)

    def _try_metrics(self):
        """Score the smallest image of each set, so that one that is too small shows at once."""
        for pairs in self._sets.values():
            image, truth = min(pairs, key=lambda pair: min(pair[0].shape[:2]))
            self._more_scores(image if truth is None else truth, image, truth)

    def _score(self, output, image, truth):
        suffix = "_y" if self._scale > 1 else "" if truth is not None else "_to_input"
        options = {"crop_border": self._scale, "y_channel": True} if self._scale > 1 else {}
        reference = image if truth is None else truth
        scored = {suffix: output}
        if self._match_colors:
            scored[f"{suffix}_matched"] = match_histograms(output, image)
        scores = {}
        for ending, picture in scored.items():
            scores[f"psnr{ending}"] = psnr(picture, reference, **options)
            scores[f"ssim{ending}"] = ssim(picture, reference, **options)
        if self._metrics:
            scores.update(self._more_scores(output, image, truth))
        return {**scores, **(self._extra(output, truth, image) if self._extra else {})}

    def _more_scores(self, output, image, truth):
        border = self._scale if self._scale > 1 else 0
        if truth is not None:
            return scores_of(output, truth, border, self._metrics)
        scores = scores_of(output, image, border, self._metrics)
        return {
            name if name in WITHOUT_REFERENCE else f"{name}_to_input": value
            for name, value in scores.items()
        }

    def _row(self, image, output, truth):
        large = resize(image, self._scale, kernel="nearest") if self._scale > 1 else image
        row = {"input": large, "output": output}
        if self._match_colors:
            row["output, colors matched"] = match_histograms(output, large)
        if self._backward:
            row["restored"] = _apply(self._backward, output, self._ctx)
        return row if truth is None else {**row, "truth": truth}


def with_losses(validate: Callable, step, sets: Mapping, batch_size: int) -> Callable:
    """Make a validation that also measures the losses of a step.

    Parameters
    ----------
    validate : callable
        As `Validation`.
    step : Step
    sets : mapping of str to tuple of ndarray of shape (N, ...)
        Samples by name, as `gluon_enhance.data.held_out_photos.Data` has them. Their losses are
        ``held_out_LOSS``, and with a name ``held_out_LOSS_NAME``.
    batch_size : int
        Samples that are computed at a time.
    """

    def measuring():
        scores, rows = validate()
        for name, arrays in sets.items():
            suffix = f"_{name}" if name else ""
            for key, value in _mean_losses(step, arrays, batch_size).items():
                scores[f"held_out_{key}{suffix}"] = value
        return scores, rows

    return measuring


def _mean_losses(step, arrays, batch_size):
    count, sums = len(arrays[0]), Counter()
    for first in range(0, count, batch_size):
        batch = tuple(array[first : first + batch_size] for array in arrays)
        losses = step.measure(batch)
        sums.update({name: value * len(batch[0]) for name, value in losses.items()})
    return {name: total / count for name, total in sums.items()}


class BestNet:
    """Keep the averaged net of the best validation so far.

    Parameters
    ----------
    score : str
        Name of the score that tells.

    Attributes
    ----------
    state : dict
        ``score``, ``value`` and ``step`` of the best; empty before the first validation.
    arrays : dict of str to NDArray
        The net's.
    """

    def __init__(self, score: str):
        self.score = score
        self.state: dict = {}
        self.arrays: dict = {}

    def offer(self, scores: dict, count: int, arrays: dict) -> None:
        """Take a net if it is better than the best so far.

        Raises
        ------
        TrainingError
            If there is no such score.
        """
        if self.score not in scores:
            raise TrainingError(
                f"--best is {self.score}, which is no score here; give one of {', '.join(scores)}"
            )
        value = scores[self.score]
        sign = -1 if LOWER.match(self.score) else 1
        best = sign * self.state.get("value", math.nan)
        if math.isnan(best) or sign * value > best:  # nothing is better than NaN but a number
            self.state = {"score": self.score, "value": value, "step": count}
            self.arrays = {name: array.copy() for name, array in arrays.items()}


def feature_distances(distance, scale: int, ctx) -> tuple[Callable, Callable]:
    """Make two scores of a `Validation`: how far outputs, and bicubic, are from the truth.

    Parameters
    ----------
    distance : gluon.loss.Loss
        Of two batches of images, one value for each.
    scale : int
        Ratio of the sizes.
    ctx : mxnet.Context

    Returns
    -------
    extra, of_input : callable
        Of the net's outputs, and of the inputs' bicubic enlargements.
    """

    def distance_of(image, truth):
        return float(distance(_batch(image, ctx), _batch(truth, ctx)).asscalar())

    def extra(output, truth, image):
        return {"feature_distance": distance_of(output, truth)}

    def of_input(image, truth):
        return {"bicubic_distance": distance_of(resize_rounding_once(image, scale), truth)}

    return extra, of_input


def same_size(rows: Sequence[Mapping]) -> list[dict]:
    """Crop pictures to their middle, and pad them with white to one size, for a table of them."""
    rows = [{name: _middle(picture) for name, picture in row.items()} for row in rows]
    sizes = [picture.shape[:2] for row in rows for picture in row.values()]
    height, width = np.max(sizes, axis=0) if sizes else (0, 0)
    return [{name: _padded(p, height, width) for name, p in row.items()} for row in rows]


def _middle(picture):
    top, left = (max(0, n - LARGEST_PICTURE) // 2 for n in picture.shape[:2])
    return picture[top : top + LARGEST_PICTURE, left : left + LARGEST_PICTURE]


def _padded(picture, height, width):
    missing = height - picture.shape[0], width - picture.shape[1]
    return np.pad(picture, [(0, missing[0]), (0, missing[1]), (0, 0)], constant_values=255)


def _apply(net, image, ctx):
    return to_dtype(from_nchw(net(mx.nd.array(to_nchw(image), ctx=ctx)).asnumpy()), np.uint8)


def _batch(image, ctx):
    return mx.nd.array(to_nchw(image), ctx=ctx)
