"""Layers in float64 NumPy on (C, H, W), with PyTorch's definitions, as the reference for nets."""

import numpy as np


def conv(x, weight, bias=None, mode="constant"):
    """Stride 1; height and width stay."""
    kernel_size = weight.shape[2]
    padding = (kernel_size // 2,) * 2
    padded = np.pad(x, ((0, 0), padding, padding), mode=mode)
    height, width = x.shape[1:]
    out = sum(
        np.einsum("oc,chw->ohw", weight[:, :, i, j], padded[:, i : i + height, j : j + width])
        for i in range(kernel_size)
        for j in range(kernel_size)
    )
    return out if bias is None else out + bias[:, None, None]


def relu(x, slope=0.0):
    """Slope is a number, or an array of one or of one for each channel."""
    return np.where(x > 0, x, np.reshape(slope, (-1, 1, 1)) * x)


def batch_norm(x, gamma, beta, mean, variance):
    gain = gamma / np.sqrt(variance + 1e-5)
    return x * gain[:, None, None] + (beta - mean * gain)[:, None, None]


def pixel_shuffle(x, factor):
    """Pixel (y * factor + dy, x * factor + dx) of c is channel c * factor**2 + dy * factor + dx."""
    channels, height, width = x.shape[0] // factor**2, *x.shape[1:]
    split = x.reshape(channels, factor, factor, height, width)
    return split.transpose(0, 3, 1, 4, 2).reshape(channels, height * factor, width * factor)


class State(dict):
    """An official state dict with random float32 values, made key by key."""

    def __init__(self, rng):
        super().__init__()
        self.rng = rng

    def add_conv(self, name, out_channels, in_channels, kernel_size=3):
        fan_in = in_channels * kernel_size**2
        weight = self.rng.normal(size=(out_channels, in_channels, kernel_size, kernel_size))
        self[f"{name}.weight"] = (weight / np.sqrt(fan_in)).astype(np.float32)
        self[f"{name}.bias"] = self._vector(out_channels)

    def add_prelu(self, name, slopes=1):
        self[f"{name}.weight"] = self._vector(slopes)

    def add_batch_norm(self, name, channels):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            self[f"{name}.{kind}"] = self._vector(channels)

    def _vector(self, size):
        return self.rng.uniform(0.1, 0.9, size).astype(np.float32)

    def conv(self, x, name):
        return conv(x, *(self[f"{name}.{kind}"].astype(np.float64) for kind in ("weight", "bias")))

    def prelu(self, x, name):
        return relu(x, self[f"{name}.weight"].astype(np.float64))

    def batch_norm(self, x, name):
        kinds = ("weight", "bias", "running_mean", "running_var")
        return batch_norm(x, *(self[f"{name}.{kind}"].astype(np.float64) for kind in kinds))


def moment_norm(x, gamma, beta, epsilon, axes=(1, 2)):
    """With its own statistics: of each channel, or over other axes of (C, H, W)."""
    centered = x - x.mean(axes, keepdims=True)
    result = centered / np.sqrt((centered**2).mean(axes, keepdims=True) + epsilon)
    return result * gamma[:, None, None] + beta[:, None, None]


def doubling_conv(x, weight, bias=None):
    """A transposed 3x3 convolution of stride 2, padding 1 and output padding 1, as a plain one."""
    channels, height, width = x.shape
    spread = np.zeros((channels, 2 * height, 2 * width))
    spread[:, ::2, ::2] = x
    return conv(spread, weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1], bias)
