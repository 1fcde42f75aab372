"""Convolutions that MXNet computes slowly or not safely, and the layout of what they give."""

from gluon_enhance.framework import mx

nn = mx.gluon.nn

FULL_WIDTH = 16
"""Output channels that oneDNN's blocked kernels compute at once."""


def plain(F, x):
    """Copy from oneDNN's layout to the plain one, and gradients back.

    What convolutions give, and their gradients, have layouts of blocks, in which MXNet's reshape
    fails; of other operators each would convert them for itself.
    """
    return F.slice_axis(x, axis=0, begin=0, end=None)


class NarrowConv2D(nn.Conv2D):
    """A `Conv2D` with few output channels, such as the last one of a net that yields RGB.

    oneDNN has no fast kernel for 3 output channels: the convolution runs with zero kernels beside
    its own, up to 16, and drops their results; backward that takes a quarter of the time. With 16
    channels and more it is a plain convolution.

    Attributes
    ----------
    exporting : bool
        Set while a graph is exported: it is then a plain convolution.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.exporting = False

    def hybrid_forward(self, F, x, weight, bias=None):
        channels = self._kwargs["num_filter"]
        if self.exporting or channels >= FULL_WIDTH:
            return super().hybrid_forward(F, x, weight, bias)
        wide = {**self._kwargs, "num_filter": FULL_WIDTH}
        inputs = [x, *(_widened(F, one, channels) for one in (weight, bias) if one is not None)]
        result = F.slice_axis(F.Convolution(*inputs, **wide), axis=1, begin=0, end=channels)
        return result if self.act is None else self.act(result)


class DoublingConv2D(nn.Conv2DTranspose):
    """A 3x3 transposed convolution that doubles height and width.

    Attributes
    ----------
    exporting : bool
        Set while a graph is exported: it is then a plain transposed convolution.
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
        self.exporting = False
        self.repeatable = False

    def hybrid_forward(self, F, x, weight, bias):
        if self.exporting or not self.repeatable:
            return super().hybrid_forward(F, x, weight, bias)
        in_channels, channels = self._in_channels, self._channels
        depthwise = {"num_filter": in_channels, "num_group": in_channels, "no_bias": True}
        spread = {"kernel": (1, 1), "stride": (2, 2), "adj": (1, 1), **depthwise}
        x = F.Deconvolution(x, F.ones((in_channels, 1, 1, 1)), **spread)
        weight = F.reverse(F.transpose(weight, (1, 0, 2, 3)), axis=(2, 3))
        return F.Convolution(x, weight, bias, kernel=(3, 3), pad=(1, 1), num_filter=channels)


def _widened(F, array, channels):
    row = F.zeros_like(F.slice_axis(array, axis=0, begin=0, end=1))
    return F.concat(array, *[row] * (FULL_WIDTH - channels), dim=0)
