"""Johnson's style transfer net, in PyTorch.

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
VGG_MEAN = (103.939, 116.779, 123.68)
"""Mean BGR of VGG's photos: the net computes in BGR from 0 to 255, less this."""
CROP = 2
"""Pixels a side that two 3x3 convolutions without padding lose."""
NORMS = {
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "batch": nn.BatchNorm2d,
    "batch_stats": lambda channels: nn.BatchNorm2d(channels, track_running_stats=False),
    "layer": lambda channels: nn.GroupNorm(1, channels),
}


def normalized(convolution, norm):
    """List the layers of a convolution, its norm and its ReLU."""
    return [convolution, NORMS[norm](convolution.out_channels), nn.ReLU()]


def reduction(in_channels, channels, norm, border):
    """List the layers that halve height and width."""
    return normalized(nn.Conv2d(in_channels, channels, 3, 2, 1, padding_mode=border), norm)


def doubling(in_channels, channels, norm, way):
    """List the layers that double height and width."""
    if way == "nearest":
        return normalized(NearestConv2d(in_channels, channels), norm)
    transposed = nn.ConvTranspose2d(in_channels, channels, 3, 2, padding=1, output_padding=1)
    return normalized(transposed, norm)


class NearestConv2d(nn.Conv2d):
    """A 3x3 convolution over the enlargement by nearest neighbors, twice as large."""

    def __init__(self, in_channels, channels):
        super().__init__(in_channels, channels, 3, padding=1, padding_mode="reflect")

    def forward(self, x):
        return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class ResidualBlock(nn.Module):
    """Two normalized 3x3 convolutions, a ReLU between them, and a skip; no ReLU after the sum."""

    def __init__(self, channels, norm, cropped, border):
        super().__init__()
        self.crop = CROP if cropped else 0
        options = {"padding": 0 if cropped else 1, "padding_mode": border}
        self.conv1 = nn.Conv2d(channels, channels, 3, **options)
        self.norm1 = NORMS[norm](channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, **options)
        self.norm2 = NORMS[norm](channels)

    def forward(self, x):
        features = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.pad(x, (-self.crop,) * 4) + features


class StyleNet(nn.Module):
    """Style transfer net: from (N, 3, H, W) to (N, 3, H, W), about [-0.2, 1.1], not clipped.

    With the padding 'reflect_start' height and width must be more than 8 pixels for each block.
    """

    def __init__(
        self,
        channels=32,
        num_blocks=5,
        norm="batch",
        padding="reflect_start",
        tanh_scale=150,
        doublings="transposed",
    ):
        super().__init__()
        cropped, border = padding == "reflect_start", "reflect" if padding == "reflect" else "zeros"
        self.tanh_scale = tanh_scale
        self.reflection = 4 * CROP * num_blocks if cropped else 0
        mean = torch.tensor(VGG_MEAN).reshape(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        widths = channels, 2 * channels, 4 * channels
        self.head = nn.Sequential(
            *normalized(nn.Conv2d(3, widths[0], 9, padding=4, padding_mode=border), norm),
            *reduction(widths[0], widths[1], norm, border),
            *reduction(widths[1], widths[2], norm, border),
        )
        blocks = (ResidualBlock(widths[2], norm, cropped, border) for _ in range(num_blocks))
        self.body = nn.Sequential(*blocks)
        self.upsample = nn.Sequential(
            *doubling(widths[2], widths[1], norm, doublings),
            *doubling(widths[1], widths[0], norm, doublings),
        )
        self.tail = nn.Conv2d(widths[0], 3, 9, padding=4, padding_mode=border)

    def forward(self, x):
        bgr = F.pad(255 * x.flip(1) - self.mean, (self.reflection,) * 4, mode="reflect")
        features = self.tail(self.upsample(self.body(self.head(bgr))))
        # Sizes that are no multiples of 4 come out rounded up.
        features = features[..., : x.shape[2], : x.shape[3]]
        return (self.tanh_scale * torch.tanh(features) + self.mean).flip(1) / 255


NETS = {"StyleNet": StyleNet}


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
