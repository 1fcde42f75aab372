"""RRDBNet, the generator of ESRGAN and Real-ESRGAN.

References
----------
.. [1] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
   ECCV Workshops 2018. https://arxiv.org/abs/1809.00219
.. [2] Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
   Data", ICCV Workshops 2021. https://arxiv.org/abs/2107.10833
.. [3] Rakotonirina and Rasoanaivo, "ESRGAN+: Further Improving Enhanced Super-Resolution Generative
   Adversarial Network", ICASSP 2020. https://arxiv.org/abs/2001.08073
"""

from gluon_enhance.framework import mx
from gluon_enhance.models.blocks import conv3x3
from gluon_enhance.models.colors import check_channels, from_rgb, to_rgb
from gluon_enhance.models.doublings import NEGATIVE_SLOPE, Doublings
from gluon_enhance.models.layers.activations import leaky_relu
from gluon_enhance.models.layers.initialization import carry, start_small

nn = mx.gluon.nn

RESIDUAL_SCALE = 0.2
SCALES = (16, 8, 4, 2, 1)


class ResidualDenseBlock(mx.gluon.HybridBlock):
    """Five 3x3 convolutions, each seeing the input and all outputs before it.

    Parameters
    ----------
    channels : int
        Channels of the input and output.
    growth_channels : int
        Channels each of the first four convolutions adds.
    plus : bool
        With the residuals of ESRGAN+ [3]_ inside: of the input, by a 1x1 convolution, and of the
        second convolution.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W).
    """

    def __init__(self, channels, growth_channels, plus=False, **kwargs):
        super().__init__(**kwargs)
        self._plus = plus
        with self.name_scope():
            if plus:
                self.conv1x1 = nn.Conv2D(growth_channels, 1, use_bias=False, in_channels=channels)
            for k in range(1, 6):
                out_channels = growth_channels if k < 5 else channels
                conv = conv3x3(out_channels, channels + (k - 1) * growth_channels)
                setattr(self, f"conv{k}", conv)

    def hybrid_forward(self, F, x):
        features, second = x, None
        for k, conv in enumerate((self.conv1, self.conv2, self.conv3, self.conv4), 1):
            added = leaky_relu(F, conv(features), NEGATIVE_SLOPE)
            if self._plus and k == 2:
                second = added = added + self.conv1x1(x)
            elif self._plus and k == 4:
                added = added + second
            features = F.concat(features, added, dim=1)
        return x + RESIDUAL_SCALE * self.conv5(features)


class RRDB(mx.gluon.HybridBlock):
    """Residual in residual: three dense blocks inside one scaled skip.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W).
    """

    def __init__(self, channels, growth_channels, plus=False, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.rdb1 = ResidualDenseBlock(channels, growth_channels, plus)
            self.rdb2 = ResidualDenseBlock(channels, growth_channels, plus)
            self.rdb3 = ResidualDenseBlock(channels, growth_channels, plus)

    def hybrid_forward(self, F, x):
        return x + RESIDUAL_SCALE * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(Doublings, mx.gluon.HybridBlock):
    """Generator of ESRGAN [1]_ and Real-ESRGAN [2]_.

    The trunk feeds two nearest-neighbor doublings; for scales 2 and 1 the input is first folded
    into channels (pixel unshuffle by 2 or 4), as the official Real-ESRGAN nets do. Scales 8 and 16
    have more doublings, and a net that folds less than these has fewer.

    Parameters
    ----------
    scale : {4, 2, 1, 8, 16}
        Ratio of output to input size.
    num_blocks : int
        Residual-in-residual blocks; the papers use 23 and 6.
    channels : int
        Channels of the trunk.
    growth_channels : int
        Channels each dense convolution adds.
    image_channels : {3, 1, 4}
        Of the images that the net was trained on: RGB, gray or RGBA.
    unshuffle : int, optional
        The factor by which the input is folded; default ``4 / scale``, at least 1.
    plus : bool
        With the residuals of ESRGAN+ [3]_.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1]; H and W multiples of `unshuffle`.

    Outputs:
        - **out**: (N, 3, H * scale, W * scale) RGB, about [0, 1], not clipped.

    Raises
    ------
    ValueError
        If the scale, the channels of images or the factor of folding is another.
    """

    def __init__(
        self,
        scale=4,
        num_blocks=23,
        channels=64,
        growth_channels=32,
        image_channels=3,
        unshuffle=None,
        plus=False,
        **kwargs,
    ):
        if scale not in SCALES:
            raise ValueError(f"scale is {scale}; RRDBNet has {', '.join(map(str, SCALES))}")
        check_channels(image_channels)
        unshuffle = max(4 // scale, 1) if unshuffle is None else unshuffle
        if unshuffle not in (1, 2, 4):
            raise ValueError(f"unshuffle is {unshuffle}; RRDBNet has 1, 2 and 4")
        super().__init__(**kwargs)
        self._unshuffle, self._image_channels = unshuffle, image_channels
        doublings = (scale * unshuffle).bit_length() - 1
        with self.name_scope():
            self.head = conv3x3(channels, image_channels * unshuffle**2)
            self.body = nn.HybridSequential()
            with self.body.name_scope():
                self.body.add(*(RRDB(channels, growth_channels, plus) for _ in range(num_blocks)))
                self.body.add(conv3x3(channels, channels))
            self._add_doublings(doublings, channels, image_channels)

    def hybrid_forward(self, F, x):
        x = from_rgb(F, x, self._image_channels)
        if self._unshuffle > 1:
            x = pixel_unshuffle(F, x, self._unshuffle, self._image_channels)
        features = self.head(x)
        features = features + self.body(features)
        return to_rgb(F, self._doubled(F, features), self._image_channels)

    def initialize_as_interpolator(self, rng, ctx=None):
        """Start as `gluon_enhance.models.layers.initialization` has it.

        Parameters
        ----------
        rng : numpy.random.Generator
        ctx : mxnet.Context or list, optional

        Raises
        ------
        ValueError
            If the input is folded, as it is by default at a scale below 4, or not RGB.
        """
        if self._unshuffle > 1:
            raise ValueError("an interpolating start needs scale=4: below it, the input is folded")
        if self._image_channels != 3:
            raise ValueError("an interpolating start needs image_channels=3")
        start_small(self, rng, ctx)
        carry(self.head)
        self._carry_through_doublings()


def pixel_unshuffle(F, x, factor, channels=3):
    """Fold blocks into channels: (N, C, H, W) -> (N, C * factor**2, H/factor, W/factor).

    The channel order is c * factor**2 + dy * factor + dx, PyTorch's; ``space_to_depth`` has c
    innermost, so its channels are reordered by slices, which every exporter knows.
    """
    x = F.space_to_depth(x, block_size=factor)
    order = [place * channels + c for c in range(channels) for place in range(factor**2)]
    return F.concat(*(F.slice_axis(x, axis=1, begin=k, end=k + 1) for k in order), dim=1)
