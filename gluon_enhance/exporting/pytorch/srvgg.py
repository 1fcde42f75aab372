"""SRVGGNetBilinear in PyTorch: the trunk of SRVGGNetCompact under bilinear doublings.

``NAME.py`` loads ``NAME.safetensors``, and needs torch and safetensors alone::

    import torch
    from NAME import load

    net = load()
    with torch.inference_mode():
        result = net(images)  # (N, 3, H, W) float32, RGB in [0, 1]

This file is a part of gluon-enhance, under Apache-2.0; the weights tell their license.
"""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

WEIGHTS = Path(__file__).with_suffix(".safetensors")
"""The file beside this one."""
SLOPE = 0.2
"""What is left of negative numbers after the doublings."""
RADIUS = 4
"""Of each of the two means that colors are compared by, in pixels of the input."""


def conv(in_channels, channels):
    """Build a convolution that keeps height and width."""
    return nn.Conv2d(in_channels, channels, 3, padding=1)


def keep_local_colors(out, x, scale):
    """Add what the output's local means lack of the input's."""
    lacking = x - F.avg_pool2d(out, scale)
    for _ in range(2):
        lacking = F.avg_pool2d(lacking, 2 * RADIUS + 1, 1, RADIUS, count_include_pad=False)
    return out + F.interpolate(lacking, scale_factor=scale, mode="nearest")


class SRVGGNetBilinear(nn.Module):
    """Rectified convolutions, then bilinear doublings, with a convolution each.

    From (N, 3, H, W) to (N, 3, H * scale, W * scale), for scales 2, 4 and 8.
    """

    def __init__(self, scale=4, num_convs=16, channels=64, full_channels=32):
        super().__init__()
        self.scale = scale
        self.head = nn.Sequential(conv(3, channels), nn.PReLU(channels))
        trunk = ((conv(channels, channels), nn.PReLU(channels)) for _ in range(num_convs))
        self.body = nn.Sequential(*(layer for pair in trunk for layer in pair))
        self.join = conv(3 + channels, full_channels)
        doublings = range({2: 1, 4: 2, 8: 3}[scale])
        self.upsample = nn.ModuleList(conv(full_channels, full_channels) for _ in doublings)
        last = conv(full_channels, full_channels), nn.LeakyReLU(SLOPE), conv(full_channels, 3)
        self.tail = nn.Sequential(*last)

    def forward(self, x):
        features = self.join(torch.cat([x, self.body(self.head(x))], 1))
        for convolution in self.upsample:
            features = F.interpolate(features, scale_factor=2, mode="bilinear")
            features = F.leaky_relu(convolution(features), SLOPE)
        return keep_local_colors(self.tail(features), x, self.scale)


NETS = {"SRVGGNetBilinear": SRVGGNetBilinear}


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
