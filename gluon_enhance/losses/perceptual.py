"""Perceptual losses: differences of a network's features, and of their correlations.

References
----------
.. [1] Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
   ECCV 2016. https://arxiv.org/abs/1603.08155
.. [2] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
   ECCV Workshops 2018. https://arxiv.org/abs/1809.00219
"""

from __future__ import annotations

from gluon_enhance.framework import mx
from gluon_enhance.losses.conventions import batch_first, by_layer, weighted
from gluon_enhance.losses.imagenet import ImageNetFeatures
from gluon_enhance.losses.pixel import L1Loss, L2Loss

DISTANCES = {"l1": L1Loss, "l2": L2Loss}
REDUCTIONS = ("sum", "mean", "relative")


def gram_matrix(F, features):
    """Correlate the channels of a map: (N, C, H, W) -> (N, C, C).

    The sum over the pixels is divided by C H W [1]_.
    """
    rows = F.reshape(features, shape=(0, 0, -1))
    if F is mx.sym:  # which does not know the number of images
        gram = F.batch_dot(rows, rows, transpose_b=True)
    else:  # in half the time, with its gradient
        shape = {"num_hidden": rows.shape[1], "no_bias": True}
        gram = F.stack(*(F.FullyConnected(image, image, **shape) for image in rows))
    return F.broadcast_div(gram, _length(F, rows) * _length(F, gram))


def _length(F, matrix):
    """Count the columns of (N, rows, columns), as (N, 1, 1): a symbol does not know its shape."""
    row = F.slice_axis(matrix, axis=1, begin=0, end=1)
    return F.sum(F.ones_like(row), axis=2, keepdims=True)


class GramLoss(mx.gluon.loss.Loss):
    """Squared difference of the Gram matrices of two maps, the style loss of one layer [1]_.

    Parameters
    ----------
    reduction : {'sum', 'mean', 'relative'}
        Over the C x C elements: the paper's squared Frobenius norm; the mean that the authors'
        code (fast-neural-style) takes; or the norm divided by the label's own, so that layers
        count alike whatever the scale of their features is.
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**: (N, C, H, W).
        - **label**: (N or 1, C, H', W').
        - **sample_weight**: (N,) or (N, 1, 1, 1). Optional.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> maps = mx.nd.ones((2, 8, 4, 4))
    >>> GramLoss("mean")(maps, maps).asnumpy()
    array([0., 0.], dtype=float32)
    """

    def __init__(self, reduction="sum", weight=1.0, batch_axis=0, **kwargs):
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction is {reduction!r}; give one of {', '.join(REDUCTIONS)}")
        super().__init__(weight, batch_axis, **kwargs)
        self._reduction = reduction

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        grams = (gram_matrix(F, batch_first(F, x, self._batch_axis)) for x in (pred, label))
        return weighted(F, self._distance(F, *grams), self._weight, sample_weight)

    def _distance(self, F, gram, target):
        squares = F.square(F.broadcast_sub(gram, target))
        if self._reduction == "mean":
            return F.mean(squares, axis=(1, 2))
        loss = F.sum(squares, axis=(1, 2))
        if self._reduction == "sum":
            return loss
        return F.broadcast_div(loss, F.sum(F.square(target), axis=(1, 2)))


class CachedGramLoss(GramLoss):
    """`GramLoss` whose label's Gram matrix was computed before, by `gram_matrix`.

    Inputs:
        - **pred**: (N, C, H, W).
        - **label**: (N or 1, C, C), in this order whatever `batch_axis` is.
        - **sample_weight**: (N,) or (N, 1, 1, 1). Optional.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> maps = mx.nd.ones((2, 8, 4, 4))
    >>> CachedGramLoss("mean")(maps, gram_matrix(mx.nd, maps)).asnumpy()
    array([0., 0.], dtype=float32)
    """

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        gram = gram_matrix(F, batch_first(F, pred, self._batch_axis))
        return weighted(F, self._distance(F, gram, label), self._weight, sample_weight)


