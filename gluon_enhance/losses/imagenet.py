"""Nets that were trained to classify ImageNet, as sources of features for losses and metrics.

References
----------
.. [1] Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
   https://arxiv.org/abs/1404.5997
.. [2] Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB
   model size", 2016. https://arxiv.org/abs/1602.07360
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gluon_enhance.framework import constant, mx, refuse_numpy_mode

# RGB in [0, 1]: the input of the weights of torchvision and the Gluon zoo.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

LOOKED_AT = 4
"""Calls of a block whose images' values are looked at: outputs and truths of two training steps."""
LARGEST = 8
"""Value beyond all in [0, 1]. A net that is not trained yet may give such, but below 0 too."""


class Window(NamedTuple):
    """What one value of a layer sees of the layer before: `kernel` values, `stride` apart.

    Convolutions that keep the size have half a kernel of `padding`; `ceil` tells how a pooling
    rounds its size.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    ceil: bool = False

    def size(self, size: int) -> int:
        """Return the length of the layer on one of so many values; 0 or less if there is none."""
        room = size + 2 * self.padding - self.kernel
        return (-(-room // self.stride) if self.ceil else room // self.stride) + 1


class ImageNetFeatures(mx.gluon.HybridBlock):
    """The maps of a net's layers, of images that are brought to what its weights were trained on.

    The input's convention is part of the weights: it is kept in `mean` and `std`, so the caller
    always gives RGB in [0, 1]. The weights are frozen: gradients reach the input, never them.

    Images of other shapes and dtypes are refused. So are those up to 255, in the first calls alone:
    to look at values takes the time of an operator, and waits for it.

    Attributes
    ----------
    windows : tuple of tuple of Window
        Of each map the layers that lead to it; activations are left out.

    Raises
    ------
    ValueError
        When called, if images are not (N, 3, H, W), not floating, or up to 255.
    """

    net = "the net"
    """What messages call it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._calls = 0
        self.windows: tuple[tuple[Window, ...], ...] = ()
        with self.name_scope():
            self.mean = constant(self.params, "mean", _per_channel(MEAN))
            self.std = constant(self.params, "std", _per_channel(STD))

    def forward(self, x):
        self.check(x)
        return super().forward(x)

    def check(self, images):
        """Refuse images that the net is not for; of symbols nothing is known.

        Parameters
        ----------
        images : NDArray or Symbol

        Raises
        ------
        ValueError
            As told above.
        EngineError
            If ``npx.set_np()`` is in force.
        """
        if self._calls < LOOKED_AT:
            refuse_numpy_mode()
        if isinstance(images, mx.sym.Symbol):
            return
        self._check_kind(images)
        if self._calls < LOOKED_AT:
            self._calls += 1
            self._check_values(images)

    def _check_kind(self, x):
        """Refuse what is no batch of RGB images, such as gray ones: the mean would make it RGB."""
        if x.ndim != 4 or x.shape[1] != 3:
            raise ValueError(
                f"images have shape {x.shape}; {self.net} takes RGB, (N, 3, H, W): repeat a gray "
                "image's channel three times"
            )
        if np.dtype(x.dtype).kind != "f":
            raise ValueError(
                f"images are {np.dtype(x.dtype).name}; {self.net} takes floats in [0, 1]: divide 8 "
                "bits by 255"
            )

    def _check_values(self, x):
        with mx.autograd.pause():
            low, high = x.min().asscalar(), x.max().asscalar()
        if low >= 0 and high > LARGEST:
            raise ValueError(
                f"images have values from {low:g} to {high:g}; {self.net} takes RGB in [0, 1]: "
                "divide those up to 255 by 255"
            )


def _per_channel(values):
    return np.reshape(np.asarray(values, np.float32), (1, 3, 1, 1))


