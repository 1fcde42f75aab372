"""SRResNet, the generator of SRGAN, and MSRResNet, in PyTorch.

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
FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}
"""Scale of MSRResNet -> those of the enlarging convolutions."""


def conv(in_channels, channels, kernel_size=3):
    """Build a convolution that keeps height and width."""
    return nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2)


class NormalizedBlock(nn.Module):
    """Two convolutions, each with batch normalization, and a PReLU between them, in a skip."""

    def __init__(self, channels, slopes):
        super().__init__()
        self.conv1, self.bn1 = conv(channels, channels), nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU(slopes)
        self.conv2, self.bn2 = conv(channels, channels), nn.BatchNorm2d(channels)

    def forward(self, x):
        return x + self.bn2(self.conv2(self.prelu(self.bn1(self.conv1(x)))))


class Doubling(nn.Module):
    """A convolution whose channels become pixels, and a PReLU."""

    def __init__(self, channels, slopes):
        super().__init__()
        self.conv, self.prelu = conv(channels, 4 * channels), nn.PReLU(slopes)

    def forward(self, x):
        return self.prelu(F.pixel_shuffle(self.conv(x), 2))


class SRResNet(nn.Module):
    """SRResNet, its layers named as in leftthomas/SRGAN, for scales 2, 4 and 8.

    From (N, 3, H, W) to (N, 3, H * scale, W * scale).
    """

    def __init__(
        self, scale=4, num_blocks=16, channels=64, shared_slopes=True, trunk_norm=True, tanh=False
    ):
        super().__init__()
        self.tanh = tanh
        slopes = 1 if shared_slopes else channels
        trunk_end = nn.BatchNorm2d(channels) if trunk_norm else nn.PReLU(slopes)
        doublings = (Doubling(channels, slopes) for _ in range({2: 1, 4: 2, 8: 3}[scale]))
        blocks = [
            nn.Sequential(conv(3, channels, 9), nn.PReLU(slopes)),
            *(NormalizedBlock(channels, slopes) for _ in range(num_blocks)),
            nn.Sequential(conv(channels, channels), trunk_end),
            nn.Sequential(*doublings, conv(channels, 3, 9)),
        ]
        for k, block in enumerate(blocks, 1):
            self.add_module(f"block{k}", block)

    def forward(self, x):
        head, *trunk, tail = self.children()
        first = features = head(x)
        for block in trunk:
            features = block(features)
        out = tail(first + features)
        return 0.5 * (torch.tanh(out) if self.tanh else out) + 0.5


class ResidualBlock(nn.Module):
    """Two convolutions with a ReLU between them, inside a skip."""

    def __init__(self, channels):
        super().__init__()
        self.conv1, self.conv2 = conv(channels, channels), conv(channels, channels)

    def forward(self, x):
        return x + self.conv2(F.relu(self.conv1(x)))


class MSRResNet(nn.Module):
    """MSRResNet, its layers named as in BasicSR, for scales 2, 3 and 4.

    From (N, 3, H, W) to (N, 3, H * scale, W * scale), whatever the colors it was trained on: a gray
    net sees each color, and one of RGBA the alpha 1.
    """

    def __init__(self, scale=4, num_blocks=16, channels=64, image_channels=3):
        super().__init__()
        self.scale, self.image_channels = scale, image_channels
        self.conv_first = conv(image_channels, channels)
        self.body = nn.Sequential(*(ResidualBlock(channels) for _ in range(num_blocks)))
        for k, factor in enumerate(FACTORS[scale], 1):
            self.add_module(f"upconv{k}", conv(channels, channels * factor**2))
        self.conv_hr = conv(channels, channels)
        self.conv_last = conv(channels, image_channels)

    def forward(self, x):
        images = x
        if self.image_channels == 1:
            images = x.reshape(-1, 1, *x.shape[2:])
        elif self.image_channels == 4:
            images = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        features = self.body(self.activate(self.conv_first(images)))
        for k, factor in enumerate(FACTORS[self.scale], 1):
            convolution = self.get_submodule(f"upconv{k}")
            features = self.activate(F.pixel_shuffle(convolution(features), factor))
        detail = self.conv_last(self.activate(self.conv_hr(features)))
        base = F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return base + (detail[:, :3] if self.image_channels > 1 else detail.reshape(base.shape))

    @staticmethod
    def activate(x):
        """Rectify, but for a tenth of what is negative."""
        return F.leaky_relu(x, 0.1)


NETS = {"SRResNet": SRResNet, "MSRResNet": MSRResNet}


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
