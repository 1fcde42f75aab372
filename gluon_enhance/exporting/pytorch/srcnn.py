"""SRCNN, with the enlargement and the colors around it, in PyTorch.

``NAME.py`` loads ``NAME.safetensors``, and needs torch and safetensors alone::

    import torch
    from NAME import load

    net = load()
    with torch.inference_mode():
        result = net(images)  # (N, 3, H, W) float32, RGB in [0, 1]

This file is a part of gluon-enhance, under Apache-2.0; the weights tell their license.
"""

import json
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

WEIGHTS = Path(__file__).with_suffix(".safetensors")
"""The file beside this one."""
OFFSET = 16 / 255
"""What the luma of black is, as the net sees it."""
GAIN = 255 / 219
"""What R, G and B change by when the luma changes by 1."""
RADIUS = 2
"""Pixels that the bicubic kernel reaches, in the input's."""


class Enlarge(nn.Module):
    """A fixed convolution makes all pixels that lie at the same place between the input's."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale
        size = 2 * RADIUS + 1
        self.register_buffer("weight", torch.zeros(3 * scale**2, 3, size, size))

    def forward(self, x):
        pixels = F.conv2d(F.pad(x, (RADIUS,) * 4, mode="replicate"), self.weight)
        # The weights have the three colors of each place together, a shuffle the places of a color.
        pixels = pixels.unflatten(1, (self.scale**2, 3)).transpose(1, 2).flatten(1, 2)
        return F.pixel_shuffle(pixels, self.scale)


def same_conv(in_channels, channels, kernel_size):
    """Build a convolution that keeps height and width by replicating edges."""
    options = {"padding": kernel_size // 2, "padding_mode": "replicate"}
    conv = nn.Conv2d(in_channels, channels, kernel_size, **options)
    return nn.Sequential(OrderedDict(conv=conv))


class SRCNN(nn.Module):
    """SRCNN after a bicubic enlargement: (N, 3, H, W) to (N, 3, H * scale, W * scale)."""

    def __init__(self, scale=4, kernel_size=5):
        super().__init__()
        self.register_buffer("luma", torch.zeros(1, 3, 1, 1))
        self.upsample = Enlarge(scale)
        self.head = same_conv(1, 64, 9)
        self.body = same_conv(64, 32, kernel_size)
        self.tail = same_conv(32, 1, 5)

    def forward(self, x):
        enlarged = self.upsample(x)
        y = F.conv2d(enlarged, self.luma) + OFFSET
        repaired = self.tail(F.relu(self.body(F.relu(self.head(y)))))
        return enlarged + GAIN * (repaired - y)


NETS = {"SRCNN": SRCNN}


def load(path=WEIGHTS):
    """Build the net that a file tells of, with the file's weights.

    Parameters
    ----------
    path : path
        Of safetensors; by default `WEIGHTS`.

    Returns
    -------
    nn.Module
        On the CPU, in eval mode.
    """
    with safe_open(path, "pt") as file:
        built = json.loads(file.metadata()["model"])["torch"]
        state = {name: file.get_tensor(name) for name in file.keys()}
    net = NETS[built["class"]](**built["arguments"])
    net.load_state_dict(state)
    return net.eval()