class Fire(mx.gluon.HybridBlock):
    """SqueezeNet's module: few channels, and 1x1 and 3x3 convolutions of them side by side."""

    def __init__(self, in_channels, squeezed, expanded, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.squeeze = mx.gluon.nn.Conv2D(squeezed, 1, in_channels=in_channels)
            self.expand1x1 = mx.gluon.nn.Conv2D(expanded, 1, in_channels=squeezed)
            self.expand3x3 = mx.gluon.nn.Conv2D(expanded, 3, padding=1, in_channels=squeezed)

    def hybrid_forward(self, F, x):
        x = F.relu(self.squeeze(x))
        return F.concat(F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x)), dim=1)


class StackedFeatures(ImageNetFeatures):
    """The maps of a stack of layers, whose numbers are those of torchvision's ``features``.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: list of (N, C, h, w), one for each of `taps`.
    """

    taps: tuple[int, ...] = ()
    """Numbers of the layers whose maps are given."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._windows: list = []
        with self.name_scope():
            self.features = mx.gluon.nn.HybridSequential(prefix="")
            self._build()
        self.windows = tuple(
            tuple(window for window in self._windows[: tap + 1] if window) for tap in self.taps
        )
        self.collect_params().setattr("grad_req", "null")

    def _build(self):
        raise NotImplementedError

    def _add(self, layer, window=None):
        self.features.add(layer)
        self._windows.append(window)

    def _add_convolution(self, in_channels, channels, kernel, stride=1, padding=0):
        options = {"in_channels": in_channels}
        layer = mx.gluon.nn.Conv2D(channels, kernel, stride, padding, **options)
        self._add(layer, Window(kernel, stride, padding))
        self._add(mx.gluon.nn.Activation("relu"))

    def _add_pooling(self, ceil):
        self._add(mx.gluon.nn.MaxPool2D(3, 2, ceil_mode=ceil), Window(3, 2, ceil=ceil))

    def hybrid_forward(self, F, x, mean, std):
        x = F.broadcast_div(F.broadcast_sub(x, mean), std)
        maps = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.taps:
                maps.append(x)
        return maps


class AlexNetFeatures(StackedFeatures):
    """The maps after AlexNet's five activations [1]_; images have 31 pixels a side at least.

    Load it with `gluon_enhance.weights.learned.load_backbone`.

    Examples
    --------
    >>> features = AlexNetFeatures()
    >>> features.initialize()
    >>> [maps.shape[1:] for maps in features(mx.nd.ones((1, 3, 64, 64)))][:3]
    [(64, 15, 15), (192, 7, 7), (384, 3, 3)]
    """

    net = "AlexNet"
    taps = (1, 4, 7, 9, 11)
    channels = (64, 192, 384, 256, 256)

    def _build(self):
        self._add_convolution(3, 64, 11, stride=4, padding=2)
        self._add_pooling(ceil=False)
        self._add_convolution(64, 192, 5, padding=2)
        self._add_pooling(ceil=False)
        self._add_convolution(192, 384, 3, padding=1)
        self._add_convolution(384, 256, 3, padding=1)
        self._add_convolution(256, 256, 3, padding=1)


class SqueezeNetFeatures(StackedFeatures):
    """The maps of SqueezeNet 1.1 [2]_ that LPIPS compares; images have 17 pixels a side at least.

    Load it with `gluon_enhance.weights.learned.load_backbone`.

    Examples
    --------
    >>> features = SqueezeNetFeatures()
    >>> features.initialize()
    >>> [maps.shape[1:] for maps in features(mx.nd.ones((1, 3, 64, 64)))][:3]
    [(64, 31, 31), (128, 15, 15), (256, 7, 7)]
    """

    net = "SqueezeNet"
    taps = (1, 4, 7, 9, 10, 11, 12)
    channels = (64, 128, 256, 384, 384, 512, 512)

    def _build(self):
        self._add_convolution(3, 64, 3, stride=2)
        for sizes in (
            [(64, 16, 64), (128, 16, 64)],
            [(128, 32, 128), (256, 32, 128)],
            [(256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256)],
        ):
            self._add_pooling(ceil=True)
            for size in sizes:
                self._add(Fire(*size), Window(3, padding=1))
