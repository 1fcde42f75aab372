"""The nets of PLSR, super-resolution by perceptual loss, in PyTorch.

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


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions, each normalized and rectified; a 1x1 skip; a ReLU after the sum."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.skip = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x):
        features = F.relu(self.norm1(self.conv1(x)))
        features = F.relu(self.norm2(self.conv2(features)))
        return F.relu(features + self.skip(x))


class PLSR(nn.Module):
    """The net without biases, for scale 2: (N, 3, H, W) to (N, 3, 2 * H, 2 * W)."""

    def __init__(self, num_blocks=4, channels=64, mean=(0.485, 0.456, 0.406)):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1))
        self.head = nn.Conv2d(3, channels, 9, padding=4, bias=False)
        self.body = nn.Sequential(*(ResidualUnit(channels) for _ in range(num_blocks)))
        self.upsample = nn.ConvTranspose2d(
            channels, channels, 3, 2, padding=1, output_padding=1, bias=False
        )
        self.tail = nn.Conv2d(channels, 3, 9, padding=4, bias=False)

    def forward(self, x):
        return self.tail(self.upsample(self.body(self.head(x - self.mean))))


class ResidualBlock(nn.Module):
    """Two normalized 3x3 convolutions, a ReLU between them, and a skip; no ReLU after the sum."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        features = F.relu(self.norm1(self.conv1(x)))
        return x + self.norm2(self.conv2(features))


def normalized(convolution):
    """List the layers of a convolution, its norm and its ReLU."""
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]


class JohnsonSR(nn.Module):
    """The paper's net for scales 4 and 8: (N, 3, H, W) to (N, 3, H * scale, W * scale)."""

    def __init__(self, scale=4, num_blocks=4, channels=64):
        super().__init__()
        self.head = nn.Sequential(*normalized(nn.Conv2d(3, channels, 9, padding=4)))
        self.body = nn.Sequential(*(ResidualBlock(channels) for _ in range(num_blocks)))
        layers = []
        for _ in range({4: 2, 8: 3}[scale]):
            layers += normalized(nn.ConvTranspose2d(channels, channels, 3, 2, 1, output_padding=1))
        self.upsample = nn.Sequential(*layers)
        self.tail = nn.Conv2d(channels, 3, 9, padding=4)

    def forward(self, x):
        features = self.tail(self.upsample(self.body(self.head(x))))
        return 0.5 * torch.tanh(features) + 0.5


NETS = {"PLSR": PLSR, "JohnsonSR": JohnsonSR}


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
