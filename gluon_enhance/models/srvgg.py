"""SRVGGNetCompact, the small nets of Real-ESRGAN, and its trunk under bilinear doublings.

References
----------
.. [1] Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
   Data", ICCV Workshops 2021. https://arxiv.org/abs/2107.10833
.. [2] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
   ECCV Workshops 2018. https://arxiv.org/abs/1809.00219
.. [3] Odena, Dumoulin, Olah, "Deconvolution and Checkerboard Artifacts", Distill, 2016.
"""

from gluon_enhance.framework import mx
from gluon_enhance.models.blocks import SubPixelConv, conv3x3
from gluon_enhance.models.colors import check_channels, from_rgb, to_rgb
from gluon_enhance.models.doublings import Doublings
from gluon_enhance.models.layers.activations import PReLU
from gluon_enhance.models.layers.initialization import IDENTITY, carry, start_small
from gluon_enhance.models.local_colors import keep_local_colors

nn = mx.gluon.nn


class SRVGGNetCompact(mx.gluon.HybridBlock):
    """A chain of 3x3 convolutions that adds detail to the nearest-neighbor enlargement [1]_.

    Parameters
    ----------
    scale : int
        Ratio of output to input size.
    num_convs : int
        Convolutions between the first and the last; the official nets have 16 and 32.
    channels : int
        Channels of every layer, and slopes of every PReLU.
    image_channels : {3, 1, 4}
        Of the images that the net was trained on: RGB, gray or RGBA.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H * scale, W * scale) RGB, about [0, 1], not clipped.
    """

    def __init__(self, scale=4, num_convs=16, channels=64, image_channels=3, **kwargs):
        check_channels(image_channels)
        super().__init__(**kwargs)
        self._scale, self._image_channels = scale, image_channels
        with self.name_scope():
            self.head = _rectified(1, channels, image_channels)
            self.body = _rectified(num_convs, channels, channels)
            self.tail = SubPixelConv(image_channels, scale, channels)

    def hybrid_forward(self, F, x):
        nearest = x
        if self._scale > 1:
            nearest = F.UpSampling(x, scale=self._scale, sample_type="nearest")
        detail = self.tail(self.body(self.head(from_rgb(F, x, self._image_channels))))
        # In this order MXNet's AMP can convert the sum.
        return nearest + to_rgb(F, detail, self._image_channels)


class SRVGGNetBilinear(Doublings, mx.gluon.HybridBlock):
    """The trunk of SRVGGNetCompact [1]_ under doublings as RRDBNet [2]_ has them, but bilinear.

    The sub-pixel convolution of SRVGGNetCompact can draw a pattern into every cell of the
    enlargement [3]_, and does so where it learns features of VGG; nearest neighbors have edges step
    at the cells' borders. Here even features make an even output, and an edge may lie anywhere.
    Local mean colors are kept: `gluon_enhance.models.local_colors`.

    Parameters
    ----------
    scale : {4, 2, 8}
        Ratio of output to input size.
    num_convs : int
        Convolutions of the trunk after its first.
    channels : int
        Channels of the trunk.
    full_channels : int
        Channels of the doublings, which take most of the time.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H * scale, W * scale) RGB, about [0, 1], not clipped.

    Raises
    ------
    ValueError
        If the scale is another.
    """

    def __init__(self, scale=4, num_convs=16, channels=64, full_channels=32, **kwargs):
        if scale not in (2, 4, 8):
            raise ValueError(f"scale is {scale}; SRVGGNetBilinear has 2, 4 and 8")
        super().__init__(**kwargs)
        self._scale = scale
        with self.name_scope():
            self.head = _rectified(1, channels, 3)
            self.body = _rectified(num_convs, channels, channels)
            self.join = conv3x3(full_channels, 3 + channels)
            self._add_doublings(scale.bit_length() - 1, full_channels, 3)

    def hybrid_forward(self, F, x):
        features = self.join(F.concat(x, self.body(self.head(x)), dim=1))
        return keep_local_colors(F, self._doubled(F, features), x, self._scale)

    def _enlarged(self, F, features):
        # Two means of two neighbors make nearest neighbors bilinear, at the image's border too.
        means = {"kernel": (2, 2), "stride": (1, 1), "pool_type": "avg"}
        features = super()._enlarged(F, features)
        features = F.Pooling(features, pad=(1, 1), count_include_pad=False, **means)
        return F.Pooling(features, **means)

    def initialize_as_interpolator(self, rng, ctx=None):
        """Start as `gluon_enhance.models.layers.initialization` has it.

        Parameters
        ----------
        rng : numpy.random.Generator
        ctx : mxnet.Context or list, optional
        """
        start_small(self, rng, ctx)
        carry(self.join)
        self._carry_through_doublings(IDENTITY)

    def initialize_from(self, net):
        """Take over the trunk of a trained net, and from one of this class all that fits.

        If this trunk is deeper, its last convolutions begin as the identity: they give what the
        trained one gives. Doublings are taken over from the first on.

        Parameters
        ----------
        net : SRVGGNetCompact or SRVGGNetBilinear
            Of the same channels; this net must be initialized.

        Raises
        ------
        ValueError
            If the nets do not fit.
        """
        own, other = self._collect_params_with_prefix(), net._collect_params_with_prefix()
        whole = isinstance(net, SRVGGNetBilinear)
        copied = other.keys() if whole else {k for k in other if k.startswith(("head.", "body."))}
        copied = copied - {k for k in other if k.startswith("upsample.") and k not in own}
        if any(k not in own or own[k].shape != other[k].shape for k in copied):
            raise ValueError(
                "give a net with the channels of this one, and no more convolutions in its trunk"
            )
        for name in copied:
            own[name].set_data(other[name].list_data()[0])
        for conv, slopes in zip(self.body[len(net.body) :: 2], self.body[len(net.body) + 1 :: 2]):
            carry(conv, channels=conv.weight.shape[0])
            conv.bias.set_data(mx.nd.zeros(conv.bias.shape))
            slopes.alpha.set_data(mx.nd.ones(slopes.alpha.shape))


def _rectified(count, channels, in_channels):
    """Chain 3x3 convolutions, each with a PReLU behind it."""
    chain = nn.HybridSequential()
    with chain.name_scope():
        for _ in range(count):
            chain.add(conv3x3(channels, in_channels), PReLU(channels))
    return chain
