"""The generators of DPED and WESPE, in PyTorch.

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
EPSILON = 1e-3
TANH_SCALE = 0.58
NORMS = {
    "instance": lambda channels: nn.InstanceNorm2d(channels, EPSILON, affine=True),
    "batch": lambda channels: nn.BatchNorm2d(channels, EPSILON),
    "batch_stats": lambda channels: nn.BatchNorm2d(channels, EPSILON, track_running_stats=False),
    "layer": lambda channels: nn.GroupNorm(1, channels, EPSILON),
}


def conv(in_channels, channels, kernel_size):
    """Build a convolution that keeps height and width."""
    return nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2)


class RectifiedConv(nn.Conv2d):
    """A convolution that keeps height and width, and a ReLU."""

    def __init__(self, in_channels, channels, kernel_size):
        super().__init__(in_channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return F.relu(super().forward(x))


class ResidualBlock(nn.Module):
    """Two convolutions, each normalized and rectified, and a skip; nothing after the sum."""

    def __init__(self, channels, norm):
        super().__init__()
        self.conv1, self.norm1 = conv(channels, channels, 3), NORMS[norm](channels)
        self.conv2, self.norm2 = conv(channels, channels, 3), NORMS[norm](channels)

    def forward(self, x):
        features = F.relu(self.norm1(self.conv1(x)))
        return x + F.relu(self.norm2(self.conv2(features)))


class DPEDResNet(nn.Module):
    """The residual generator: from (N, 3, H, W) to (N, 3, H, W), about [0, 1], not clipped."""

    def __init__(self, num_blocks=4, channels=64, norm="instance", tanh_scale=TANH_SCALE):
        super().__init__()
        self.tanh_scale = tanh_scale
        self.head = RectifiedConv(3, channels, 9)
        self.body = nn.Sequential(
            *(ResidualBlock(channels, norm) for _ in range(num_blocks)),
            *(RectifiedConv(channels, channels, 3) for _ in range(2)),
        )
        self.tail = conv(channels, 3, 9)

    def forward(self, x):
        return self.tanh_scale * torch.tanh(self.tail(self.body(self.head(x)))) + 0.5


class DenseBlock(nn.Module):
    """Rectified convolutions whose outputs all come out; each sees all before it, or the last."""

    def __init__(self, channels, num_layers, dense):
        super().__init__()
        self.dense = dense
        self.convs = nn.ModuleList(
            RectifiedConv(channels * (k + 1 if dense else 1), channels, 3)
            for k in range(num_layers)
        )

    def forward(self, x):
        seen = [x]
        for layer in self.convs:
            seen.append(layer(torch.cat(seen, 1) if self.dense else seen[-1]))
        return torch.cat(seen[1:], 1)


class Transition(nn.Module):
    """A 1x1 convolution, to whose result the same, normalized and rectified, is added."""

    def __init__(self, in_channels, channels, norm):
        super().__init__()
        self.conv, self.norm = conv(in_channels, channels, 1), NORMS[norm](channels)

    def forward(self, x):
        features = self.conv(x)
        return features + F.relu(self.norm(features))


class DPEDDenseNet(nn.Module):
    """The generator of dense blocks: from (N, 3, H, W) to (N, 3, H, W), about [0, 1]."""

    def __init__(self, num_blocks=3, num_layers=12, channels=16, dense=False, norm="instance"):
        super().__init__()
        self.head = RectifiedConv(3, channels, 9)
        width = num_layers * channels
        layers = [DenseBlock(channels, num_layers, dense)]
        for _ in range(num_blocks - 1):
            layers += [Transition(width, channels, norm), DenseBlock(channels, num_layers, dense)]
        self.body = nn.Sequential(*layers)
        self.tail = conv(width, 3, 3)

    def forward(self, x):
        return TANH_SCALE * torch.tanh(self.tail(self.body(self.head(x)))) + 0.5


NETS = {"DPEDResNet": DPEDResNet, "DPEDDenseNet": DPEDDenseNet}


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
