"""Johnson's style transfer net, and the blocks its super-resolution sister shares with it.

References
----------
.. [1] Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
   ECCV 2016, and its supplement, table 1. https://arxiv.org/abs/1603.08155
.. [2] The authors' code: https://github.com/jcjohnson/fast-neural-style
"""

import numpy as np

from gluon_enhance.framework import mx
from gluon_enhance.models.layers.activations import relu
from gluon_enhance.models.layers.convolutions import DoublingConv2D, NarrowConv2D, reflected
from gluon_enhance.models.layers.initialization import (
    carry,
    carry_folded,
    carry_mean_unfolded,
    carry_unfolded,
    start_small,
)
from gluon_enhance.models.layers.norms import NormalizedNet, make_norm

nn = mx.gluon.nn

EPSILON = 1e-5
VGG_MEAN = (103.939, 116.779, 123.68)
"""Mean BGR of VGG's photos; it sees BGR from 0 to 255, less this."""
CROP = 2
"""Pixels a side that two 3x3 convolutions without padding lose."""
PADDINGS = ("reflect_start", "zero", "reflect")
DOUBLINGS = ("transposed", "nearest")
CARRIED = 3 * 4 * 4
"""Channels in which a quarter of the size holds all of RGB."""
LIFT = 3.0
"""Deviations by which what is normalized is raised, so that rectifying keeps nearly all of it."""
FADED = 0.05
"""Scale of the norms of what the blocks add at the start."""
CONTRAST = 60.0
"""Deviation of the colors of a net's output at the start, in VGG's space: about a photo's."""


class ReflectedConv2D(mx.gluon.nn.Conv2D):
    """A convolution that sees the image reflected beyond its borders, and keeps the size.

    Parameters
    ----------
    channels, kernel_size, strides, in_channels : int
        The kernel's size is odd.

    Inputs:
        - **data**: (N, in_channels, H, W), of more than half a kernel a side.

    Outputs:
        - **out**: (N, channels, H / strides, W / strides), rounded up.
    """

    def __init__(self, channels, kernel_size, strides=1, in_channels=0, **kwargs):
        super().__init__(channels, kernel_size, strides, in_channels=in_channels, **kwargs)
        self._border = kernel_size // 2

    def hybrid_forward(self, F, x, weight, bias):
        return super().hybrid_forward(F, reflected(F, x, self._border), weight, bias)


class NearestConv2D(ReflectedConv2D):
    """A 3x3 convolution over the enlargement by nearest neighbors, twice as large.

    A transposed convolution sees some pixels of its output from more inputs than others, and draws
    a grid of them.

    Parameters
    ----------
    channels, in_channels : int

    Inputs:
        - **data**: (N, in_channels, H, W).

    Outputs:
        - **out**: (N, channels, 2 * H, 2 * W).
    """

    def __init__(self, channels, in_channels, **kwargs):
        super().__init__(channels, 3, in_channels=in_channels, **kwargs)

    def hybrid_forward(self, F, x, weight, bias):
        x = F.UpSampling(x, scale=2, sample_type="nearest")
        return super().hybrid_forward(F, x, weight, bias)


