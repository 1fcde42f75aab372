"""Losses on pixels: differences, total variation, and color under a blur.

References
----------
.. [1] Lai et al., "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution",
   CVPR 2017. https://arxiv.org/abs/1704.03915
.. [2] Ignatov et al., "DSLR-Quality Photos on Mobile Devices with Deep Convolutional Networks",
   ICCV 2017. https://arxiv.org/abs/1704.02470
.. [3] Ignatov et al., "WESPE: Weakly Supervised Photo Enhancer for Digital Cameras", CVPR
   Workshops 2018. https://arxiv.org/abs/1709.01118
.. [4] Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
   ECCV 2016. https://arxiv.org/abs/1603.08155
"""

from __future__ import annotations

import math

import numpy as np

from gluon_enhance.framework import constant, mx
from gluon_enhance.losses.conventions import batch_first, weighted
from gluon_enhance.losses.vgg import STD

GRAY = (0.2989, 0.5870, 0.1140)
"""Weights of R, G and B in the gray of DPED's texture discriminator: TensorFlow's."""


class _PixelLoss(mx.gluon.loss.Loss):
    """The mean, over each sample, of what `_of` makes of the differences of values."""

    def __init__(self, weight=1.0, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        values = self._of(F, F.elemwise_sub(pred, label))
        if sample_weight is not None:
            values = F.broadcast_mul(values, sample_weight)
        return weighted(F, F.mean(values, axis=self._batch_axis, exclude=True), self._weight)


class L1Loss(_PixelLoss):
    """Mean absolute difference.

    Parameters
    ----------
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**, **label**: (N, ...) of one shape.
        - **sample_weight**: multiplies each difference; broadcast to that shape, such as
          (N, 1, 1, 1) or, for a mask, (N, 1, H, W). Optional.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> black, white = mx.nd.zeros((2, 3, 4, 4)), mx.nd.ones((2, 3, 4, 4))
    >>> L1Loss()(black, white).asnumpy()
    array([1., 1.], dtype=float32)
    """

    def _of(self, F, difference):
        return F.abs(difference)


class L2Loss(_PixelLoss):
    """Mean squared difference, the papers' MSE; ``gluon.loss.L2Loss`` is half of it.

    Parameters
    ----------
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**, **label**: (N, ...) of one shape.
        - **sample_weight**: as of `L1Loss`; it multiplies the squares. Optional.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> black, white = mx.nd.zeros((2, 3, 4, 4)), mx.nd.ones((2, 3, 4, 4))
    >>> L2Loss()(black, white / 2).asnumpy()
    array([0.25, 0.25], dtype=float32)
    """

    def _of(self, F, difference):
        return F.square(difference)


class CharbonnierLoss(_PixelLoss):
    """Mean of ``sqrt(difference**2 + epsilon**2)`` [1]_: an L1 loss that is smooth at 0.

    Parameters
    ----------
    epsilon : float
        In the units of the pixels; the paper has 1e-3.
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**, **label**: (N, ...) of one shape.
        - **sample_weight**: as of `L1Loss`; it multiplies the roots. Optional.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> black, white = mx.nd.zeros((2, 3, 4, 4)), mx.nd.ones((2, 3, 4, 4))
    >>> CharbonnierLoss(epsilon=0)(black, white).asnumpy()
    array([1., 1.], dtype=float32)
    """

    def __init__(self, epsilon=1e-3, weight=1.0, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self._epsilon = epsilon

    def _of(self, F, difference):
        return F.sqrt(F.square(difference) + self._epsilon**2)


def _sample_mean(F, values):
    return F.mean(values, axis=0, exclude=True)


def _dped(F, image, down, right):
    return _sample_mean(F, F.square(down)) + _sample_mean(F, F.square(right))


def _wespe(F, image, down, right):
    sums = (F.sum(F.square(values), axis=0, exclude=True) for values in (down, right))
    return sum(sums) / F.sum(F.ones_like(image), axis=0, exclude=True)


def _fast_neural_style(F, image, down, right):
    # Only pixels with both neighbors count: the last row and the last column are left out.
    down = F.slice_axis(down, axis=3, begin=0, end=-1)
    right = F.slice_axis(right, axis=2, begin=0, end=-1)
    return 0.5 * F.sum(F.square(down) + F.square(right), axis=0, exclude=True)


def _plsr(F, image, down, right):
    return sum(_sample_mean(F, F.abs(_over_std(F, values))) for values in (down, right))


def _over_std(F, image):
    channels = (_channel(F, image, c) / std for c, std in enumerate(STD))
    return F.concat(*channels, dim=1)


def _channel(F, image, c):
    return F.slice_axis(image, axis=1, begin=c, end=c + 1)


TV_FORMS = {
    "dped": _dped,
    "wespe": _wespe,
    "fast_neural_style": _fast_neural_style,
    "plsr": _plsr,
}


class TotalVariationLoss(mx.gluon.loss.Loss):
    """Total variation of an image, in the form of a paper or its code.

    With D and R the differences to the pixel below and to the right:

    - ``dped`` [2]_: mean(D^2) + mean(R^2). With weight 2 it is that of leftthomas's SRGAN.
    - ``wespe`` [3]_: (sum(D^2) + sum(R^2)) / (C H W), its gradient norm read as a squared one.
    - ``fast_neural_style``, the code of [4]_: half the sum of D^2 + R^2 over the pixels that have
      both. Its strength of 1e-6 is for pixels up to 255: for [0, 1] it is 1e-6 * 255^2.
    - ``plsr``: mean(|D|) + mean(|R|) of RGB divided by ImageNet's standard deviations.

    Parameters
    ----------
    form : {'dped', 'wespe', 'fast_neural_style', 'plsr'}
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**: (N, C, H, W); 3 channels for ``plsr``.
        - **label**: not used; left out, None, or given as to other losses.
        - **sample_weight**: (N,) or (N, 1, 1, 1). Optional.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> steps = mx.nd.arange(4).reshape((1, 1, 1, 4)).tile((1, 1, 4, 1))
    >>> TotalVariationLoss()(steps).asnumpy()
    array([1.], dtype=float32)
    """

    def __init__(self, form="dped", weight=1.0, batch_axis=0, **kwargs):
        if form not in TV_FORMS:
            raise ValueError(f"form is {form!r}; give one of {', '.join(TV_FORMS)}")
        super().__init__(weight, batch_axis, **kwargs)
        self._form = TV_FORMS[form]

    def forward(self, pred, label=None, sample_weight=None):
        # An input that is not used would break hybridization.
        return super().forward(pred, sample_weight)

    def hybrid_forward(self, F, pred, sample_weight=None):
        pred = batch_first(F, pred, self._batch_axis)
        down = F.elemwise_sub(
            F.slice_axis(pred, axis=2, begin=1, end=None),
            F.slice_axis(pred, axis=2, begin=0, end=-1),
        )
        right = F.elemwise_sub(
            F.slice_axis(pred, axis=3, begin=1, end=None),
            F.slice_axis(pred, axis=3, begin=0, end=-1),
        )
        return weighted(F, self._form(F, pred, down, right), self._weight, sample_weight)


def blur_kernel() -> np.ndarray:
    """Compute one axis of the blur in DPED's code [2]_: (21,) float64 with sum 1.

    The code takes the square root of an outer product of Gaussian areas, with 3 standard
    deviations on either side; that is the outer product of the square roots, so the blur can run
    one axis at a time. The root widens it to a standard deviation of 4.34 pixels.
    """
    edges = np.linspace(-3 - 1 / 6, 3 + 1 / 6, 22)
    below = np.array([0.5 + 0.5 * math.erf(edge / math.sqrt(2)) for edge in edges])
    roots = np.sqrt(np.diff(below))
    return roots / roots.sum()


class GaussianBlur(mx.gluon.HybridBlock):
    """The blur of DPED's color loss and WESPE's color discriminator, with zeros around the image.

    Its kernel is a constant: call ``initialize`` with the context, as on a net.

    Inputs:
        - **data**: (N, 3, H, W).

    Outputs:
        - **out**: (N, 3, H, W).

    Examples
    --------
    >>> blur = GaussianBlur()
    >>> blur.initialize()
    >>> blur(mx.nd.ones((1, 3, 32, 32))).shape
    (1, 3, 32, 32)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        kernel = np.tile(blur_kernel().astype(np.float32), (3, 1))
        with self.name_scope():
            self.column = constant(self.params, "column", kernel.reshape(3, 1, 21, 1))
            self.row = constant(self.params, "row", kernel.reshape(3, 1, 1, 21))

    def hybrid_forward(self, F, x, column, row):
        depthwise = {"num_filter": 3, "num_group": 3, "no_bias": True}
        x = F.Convolution(x, column, kernel=(21, 1), pad=(10, 0), **depthwise)
        return F.Convolution(x, row, kernel=(1, 21), pad=(0, 10), **depthwise)


class ColorLoss(mx.gluon.loss.Loss):
    """Half the sum of squared differences of blurred images, as in DPED's code [2]_.

    Call ``initialize`` with the context first, as on a net. The sum makes it grow with the patch:
    for 100x100 pixels it is 15,000 times the mean squared difference.

    Parameters
    ----------
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**, **label**: (N, 3, H, W).
        - **sample_weight**: (N,) or (N, 1, 1, 1). Optional.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> loss = ColorLoss()
    >>> loss.initialize()
    >>> loss(mx.nd.ones((2, 3, 32, 32)), mx.nd.ones((2, 3, 32, 32))).asnumpy()
    array([0., 0.], dtype=float32)
    """

    def __init__(self, weight=1.0, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        with self.name_scope():
            self.blur = GaussianBlur()

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        difference = batch_first(F, F.elemwise_sub(pred, label), self._batch_axis)
        squares = F.square(self.blur(difference))  # the blur is linear
        return weighted(F, 0.5 * F.sum(squares, axis=0, exclude=True), self._weight, sample_weight)


class MeanColorLoss(mx.gluon.loss.Loss):
    """Mean absolute difference of the mean colors of square cells.

    Features of VGG hardly see a cast or a shade that is a little off, and differences of single
    pixels are mostly of details: this loss has a net keep colors beside such losses.

    Parameters
    ----------
    cell : int
        Side of the cells, in pixels, from the top left corner; what is left over does not count.
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**, **label**: (N, C, H, W), H and W at least `cell`.
        - **sample_weight**: (N,) or (N, 1, 1, 1). Optional.

    Outputs:
        - **loss**: (N,), in the units of the pixels.

    Examples
    --------
    >>> black, white = mx.nd.zeros((2, 3, 32, 32)), mx.nd.ones((2, 3, 32, 32))
    >>> MeanColorLoss()(black, white).asnumpy()
    array([1., 1.], dtype=float32)
    """

    def __init__(self, cell=16, weight=1.0, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self._window = {"kernel": (cell, cell), "stride": (cell, cell), "pool_type": "avg"}

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        difference = batch_first(F, F.elemwise_sub(pred, label), self._batch_axis)
        distances = F.abs(F.Pooling(difference, **self._window))
        return weighted(F, F.mean(distances, axis=0, exclude=True), self._weight, sample_weight)


class Grayscale(mx.gluon.HybridBlock):
    """The input of DPED's and WESPE's texture discriminators.

    Inputs:
        - **data**: (N, 3, H, W) RGB.

    Outputs:
        - **out**: (N, 1, H, W).

    Examples
    --------
    >>> Grayscale()(mx.nd.ones((2, 3, 4, 4))).shape
    (2, 1, 4, 4)
    """

    def hybrid_forward(self, F, x):
        return sum(weight * _channel(F, x, c) for c, weight in enumerate(GRAY))
