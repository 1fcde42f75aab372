"""A start for super-resolution nets: before any training they enlarge their input smoothly.

Three channels carry RGB from head to tail by identity and smoothing kernels; the rest starts small,
as the Kaiming x 0.1 of ESRGAN's authors does. On a small budget this saves the steps that a random
start spends on learning to interpolate.
"""

import numpy as np

from gluon_enhance.framework import mx

GAIN = 0.1
IDENTITY = (1,)
SMOOTH = (0.25, 0.5, 0.25)


def start_small(net, rng, ctx=None):
    """Initialize a net with small convolutions; what is no convolution gets Gluon's own start.

    Parameters
    ----------
    net : HybridBlock
        Its shapes are known.
    rng : numpy.random.Generator
    ctx : mxnet.Context or list, optional
    """
    net.initialize(mx.init.Zero(), ctx=ctx, force_reinit=True)
    for parameter in net.collect_params().values():
        if len(parameter.shape) == 4 and parameter.grad_req != "null":
            deviation = GAIN * np.sqrt(2 / np.prod(parameter.shape[1:]))
            parameter.set_data(mx.nd.array(rng.normal(0, deviation, parameter.shape)))


def carry(conv, line=IDENTITY, channels=3, gain=1.0, mix=False):
    """Have a convolution's first channels be those of its input under a kernel.

    Parameters
    ----------
    conv : Conv2D
    line : sequence of float
        The kernel is the outer product of it with itself, in the middle of the convolution's.
    channels : int
        How many are carried.
    gain : float
        Factor of the kernel.
    mix : bool
        Leave the other inputs' small part in these channels, as the last convolution of a net
        needs: else what the rest of the net adds would not come out.
    """
    weight = conv.weight.data(conv.weight.list_ctx()[0]).asnumpy()
    if not mix:
        weight[:channels] = 0
    first = (weight.shape[2] - len(line)) // 2
    window = slice(first, first + len(line))
    for k in range(channels):
        weight[k, k] = 0
        weight[k, k, window, window] = gain * np.outer(line, line)
    conv.weight.set_data(mx.nd.array(weight))


def carry_enlarged(conv):
    """Have a `SubPixelConv`'s first three channels be those of its input, enlarged bilinearly."""
    factor, weight = conv.sub_pixel_factor, conv.weight.data(conv.weight.list_ctx()[0]).asnumpy()
    channels = len(weight) // factor**2
    for dy, column in enumerate(bilinear_lines(factor)):
        for dx, row in enumerate(bilinear_lines(factor)):
            first = (dy * factor + dx) * channels
            weight[first : first + 3] = 0
            weight[range(first, first + 3), range(3)] = np.outer(column, row)
    conv.weight.set_data(mx.nd.array(weight))


def carry_folded(conv, channels):
    """Have a 3x3 convolution of stride 2 keep every pixel of its input's first channels.

    The four pixels of each 2x2 square become channels: four times as many are carried.
    """
    weight = conv.weight.data(conv.weight.list_ctx()[0]).asnumpy()
    weight[: 4 * channels] = 0
    _connect_squares(weight, channels)
    conv.weight.set_data(mx.nd.array(weight))


def carry_unfolded(conv, channels):
    """Have a transposed 3x3 convolution of stride 2 undo `carry_folded` of so many channels."""
    weight = conv.weight.data(conv.weight.list_ctx()[0]).asnumpy()
    weight[:, :channels] = 0
    _connect_squares(weight, channels)
    conv.weight.set_data(mx.nd.array(weight))


def carry_mean_unfolded(conv, channels):
    """Have a 3x3 convolution over nearest neighbors blur what `carry_folded` made of channels.

    All pixels of a 2x2 square get the mean of the four, smoothed.
    """
    weight = conv.weight.data(conv.weight.list_ctx()[0]).asnumpy()
    weight[:channels] = 0
    carried = np.arange(channels)
    for k in range(4):
        weight[carried, k * channels + carried] = np.outer(SMOOTH, SMOOTH) / 4
    conv.weight.set_data(mx.nd.array(weight))


def _connect_squares(weight, channels):
    """Connect each pixel of 2x2 squares of a large map with a channel of a small one."""
    carried = np.arange(channels)
    for k, (dy, dx) in enumerate(np.ndindex(2, 2)):
        weight[k * channels + carried, carried, 1 + dy, 1 + dx] = 1


def carry_doubled(conv):
    """Have a transposed 3x3 convolution of stride 2 enlarge its input's first three channels.

    A pixel's value goes to the first of its four; those between two get their mean.
    """
    weight = conv.weight.data(conv.weight.list_ctx()[0]).asnumpy()
    weight[:, :3] = 0
    weight[range(3), range(3)] = np.outer((0.5, 1, 0.5), (0.5, 1, 0.5))
    conv.weight.set_data(mx.nd.array(weight))


def bilinear_lines(factor):
    """Compute what the three nearest pixels weigh in each of `factor` pixels between them."""
    places = (np.arange(factor) + 0.5) / factor - 0.5
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(-1, 2)))
