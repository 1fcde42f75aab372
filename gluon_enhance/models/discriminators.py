"""Discriminators of SRGAN and ESRGAN, which tell photos from enlarged ones.

References
----------
.. [1] Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
   Network", CVPR 2017. https://arxiv.org/abs/1609.04802
.. [2] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
   ECCV Workshops 2018. https://arxiv.org/abs/1809.00219
"""

from gluon_enhance.framework import mx

nn = mx.gluon.nn

NEGATIVE_SLOPE = 0.2


class _Discriminator(mx.gluon.HybridBlock):
    """Convolutions as (channels, kernel size, strides), all but the first normalized; two Dense."""

    def __init__(self, layers, patch_size, units, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            with self.body.name_scope():
                in_channels, size = 3, patch_size
                for k, (channels, kernel_size, strides) in enumerate(layers):
                    self.body.add(
                        nn.Conv2D(
                            channels,
                            kernel_size,
                            strides,
                            padding=1,
                            use_bias=k == 0,
                            in_channels=in_channels,
                        )
                    )
                    if k:  # it shifts, so that these convolutions need no bias
                        self.body.add(nn.BatchNorm(in_channels=channels))
                    self.body.add(nn.LeakyReLU(NEGATIVE_SLOPE))
                    in_channels, size = channels, (size + 2 - kernel_size) // strides + 1
            self.tail = nn.HybridSequential()
            with self.tail.name_scope():
                self.tail.add(
                    nn.Dense(units, in_units=in_channels * size**2),
                    nn.LeakyReLU(NEGATIVE_SLOPE),
                    nn.Dense(1, in_units=units),
                )

    def hybrid_forward(self, F, x):
        return self.tail(self.body(x))


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
