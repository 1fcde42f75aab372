"""Learned distances of images: LPIPS and DISTS, as losses; `LearnedMetric` scores photos by them.

References
----------
.. [1] Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
   CVPR 2018. https://arxiv.org/abs/1801.03924
.. [2] Ding et al., "Image Quality Assessment: Unifying Structure and Texture Similarity",
   IEEE TPAMI 2022. https://arxiv.org/abs/2004.07728
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from gluon_enhance.framework import context, mx
from gluon_enhance.imaging.arrays import to_nchw, to_rgb
from gluon_enhance.imaging.image_pairs import check_pair, cropped
from gluon_enhance.losses.conventions import batch_first, weighted
from gluon_enhance.losses.imagenet import AlexNetFeatures, SqueezeNetFeatures
from gluon_enhance.losses.perceptual import LossOfFeatures
from gluon_enhance.losses.pieces import SIDE, in_pieces
from gluon_enhance.losses.vgg import CHANNELS, VGGFeatures
from gluon_enhance.weights.learned import load_dists, load_lpips

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
"""Of VGG-16, in both."""
LPIPS_NETS = ("alex", "vgg", "squeeze")
LPIPS_EPSILON = 1e-10
"""What is added to the length of a pixel's features before they are divided by it."""
DISTS_EPSILON = 1e-6
"""C1 and C2 of the paper."""

NAMES = {
    "lpips": "alex",
    "lpips_alex": "alex",
    "lpips_vgg": "vgg",
    "lpips_squeeze": "squeeze",
    "dists": None,
}
"""Name of a distance -> the net of LPIPS; None is DISTS."""


class LPIPS(LossOfFeatures):
    """Learned perceptual image patch similarity, version 0.1 [1]_.

    The features of each pixel are scaled to length 1; the squares of their differences, weighed by
    channel, are averaged over the pixels and summed over the layers. Equals the authors' ``lpips``
    0.1.4, but takes [0, 1], as that does with ``normalize=True``. `learned_distance` loads the
    official weights.

    Parameters
    ----------
    net : {'alex', 'vgg', 'squeeze'}
        The authors use AlexNet to evaluate, and VGG-16 as a loss.
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**, **label**: (N, 3, H, W) RGB in [0, 1].
        - **sample_weight**: (N,) or (N, 1, 1, 1). Optional.

    Outputs:
        - **loss**: (N,), 0 for equal images.

    Raises
    ------
    ValueError
        If the net does not exist, or images of another kind are given; see
        `gluon_enhance.losses.VGGFeatures`.

    Examples
    --------
    >>> loss = LPIPS("alex")
    >>> loss.initialize()  # or gluon_enhance.losses.learned_distance
    >>> photos = mx.nd.ones((2, 3, 64, 64))
    >>> loss(photos, photos).asnumpy()
    array([0., 0.], dtype=float32)
    """

    def __init__(self, net="alex", weight=1.0, batch_axis=0, **kwargs):
        if net not in LPIPS_NETS:
            raise ValueError(f"net is {net!r}; LPIPS has {', '.join(LPIPS_NETS)}")
        super().__init__(_features(net), weight, batch_axis, **kwargs)
        self.net = net
        channels = CHANNELS if net == "vgg" else self.features.channels
        self._heads = [f"lin{k}" for k in range(len(channels))]
        with self.name_scope():
            for name, count in zip(self._heads, channels):
                options = {"shape": (1, count, 1, 1), "init": "ones", "grad_req": "null"}
                setattr(self, name, self.params.get(name, **options))

    @property
    def windows(self):
        """Of each map that is compared the layers that lead to it."""
        return self.features.windows

    def hybrid_forward(self, F, pred, label, sample_weight=None, **heads):
        pairs = zip(self._maps(F, pred), self._maps(F, label), self._heads)
        total = sum(_lpips_of_maps(F, x, y, heads[name]) for x, y, name in pairs)
        return weighted(F, total, self._weight, sample_weight)

    def maps(self, images):
        """Return what is compared of (N, 3, H, W): a list of maps."""
        return self.features(images)

    def statistics(self, layer: int, x, y) -> NDArray[np.float64]:
        """Return of one image's maps what is averaged over the pieces of an image."""
        head = getattr(self, self._heads[layer]).data(x.context)
        return _lpips_of_maps(mx.nd, x, y, head).asnumpy().astype(np.float64)

    def score(self, statistics: Sequence[NDArray[np.float64]]) -> float:
        """Return the loss of one image, given the mean of each layer's `statistics`."""
        return float(sum(distance[0] for distance in statistics))


def _features(net):
    if net == "vgg":
        return VGGFeatures(16, LAYERS)
    return AlexNetFeatures() if net == "alex" else SqueezeNetFeatures()


def _lpips_of_maps(F, x, y, head):
    apart = _of_length_1(F, x, head) - _of_length_1(F, y, head)
    return F.mean(_sum_of_channels(F, apart * apart, head), axis=(1, 2, 3))


