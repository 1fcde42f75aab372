"""SRResNet, the generator of SRGAN, and MSRResNet, its descendant without normalization.

References
----------
.. [1] Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
   Network", CVPR 2017. https://arxiv.org/abs/1609.04802
.. [2] https://github.com/leftthomas/SRGAN
.. [3] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
   ECCV Workshops 2018. https://arxiv.org/abs/1809.00219
"""

from gluon_enhance.framework import mx
from gluon_enhance.models.blocks import (
    Enlarge,
    ResidualBlock,
    SubPixelConv,
    conv3x3,
    image_tail,
)
from gluon_enhance.models.colors import check_channels, from_rgb, to_rgb
from gluon_enhance.models.layers.activations import PReLU, leaky_relu
from gluon_enhance.models.layers.convolutions import NarrowConv2D
from gluon_enhance.models.layers.initialization import GAIN, carry, carry_enlarged, start_small

nn = mx.gluon.nn

NEGATIVE_SLOPE = 0.1
FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}
"""Scale of MSRResNet -> those of its enlarging convolutions."""


class NormalizedResidualBlock(mx.gluon.HybridBlock):
    """Two 3x3 convolutions, each with batch normalization, and a PReLU between them, in a skip.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W).
    """

    def __init__(self, channels, shared_slopes, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.conv1 = conv3x3(channels, channels)
            self.norm1 = nn.BatchNorm(in_channels=channels)
            self.prelu = PReLU(channels, shared_slopes)
            self.conv2 = conv3x3(channels, channels)
            self.norm2 = nn.BatchNorm(in_channels=channels)

    def hybrid_forward(self, F, x):
        return x + self.norm2(self.conv2(self.prelu(self.norm1(self.conv1(x)))))


class SRResNet(mx.gluon.HybridBlock):
    """Generator of SRGAN [1]_; the net of [2]_ with 5 blocks, ``trunk_norm=False, tanh=True``.

    Inside, the output's range is [-1, 1], as in the paper.

    Parameters
    ----------
    scale : {4, 2, 8}
        Ratio of output to input size.
    num_blocks : int
        Residual blocks.
    channels : int
        Channels of the trunk.
    shared_slopes : bool
        One slope in each PReLU, or one for each channel; the paper does not say.
    trunk_norm : bool
        End the trunk with batch normalization (the paper), or with a PReLU.
    tanh : bool
        Bound the output to [0, 1] with a tanh.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H * scale, W * scale) RGB, about [0, 1], clipped only by `tanh`.

    Raises
    ------
    ValueError
        If the scale is not 2, 4 or 8.
    """

    def __init__(
        self,
        scale=4,
        num_blocks=16,
        channels=64,
        shared_slopes=True,
        trunk_norm=True,
        tanh=False,
        **kwargs,
    ):
        if scale not in (2, 4, 8):
            raise ValueError(f"scale is {scale}; SRResNet has 2, 4 and 8")
        super().__init__(**kwargs)
        self._tanh = tanh
        with self.name_scope():
            self.head = nn.HybridSequential()
            with self.head.name_scope():
                self.head.add(
                    nn.Conv2D(channels, 9, padding=4, in_channels=3), PReLU(channels, shared_slopes)
                )
            self.body = nn.HybridSequential()
            with self.body.name_scope():
                for _ in range(num_blocks):
                    self.body.add(NormalizedResidualBlock(channels, shared_slopes))
                self.body.add(
                    conv3x3(channels, channels),
                    nn.BatchNorm(in_channels=channels)
                    if trunk_norm
                    else PReLU(channels, shared_slopes),
                )
            self.upsample = nn.HybridSequential()
            with self.upsample.name_scope():
                for _ in range(scale.bit_length() - 1):
                    self.upsample.add(SubPixelConv(channels, 2, channels))
                    self.upsample.add(PReLU(channels, shared_slopes))
            self.tail = NarrowConv2D(3, 9, padding=4, in_channels=channels)

    def hybrid_forward(self, F, x):
        features = self.head(x)
        out = self.tail(self.upsample(features + self.body(features)))
        if self._tanh:
            out = F.Activation(out, act_type="tanh")
        return 0.5 * out + 0.5

    def initialize_as_interpolator(self, rng, ctx=None):
        """Start as `gluon_enhance.models.layers.initialization` has it, for a net without tanh.

        Parameters
        ----------
        rng : numpy.random.Generator
        ctx : mxnet.Context or list, optional
        """
        start_small(self, rng, ctx)
        # A normalization undoes small weights, so what it scales by is small too.
        norms = [block.norm2 for block in self.body if isinstance(block, NormalizedResidualBlock)]
        for norm in (*norms, self.body[-1]):
            if isinstance(norm, nn.BatchNorm):
                norm.gamma.set_data(GAIN * mx.nd.ones(norm.gamma.shape))
        carry(self.head[0])
        for conv in self.upsample:
            if isinstance(conv, SubPixelConv):
                carry_enlarged(conv)
        carry(self.tail, gain=2, mix=True)  # from [0, 1] to [-1, 1]
        self.tail.bias.set_data(-mx.nd.ones(3))


class MSRResNet(mx.gluon.HybridBlock):
    """The SRResNet of [3]_'s authors: no normalization, a bilinear skip from input to output.

    Parameters
    ----------
    scale : {4, 3, 2}
        Ratio of output to input size.
    num_blocks : int
        Residual blocks.
    channels : int
        Channels of every layer.
    image_channels : {3, 1, 4}
        Of the images that the net was trained on: RGB, gray or RGBA.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H * scale, W * scale) RGB, about [0, 1], not clipped.

    Raises
    ------
    ValueError
        If the scale is not 2, 3 or 4, or the channels of images are others.
    """

    def __init__(self, scale=4, num_blocks=16, channels=64, image_channels=3, **kwargs):
        if scale not in FACTORS:
            raise ValueError(f"scale is {scale}; MSRResNet has 2, 3 and 4")
        check_channels(image_channels)
        super().__init__(**kwargs)
        self._image_channels = image_channels
        with self.name_scope():
            self.enlarge = Enlarge(scale, "bilinear")
            self.head = conv3x3(channels, image_channels)
            self.body = nn.HybridSequential()
            with self.body.name_scope():
                self.body.add(*(ResidualBlock(channels) for _ in range(num_blocks)))
            self.upsample = nn.HybridSequential()
            with self.upsample.name_scope():
                for factor in FACTORS[scale]:
                    self.upsample.add(SubPixelConv(channels, factor, channels))
            self.tail = image_tail(channels, image_channels, NEGATIVE_SLOPE)

    def hybrid_forward(self, F, x):
        features = from_rgb(F, x, self._image_channels)
        features = self.body(self._activate(F, self.head(features)))
        for shuffle in self.upsample:
            features = self._activate(F, shuffle(features))
        # In this order MXNet's AMP can convert the sum.
        return self.enlarge(x) + to_rgb(F, self.tail(features), self._image_channels)

    @staticmethod
    def _activate(F, x):
        return leaky_relu(F, x, NEGATIVE_SLOPE)
