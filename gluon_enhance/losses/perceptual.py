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

    Inputs:
        - **pred**: (N, C, H, W).
        - **label**: (N or 1, C, H', W').

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> maps = mx.nd.ones((2, 8, 4, 4))
    >>> GramLoss("mean")(maps, maps).asnumpy()
    array([0., 0.], dtype=float32)
    """

    def __init__(self, reduction="sum", weight=1.0, **kwargs):
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction is {reduction!r}; give one of {', '.join(REDUCTIONS)}")
        super().__init__(weight, batch_axis=0, **kwargs)
        self._reduction = reduction

    def hybrid_forward(self, F, pred, label):
        return self._distance(F, gram_matrix(F, pred), gram_matrix(F, label))

    def _distance(self, F, gram, target):
        squares = F.square(F.broadcast_sub(gram, target))
        if self._reduction == "mean":
            return self._weight * F.mean(squares, axis=(1, 2))
        loss = self._weight * F.sum(squares, axis=(1, 2))
        if self._reduction == "sum":
            return loss
        return F.broadcast_div(loss, F.sum(F.square(target), axis=(1, 2)))


class CachedGramLoss(GramLoss):
    """`GramLoss` whose label's Gram matrix was computed before, by `gram_matrix`.

    Inputs:
        - **pred**: (N, C, H, W).
        - **label**: (N or 1, C, C).

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> maps = mx.nd.ones((2, 8, 4, 4))
    >>> CachedGramLoss("mean")(maps, gram_matrix(mx.nd, maps)).asnumpy()
    array([0., 0.], dtype=float32)
    """

    def hybrid_forward(self, F, pred, label):
        return self._distance(F, gram_matrix(F, pred), label)


class FeatureLoss(mx.gluon.loss.Loss):
    """Distance of two images in a network's features, a weighted sum over its layers.

    Johnson et al. [1]_ take the mean square at relu2_2 of VGG-16 (super-resolution) or relu3_3
    (style), SRGAN relu5_4 of VGG-19 with weight ``1 / 12.75**2``, ESRGAN [2]_ the mean magnitude
    at conv5_4, DPED the mean square at relu5_4 with ceil pooling.

    Parameters
    ----------
    features : HybridBlock
        Gives a list of maps; `gluon_enhance.losses.VGGFeatures`.
    distance : {'l2', 'l1'} or gluon.loss.Loss
        Of two maps: mean square, mean magnitude, or any loss.
    layer_weights : sequence of float, optional
        One for each map; default 1.

    Inputs:
        - **pred**, **label**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> from gluon_enhance.losses import VGGFeatures
    >>> features = VGGFeatures(16, ["relu2_2"])
    >>> features.initialize()  # or gluon_enhance.weights.vgg.load_vgg
    >>> photos = mx.nd.ones((2, 3, 32, 32))
    >>> FeatureLoss(features)(photos, photos).asnumpy()
    array([0., 0.], dtype=float32)
    """

    def __init__(self, features, distance="l2", layer_weights=None, weight=1.0, **kwargs):
        super().__init__(weight, batch_axis=0, **kwargs)
        self.features = features
        self.distance = _distance(distance)
        self._layer_weights = _layer_weights(layer_weights, features)

    def hybrid_forward(self, F, pred, label):
        maps = zip(self._layer_weights, self.features(pred), self.features(label))
        return self._weight * sum(w * self.distance(ours, theirs) for w, ours, theirs in maps)


class CachedFeatureLoss(FeatureLoss):
    """`FeatureLoss` of one layer whose truth's map was computed before.

    Inputs:
        - **pred**: (N, 3, H, W) RGB in [0, 1].
        - **label**: (N, C, h, w), the features of the truth.

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

    def hybrid_forward(self, F, pred, label):
        return self._weight * self.distance(self.features(pred)[0], label)


class StyleLoss(FeatureLoss):
    """Difference in style: the `GramLoss` of every layer, summed [1]_.

    The paper takes relu1_2, relu2_2, relu3_3 and relu4_3 of VGG-16.

    Parameters
    ----------
    features : HybridBlock
        Gives a list of maps; `gluon_enhance.losses.VGGFeatures`.
    reduction : {'sum', 'mean', 'relative'}
        As in `GramLoss`.
    layer_weights : sequence of float, optional
        One for each map; default 1.

    Inputs:
        - **pred**: (N, 3, H, W) RGB in [0, 1].
        - **label**: (N or 1, 3, H', W') RGB in [0, 1], the style.

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

    def __init__(self, features, reduction="sum", layer_weights=None, weight=1.0, **kwargs):
        super().__init__(features, GramLoss(reduction), layer_weights, weight, **kwargs)


def _distance(distance):
    if isinstance(distance, mx.gluon.loss.Loss):
        return distance
    if distance not in DISTANCES:
        raise ValueError(
            f"distance is {distance!r}; give one of {', '.join(DISTANCES)}, or a gluon loss"
        )
    return DISTANCES[distance]()


def _layer_weights(weights, features):
    count = len(features.layers)
    if weights is None:
        return (1.0,) * count
    if len(weights) != count:
        raise ValueError(
            f"layer_weights has {len(weights)} weights for the {count} layers of the features"
        )
    return tuple(weights)
