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
from gluon_enhance.models.layers.convolutions import DoublingConv2D, NarrowConv2D
from gluon_enhance.models.layers.initialization import (
    carry,
    carry_folded,
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
PADDINGS = ("reflect_start", "zero")
CARRIED = 3 * 4 * 4
"""Channels in which a quarter of the size holds all of RGB."""
LIFT = 3.0
"""Deviations by which what is normalized is raised, so that rectifying keeps nearly all of it."""
FADED = 0.05
"""Scale of the norms of what the blocks add at the start."""
CONTRAST = 60.0
"""Deviation of the colors of a net's output at the start, in VGG's space: about a photo's."""


def conv_norm_relu(channels, kernel_size, strides, in_channels, norm):
    """List the layers of a zero-padded convolution, its norm and its ReLU."""
    padding = kernel_size // 2
    return [
        nn.Conv2D(channels, kernel_size, strides, padding, in_channels=in_channels),
        make_norm(norm, channels, EPSILON),
        nn.Activation("relu"),
    ]


def doubling(channels, in_channels, norm):
    """List the layers that double height and width: stride 1/2, as the paper calls it."""
    return [
        DoublingConv2D(channels, in_channels),
        make_norm(norm, channels, EPSILON),
        nn.Activation("relu"),
    ]


class ResidualBlock(mx.gluon.HybridBlock):
    """Two normalized 3x3 convolutions, a ReLU between them, and a skip; no ReLU after the sum.

    Parameters
    ----------
    channels : int
    norm : str
        As `gluon_enhance.models.layers.norms.make_norm` has them.
    padded : bool
        Whether zeros keep the size; without, the block crops its input by 2 pixels a side.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W) padded, else (N, channels, H - 4, W - 4).
    """

    def __init__(self, channels, norm, padded, **kwargs):
        super().__init__(**kwargs)
        self._padded = padded
        with self.name_scope():
            for k in (1, 2):
                conv = nn.Conv2D(channels, 3, padding=int(padded), in_channels=channels)
                setattr(self, f"conv{k}", conv)
                setattr(self, f"norm{k}", make_norm(norm, channels, EPSILON))

    def hybrid_forward(self, F, x):
        features = relu(F, self.norm1(self.conv1(x)))
        features = self.norm2(self.conv2(features))
        if not self._padded:
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
    padding : {'reflect_start', 'zero'}
        The paper's: reflect the image out by 40 pixels (8 for each block), which the blocks'
        unpadded convolutions use up; it needs images of more than that. Or zeros in every layer.
    tanh_scale : float
        Half the range of the output in VGG's space of 0 to 255.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H, W) RGB, about [-0.2, 1.1], not clipped.

    Raises
    ------
    ValueError
        If there is no such norm or padding.
    """

    def __init__(
        self,
        channels=32,
        num_blocks=5,
        norm="batch",
        padding="reflect_start",
        tanh_scale=150,
        **kwargs,
    ):
        if padding not in PADDINGS:
            raise ValueError(f"padding is {padding!r}; choose one of {', '.join(PADDINGS)}")
        super().__init__(**kwargs)
        self._tanh_scale = tanh_scale
        # A block loses CROP pixels a side at a quarter of the size.
        self._reflection = 4 * CROP * num_blocks if padding == "reflect_start" else 0
        widths = (channels, 2 * channels, 4 * channels)
        with self.name_scope():
            self.head = nn.HybridSequential()
            self.head.add(*conv_norm_relu(widths[0], 9, 1, 3, norm))
            self.head.add(*conv_norm_relu(widths[1], 3, 2, widths[0], norm))
            self.head.add(*conv_norm_relu(widths[2], 3, 2, widths[1], norm))
            self.body = nn.HybridSequential()
            for _ in range(num_blocks):
                self.body.add(ResidualBlock(widths[2], norm, padded=padding == "zero"))
            self.upsample = nn.HybridSequential()
            self.upsample.add(*doubling(widths[1], widths[2], norm))
            self.upsample.add(*doubling(widths[0], widths[1], norm))
            self.tail = NarrowConv2D(3, 9, padding=4, in_channels=widths[0])

    def initialize_as_identity(self, rng, ctx=None):
        """Start as a net that gives the photo with a contrast of its own; the paper's is random.

        From a random start, a net first learns to paint textures, and the photo much later. Here
        every pixel goes through, folded into the channels of the small maps.

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
        start_small(self, rng, ctx)
        carry(self.head[0])
        for conv, carried in zip(folding, (3, 12)):
            carry_folded(conv, carried)
        for conv, carried in zip(unfolding, (12, 3)):
            carry_unfolded(conv, carried)
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
        padded = image = _to_vgg(F, x)
        if self._reflection:
            pad_width = (0, 0, 0, 0, *[self._reflection] * 4)
            padded = F.pad(image, mode="reflect", pad_width=pad_width)
        features = self.upsample(self.body(self.head(padded)))
        # Sizes that are no multiples of 4 come out rounded up.
        features = F.slice_like(self.tail(features), image, axes=(2, 3))
        return _from_vgg(F, self._tanh_scale * F.Activation(features, act_type="tanh"))


def _channel(F, x, k):
    return F.slice_axis(x, axis=1, begin=k, end=k + 1)


def _to_vgg(F, x):
    return F.concat(*(255 * _channel(F, x, 2 - k) - VGG_MEAN[k] for k in range(3)), dim=1)


def _from_vgg(F, x):
    return F.concat(*((_channel(F, x, k) + VGG_MEAN[k]) / 255 for k in (2, 1, 0)), dim=1)
