"""SRCNN, the first convolutional net for super-resolution.

References
----------
.. [1] Dong et al., "Image Super-Resolution Using Deep Convolutional Networks", IEEE TPAMI 38(2),
   2016. https://arxiv.org/abs/1501.00092
"""

import numpy as np

from gluon_enhance.framework import constant, mx
from gluon_enhance.models.blocks import Enlarge
from gluon_enhance.models.layers.activations import relu
from gluon_enhance.models.layers.convolutions import NarrowConv2D
from gluon_enhance.models.layers.initialization import carry, start_small

nn = mx.gluon.nn

LUMA = np.array([65.481, 128.553, 24.966]) / 255
OFFSET = 16 / 255
"""BT.601: Y = 16/255 + LUMA . RGB, for RGB in [0, 1]; from 16/255 to 235/255, as in the paper."""
GAIN = 255 / 219
"""What R, G and B change by when Y changes by 1 and the two color differences stay."""


class _SameConv(mx.gluon.HybridBlock):
    """A convolution that keeps height and width by replicating edges, as the paper's code does."""

    def __init__(self, channels, kernel_size, in_channels, **kwargs):
        super().__init__(**kwargs)
        self._pad_width = (0, 0, 0, 0, *(kernel_size // 2,) * 4)
        with self.name_scope():
            self.conv = NarrowConv2D(channels, kernel_size, in_channels=in_channels)

    def hybrid_forward(self, F, x):
        return self.conv(F.pad(x, mode="edge", pad_width=self._pad_width))


class SRCNN(mx.gluon.HybridBlock):
    """SRCNN [1]_ with the bicubic enlargement, and the colors around it, inside.

    Three convolutions repair the luma (Y of BT.601) of the enlarged image; its color differences
    stay, so R, G and B all move by what the luma moves by.

    Parameters
    ----------
    scale : int
        Ratio of output to input size.
    kernel_size : int
        Of the second convolution: 5 is the paper's best, 1 its fastest.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H * scale, W * scale) RGB, about [0, 1], not clipped.
    """

    def __init__(self, scale=4, kernel_size=5, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.luma = constant(self.params, "luma", mx.nd.array(LUMA.reshape(1, 3, 1, 1)))
            self.upsample = Enlarge(scale, "bicubic")
            self.head = _SameConv(64, 9, 1)
            self.body = _SameConv(32, kernel_size, 64)
            self.tail = _SameConv(1, 5, 32)

    def hybrid_forward(self, F, x, luma):
        enlarged = self.upsample(x)
        y = F.Convolution(enlarged, luma, no_bias=True, kernel=(1, 1), num_filter=1) + OFFSET
        repaired = self.tail(relu(F, self.body(relu(F, self.head(y)))))
        return F.broadcast_add(enlarged, GAIN * (repaired - y))

    def initialize_as_interpolator(self, rng, ctx=None):
        """Start as the bicubic enlargement: the luma passes through unrepaired.

        Parameters
        ----------
        rng : numpy.random.Generator
        ctx : mxnet.Context or list, optional
        """
        start_small(self, rng, ctx)
        for part in (self.head, self.body, self.tail):
            carry(part.conv, channels=1, mix=part is self.tail)
