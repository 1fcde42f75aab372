"""Our nets in PyTorch, the peers that engines and training steps are timed against.

Attribute names are those of `gluon_enhance.models`, so that `load_twin` finds their weights, also
in files where there is no MXNet. Other nets are in `gluon_enhance.exporting.pytorch` under the same
names; EDSR and SRResNet, which are there too, have the names of other programs.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


def arrays_of(net):
    """Return the weights of a Gluon net by the names that its file of weights has."""
    return {k: p.data().asnumpy() for k, p in net._collect_params_with_prefix().items()}


def load_twin(twin, arrays):
    """Give a twin the weights of a Gluon net; return it."""
    arrays = dict(arrays)
    for name, module in twin.named_modules():
        if isinstance(module, SubPixelConv):
            for kind in ("weight", "bias"):
                arrays[f"{name}.{kind}"] = module.reorder(arrays[f"{name}.{kind}"])
        elif isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)):
            arrays[f"{name}.weight"] = arrays.pop(f"{name}.gamma")
            arrays[f"{name}.bias"] = arrays.pop(f"{name}.beta")
        elif isinstance(module, nn.PReLU):
            arrays[f"{name}.weight"] = arrays.pop(f"{name}.alpha")
    state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    missing, unexpected = twin.load_state_dict(state, strict=False)
    left = [name for name in missing if not name.endswith("num_batches_tracked")] + unexpected
    if left:
        raise ValueError(f"{type(twin).__name__} and its weights differ in {left}")
    return twin


def halved(twin):
    """Put a twin into bfloat16 and the layout that is quick in it."""
    return twin.to(dtype=torch.bfloat16, memory_format=torch.channels_last)


def in_torch(net):
    """Return what runs a batch, an array in and out, on the net's device and in its dtype."""
    parameter = next(net.parameters())
    layout = torch.channels_last if parameter.dtype == torch.bfloat16 else torch.contiguous_format

    @torch.inference_mode()
    def run(batch):
        batch = torch.from_numpy(batch).to(parameter.device)
        result = net(batch.to(parameter.dtype, memory_format=layout))
        return result.float().contiguous().cpu().numpy()

    return run


def conv(in_channels, channels, kernel_size=3):
    return nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2)


class SubPixelConv(nn.Conv2d):
    def __init__(self, in_channels, channels, factor):
        super().__init__(in_channels, channels * factor**2, 3, padding=1)
        self.factor = factor

    def reorder(self, array):
        """Put the order of ``depth_to_space``, block first, into PyTorch's, channels first."""
        return (
            array.reshape(self.factor**2, -1, *array.shape[1:]).swapaxes(0, 1).reshape(array.shape)
        )

    def forward(self, x):
        return F.pixel_shuffle(super().forward(x), self.factor)


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


class ResidualBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.conv2 = conv(channels, channels), conv(channels, channels)

    def forward(self, x):
        return x + self.conv2(F.relu(self.conv1(x)))


class EDSR(nn.Module):
    """The baseline for x2."""

    def __init__(self, num_blocks=16, channels=64):
        super().__init__()
        self.register_parameter("mean", nn.Parameter(torch.zeros(1, 3, 1, 1), requires_grad=False))
        self.head = conv(3, channels)
        blocks = [ResidualBlock(channels) for _ in range(num_blocks)]
        self.body = nn.Sequential(*blocks, conv(channels, channels))
        self.upsample = nn.Sequential(SubPixelConv(channels, channels, 2))
        self.tail = conv(channels, 3)

    def forward(self, x):
        features = self.head((x - self.mean) * 255)
        features = features + self.body(features)
        return self.tail(self.upsample(features)) / 255 + self.mean


class NormalizedResidualBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.conv2 = conv(channels, channels), conv(channels, channels)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU()

    def forward(self, x):
        return x + self.norm2(self.conv2(self.prelu(self.norm1(self.conv1(x)))))


class SRResNet(nn.Module):
    """For x4."""

    def __init__(self, num_blocks=16, channels=64):
        super().__init__()
        self.head = nn.Sequential(conv(3, channels, 9), nn.PReLU())
        blocks = [NormalizedResidualBlock(channels) for _ in range(num_blocks)]
        self.body = nn.Sequential(*blocks, conv(channels, channels), nn.BatchNorm2d(channels))
        self.upsample = nn.Sequential(
            *(
                layer
                for _ in range(2)
                for layer in (SubPixelConv(channels, channels, 2), nn.PReLU())
            )
        )
        self.tail = conv(channels, 3, 9)

    def forward(self, x):
        features = self.head(x)
        return 0.5 * self.tail(self.upsample(features + self.body(features))) + 0.5


class SRVGGNetCompact(nn.Module):
    """For x4."""

    def __init__(self, num_convs=16, channels=64):
        super().__init__()
        self.head = nn.Sequential(conv(3, channels), nn.PReLU(channels))
        layers = ((conv(channels, channels), nn.PReLU(channels)) for _ in range(num_convs))
        self.body = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.tail = SubPixelConv(channels, 3, 4)

    def forward(self, x):
        return self.tail(self.body(self.head(x))) + F.interpolate(x, scale_factor=4)


class VGG128(nn.Module):
    """ESRGAN's discriminator."""

    def __init__(self, patch_size=128, channels=64):
        super().__init__()
        layers, in_channels = [], 3
        for width in (channels * factor for factor in (1, 2, 4, 8, 8)):
            for kernel_size, strides in ((3, 1), (4, 2)):
                first = not layers
                layers.append(
                    nn.Conv2d(in_channels, width, kernel_size, strides, padding=1, bias=first)
                )
                layers += [] if first else [nn.BatchNorm2d(width)]
                layers.append(nn.LeakyReLU(0.2))
                in_channels = width
        self.body = nn.Sequential(*layers)
        units = in_channels * (patch_size // 32) ** 2
        self.tail = nn.Sequential(nn.Linear(units, 100), nn.LeakyReLU(0.2), nn.Linear(100, 1))

    def forward(self, x):
        return self.tail(self.body(x).flatten(1))
