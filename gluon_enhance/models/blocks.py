"""Blocks that several super-resolution nets share.

References
----------
.. [1] Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
   Convolutional Neural Network", CVPR 2016. https://arxiv.org/abs/1609.05158
"""

import numpy as np

from gluon_enhance.forms import FAST, PLAIN
from gluon_enhance.framework import constant, mx
from gluon_enhance.imaging.resize import resize
from gluon_enhance.models.layers.activations import relu
from gluon_enhance.models.layers.convolutions import NarrowConv2D, unblocked

nn = mx.gluon.nn


def conv3x3(channels, in_channels):
    """Build a 3x3 convolution that keeps height and width."""
    return NarrowConv2D(channels, 3, padding=1, in_channels=in_channels)


def image_tail(channels, image_channels, negative_slope):
    """Chain the two convolutions by which nets as RRDBNet end; call it in the net's name_scope."""
    tail = mx.gluon.nn.HybridSequential()
    with tail.name_scope():
        tail.add(
            conv3x3(channels, channels),
            mx.gluon.nn.LeakyReLU(negative_slope),
            conv3x3(image_channels, channels),
        )
    return tail


def _depth_to_space(F, x, channels, factor):
    """Do what `F.depth_to_space` does, by two plain transpositions: in a third of its time."""
    x = unblocked(F, x)
    # Rows of all channels, (N, factor, factor, C * H, W): sizes that a symbol does not know.
    rows = F.reshape(F.reshape(x, (0, -3, 0)), (0, -4, factor**2, -1, 0))
    rows = F.reshape(rows, (0, -4, factor, factor, 0, 0))
    columns = F.transpose(F.reshape(F.reshape(x, (0, factor, factor, -1)), (-3, 0, 0)), (0, 2, 1))
    columns = F.reshape_like(columns, rows, lhs_begin=1, lhs_end=2, rhs_begin=3, rhs_end=5)
    wide = F.reshape(F.reshape(columns, (0, 0, -3)), (-4, -1, factor, 0, 0))
    pixels = F.transpose(wide, (0, 2, 1, 3))  # (N, C * H, factor, W * factor)
    pixels = F.reshape(F.reshape(pixels, (0, -4, channels, -1, 0, 0)), (0, 0, -3, 0))
    return unblocked(F, pixels)


class SubPixelConv(mx.gluon.nn.Conv2D):
    """A 3x3 convolution whose channels become pixels [1]_.

    Channel ``(dy * factor + dx) * channels + c`` of the convolution becomes the pixel (dy, dx) of
    channel c, which is the order of ``depth_to_space``: it exports, other shuffles do not. PyTorch
    has ``c * factor**2 + dy * factor + dx``; `gluon_enhance.weights.load` reorders.

    Attributes
    ----------
    form : str
        As in `gluon_enhance.forms`: all but a fast one has MXNet's ``depth_to_space``.

    Parameters
    ----------
    channels : int
        Channels of the output.
    factor : int
        Ratio of output to input size.
    in_channels : int

    Inputs:
        - **data**: (N, in_channels, H, W).

    Outputs:
        - **out**: (N, channels, H * factor, W * factor).
    """

    def __init__(self, channels, factor, in_channels, **kwargs):
        super().__init__(channels * factor**2, 3, padding=1, in_channels=in_channels, **kwargs)
        self.form = PLAIN
        self.sub_pixel_factor = factor
        self._channels = channels

    def hybrid_forward(self, F, x, weight, bias):
        features = super().hybrid_forward(F, x, weight, bias)
        if self.sub_pixel_factor == 1:
            return features
        if self.form != FAST:
            return F.depth_to_space(features, block_size=self.sub_pixel_factor)
        return _depth_to_space(F, features, self._channels, self.sub_pixel_factor)


class ResidualBlock(mx.gluon.HybridBlock):
    """Two 3x3 convolutions with a ReLU between them, inside a skip; no normalization.

    Parameters
    ----------
    channels : int
    residual_scale : float
        What the convolutions' result is multiplied with before it is added to the input.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W).
    """

    def __init__(self, channels, residual_scale=1, **kwargs):
        super().__init__(**kwargs)
        self._residual_scale = residual_scale
        with self.name_scope():
            self.conv1 = conv3x3(channels, channels)
            self.conv2 = conv3x3(channels, channels)

    def hybrid_forward(self, F, x):
        residual = self.conv2(relu(F, self.conv1(x)))
        return x + (residual if self._residual_scale == 1 else residual * self._residual_scale)


class Enlarge(mx.gluon.HybridBlock):
    """Enlarge with a fixed kernel, as `gluon_enhance.imaging.resize` does, inside a net.

    One convolution of the input, its edges replicated, makes all pixels that lie at the same place
    between the input's: so it exports. Bilinear is PyTorch's with ``align_corners=False``.

    Attributes
    ----------
    form : str
        As in `gluon_enhance.forms`: all but a fast one has MXNet's ``depth_to_space``.

    Parameters
    ----------
    scale : int
    kernel : {'bilinear', 'bicubic'}

    Inputs:
        - **data**: (N, 3, H, W).

    Outputs:
        - **out**: (N, 3, H * scale, W * scale).
    """

    def __init__(self, scale, kernel, **kwargs):
        super().__init__(**kwargs)
        self.form = PLAIN
        self._scale = scale
        self._radius = {"bilinear": 1, "bicubic": 2}[kernel]
        with self.name_scope():
            self.weight = constant(self.params, "weight", self._weight(kernel))

    def _weight(self, kernel):
        """Resize unit impulses; the row of pixels within one input pixel is what is needed."""
        size, scale = 2 * self._radius + 1, self._scale
        # Each column of the identity is an impulse; more pixels keep them off the edges.
        impulses = resize(np.eye(3 * size), (3 * size * scale, 3 * size), kernel)
        middle = 3 * size // 2
        line = impulses[middle * scale : (middle + 1) * scale]
        line = line[:, middle - self._radius : middle + self._radius + 1]
        weight = np.einsum("yi,xj,oc->yxocij", line, line, np.eye(3))
        return mx.nd.array(weight.reshape(3 * scale**2, 3, size, size))

    def hybrid_forward(self, F, x, weight):
        x = F.pad(x, mode="edge", pad_width=(0, 0, 0, 0, *(self._radius,) * 4))
        size, channels = 2 * self._radius + 1, 3 * self._scale**2
        x = F.Convolution(x, weight, no_bias=True, kernel=(size, size), num_filter=channels)
        if self.form != FAST:
            return F.depth_to_space(x, block_size=self._scale)
        return _depth_to_space(F, x, 3, self._scale)