def _of_length_1(F, x, head):
    squares = _sum_of_channels(F, x * x, F.ones_like(head))
    # The root has no gradient at 0, where all features of a pixel may be.
    length = F.sqrt(F.maximum(squares, LPIPS_EPSILON**2))
    return F.broadcast_div(x, length + LPIPS_EPSILON)


def _sum_of_channels(F, x, weights):
    """Sum (N, C, H, W) by (1, C, 1, 1): as a convolution in a seventieth of the time of a sum."""
    return F.Convolution(x, weights, num_filter=1, kernel=(1, 1), no_bias=True)


class DISTS(LossOfFeatures):
    """Deep image structure and texture similarity [2]_: 1 less the similarity, a distance.

    Of the image and of five layers of VGG-16 with a smooth pooling, the means (texture) and the
    correlations (structure) of each channel are compared, weighed and summed. Equals the authors'
    ``DISTS-pytorch``. Images are taken as large as they are, where the paper's experiments reduce
    the shorter side to 256 pixels. `learned_distance` loads the official weights.

    Parameters
    ----------
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**, **label**: (N, 3, H, W) RGB in [0, 1].
        - **sample_weight**: (N,) or (N, 1, 1, 1). Optional.

    Outputs:
        - **loss**: (N,), 0 for equal images.

    Raises
    ------
    ValueError
        If images of another kind are given; see `gluon_enhance.losses.VGGFeatures`.

    Examples
    --------
    >>> loss = DISTS()
    >>> loss.initialize()  # or gluon_enhance.losses.learned_distance
    >>> photos = mx.nd.ones((2, 3, 32, 32))
    >>> loss(photos, photos).asnumpy()
    array([0., 0.], dtype=float32)
    """

    def __init__(self, weight=1.0, batch_axis=0, **kwargs):
        features = VGGFeatures(16, LAYERS, pooling="l2")
        super().__init__(features, weight, batch_axis, **kwargs)
        ends = np.cumsum((3, *CHANNELS)).tolist()
        self._slices = list(zip([0, *ends], ends))
        with self.name_scope():
            for name in ("alpha", "beta"):
                options = {"shape": (ends[-1],), "init": "ones", "grad_req": "null"}
                setattr(self, name, self.params.get(name, **options))

    @property
    def windows(self):
        """Of each map that is compared the layers that lead to it: none to the image itself."""
        return ((), *self.features.windows)

    def hybrid_forward(self, F, pred, label, sample_weight=None, *, alpha, beta):
        pred, label = (batch_first(F, images, self._batch_axis) for images in (pred, label))
        loss: Any = 0
        for x, y, (begin, end) in zip(self.maps(pred), self.maps(label), self._slices):
            for distance, weights in zip(_dissimilarities(*_moments(F, x, y)), (alpha, beta)):
                own = F.slice_axis(weights, axis=0, begin=begin, end=end)
                loss = loss + F.dot(distance, own)
        loss = F.broadcast_div(loss, F.sum(alpha) + F.sum(beta))
        return weighted(F, loss, self._weight, sample_weight)

    def maps(self, images):
        """Return what is compared of (N, 3, H, W): a list of maps."""
        return [images, *self.features(images)]

    def statistics(self, layer: int, x, y) -> NDArray[np.float64]:
        """Return of one image's maps what is averaged over the pieces of an image: raw moments."""
        moments = (moment[0].asnumpy().astype(np.float64) for moment in _moments(mx.nd, x, y))
        a, b, a_variance, b_variance, apart = moments
        return np.stack([a, b, a_variance + a * a, b_variance + b * b, apart + (a - b) ** 2])

    def score(self, statistics: Sequence[NDArray[np.float64]]) -> float:
        """Return the loss of one image, given the mean of each layer's `statistics`."""
        weights = [getattr(self, name).list_data()[0].asnumpy() for name in ("alpha", "beta")]
        weights = [array.astype(np.float64) for array in weights]
        loss = 0.0
        for (a, b, a_square, b_square, square), (begin, end) in zip(statistics, self._slices):
            central = a_square - a * a, b_square - b * b, square - (a - b) ** 2
            for distances, array in zip(_dissimilarities(a, b, *central), weights):
                loss += float(distances @ array[begin:end])
        return loss / float(sum(array.sum() for array in weights))


def _moments(F, x, y):
    """Return of two maps' channels the means, the variances and that of the difference: (N, C)."""
    means = [F.mean(maps, axis=(2, 3), keepdims=True) for maps in (x, y)]
    x, y = (F.broadcast_sub(maps, mean) for maps, mean in zip((x, y), means))
    return [
        *(F.reshape(mean, (0, -1)) for mean in means),
        *(F.mean(maps * maps, axis=(2, 3)) for maps in (x, y, x - y)),
    ]


