"""The U-Net discriminator of Real-ESRGAN, whose spectral norms keep it from winning early.

References
----------
.. [1] Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
   Data", ICCV Workshops 2021. https://arxiv.org/abs/2107.10833
.. [2] Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018.
   https://arxiv.org/abs/1802.05957
"""

from gluon_enhance.framework import mx
from gluon_enhance.models.blocks import conv3x3
from gluon_enhance.models.layers.activations import leaky_relu

nn = mx.gluon.nn

NEGATIVE_SLOPE = 0.2
EPSILON = 1e-12


class SpectralConv2D(mx.gluon.nn.Conv2D):
    """A convolution without bias, divided by the largest singular value of its kernel [2]_.

    The kernel is taken for a matrix of (channels, the rest). Its singular vectors `u` and `v` are
    estimates that `iterate` improves; gradients take them for constants.

    Parameters
    ----------
    channels, in_channels, kernel_size, strides, padding : int
    """

    def __init__(self, channels, in_channels, kernel_size, strides=1, padding=1, **kwargs):
        super().__init__(
            channels,
            kernel_size,
            strides,
            padding,
            in_channels=in_channels,
            use_bias=False,
            **kwargs,
        )
        width = in_channels * kernel_size**2
        with self.name_scope():
            vector = {"grad_req": "null", "init": mx.init.Normal(1)}
            self.u = self.params.get("u", shape=(channels,), **vector)
            self.v = self.params.get("v", shape=(width,), **vector)

    def iterate(self, ctx):
        """Take one step of the power iteration, on one device."""
        weight, u, v = (p.data(ctx) for p in (self.weight, self.u, self.v))
        matrix = weight.reshape((0, -1))
        v[:] = _normalized(mx.nd.dot(u, matrix))
        u[:] = _normalized(mx.nd.dot(matrix, v))

    def hybrid_forward(self, F, x, weight, u, v):
        matrix = F.reshape(weight, (0, -1))
        rows = F.dot(matrix, F.BlockGrad(v))
        largest = F.sum(F.BlockGrad(u) * rows)
        return super().hybrid_forward(
            F, x, F.broadcast_div(weight, F.reshape(largest, (1, 1, 1, 1)))
        )


def _normalized(vector):
    return vector / (mx.nd.norm(vector) + EPSILON)


class UNetDiscriminator(mx.gluon.HybridBlock):
    """Discriminator of Real-ESRGAN [1]_: it judges every pixel, by its surroundings far and near.

    While it trains, each call improves its device's estimates of the spectral norms by one step.

    Parameters
    ----------
    channels : int
        Channels of the first layer; the deepest have eight times as many.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1]; H and W multiples of 8.

    Outputs:
        - **out**: (N, 1, H, W), logits.
    """

    def __init__(self, channels=64, **kwargs):
        super().__init__(**kwargs)
        widths = [channels * factor for factor in (1, 2, 4, 8)]
        with self.name_scope():
            self.head = conv3x3(channels, 3)
            self.down, self.up = nn.HybridSequential(), nn.HybridSequential()
            with self.down.name_scope():
                for wide, narrow in zip(widths[1:], widths):
                    self.down.add(SpectralConv2D(wide, narrow, 4, 2))
            with self.up.name_scope():
                for wide, narrow in zip(widths[:0:-1], widths[-2::-1]):
                    self.up.add(SpectralConv2D(narrow, wide, 3))
            self.tail = nn.HybridSequential()
            with self.tail.name_scope():
                for _ in range(2):
                    self.tail.add(
                        SpectralConv2D(channels, channels, 3), nn.LeakyReLU(NEGATIVE_SLOPE)
                    )
                self.tail.add(conv3x3(1, channels))

    def forward(self, x, *args):
        if mx.autograd.is_training() and isinstance(x, mx.nd.NDArray):
            with mx.autograd.pause():
                for conv in (*self.down, *self.up, self.tail[0], self.tail[2]):
                    conv.iterate(x.context)
        return super().forward(x, *args)

    def hybrid_forward(self, F, x):
        maps = [leaky_relu(F, self.head(x), NEGATIVE_SLOPE)]
        for conv in self.down:
            maps.append(leaky_relu(F, conv(maps[-1]), NEGATIVE_SLOPE))
        x = maps.pop()
        for conv in self.up:
            x = F.contrib.BilinearResize2D(
                x, scale_height=2, scale_width=2, mode="size", align_corners=False
            )
            x = leaky_relu(F, conv(x), NEGATIVE_SLOPE) + maps.pop()
        return self.tail(x)