class LossOfFeatures(mx.gluon.loss.Loss):
    """A loss that compares two images' maps of a net, `features`, and refuses what is no image."""

    def __init__(self, features, weight, batch_axis, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self.features = features

    def forward(self, pred, label, *others):
        # Features of a compiled loss are handed symbols, which they cannot check.
        if self._active and isinstance(pred, mx.nd.NDArray):
            self._check(pred, label)
        return super().forward(pred, label, *others)

    def _check(self, *images):
        for image in images if isinstance(self.features, ImageNetFeatures) else ():
            if self._batch_axis:
                image = batch_first(mx.nd, image, self._batch_axis)
            self.features.check(image)

    def _maps(self, F, images):
        return self.features(batch_first(F, images, self._batch_axis))


class FeatureLoss(LossOfFeatures):
    """Distance of two images in a network's features, a weighted sum over its layers.

    Johnson et al. [1]_ take the mean square at relu2_2 of VGG-16 (super-resolution) or relu3_3
    (style), SRGAN relu5_4 of VGG-19 with weight ``1 / 12.75**2``, ESRGAN [2]_ the mean magnitude
    at conv5_4, DPED the mean square at relu5_4 with ceil pooling; BasicSR takes the mean magnitude
    at five layers, with the weights that are in its options by the names of the layers.

    Parameters
    ----------
    features : HybridBlock
        Gives a list of maps; `gluon_enhance.losses.VGGFeatures`.
    distance : {'l2', 'l1'} or gluon.loss.Loss
        Of two maps: mean square, mean magnitude, or any loss.
    layer_weights : sequence or mapping of float, optional
        One for each map, in their order or by the names of the features' layers; default 1.
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**, **label**: (N, 3, H, W) RGB in [0, 1].
        - **sample_weight**: (N,) or (N, 1, 1, 1). Optional.

    Outputs:
        - **loss**: (N,).

    Raises
    ------
    ValueError
        If the distance does not exist, the weights are not those of the features' layers, or
        images of another kind are given to VGG; see `gluon_enhance.losses.VGGFeatures`.

    Examples
    --------
    >>> from gluon_enhance.losses import VGGFeatures
    >>> features = VGGFeatures(16, ["relu2_2"])
    >>> features.initialize()  # or gluon_enhance.weights.vgg.load_vgg
    >>> photos = mx.nd.ones((2, 3, 32, 32))
    >>> FeatureLoss(features, layer_weights={"relu2_2": 0.1})(photos, photos).asnumpy()
    array([0., 0.], dtype=float32)
    """

    def __init__(
        self, features, distance="l2", layer_weights=None, weight=1.0, batch_axis=0, **kwargs
    ):
        super().__init__(features, weight, batch_axis, **kwargs)
        self.distance = _distance(distance)
        self._layer_weights = by_layer(layer_weights, features)

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        maps = zip(self._layer_weights, self._maps(F, pred), self._maps(F, label))
        total = sum(w * self.distance(ours, theirs) for w, ours, theirs in maps)
        return weighted(F, total, self._weight, sample_weight)


class CachedFeatureLoss(FeatureLoss):
    """`FeatureLoss` of one layer whose truth's map was computed before.

    Inputs:
        - **pred**: (N, 3, H, W) RGB in [0, 1].
        - **label**: (N, C, h, w), the features of the truth, in this order for any `batch_axis`.
        - **sample_weight**: (N,) or (N, 1, 1, 1). Optional.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> from gluon_enhance.losses import VGGFeatures
    >>> features = VGGFeatures(16, ["relu2_2"])
    >>> features.initialize()  # or gluon_enhance.weights.vgg.load_vgg
    >>> photos = mx.nd.ones((2, 3, 32, 32))
    >>> CachedFeatureLoss(features)(photos, features(photos)[0]).asnumpy()
    array([0., 0.], dtype=float32)
    """

    def _check(self, pred, label):
        super()._check(pred)

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        loss = self.distance(self._maps(F, pred)[0], label)
        return weighted(F, loss, self._weight, sample_weight)


class StyleLoss(FeatureLoss):
    """Difference in style: the `GramLoss` of every layer, summed [1]_.

    The paper takes relu1_2, relu2_2, relu3_3 and relu4_3 of VGG-16.

    Parameters
    ----------
    features : HybridBlock
        Gives a list of maps; `gluon_enhance.losses.VGGFeatures`.
    reduction : {'sum', 'mean', 'relative'}
        As in `GramLoss`.
    layer_weights : sequence or mapping of float, optional
        As in `FeatureLoss`.
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**: (N, 3, H, W) RGB in [0, 1].
        - **label**: (N or 1, 3, H', W') RGB in [0, 1], the style.
        - **sample_weight**: (N,) or (N, 1, 1, 1). Optional.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> from gluon_enhance.losses import VGGFeatures
    >>> features = VGGFeatures(16, ["relu1_2", "relu2_2"])
    >>> features.initialize()  # or gluon_enhance.weights.vgg.load_vgg
    >>> photos = mx.nd.ones((2, 3, 32, 32))
    >>> StyleLoss(features)(photos, photos).asnumpy()
    array([0., 0.], dtype=float32)
    """

    def __init__(
        self, features, reduction="sum", layer_weights=None, weight=1.0, batch_axis=0, **kwargs
    ):
        super().__init__(features, GramLoss(reduction), layer_weights, weight, batch_axis, **kwargs)


def _distance(distance):
    if isinstance(distance, mx.gluon.loss.Loss):
        return distance
    if distance not in DISTANCES:
        raise ValueError(
            f"distance is {distance!r}; give one of {', '.join(DISTANCES)}, or a gluon loss"
        )
    return DISTANCES[distance]()
