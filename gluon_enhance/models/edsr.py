"""EDSR: residual blocks without normalization, wide and deep.

References
----------
.. [1] Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution",
   CVPR Workshops 2017. https://arxiv.org/abs/1707.02921
"""

import numpy as np

from gluon_enhance.errors import plural
from gluon_enhance.framework import constant, mx
from gluon_enhance.models.blocks import ResidualBlock, SubPixelConv, conv3x3
from gluon_enhance.models.layers.initialization import carry, carry_enlarged, start_small

nn = mx.gluon.nn

MEAN = (0.4488, 0.4371, 0.4040)
"""Mean RGB of the DIV2K photos, in [0, 1]."""
FACTORS = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
"""Scale -> those of the enlarging convolutions."""
RANGE = 255
"""Between head and tail, colors run over 0 to 255 (less the mean): the official weights' range."""


class EDSR(mx.gluon.HybridBlock):
    """EDSR [1]_: by default the baseline; the full net has 32 blocks of 256 channels, scale 0.1.

    Parameters
    ----------
    scale : {4, 3, 2, 8}
        Ratio of output to input size.
    num_blocks : int
        Residual blocks.
    channels : int
        Channels of every layer.
    residual_scale : float
        What a block's convolutions are multiplied with; 0.1 keeps wide nets stable.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: (N, 3, H * scale, W * scale) RGB, about [0, 1], not clipped.

    Raises
    ------
    ValueError
        If the scale is not 2, 3, 4 or 8.
    """

    def __init__(self, scale=4, num_blocks=16, channels=64, residual_scale=1, **kwargs):
        if scale not in FACTORS:
            raise ValueError(f"scale is {scale}; EDSR has {', '.join(map(str, FACTORS))}")
        super().__init__(**kwargs)
        self._residual_scale = residual_scale
        with self.name_scope():
            mean = mx.nd.array(np.reshape(MEAN, (1, 3, 1, 1)))
            self.mean = constant(self.params, "mean", mean)
            self.head = conv3x3(channels, 3)
            self.body = nn.HybridSequential()
            with self.body.name_scope():
                for _ in range(num_blocks):
                    self.body.add(ResidualBlock(channels, residual_scale))
                self.body.add(conv3x3(channels, channels))
            self.upsample = nn.HybridSequential()
            with self.upsample.name_scope():
                for factor in FACTORS[scale]:
                    self.upsample.add(SubPixelConv(channels, factor, channels))
            self.tail = conv3x3(3, channels)

    def initialize_as_interpolator(self, rng, ctx=None):
        """Start as `gluon_enhance.models.layers.initialization` has it.

        Parameters
        ----------
        rng : numpy.random.Generator
        ctx : mxnet.Context or list, optional
        """
        start_small(self, rng, ctx)
        carry(self.head)
        for conv in self.upsample:
            carry_enlarged(conv)
        carry(self.tail, mix=True)

    def initialize_from(self, net):
        """Copy a trained net of any scale, as far as it fits: the paper's x3 and x4 start from x2.

        Head and body must; of upsampling and tail, what has other shapes stays as it is: call
        ``initialize`` first. Of the same scale the net becomes the one given.

        Parameters
        ----------
        net : EDSR
            With as many blocks and channels, and the same residual scale.

        Raises
        ------
        ValueError
            If the nets differ in these.
        """
        own, other = self._collect_params_with_prefix(), net._collect_params_with_prefix()
        shapes = [
            {name: p.shape for name, p in all_of.items() if name.startswith(("head.", "body."))}
            for all_of in (own, other)
        ]
        if shapes[0] != shapes[1] or self._residual_scale != net._residual_scale:
            raise ValueError(
                f"head and body are {self._size()}, but {net._size()} in the net given"
            )
        for name in own.keys() & other.keys():
            if own[name].shape == other[name].shape:
                for array in own[name].list_data():
                    other[name].list_data()[0].copyto(array)

    def _size(self):
        blocks = plural(len(self.body) - 1, "block")
        channels = plural(self.head.weight.shape[0], "channel")
        return f"{blocks} of {channels}, scaled {self._residual_scale}"

    def hybrid_forward(self, F, x, mean):
        features = self.head(F.broadcast_sub(x, mean) * RANGE)
        features = features + self.body(features)
        return F.broadcast_add(self.tail(self.upsample(features)) / RANGE, mean)
