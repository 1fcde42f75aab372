"""Convolutions with few output channels, and the layout of what convolutions give."""

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


def _widened(F, array, channels):
    row = F.zeros_like(F.slice_axis(array, axis=0, begin=0, end=1))
    return F.concat(array, *[row] * (FULL_WIDTH - channels), dim=0)
