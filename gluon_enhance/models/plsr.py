"""PLSR: super-resolution trained by perceptual loss, Johnson's nets and a small Gluon variant.

References
----------
.. [1] Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
   ECCV 2016, and its supplement, table 2. https://arxiv.org/abs/1603.08155
"""

import numpy as np

from gluon_enhance.framework import constant, mx
from gluon_enhance.models.layers.activations import relu
from gluon_enhance.models.layers.convolutions import NarrowConv2D
from gluon_enhance.models.layers.initialization import carry, carry_doubled, start_small
from gluon_enhance.models.style import LIFT, ResidualBlock, conv_norm_relu, doubling

nn = mx.gluon.nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
FADED = 0.01
"""What the last norm of every unit is scaled by in a start as an interpolator."""
PHOTO_MEAN, PHOTO_DEVIATION = 0.45, 0.25
"""Of the pixels of photos, about, in such a start."""


class ResidualUnit(mx.gluon.HybridBlock):
    """Two 3x3 convolutions, each normalized and rectified; a 1x1 skip; a ReLU after the sum.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W).
    """

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        options = {"use_bias": False, "in_channels": channels}
        with self.name_scope():
            self.conv1 = nn.Conv2D(channels, 3, padding=1, **options)
            self.norm1 = nn.BatchNorm(in_channels=channels)
            self.conv2 = nn.Conv2D(channels, 3, padding=1, **options)
            self.norm2 = nn.BatchNorm(in_channels=channels)
            self.skip = nn.Conv2D(channels, 1, **options)

    def hybrid_forward(self, F, x):
        features = relu(F, self.norm1(self.conv1(x)))
        features = relu(F, self.norm2(self.conv2(features)))
        return relu(F, features + self.skip(x))


class PLSR(mx.gluon.HybridBlock):
    """The Gluon variant for scale 2, which differs from the paper's nets [1]_.

    No biases, 1x1 convolutions on the skips, ReLU before and after the sum, no normalization or
    ReLU outside the units, no tanh. The original subtracted the mean image of its own data, which
    it did not keep; here it is a mean color, which the file of weights holds.

    Parameters
    ----------
    num_blocks : int
        Residual units.
    channels : int
        Channels of every layer.
    mean : sequence of 3 float
        RGB in [0, 1], subtracted from the input.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, 2 * H, 2 * W) RGB, about [0, 1], not clipped.
    """

    def __init__(self, num_blocks=4, channels=64, mean=IMAGENET_MEAN, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            mean = mx.nd.array(np.reshape(mean, (1, 3, 1, 1)))
            self.mean = constant(self.params, "mean", mean)
            self.head = nn.Conv2D(channels, 9, padding=4, use_bias=False, in_channels=3)
            self.body = nn.HybridSequential()
            with self.body.name_scope():
                self.body.add(*(ResidualUnit(channels) for _ in range(num_blocks)))
            self.upsample = nn.Conv2DTranspose(
                channels,
                3,
                2,
                padding=1,
                output_padding=1,
                use_bias=False,
                in_channels=channels,
            )
            self.tail = NarrowConv2D(3, 9, padding=4, use_bias=False, in_channels=channels)

    def initialize_as_interpolator(self, rng, ctx=None):
        """Start as `models.layers.initialization` has it; the original's start is random.

        The first unit's last norm adds the mean again, so that no ReLU cuts the colors.

        Parameters
        ----------
        rng : numpy.random.Generator
        ctx : mxnet.Context or list, optional
        """
        start_small(self, rng, ctx)
        for unit in self.body:
            unit.norm2.gamma.set_data(FADED * mx.nd.ones(unit.norm2.gamma.shape))
            carry(unit.skip)
        mean = self.mean.data(self.mean.list_ctx()[0]).reshape(-1).as_in_context(mx.cpu())
        beta = self.body[0].norm2.beta
        beta.set_data(mx.nd.concat(mean, mx.nd.zeros(beta.shape[0] - 3), dim=0))
        carry(self.head)
        # Stride 1/2 puts the input's pixels on every other pixel: half a pixel too far up and left.
        carry(self.upsample, (0.5, 1, 0.5))
        carry(self.tail, (0.5, 0.5, 0), mix=True)

    def hybrid_forward(self, F, x, mean):
        features = self.head(F.broadcast_sub(x, mean))
        return self.tail(self.upsample(self.body(features)))


class JohnsonSR(mx.gluon.HybridBlock):
    """The paper's super-resolution net [1]_ for scales 4 and 8.

    No weights of it were published. The paper scales the last tanh to the range of colors, here
    [0, 1]; its input goes in as it is.

    Parameters
    ----------
    scale : {4, 8}
        Ratio of output to input size.
    num_blocks : int
        Residual blocks.
    channels : int
        Channels of every layer.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H * scale, W * scale) RGB in [0, 1].

    Raises
    ------
    ValueError
        If the scale is not 4 or 8.
    """

    def __init__(self, scale=4, num_blocks=4, channels=64, **kwargs):
        if scale not in (4, 8):
            raise ValueError(f"scale is {scale}; JohnsonSR has 4 and 8")
        super().__init__(**kwargs)
        with self.name_scope():
            self.head = nn.HybridSequential()
            self.head.add(*conv_norm_relu(channels, 9, 1, 3, "batch"))
            self.body = nn.HybridSequential()
            for _ in range(num_blocks):
                self.body.add(ResidualBlock(channels, "batch"))
            self.upsample = nn.HybridSequential()
            for _ in range({4: 2, 8: 3}[scale]):
                self.upsample.add(*doubling(channels, channels, "batch"))
            self.tail = NarrowConv2D(3, 9, padding=4, in_channels=channels)

    def initialize_as_interpolator(self, rng, ctx=None):
        """Start as a net that enlarges smoothly; the paper's start is random.

        The first norm's running averages are those of photos, and its channels of RGB are raised
        so that no ReLU cuts them; the tail lowers them again.

        Parameters
        ----------
        rng : numpy.random.Generator
        ctx : mxnet.Context or list, optional
        """
        start_small(self, rng, ctx)
        carry(self.head[0])
        first, others = self.head[1], list(self.upsample)[1::3]
        _set_first(first.running_mean, PHOTO_MEAN)
        _set_first(first.running_var, PHOTO_DEVIATION**2)
        _set_first(first.beta, LIFT)
        for conv, norm in zip(list(self.upsample)[::3], others):
            carry_doubled(conv)
            _set_first(norm.running_mean, LIFT)
            _set_first(norm.beta, LIFT)
        for block in self.body:
            block.norm2.gamma.set_data(mx.nd.full(block.norm2.gamma.shape, FADED))
        # A doubling puts each pixel on the first of its four, half a pixel early.
        late = 2 ** len(others) // 2
        line = np.zeros(9)
        line[[4 - late, 5 - late]] = 0.5
        # The slope of the tanh around 0 is 1, and half of it comes out.
        gain = 2 * PHOTO_DEVIATION
        carry(self.tail, line, gain=gain, mix=True)
        self.tail.bias.set_data(mx.nd.full(3, 2 * (PHOTO_MEAN - 0.5) - gain * LIFT))

    def hybrid_forward(self, F, x):
        features = self.tail(self.upsample(self.body(self.head(x))))
        return 0.5 * F.Activation(features, act_type="tanh") + 0.5


def _set_first(parameter, value):
    """Set what a parameter has for the three channels of RGB."""
    array = parameter.data(parameter.list_ctx()[0]).asnumpy()
    array[:3] = value
    parameter.set_data(mx.nd.array(array))
