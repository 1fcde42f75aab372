"""Nets of other programs in NumPy: random weights under their names, and what they make of images.

Written after the programs' own definitions, and of nothing in the package.
"""

import numpy as np


def convolve(x, weight, bias=None):
    pad = weight.shape[2] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    out = np.einsum("nchwyx,ocyx->nohw", windows, weight, optimize=True)
    return out if bias is None else out + bias[:, None, None]


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def prelu(x, slopes):
    return np.where(x > 0, x, np.reshape(slopes, (-1, 1, 1)) * x)


def nearest(x, factor):
    return x.repeat(factor, axis=2).repeat(factor, axis=3)


def shuffle(x, factor):
    n, c, h, w = x.shape
    x = x.reshape(n, c // factor**2, factor, factor, h, w)
    return x.transpose(0, 1, 4, 2, 5, 3).reshape(n, -1, h * factor, w * factor)


def unshuffle(x, factor):
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // factor, factor, w // factor, factor)
    return x.transpose(0, 1, 3, 5, 2, 4).reshape(n, -1, h // factor, w // factor)


def bilinear(x, factor):
    """Enlarge as PyTorch does with align_corners=False."""
    for axis in (2, 3):
        size = x.shape[axis]
        place = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
        low = np.floor(place).astype(int)
        share = (place - low).reshape([-1 if k == axis else 1 for k in range(4)])
        high = np.minimum(low + 1, size - 1)
        x = x.take(low, axis) * (1 - share) + x.take(high, axis) * share
    return x


class Weights(dict):
    """Random weights, drawn as their layers are made; float16 has their numbers too."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def conv(self, key, out, taken, size=3, bias=True):
        scale = 1.5 / np.sqrt(taken * size**2)
        self._draw(f"{key}.weight", (out, taken, size, size), scale)
        if bias:
            self._draw(f"{key}.bias", (out,), 0.2)
        return lambda x: convolve(x, self[f"{key}.weight"], self.get(f"{key}.bias"))

    def slopes(self, key, count):
        self._draw(f"{key}.weight", (count,), 0.3)
        return lambda x: prelu(x, self[f"{key}.weight"])

    def norm(self, key, count):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            self._draw(f"{key}.{kind}", (count,), 0.3)
        self[f"{key}.running_var"] = np.abs(self[f"{key}.running_var"]) + np.float32(0.5)
        self[f"{key}.num_batches_tracked"] = np.array(7)

        def run(x):
            gamma, beta, mean, variance = (
                self[f"{key}.{kind}"][:, None, None]
                for kind in ("weight", "bias", "running_mean", "running_var")
            )
            return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

        return run

    def _draw(self, key, shape, scale):
        values = self.rng.normal(0, scale, shape)
        self[key] = values.astype(np.float16).astype(np.float32)


def old_names(blocks, doublings):
    """ESRGAN of 2018: ``nn.Sequential`` all along."""
    return {
        "head": "model.0",
        "dense": "model.1.sub.{0}.RDB{1}.conv{2}.0",
        "1x1": "model.1.sub.{0}.RDB{1}.conv1x1",
        "trunk": f"model.1.sub.{blocks}",
        "up": [f"model.{3 * k + 3}" for k in range(doublings)],
        "hr": f"model.{3 * doublings + 2}",
        "last": f"model.{3 * doublings + 4}",
    }


def middle_names(blocks, doublings):
    """xinntao/ESRGAN."""
    return {
        "head": "conv_first",
        "dense": "RRDB_trunk.{0}.RDB{1}.conv{2}",
        "1x1": "RRDB_trunk.{0}.RDB{1}.conv1x1",
        "trunk": "trunk_conv",
        "up": [f"upconv{k + 1}" for k in range(doublings)],
        "hr": "HRconv",
        "last": "conv_last",
    }


def new_names(blocks, doublings):
    """BasicSR."""
    return {
        "head": "conv_first",
        "dense": "body.{0}.rdb{1}.conv{2}",
        "trunk": "conv_body",
        "up": [f"conv_up{k + 1}" for k in range(doublings)],
        "hr": "conv_hr",
        "last": "conv_last",
    }


def rrdb(names, doublings=2, fold=1, colors=3, blocks=2, channels=8, growth=4, plus=False):
    names, weights = names(blocks, doublings), Weights()
    head = weights.conv(names["head"], channels, colors * fold**2)
    trunk = [[None] * 3 for _ in range(blocks)]
    for i in range(blocks):
        for j in range(3):
            convs = [
                weights.conv(
                    names["dense"].format(i, j + 1, k + 1),
                    growth if k < 4 else channels,
                    channels + k * growth,
                )
                for k in range(5)
            ]
            one = names["1x1"].format(i, j + 1) if plus else None
            trunk[i][j] = convs, plus and weights.conv(one, growth, channels, 1, bias=False)
    after = weights.conv(names["trunk"], channels, channels)
    ups = [weights.conv(key, channels, channels) for key in names["up"]]
    hr, last = (
        weights.conv(names["hr"], channels, channels),
        weights.conv(names["last"], colors, channels),
    )

    def dense(x, convs, one):
        seen = [x]
        for k in range(4):
            seen.append(leaky(convs[k](np.concatenate(seen, 1)), 0.2))
            if one and k == 1:
                seen[2] = seen[2] + one(x)
            if one and k == 3:
                seen[4] = seen[4] + seen[2]
        return x + 0.2 * convs[4](np.concatenate(seen, 1))

    def run(x):
        x = features = head(unshuffle(x, fold) if fold > 1 else x)
        for block in trunk:
            inner = features
            for convs, one in block:
                inner = dense(inner, convs, one)
            features = features + 0.2 * inner
        x = x + after(features)
        for up in ups:
            x = leaky(up(nearest(x, 2)), 0.2)
        return last(leaky(hr(x), 0.2))

    return weights, run, colors


def srvgg(scale=4, convs=2, channels=8, colors=3):
    weights = Weights()
    layers = [weights.conv("body.0", channels, colors), weights.slopes("body.1", channels)]
    for k in range(convs):
        layers += [
            weights.conv(f"body.{2 * k + 2}", channels, channels),
            weights.slopes(f"body.{2 * k + 3}", channels),
        ]
    layers.append(weights.conv(f"body.{2 * convs + 2}", colors * scale**2, channels))

    def run(x):
        out = x
        for layer in layers:
            out = layer(out)
        return shuffle(out, scale) + nearest(x, scale)

    return weights, run, colors


FACTORS = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
MEAN = np.array([0.4488, 0.4371, 0.4040]).reshape(3, 1, 1)


def edsr(program, scale=2, blocks=2, channels=64):
    """EDSR-PyTorch's or BasicSR's; the published baseline's residuals are added as they are."""
    weights, torch = Weights(), program == "edsr-pytorch"
    head = weights.conv("head.0" if torch else "conv_first", channels, 3)
    keys = ("body.{}.body.0", "body.{}.body.2") if torch else ("body.{}.conv1", "body.{}.conv2")
    body = [
        [weights.conv(key.format(i), channels, channels) for key in keys] for i in range(blocks)
    ]
    after = weights.conv(f"body.{blocks}" if torch else "conv_after_body", channels, channels)
    up = "tail.0.{}" if torch else "upsample.{}"
    ups = [
        (weights.conv(up.format(2 * k), channels * factor**2, channels), factor)
        for k, factor in enumerate(FACTORS[scale])
    ]
    last = weights.conv("tail.1" if torch else "conv_last", 3, channels)
    if torch:
        for name, sign in (("sub_mean", -1), ("add_mean", 1)):
            weights[f"{name}.weight"] = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
            weights[f"{name}.bias"] = (sign * 255 * MEAN.ravel()).astype(np.float32)

    def run(x):
        x = features = head((x - MEAN) * 255)
        for first, second in body:
            features = features + second(leaky(first(features), 0))
        x = x + after(features)
        for conv, factor in ups:
            x = shuffle(conv(x), factor)
        return last(x) / 255 + MEAN

    return weights, run, 3


def msrresnet(names, scale=4, blocks=2, channels=8, colors=3):
    weights = Weights()
    head = weights.conv("conv_first", channels, colors)
    body = [
        [weights.conv(names["block"].format(i, k), channels, channels) for k in (1, 2)]
        for i in range(blocks)
    ]
    ups = [
        (weights.conv(names["up"].format(k), channels * factor**2, channels), factor)
        for k, factor in enumerate(FACTORS[scale], 1)
    ]
    hr = weights.conv(names["hr"], channels, channels)
    last = weights.conv("conv_last", colors, channels)

    def run(x):
        features = leaky(head(x), 0.1)
        for first, second in body:
            features = features + second(leaky(first(features), 0))
        for conv, factor in ups:
            features = leaky(shuffle(conv(features), factor), 0.1)
        return last(leaky(hr(features), 0.1)) + bilinear(x, scale)

    return weights, run, colors


def srgan(scale=4, blocks=5, channels=64):
    """leftthomas/SRGAN, with as many blocks as one likes."""
    weights = Weights()
    head = weights.conv("block1.0", channels, 3, 9), weights.slopes("block1.1", 1)
    body = []
    for i in range(2, blocks + 2):
        body.append(
            [
                weights.conv(f"block{i}.conv1", channels, channels),
                weights.norm(f"block{i}.bn1", channels),
                weights.slopes(f"block{i}.prelu", 1),
                weights.conv(f"block{i}.conv2", channels, channels),
                weights.norm(f"block{i}.bn2", channels),
            ]
        )
    trunk = (
        weights.conv(f"block{blocks + 2}.0", channels, channels),
        weights.slopes(f"block{blocks + 2}.1", 1),
    )
    doublings, end = len(FACTORS[scale]), f"block{blocks + 3}"
    ups = [
        (
            weights.conv(f"{end}.{k}.conv", 4 * channels, channels),
            weights.slopes(f"{end}.{k}.prelu", 1),
        )
        for k in range(doublings)
    ]
    last = weights.conv(f"{end}.{doublings}", 3, channels, 9)

    def run(x):
        x = features = head[1](head[0](x))
        for block in body:
            inner = features
            for layer in block:
                inner = layer(inner)
            features = features + inner
        x = x + trunk[1](trunk[0](features))
        for conv, slopes in ups:
            x = slopes(shuffle(conv(x), 2))
        return (np.tanh(last(x)) + 1) / 2

    return weights, run, 3


def run_on_rgb(run, colors, x):
    """Run a net on RGB images: a gray one on each color, an RGBA one with alpha 1."""
    if colors == 1:
        return np.concatenate([run(x[:, c : c + 1]) for c in range(3)], 1)
    if colors == 4:
        return run(np.concatenate([x, np.ones_like(x[:, :1])], 1))[:, :3]
    return run(x)
