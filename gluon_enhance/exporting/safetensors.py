"""Files of weights for PyTorch, and nets as wide as the programs that name them build them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from gluon_enhance.exporting import require
from gluon_enhance.exporting.pytorch_files import built_in_pytorch
from gluon_enhance.weights.names.published import published_class, published_state

PUBLISHED_GROWTH = 32
"""Channels that a dense convolution adds in every RRDBNet of BasicSR's users: spandrel has no other
number."""


def write_state(net, state: Mapping[str, np.ndarray], folder: Path) -> Path:
    """Write a state dict as ``NAME.safetensors``, which tells what builds its net.

    Parameters
    ----------
    net : HybridBlock
        Of `gluon_enhance.get_model`.
    state : mapping of str to ndarray
        Its weights, as PyTorch names them.
    folder : path

    Returns
    -------
    Path
    """
    path = folder / f"{net.spec.name}.safetensors"
    # Its save_file would leave a file that only its owner can read.
    arrays = {key: np.ascontiguousarray(array) for key, array in state.items()}
    about = {"scale": net.spec.scale, "license": net.spec.license}
    if published_state(net) is not None:
        about.update(published_class(net))
    if built_in_pytorch(net):
        about["torch"] = built_in_pytorch(net)
    # In one entry: of several, the order would change from run to run, and the file's hash.
    path.write_bytes(require("safetensors.numpy").save(arrays, {"model": json.dumps(about)}))
    return path


def widened(net):
    """Return a net that computes the same and that PyTorch programs can build.

    Parameters
    ----------
    net : HybridBlock
        Initialized, of `gluon_enhance.get_model`.

    Returns
    -------
    HybridBlock
        For an RRDBNet whose dense convolutions add fewer channels than `PUBLISHED_GROWTH`, one in
        which they add so many, the further ones zeros; else the net itself.
    """
    from gluon_enhance.framework import mx
    from gluon_enhance.models.rrdbnet import RRDBNet

    if not isinstance(net, RRDBNet):
        return net
    channels, growth = net.head.weight.shape[0], net.body[0].rdb1.conv1.weight.shape[0]
    if growth >= PUBLISHED_GROWTH:
        return net
    kwargs = {**net.spec.kwargs, "growth_channels": PUBLISHED_GROWTH}
    wide = RRDBNet(**kwargs)
    wide.initialize(mx.init.Zero())
    wide.spec = replace(net.spec, kwargs=kwargs)
    narrow = net._collect_params_with_prefix()
    for name, parameter in wide._collect_params_with_prefix().items():
        array = narrow[name].list_data()[0].asnumpy()
        if array.shape != parameter.shape:
            array = _padded(array, parameter.shape, channels, growth)
        parameter.set_data(mx.nd.array(array))
    return wide


def _padded(array, shape, channels, growth):
    """Put a dense convolution's weight or bias among zeros.

    Its inputs are those of the block, then what each convolution before it has added.
    """
    wide = np.zeros(shape, array.dtype)
    if array.ndim == 1:
        wide[: len(array)] = array
        return wide
    added = np.arange(array.shape[1] - channels)
    places = channels + added // growth * PUBLISHED_GROWTH + added % growth
    wide[: len(array), :channels] = array[:, :channels]
    wide[: len(array), places] = array[:, channels:]
    return wide
