"""The same RRDBNet in PyTorch, the peer that the engines are timed against."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


def conv(in_channels, channels):
    return nn.Conv2d(in_channels, channels, 3, padding=1)


class ResidualDenseBlock(nn.Module):
    def __init__(self, channels, growth):
        super().__init__()
        for k in range(1, 6):
            out = growth if k < 5 else channels
            setattr(self, f"conv{k}", conv(channels + (k - 1) * growth, out))

    def forward(self, x):
        features = x
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            features = torch.cat([features, F.leaky_relu(layer(features), 0.2)], 1)
        return x + 0.2 * self.conv5(features)


class RRDB(nn.Module):
    def __init__(self, channels, growth):
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (ResidualDenseBlock(channels, growth) for _ in range(3))

    def forward(self, x):
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(nn.Module):
    """Attribute names are those of `gluon_enhance.models.rrdbnet`, so weights pass unchanged."""

    def __init__(self, num_blocks=23, channels=64, growth=32):
        super().__init__()
        self.head = conv(3, channels)
        blocks = [RRDB(channels, growth) for _ in range(num_blocks)]
        self.body = nn.Sequential(*blocks, conv(channels, channels))
        self.upsample = nn.ModuleList([conv(channels, channels), conv(channels, channels)])
        self.tail = nn.Sequential(conv(channels, channels), nn.LeakyReLU(0.2), conv(channels, 3))

    def forward(self, x):
        features = self.head(x)
        features = features + self.body(features)
        for layer in self.upsample:
            features = F.interpolate(features, scale_factor=2, mode="nearest")
            features = F.leaky_relu(layer(features), 0.2)
        return self.tail(features)