def padded_conv(channels, kernel_size, strides, in_channels, padding):
    """Make a convolution that pads its input by a reflection if so told, else by zeros."""
    if padding == "reflect":
        return ReflectedConv2D(channels, kernel_size, strides, in_channels)
    return nn.Conv2D(channels, kernel_size, strides, kernel_size // 2, in_channels=in_channels)


def conv_norm_relu(channels, kernel_size, strides, in_channels, norm, padding="zero"):
    """List the layers of a padded convolution, its norm and its ReLU."""
    conv = padded_conv(channels, kernel_size, strides, in_channels, padding)
    return [conv, make_norm(norm, channels, EPSILON), nn.Activation("relu")]


def doubling(channels, in_channels, norm, way="transposed"):
    """List the layers that double height and width: stride 1/2, as the paper calls it."""
    conv = (NearestConv2D if way == "nearest" else DoublingConv2D)(channels, in_channels)
    return [conv, make_norm(norm, channels, EPSILON), nn.Activation("relu")]


class ResidualBlock(mx.gluon.HybridBlock):
    """Two normalized 3x3 convolutions, a ReLU between them, and a skip; no ReLU after the sum.

    Parameters
    ----------
    channels : int
    norm : str
        As `gluon_enhance.models.layers.norms.make_norm` has them.
    padding : str
        Of `PADDINGS`: with 'reflect_start' the block crops its input by 2 pixels a side.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W); cropped (N, channels, H - 4, W - 4).
    """

    def __init__(self, channels, norm, padding="zero", **kwargs):
        super().__init__(**kwargs)
        self._cropped = padding == "reflect_start"
        with self.name_scope():
            for k in (1, 2):
                if self._cropped:
                    conv = nn.Conv2D(channels, 3, in_channels=channels)
                else:
                    conv = padded_conv(channels, 3, 1, channels, padding)
                setattr(self, f"conv{k}", conv)
                setattr(self, f"norm{k}", make_norm(norm, channels, EPSILON))

    def hybrid_forward(self, F, x):
        features = relu(F, self.norm1(self.conv1(x)))
        features = self.norm2(self.conv2(features))
        if self._cropped:
            for axis in (2, 3):
                x = F.slice_axis(x, axis=axis, begin=CROP, end=-CROP)
        return x + features


class StyleNet(NormalizedNet):
    """Style transfer net [1]_, with the range and padding of the authors' code [2]_.

    The paper has batch normalization; most of the published nets have instance normalization, and
    half the channels.

    Parameters
    ----------
    channels : int
        Of the first layer; the blocks have four times as many.
    num_blocks : int
        Residual blocks.
    norm : {'batch', 'instance', 'batch_stats', 'layer'}
        After every convolution but the last.
    padding : {'reflect_start', 'zero', 'reflect'}
        The paper's: reflect the image out by 40 pixels (8 for each block), which the blocks'
        unpadded convolutions use up; it needs images of more than that. Or zeros in every layer; or
        a reflection in every layer, which alone leaves no frame at the borders.
    tanh_scale : float
        Half the range of the output in VGG's space of 0 to 255.
    doublings : {'transposed', 'nearest'}
        The paper's transposed convolutions, or ones over nearest neighbors, which draw no grid.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H, W) RGB, about [-0.2, 1.1], not clipped.

    Raises
    ------
    ValueError
        If there is no such norm, padding or doubling.
    """

    def __init__(
        self,
        channels=32,
        num_blocks=5,
        norm="batch",
        padding="reflect_start",
        tanh_scale=150,
        doublings="transposed",
        **kwargs,
    ):
        if padding not in PADDINGS:
            raise ValueError(f"padding is {padding!r}; choose one of {', '.join(PADDINGS)}")
        if doublings not in DOUBLINGS:
            raise ValueError(f"doublings is {doublings!r}; choose one of {', '.join(DOUBLINGS)}")
        super().__init__(**kwargs)
        self._tanh_scale = tanh_scale
        # A block loses CROP pixels a side at a quarter of the size.
        self._reflection = 4 * CROP * num_blocks if padding == "reflect_start" else 0
        widths = (channels, 2 * channels, 4 * channels)
        with self.name_scope():
            self.head = nn.HybridSequential()
            self.head.add(*conv_norm_relu(widths[0], 9, 1, 3, norm, padding))
            self.head.add(*conv_norm_relu(widths[1], 3, 2, widths[0], norm, padding))
            self.head.add(*conv_norm_relu(widths[2], 3, 2, widths[1], norm, padding))
            self.body = nn.HybridSequential()
            for _ in range(num_blocks):
                self.body.add(ResidualBlock(widths[2], norm, padding))
            self.upsample = nn.HybridSequential()
            self.upsample.add(*doubling(widths[1], widths[2], norm, doublings))
            self.upsample.add(*doubling(widths[0], widths[1], norm, doublings))
            self._tail_reflection = 4 if padding == "reflect" else 0
            zeros = 4 - self._tail_reflection
            self.tail = NarrowConv2D(3, 9, padding=zeros, in_channels=widths[0])

    def initialize_as_identity(self, rng, ctx=None):
        """Start as a net that gives the photo with a contrast of its own; the paper's is random.

        From a random start, a net first learns to paint textures, and the photo much later. Here
        every pixel goes through, folded into the channels of the small maps; over nearest neighbors
        what comes out is blurred.

        Parameters
        ----------
        rng : numpy.random.Generator
        ctx : mxnet.Context or list, optional

        Raises
        ------
        ValueError
            If the net has too few channels to hold a photo at a quarter of its size.
        """
        folding, unfolding = (self.head[3], self.head[6]), (self.upsample[0], self.upsample[3])
        channels = self.head[6].weight.shape[0]
        if channels < CARRIED:
            raise ValueError(
                f"the blocks have {channels} channels; a start as identity needs {CARRIED}"
            )
        nearest = isinstance(unfolding[0], NearestConv2D)
        unfold = carry_mean_unfolded if nearest else carry_unfolded
        start_small(self, rng, ctx)
        carry(self.head[0])
        for conv, carried in zip(folding, (3, 12)):
            carry_folded(conv, carried)
        for conv, carried in zip(unfolding, (12, 3)):
            unfold(conv, carried)
        norms = self.head[1], self.head[4], self.head[7], self.upsample[1], self.upsample[4]
        for norm, carried in zip(norms, (3, 12, CARRIED, 12, 3)):
            lift = np.zeros(norm.beta.shape, np.float32)
            lift[:carried] = LIFT
            norm.beta.set_data(mx.nd.array(lift))
        for block in self.body:
            block.norm2.gamma.set_data(mx.nd.full(channels, FADED))
        gain = CONTRAST / self._tanh_scale
        carry(self.tail, gain=gain, mix=True)
        self.tail.bias.set_data(mx.nd.full(3, -gain * LIFT))

    def hybrid_forward(self, F, x):
        image = _to_vgg(F, x)
        features = self.body(self.head(reflected(F, image, self._reflection)))
        features = reflected(F, self.upsample(features), self._tail_reflection)
        # Sizes that are no multiples of 4 come out rounded up.
        features = F.slice_like(self.tail(features), image, axes=(2, 3))
        return _from_vgg(F, self._tanh_scale * F.Activation(features, act_type="tanh"))


def _channel(F, x, k):
    return F.slice_axis(x, axis=1, begin=k, end=k + 1)


def _to_vgg(F, x):
    return F.concat(*(255 * _channel(F, x, 2 - k) - VGG_MEAN[k] for k in range(3)), dim=1)


def _from_vgg(F, x):
    return F.concat(*((_channel(F, x, k) + VGG_MEAN[k]) / 255 for k in (2, 1, 0)), dim=1)
