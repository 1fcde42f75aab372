"""Discriminators of SRGAN, ESRGAN and pix2pix, which tell photos from enlarged ones.

References
----------
.. [1] Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
   Network", CVPR 2017. https://arxiv.org/abs/1609.04802
.. [2] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
   ECCV Workshops 2018. https://arxiv.org/abs/1809.00219
.. [3] SRGAN of TensorLayer. https://github.com/tensorlayer/srgan
.. [4] SRGAN of leftthomas. https://github.com/leftthomas/SRGAN
.. [5] Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017.
   https://arxiv.org/abs/1611.07004
"""

from gluon_enhance.framework import mx

nn = mx.gluon.nn

NEGATIVE_SLOPE = 0.2


class _Discriminator(mx.gluon.HybridBlock):
    """Convolutions as of `_convolutions`, and two Dense."""

    def __init__(self, layers, patch_size, units, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body, in_channels, size = _convolutions(layers, 3, patch_size)
            self.tail = nn.HybridSequential()
            with self.tail.name_scope():
                self.tail.add(
                    nn.Dense(units, in_units=in_channels * size**2),
                    nn.LeakyReLU(NEGATIVE_SLOPE),
                    nn.Dense(1, in_units=units),
                )

    def hybrid_forward(self, F, x):
        return self.tail(self.body(x))


def _convolutions(layers, in_channels, size, first_normalized=False):
    """Build convolutions, given as (channels, kernel size, strides), with norms between them.

    Returns the block, and the channels and the side of what it gives.
    """
    body = nn.HybridSequential()
    with body.name_scope():
        for k, (channels, kernel_size, strides) in enumerate(layers):
            normalized = k > 0 or first_normalized
            padding = kernel_size // 2 if strides == 1 else 1
            options = {"padding": padding, "use_bias": not normalized, "in_channels": in_channels}
            body.add(nn.Conv2D(channels, kernel_size, strides, **options))
            if normalized:  # it shifts, so that these convolutions need no bias
                body.add(nn.BatchNorm(in_channels=channels))
            body.add(nn.LeakyReLU(NEGATIVE_SLOPE))
            in_channels, size = channels, (size + 2 * padding - kernel_size) // strides + 1
    return body, in_channels, size


class VGG128(_Discriminator):
    """Discriminator of ESRGAN [2]_.

    Parameters
    ----------
    patch_size : int
        Side of the patches, in pixels.
    channels : int
        Channels of the first layer; the last have eight times as many.

    Inputs:
        - **data**: (N, 3, patch_size, patch_size) RGB in [0, 1].

    Outputs:
        - **out**: (N, 1), logits.
    """

    def __init__(self, patch_size=128, channels=64, **kwargs):
        widths = [channels * factor for factor in (1, 2, 4, 8, 8)]
        layers = [layer for width in widths for layer in ((width, 3, 1), (width, 4, 2))]
        super().__init__(layers, patch_size, 100, **kwargs)


class SRGANDiscriminator(_Discriminator):
    """Discriminator of SRGAN [1]_.

    Parameters
    ----------
    patch_size : int
        Side of the patches, in pixels.
    channels : int
        Channels of the first layer; the last have eight times as many.

    Inputs:
        - **data**: (N, 3, patch_size, patch_size) RGB in [0, 1].

    Outputs:
        - **out**: (N, 1), logits.
    """

    def __init__(self, patch_size=96, channels=64, **kwargs):
        widths = [channels * factor for factor in (1, 2, 4, 8)]
        layers = [layer for width in widths for layer in ((width, 3, 1), (width, 3, 2))]
        super().__init__(layers, patch_size, 1024, **kwargs)


class PooledDiscriminator(mx.gluon.HybridBlock):
    """Discriminator of leftthomas's SRGAN [4]_: the paper's convolutions, and their mean.

    Parameters
    ----------
    patch_size : int
        Not used: patches of any size are judged.
    channels : int
        Channels of the first layer; the last have sixteen times as many.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 1), logits.
    """

    def __init__(self, patch_size=88, channels=64, **kwargs):
        super().__init__(**kwargs)
        widths = [channels * factor for factor in (1, 2, 4, 8)]
        layers = [layer for width in widths for layer in ((width, 3, 1), (width, 3, 2))]
        with self.name_scope():
            self.body, in_channels, _ = _convolutions(layers, 3, patch_size)
            self.tail = nn.HybridSequential()
            with self.tail.name_scope():
                self.tail.add(
                    nn.GlobalAvgPool2D(),
                    nn.Conv2D(16 * channels, 1, in_channels=in_channels),
                    nn.LeakyReLU(NEGATIVE_SLOPE),
                    nn.Conv2D(1, 1, in_channels=16 * channels),
                    nn.Flatten(),
                )

    def hybrid_forward(self, F, x):
        return self.tail(self.body(x))


class TensorLayerDiscriminator(mx.gluon.HybridBlock):
    """Discriminator of TensorLayer's SRGAN [3]_: six halvings, and a residual block at the end.

    Parameters
    ----------
    patch_size : int
        Side of the patches, in pixels; theirs is 384.
    channels : int
        Channels of the first layer; the sixth has 32 times as many.

    Inputs:
        - **data**: (N, 3, patch_size, patch_size) RGB in [0, 1].

    Outputs:
        - **out**: (N, 1), logits.

    Raises
    ------
    ValueError
        If the patches are smaller than 64 pixels.
    """

    def __init__(self, patch_size=384, channels=64, **kwargs):
        if patch_size < 64:
            raise ValueError(f"patch_size is {patch_size}; six halvings need 64 pixels at least")
        super().__init__(**kwargs)
        halving = [(channels * factor, 4, 2) for factor in (1, 2, 4, 8, 16, 32)]
        with self.name_scope():
            self.body, width, size = _convolutions([*halving, (16 * channels, 1, 1)], 3, patch_size)
            # Its last norm has no activation behind it, before the sum.
            self.last = nn.HybridSequential()
            self.last.add(
                nn.Conv2D(8 * channels, 1, use_bias=False, in_channels=width),
                nn.BatchNorm(in_channels=8 * channels),
            )
            residual = [(2 * channels, 1, 1), (2 * channels, 3, 1)]
            self.residual, width, _ = _convolutions(residual, 8 * channels, size, True)
            self.residual.add(
                nn.Conv2D(8 * channels, 3, padding=1, use_bias=False, in_channels=width),
                nn.BatchNorm(in_channels=8 * channels),
            )
            self.tail = nn.Dense(1, in_units=8 * channels * size**2)

    def hybrid_forward(self, F, x):
        features = self.last(self.body(x))
        features = F.LeakyReLU(
            features + self.residual(features), act_type="leaky", slope=NEGATIVE_SLOPE
        )
        return self.tail(features)


class PatchDiscriminator(mx.gluon.HybridBlock):
    """Discriminator of pix2pix [5]_, PatchGAN: each logit judges a patch of 70x70 pixels.

    It has no norms, which would hide contrast from it.

    Parameters
    ----------
    channels : int
        Channels of the first layer; the last but one has eight times as many.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 1, H / 8 - 2, W / 8 - 2), logits.
    """

    def __init__(self, channels=64, **kwargs):
        super().__init__(**kwargs)
        widths, strides = [channels * factor for factor in (1, 2, 4, 8)], (2, 2, 2, 1)
        with self.name_scope():
            self.body = nn.HybridSequential()
            for width, stride, in_channels in zip(widths, strides, (3, *widths)):
                self.body.add(nn.Conv2D(width, 4, stride, 1, in_channels=in_channels))
                self.body.add(nn.LeakyReLU(NEGATIVE_SLOPE))
            self.body.add(nn.Conv2D(1, 4, padding=1, in_channels=widths[-1]))

    def hybrid_forward(self, F, x):
        return self.body(x)
