"""DPED: nets that turn a phone's photo into a camera's, and their discriminator.

The unpaired variant ("Cycle") has no net of its own: it is two `DPEDResNet` (phone to camera,
camera to phone) and two `DPEDDiscriminator`, one for each side.

References
----------
.. [1] Ignatov et al., "DSLR-Quality Photos on Mobile Devices with Deep Convolutional Networks",
   ICCV 2017. https://arxiv.org/abs/1704.02470
"""

import numpy as np

from gluon_enhance.framework import mx
from gluon_enhance.models.layers.activations import relu
from gluon_enhance.models.layers.convolutions import NarrowConv2D
from gluon_enhance.models.layers.initialization import carry, start_small
from gluon_enhance.models.layers.norms import NormalizedNet, make_norm

nn = mx.gluon.nn

EPSILON = 1e-3
TANH_SCALE = 0.58
"""The paper's: an output of 0 or 1 needs no infinite feature."""
NEGATIVE_SLOPE = 0.2
PAPER_START = 0.01
"""Deviation of kernels, and value of biases, where the paper's training starts."""
FADED = 0.01
"""Scale of the norms whose results are added to the image, in a start as the identity."""
STEEPNESS = 1.2
"""Slope of the scaled tanh there: over [0, 1] it then strays least from the identity."""


def _conv(channels, kernel_size, in_channels, activation=None, kind=nn.Conv2D):
    padding = kernel_size // 2
    return kind(
        channels, kernel_size, padding=padding, in_channels=in_channels, activation=activation
    )


def _truncated_normal(rng, shape):
    values = rng.normal(size=shape)
    while (far := np.abs(values) > 2).any():
        values[far] = rng.normal(size=far.sum())
    return values


def _start_as_identity(net, convs, norms, tanh_scale, rng, ctx):
    """Have convolutions carry RGB to the tail, and norms of what is added to it start faded."""
    start_small(net, rng, ctx)
    for conv in convs:
        carry(conv)
    for norm in norms:
        norm.gamma.set_data(FADED * mx.nd.ones(norm.gamma.shape))
    gain = STEEPNESS / tanh_scale
    carry(net.tail, gain=gain, mix=True)
    net.tail.bias.set_data(mx.nd.full(3, -0.5 * gain))


