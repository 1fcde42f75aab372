"""SRVGGNetCompact, the small nets of Real-ESRGAN for video and general photos.

References
----------
.. [1] Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
   Data", ICCV Workshops 2021. https://arxiv.org/abs/2107.10833
"""

from gluon_enhance.framework import mx
from gluon_enhance.models.blocks import SubPixelConv, conv3x3
from gluon_enhance.models.colors import check_channels, from_rgb, to_rgb
from gluon_enhance.models.layers.activations import PReLU

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
            self.head = nn.HybridSequential()
            with self.head.name_scope():
                self.head.add(conv3x3(channels, image_channels), PReLU(channels))
            self.body = nn.HybridSequential()
            with self.body.name_scope():
                for _ in range(num_convs):
                    self.body.add(conv3x3(channels, channels), PReLU(channels))
            self.tail = SubPixelConv(image_channels, scale, channels)

    def hybrid_forward(self, F, x):
        nearest = x
        if self._scale > 1:
            nearest = F.UpSampling(x, scale=self._scale, sample_type="nearest")
        detail = self.tail(self.body(self.head(from_rgb(F, x, self._image_channels))))
        # In this order MXNet's AMP can convert the sum.
        return nearest + to_rgb(F, detail, self._image_channels)
