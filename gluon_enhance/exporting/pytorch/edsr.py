"""EDSR, in PyTorch.

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
MEAN = (0.4488, 0.4371, 0.4040)
"""Mean RGB of the DIV2K photos."""
FACTORS = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
"""Scale -> those of the enlarging convolutions."""
RANGE = 255
"""Between its first and its last layer, colors run over 0 to 255, less the mean."""


def conv(in_channels, channels):
    """Build a 3x3 convolution that keeps height and width."""
    return nn.Conv2d(in_channels, channels, 3, padding=1)


class ResidualBlock(nn.Module):
    """Two convolutions with a ReLU between them, scaled, inside a skip."""

    def __init__(self, channels, residual_scale):
        super().__init__()
        self.residual_scale = residual_scale
        self.conv1, self.conv2 = conv(channels, channels), conv(channels, channels)

    def forward(self, x):
        return x + self.residual_scale * self.conv2(F.relu(self.conv1(x)))


class EDSR(nn.Module):
    """EDSR, its layers named as in BasicSR: (N, 3, H, W) to (N, 3, H * scale, W * scale)."""

    def __init__(self, scale=4, num_blocks=16, channels=64, residual_scale=1):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.conv_first = conv(3, channels)
        self.body = nn.Sequential(
            *(ResidualBlock(channels, residual_scale) for _ in range(num_blocks))
        )
        self.conv_after_body = conv(channels, channels)
        layers = []
        for factor in FACTORS[scale]:
            layers += [conv(channels, channels * factor**2), nn.PixelShuffle(factor)]
        self.upsample = nn.Sequential(*layers)
        self.conv_last = conv(channels, 3)

    def forward(self, x):
        features = self.conv_first((x - self.mean) * RANGE)
        features = features + self.conv_after_body(self.body(features))
        return self.conv_last(self.upsample(features)) / RANGE + self.mean


NETS = {"EDSR": EDSR}


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
