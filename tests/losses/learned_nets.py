"""LPIPS and DISTS with random weights, drawn by the names that torchvision and the authors use."""

import zlib
from functools import cache

import numpy as np

from gluon_enhance.framework import mx
from gluon_enhance.losses import DISTS, LPIPS
from gluon_enhance.losses.learned import NAMES


@cache
def draw(name, shape):
    """Draw an array; its name alone decides."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("bias"):
        return rng.normal(0, 0.1, shape).astype(np.float32)
    if name.startswith("features"):
        return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
    return rng.random(shape).astype(np.float32)


def random_loss(name, dtype="float32", **options):
    """Build LPIPS or DISTS by its name as a metric."""
    net = NAMES[name]
    loss = DISTS(**options) if net is None else LPIPS(net, **options)
    loss.initialize()
    layers = getattr(loss.features, "all_layers", ())
    for own, parameter in loss._collect_params_with_prefix().items():
        own = own.removeprefix("features.")
        layer, _, kind = own.rpartition(".")
        if layer in layers:  # VGG has names, torchvision numbers
            own = f"features.{layers.index(layer)}.{kind}"
        if not isinstance(parameter, mx.gluon.Constant):
            parameter.set_data(mx.nd.array(draw(own, parameter.shape)))
    loss.cast(dtype)
    return loss
