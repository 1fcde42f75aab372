"""Convolutions that MXNet computes slowly or not safely, and the layout of what they give."""

import numpy as np

from gluon_enhance.forms import FAST, PLAIN
from gluon_enhance.framework import mx

nn = mx.gluon.nn

FULL_WIDTH = 16
"""Output channels that oneDNN's blocked kernels compute at once."""


def unblocked(F, x):
    """Copy from oneDNN's layout to the plain one, and gradients back.

    What convolutions give, and their gradients, have layouts of blocks, in which MXNet's reshape
    fails; of other operators each would convert them for itself.
    """
    return F.slice_axis(x, axis=0, begin=0, end=None)


def reflected(F, x, border):
    """Reflect an image out by a border at every side."""
    if not border:
        return x
    return F.pad(x, mode="reflect", pad_width=(0, 0, 0, 0, *[border] * 4))


class NarrowConv2D(mx.gluon.nn.Conv2D):
    """A `Conv2D` with few output channels, such as the last one of a net that yields RGB.

    oneDNN computes 16 output channels at least. Here each row of the kernels gives channels of its
    own, and a second convolution adds them, each moved by its row's distance from the middle one:
    9x9 kernels to 3 channels take a quarter of the time. With 16 channels and more, or in groups,
    it is a plain convolution.

    Attributes
    ----------
    form : str
        As in `gluon_enhance.forms`: only a fast one is more than a plain convolution.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.form = PLAIN

    def hybrid_forward(self, F, x, weight, bias=None):
        options, channels = self._kwargs, self._kwargs["num_filter"]
        if self.form != FAST or channels >= FULL_WIDTH or options["num_group"] > 1:
            return super().hybrid_forward(F, x, weight, bias)
        height = options["kernel"][0]
        count = height * channels
        width = -(-count // FULL_WIDTH) * FULL_WIDTH
        rows = F.reshape(F.transpose(weight, (2, 0, 1, 3)), (-3, 0, 1, -1))
        rows = _widened(F, rows, count, width)
        x = F.Convolution(x, rows, no_bias=True, num_filter=width, **_along(options, 1))
        dtype = np.dtype(self.weight.dtype).name
        places = F.one_hot(F.contrib.arange_like(rows, axis=0), count, dtype=dtype)
        places = F.transpose(F.reshape(places, (width, height, channels, 1)), (2, 0, 1, 3))
        inputs = [
            _widened(F, one, channels, FULL_WIDTH) for one in (places, bias) if one is not None
        ]
        options = {"no_bias": bias is None, "num_filter": FULL_WIDTH, **_along(options, 0)}
        result = F.slice_axis(F.Convolution(x, *inputs, **options), axis=1, begin=0, end=channels)
        return result if self.act is None else self.act(result)


class DoublingConv2D(mx.gluon.nn.Conv2DTranspose):
    """A 3x3 transposed convolution that doubles height and width.

    Attributes
    ----------
    form : str
        As in `gluon_enhance.forms`: only a fast one can be repeatable.
    repeatable : bool
        Whether several calls may be recorded before one backward. MXNet's operator, which is
        quicker, then crashes the process: it cannot write a gradient of its weight that is yet to
        be added to another. Instead, a convolution sees the input with zeros between its pixels.

    Parameters
    ----------
    channels, in_channels : int

    Inputs:
        - **data**: (N, in_channels, H, W).

    Outputs:
        - **out**: (N, channels, 2 * H, 2 * W).
    """

    def __init__(self, channels, in_channels, **kwargs):
        super().__init__(
            channels, 3, 2, padding=1, output_padding=1, in_channels=in_channels, **kwargs
        )
        self.form = PLAIN
        self.repeatable = False

    def hybrid_forward(self, F, x, weight, bias):
        if self.form != FAST or not self.repeatable:
            return super().hybrid_forward(F, x, weight, bias)
        in_channels, channels = self._in_channels, self._channels
        depthwise = {"num_filter": in_channels, "num_group": in_channels, "no_bias": True}
        spread = {"kernel": (1, 1), "stride": (2, 2), "adj": (1, 1), **depthwise}
        x = F.Deconvolution(x, F.ones((in_channels, 1, 1, 1)), **spread)
        weight = F.reverse(F.transpose(weight, (1, 0, 2, 3)), axis=(2, 3))
        return F.Convolution(x, weight, bias, kernel=(3, 3), pad=(1, 1), num_filter=channels)


def _along(options, axis):
    """Return a convolution's options as they are along one axis, and none along the other."""
    neutral = {"kernel": 1, "stride": 1, "pad": 0, "dilate": 1}
    return {
        name: tuple(options[name][i] if i == axis else value for i in (0, 1))
        for name, value in neutral.items()
    }


def _widened(F, array, count, width):
    """Add zeros to `count` rows, up to `width`."""
    row = F.zeros_like(F.slice_axis(array, axis=0, begin=0, end=1))
    return F.concat(array, *[row] * (width - count), dim=0)
