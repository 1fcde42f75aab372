"""VGG in float64 NumPy, written from its paper's table and independent of the block."""

import numpy as np

#: Convolutions in each block.
COUNTS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def convolve(x, kernel, bias):
    """Convolve (h, w, in) by (3, 3, in, out), zeros around."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    return bias + sum(
        padded[i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    )


def pool(x, ceil):
    """Take the largest of 2x2 pixels; an odd last row or column goes (floor) or counts alone."""
    height, width, channels = x.shape
    if ceil:
        x = np.pad(
            x, ((0, height % 2), (0, width % 2), (0, 0)), constant_values=np.finfo(float).min
        )
    x = x[: len(x) // 2 * 2, : x.shape[1] // 2 * 2]
    return x.reshape(len(x) // 2, 2, -1, 2, channels).max(axis=(1, 3))


def vgg_maps(x, weights, depth, ceil=False):
    """Compute the maps of an already normalized (h, w, 3) input, as far as the weights go.

    `weights` has keys ``blockB_convC.kernel`` (H, W, in, out) and ``.bias``. Returns
    ``{layer: (C, h, w)}``.
    """
    maps = {}
    x = x.astype(np.float64)
    for block, count in enumerate(COUNTS[depth], 1):
        for k in range(1, count + 1):
            name = f"block{block}_conv{k}"
            if f"{name}.kernel" not in weights:
                return maps
            kernel, bias = (weights[f"{name}.{kind}"].astype(float) for kind in ("kernel", "bias"))
            x = convolve(x, kernel, bias)
            maps[f"conv{block}_{k}"] = x.transpose(2, 0, 1)
            x = np.maximum(x, 0)
            maps[f"relu{block}_{k}"] = x.transpose(2, 0, 1)
        x = pool(x, ceil)
        maps[f"pool{block}"] = x.transpose(2, 0, 1)
    return maps


def random_weights(rng, depth, blocks):
    """Draw weights of the first blocks, under the keys of the reference files."""
    weights, before = {}, 3
    for block, count in enumerate(COUNTS[depth][:blocks], 1):
        channels = min(64 * 2 ** (block - 1), 512)
        for k in range(1, count + 1):
            spread = np.sqrt(2 / (9 * before))
            kernel = rng.normal(0, spread, (3, 3, before, channels))
            weights[f"block{block}_conv{k}.kernel"] = kernel.astype(np.float32)
            bias = rng.normal(0, 0.1, channels)
            weights[f"block{block}_conv{k}.bias"] = bias.astype(np.float32)
            before = channels
    return weights
