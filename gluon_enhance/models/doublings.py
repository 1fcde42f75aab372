"""The end of RRDBNet, which SRVGGNetBilinear has too, with another enlargement.

References
----------
.. [1] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
   ECCV Workshops 2018. https://arxiv.org/abs/1809.00219
"""

from gluon_enhance.framework import mx
from gluon_enhance.models.blocks import conv3x3, image_tail
from gluon_enhance.models.layers.activations import leaky_relu
from gluon_enhance.models.layers.initialization import SMOOTH, carry

nn = mx.gluon.nn

NEGATIVE_SLOPE = 0.2


class Doublings:
    """For nets that enlarge by doublings, each with a convolution [1]_.

    The layers are the net's own, `upsample` and `tail`, as their names are the file format.
    """

    def _add_doublings(self, count, channels, image_channels):
        """Add the layers, in the net's `name_scope`."""
        self.upsample = nn.HybridSequential()
        with self.upsample.name_scope():
            self.upsample.add(*(conv3x3(channels, channels) for _ in range(count)))
        self.tail = image_tail(channels, image_channels, NEGATIVE_SLOPE)

    def _doubled(self, F, features):
        """Enlarge (N, channels, H, W), and make (N, image_channels, ...) of it."""
        for conv in self.upsample:
            features = leaky_relu(F, conv(self._enlarged(F, features)), NEGATIVE_SLOPE)
        return self.tail(features)

    def _enlarged(self, F, features):
        """Double the size by nearest neighbors, unless the net has another way."""
        return F.UpSampling(features, scale=2, sample_type="nearest")

    def _carry_through_doublings(self, line=SMOOTH):
        """Have the end of a net that starts as an interpolator carry RGB, by this kernel."""
        for conv in self.upsample:
            carry(conv, line)
        carry(self.tail[0])
        carry(self.tail[2], mix=True)
