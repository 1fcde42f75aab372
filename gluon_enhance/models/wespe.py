"""WESPE: photo enhancement learned without pairs of photos.

Four nets: a generator from phone to camera, the backward generator, which is the same net and
trained beside it, and two discriminators, one of colors and one of texture. All have DPED's
layers.

References
----------
.. [1] Ignatov et al., "WESPE: Weakly Supervised Photo Enhancer for Digital Cameras",
   CVPR Workshops 2018. https://arxiv.org/abs/1709.01118
"""

from gluon_enhance.models.dped import TANH_SCALE, DPEDDiscriminator, DPEDResNet


class WESPEGenerator(DPEDResNet):
    """Generator of WESPE [1]_, forward and backward: DPED's with batch normalization.

    Parameters
    ----------
    norm : {'batch', 'instance', 'layer', 'batch_stats'}
        'batch' is the paper's; 'instance' is what kept a re-implementation's discriminators
        learning.
    tanh_scale : float
        Half the range of the output: 0.58 as in DPED, or the natural 0.5.
    **kwargs
        `num_blocks` and `channels` of `DPEDResNet`.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H, W) RGB, from 0.5 - tanh_scale to 0.5 + tanh_scale, not clipped.
    """

    def __init__(self, norm="batch", tanh_scale=TANH_SCALE, **kwargs):
        super().__init__(norm=norm, tanh_scale=tanh_scale, **kwargs)


class ColorDiscriminator(DPEDDiscriminator):
    """Discriminator of WESPE [1]_ that sees blurred patches: their colors.

    Parameters
    ----------
    num_classes : int
        1 logit to a sigmoid, or 2 to a softmax.
    norm : {'batch', 'instance', 'layer', 'batch_stats'}
    patch_size : int
        Side of the patches, in pixels.
    **kwargs
        `channels` of `DPEDDiscriminator`.

    Inputs:
        - **data**: (N, 3, patch_size, patch_size) RGB in [0, 1], blurred.

    Outputs:
        - **out**: (N, num_classes), logits.
    """

    def __init__(self, num_classes=1, norm="batch", patch_size=100, **kwargs):
        super().__init__(3, num_classes, norm, patch_size, **kwargs)


class TextureDiscriminator(DPEDDiscriminator):
    """Discriminator of WESPE [1]_ that sees gray patches: their texture.

    Parameters
    ----------
    num_classes : int
        1 logit to a sigmoid, or 2 to a softmax.
    norm : {'batch', 'instance', 'layer', 'batch_stats'}
    patch_size : int
        Side of the patches, in pixels.
    **kwargs
        `channels` of `DPEDDiscriminator`.

    Inputs:
        - **data**: (N, 1, patch_size, patch_size) gray in [0, 1].

    Outputs:
        - **out**: (N, num_classes), logits.
    """

    def __init__(self, num_classes=1, norm="batch", patch_size=100, **kwargs):
        super().__init__(1, num_classes, norm, patch_size, **kwargs)