class ResidualBlock(mx.gluon.HybridBlock):
    """Two 3x3 convolutions, each normalized and rectified, and a skip; nothing after the sum.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W).
    """

    def __init__(self, channels, norm, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.conv1 = _conv(channels, 3, channels)
            self.norm1 = make_norm(norm, channels, EPSILON)
            self.conv2 = _conv(channels, 3, channels)
            self.norm2 = make_norm(norm, channels, EPSILON)

    def hybrid_forward(self, F, x):
        features = relu(F, self.norm1(self.conv1(x)))
        return x + relu(F, self.norm2(self.conv2(features)))


class DPEDResNet(NormalizedNet):
    """Generator of DPED [1]_.

    The paper says batch normalization; its code and weights have instance normalization. Under
    any norm but 'batch' a pixel depends on the whole image.

    Parameters
    ----------
    num_blocks : int
        Residual blocks.
    channels : int
        Channels of every layer.
    norm : {'instance', 'batch', 'batch_stats', 'layer'}
        As `gluon_enhance.models.layers.norms.make_norm` has them.
    tanh_scale : float
        Half the range of the output, whose middle is 0.5.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H, W) RGB, from 0.5 - tanh_scale to 0.5 + tanh_scale, not clipped.

    Raises
    ------
    ValueError
        If there is no such norm.
    """

    def __init__(self, num_blocks=4, channels=64, norm="instance", tanh_scale=TANH_SCALE, **kwargs):
        super().__init__(**kwargs)
        self._tanh_scale = tanh_scale
        with self.name_scope():
            self.head = _conv(channels, 9, 3, "relu")
            self.body = nn.HybridSequential()
            with self.body.name_scope():
                self.body.add(*(ResidualBlock(channels, norm) for _ in range(num_blocks)))
                self.body.add(*(_conv(channels, 3, channels, "relu") for _ in range(2)))
            self.tail = _conv(3, 9, channels, kind=NarrowConv2D)

    def initialize_as_paper(self, rng, ctx=None):
        """Start as the paper's code does: small random kernels, cut at two deviations.

        Parameters
        ----------
        rng : numpy.random.Generator
        ctx : mxnet.Context or list, optional
        """
        self.initialize(ctx=ctx, force_reinit=True)
        for name, parameter in self._collect_params_with_prefix().items():
            if name.endswith(".weight"):
                values = PAPER_START * _truncated_normal(rng, parameter.shape)
                parameter.set_data(mx.nd.array(values))
            elif name.endswith(".bias"):
                parameter.set_data(mx.nd.full(parameter.shape, PAPER_START))

    def initialize_as_identity(self, rng, ctx=None):
        """Start as a net whose output is nearly its input; the paper's start is random.

        It is `models.layers.initialization`'s, for a net that does not enlarge. Without
        pairs a net that starts here has only the colors and the texture to learn.

        Parameters
        ----------
        rng : numpy.random.Generator
        ctx : mxnet.Context or list, optional
        """
        convs = (self.head, *self.body[-2:])
        norms = [block.norm2 for block in self.body[:-2]]
        _start_as_identity(self, convs, norms, self._tanh_scale, rng, ctx)

    def hybrid_forward(self, F, x):
        features = self.body(self.head(x))
        # F.tanh is MXNet's own loop; Activation is oneDNN's.
        return self._tanh_scale * F.Activation(self.tail(features), act_type="tanh") + 0.5


class DenseBlock(mx.gluon.HybridBlock):
    """Twelve rectified 3x3 convolutions, the outputs of all of which come out together.

    Parameters
    ----------
    channels : int
        Channels of the input and of each convolution.
    num_layers : int
    dense : bool
        Whether each convolution sees the input and all outputs before it, as in DenseNet, or
        the one output before it.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, num_layers * channels, H, W).
    """

    def __init__(self, channels, num_layers, dense, **kwargs):
        super().__init__(**kwargs)
        self._dense = dense
        with self.name_scope():
            self.convs = nn.HybridSequential()
            for k in range(num_layers):
                seen = channels * (k + 1) if dense else channels
                self.convs.add(_conv(channels, 3, seen, "relu"))

    def hybrid_forward(self, F, x):
        outputs = []
        for conv in self.convs:
            seen = F.concat(x, *outputs, dim=1) if self._dense else (outputs or [x])[-1]
            outputs.append(conv(seen))
        return F.concat(*outputs, dim=1)


class Transition(mx.gluon.HybridBlock):
    """A 1x1 convolution, to whose result the same, normalized and rectified, is added.

    Inputs:
        - **data**: (N, in_channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W).
    """

    def __init__(self, channels, in_channels, norm, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.conv = _conv(channels, 1, in_channels)
            self.norm = make_norm(norm, channels, EPSILON)

    def hybrid_forward(self, F, x):
        features = self.conv(x)
        return features + relu(F, self.norm(features))


class DPEDDenseNet(NormalizedNet):
    """DPED's generator with dense blocks in place of the residual ones.

    Three blocks, with transitions between them. The report it is from prints the block (as a plain
    chain, ``dense=False``, though it describes DenseNet's wiring) and little else: the 9x9 head,
    the transitions, the 3x3 tail and the factor of the tanh are choices made here. A transition
    adds to what it normalizes, as DPED's blocks do: else no layer behind it could know how bright
    the image is.

    Parameters
    ----------
    num_blocks, num_layers : int
        Blocks, and convolutions in each.
    channels : int
        Channels of each convolution.
    dense : bool
        DenseNet's wiring, or the chain.
    norm : {'instance', 'batch', 'batch_stats', 'layer'}
        Of the transitions.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H, W) RGB in [-0.08, 1.08], not clipped.
    """

    def __init__(
        self, num_blocks=3, num_layers=12, channels=16, dense=False, norm="instance", **kwargs
    ):
        super().__init__(**kwargs)
        with self.name_scope():
            self.head = _conv(channels, 9, 3, "relu")
            self.body = nn.HybridSequential()
            with self.body.name_scope():
                for k in range(num_blocks):
                    if k:
                        self.body.add(Transition(channels, num_layers * channels, norm))
                    self.body.add(DenseBlock(channels, num_layers, dense))
            self.tail = _conv(3, 3, num_layers * channels, kind=NarrowConv2D)

    def initialize_as_identity(self, rng, ctx=None):
        """Start as `DPEDResNet.initialize_as_identity` does."""
        transitions = list(self.body)[1::2]
        blocks = [conv for block in list(self.body)[::2] for conv in block.convs]
        convs = (self.head, *blocks, *(transition.conv for transition in transitions))
        norms = [transition.norm for transition in transitions]
        _start_as_identity(self, convs, norms, TANH_SCALE, rng, ctx)

    def hybrid_forward(self, F, x):
        features = self.body(self.head(x))
        return TANH_SCALE * F.Activation(self.tail(features), act_type="tanh") + 0.5


class _StridedConv(mx.gluon.HybridBlock):
    """Convolution with TensorFlow's 'SAME' padding, which under a stride is uneven."""

    def __init__(self, channels, kernel_size, strides, in_channels, size, **kwargs):
        super().__init__(**kwargs)
        self.out_size = -(-size // strides)
        padding = max((self.out_size - 1) * strides + kernel_size - size, 0)
        self._padding = (padding // 2, padding - padding // 2)
        with self.name_scope():
            self.conv = nn.Conv2D(channels, kernel_size, strides, in_channels=in_channels)

    def hybrid_forward(self, F, x):
        pad_width = (0, 0, 0, 0, *self._padding, *self._padding)
        return self.conv(F.pad(x, mode="constant", pad_width=pad_width, constant_value=0))


class DPEDDiscriminator(mx.gluon.HybridBlock):
    """Discriminator of DPED [1]_: tells a camera's patches from enhanced ones.

    Parameters
    ----------
    in_channels : int
        1 for gray patches (texture), 3 for blurred color patches.
    num_classes : int
        Logits a patch gets: 2 in DPED, to a softmax; 1 to a sigmoid.
    norm : {'instance', 'batch', 'batch_stats', 'layer'}
        After the activation of every convolution but the first.
    patch_size : int
        Side of the patches, in pixels.
    channels : int
        Of the first convolution; those of the others are in proportion.

    Inputs:
        - **data**: (N, in_channels, patch_size, patch_size) in [0, 1].

    Outputs:
        - **out**: (N, num_classes), logits.

    Raises
    ------
    ValueError
        If there is no such norm.
    """

    def __init__(
        self, in_channels=1, num_classes=2, norm="instance", patch_size=100, channels=48, **kwargs
    ):
        super().__init__(**kwargs)
        layers = ((48, 11, 4), (128, 5, 2), (192, 3, 1), (192, 3, 1), (128, 3, 2))
        layers = [(max(1, channels * width // 48), *shape) for width, *shape in layers]
        with self.name_scope():
            self.body = nn.HybridSequential()
            with self.body.name_scope():
                size = patch_size
                for k, (channels, kernel_size, strides) in enumerate(layers):
                    conv = _StridedConv(channels, kernel_size, strides, in_channels, size)
                    self.body.add(conv, nn.LeakyReLU(NEGATIVE_SLOPE))
                    if k:
                        self.body.add(make_norm(norm, channels, EPSILON))
                    in_channels, size = channels, conv.out_size
            self.tail = nn.HybridSequential()
            with self.tail.name_scope():
                self.tail.add(
                    nn.Dense(1024, in_units=in_channels * size**2),
                    nn.LeakyReLU(NEGATIVE_SLOPE),
                    nn.Dense(num_classes, in_units=1024),
                )

    def hybrid_forward(self, F, x):
        return self.tail(self.body(x))