def _dissimilarities(mean, other_mean, variance, other_variance, apart):
    """Return 1 less the paper's similarities of texture and of structure.

    Written so, nothing is lost where they are near 1: twice the covariance is the sum of the
    variances less that of the difference.
    """
    difference = mean - other_mean
    texture = mean * mean + other_mean * other_mean + DISTS_EPSILON
    return difference * difference / texture, apart / (variance + other_variance + DISTS_EPSILON)


def learned_distance(
    name: str = "lpips",
    weight: Optional[float] = 1.0,
    batch_axis: int = 0,
    *,
    ctx: Optional[mx.Context | Sequence[mx.Context]] = None,
    root: Optional[str | os.PathLike] = None,
) -> LPIPS | DISTS:
    """Build LPIPS or DISTS with the official weights, compiled, as a loss.

    Parameters
    ----------
    name : {'lpips', 'lpips_alex', 'lpips_vgg', 'lpips_squeeze', 'dists'}
        The first two are the same.
    weight : float or None
    batch_axis : int
    ctx : mxnet.Context or list, optional
        Where to put the weights; default the CPU.
    root : path, optional
        Cache for downloaded weights; default ``MXNET_HOME/models``, else ``~/.mxnet/models``.

    Returns
    -------
    LPIPS or DISTS
        Hybridized, and frozen.

    Raises
    ------
    ValueError
        If there is no such distance.
    WeightsError
        If the weights cannot be had or read.

    Examples
    --------
    >>> loss = learned_distance("lpips_vgg", weight=0.5)               # doctest: +SKIP
    """
    if name not in NAMES:
        raise ValueError(f"name is {name!r}; give one of {', '.join(NAMES)}")
    net, options = NAMES[name], {"weight": weight, "batch_axis": batch_axis}
    if net is None:
        loss = load_dists(DISTS(**options), ctx=ctx, root=root)
    else:
        loss = load_lpips(LPIPS(net, **options), ctx=ctx, root=root)
    loss.hybridize(static_alloc=True)
    return loss


class LearnedMetric:
    """Score photos of any size by LPIPS or DISTS, in bounded memory.

    The nets see an image in pieces that overlap as far as they look, so that each score is the
    whole image's.

    Parameters
    ----------
    distance : str, LPIPS or DISTS
        A name as of `learned_distance`, or what that gives.
    ctx : str or mxnet.Context
        Where a distance that is named computes.

    Raises
    ------
    ValueError, WeightsError
        As `learned_distance`.
    EngineError
        If there is no such device.

    Examples
    --------
    >>> lpips = LearnedMetric("lpips")                                 # doctest: +SKIP
    >>> lpips(large, original, crop_border=4)                          # doctest: +SKIP
    """

    def __init__(self, distance: str | LPIPS | DISTS = "lpips", ctx: str | mx.Context = "cpu"):
        if isinstance(distance, str):
            ctx = context(ctx) if isinstance(ctx, str) else ctx
            distance = learned_distance(distance, ctx=ctx)
        self._loss = distance
        self._ctx = next(iter(distance.collect_params().values())).list_ctx()[0]

    def __call__(
        self,
        image: NDArray[Any],
        reference: NDArray[Any],
        *,
        crop_border: int = 0,
        side: int = SIDE,
    ) -> float:
        """Return the distance of two images; 0 for equal ones.

        Parameters
        ----------
        image, reference : ndarray of shape (H, W) or (H, W, 3), the same shape and dtype
            uint8, uint16 or floating in [0, 1]; gray counts as RGB of equal channels.
        crop_border : int
            Pixels left out at each side.
        side : int
            Of a piece, in pixels; memory grows with its square.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If shapes or dtypes differ, values are outside [0, 1] or NaN, or fewer pixels are left
            than the net takes.
        """
        check_pair(image, reference, None, crop_border, False)
        if image.shape[2:] not in ((), (3,)):
            raise ValueError(f"images have shape {image.shape}; need (H, W) or (H, W, 3)")
        pair = [cropped(array, crop_border) for array in (image, reference)]
        loss = self._loss
        totals: dict[int, NDArray[np.float64]] = {}
        counts: dict[int, int] = {}
        for rows, columns in in_pieces(loss.windows, pair[0].shape[:2], side):
            batches = [self._batch(array[rows.inner, columns.inner]) for array in pair]
            for layer, maps in enumerate(zip(*map(loss.maps, batches))):
                y, x = rows.spans[layer], columns.spans[layer]
                count = (y.stop - y.start) * (x.stop - x.start)
                if count:
                    own = count * loss.statistics(layer, *(m[:, :, y, x] for m in maps))
                    totals[layer] = totals.get(layer, 0) + own
                    counts[layer] = counts.get(layer, 0) + count
        return loss.score([totals[layer] / counts[layer] for layer in sorted(totals)])

    def _batch(self, piece):
        return mx.nd.array(to_nchw(to_rgb(piece)[0]), ctx=self._ctx)
