"""Load the official weights of LPIPS and DISTS: those of their nets, and those of the channels."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights import load, store
from gluon_enhance.weights.readers.torch import read_torch
from gluon_enhance.weights.vgg import load_vgg

BACKBONES = {"alex": "alexnet-owt-7be5be79.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth"}
"""Net of LPIPS -> torchvision's file, in the manifest; `gluon_enhance.weights.vgg` has VGG-16's."""
LPIPS = {
    "alex": "LPIPS_v0.1_alex-df73285e.pth",
    "vgg": "LPIPS_v0.1_vgg-a78928a0.pth",
    "squeeze": "LPIPS_v0.1_squeeze-4a5350f2.pth",
}
"""Net -> the authors' file of version 0.1, under the name that pyiqa gives it."""
DISTS = "DISTS_weights-f5e65c96.pt"


def load_lpips(loss, *, ctx=None, root: str | os.PathLike | None = None):
    """Find or download the official weights of a `gluon_enhance.losses.LPIPS`, and load them.

    Parameters
    ----------
    loss : LPIPS
    ctx : mxnet.Context or list, optional
        Where to put the weights; default the CPU.
    root : path, optional
        Cache for downloaded weights; default ``MXNET_HOME/models``, else ``~/.mxnet/models``.

    Returns
    -------
    LPIPS
        The loss given.

    Raises
    ------
    WeightsError
        If a file cannot be had or read, or does not hold the net's layers.
    """
    path = store.find([LPIPS[loss.net]], root)
    heads = {re.sub(r"\.model\.1\.weight$", "", name): a for name, a in read_torch(path).items()}
    _load_own(loss, heads, path, ctx)
    load_backbone(loss.features, loss.net, ctx=ctx, root=root)
    return loss


def load_dists(loss, *, ctx=None, root: str | os.PathLike | None = None):
    """Do for a `gluon_enhance.losses.DISTS` what `load_lpips` does."""
    path = store.find([DISTS], root)
    weights = {name: np.reshape(array, -1) for name, array in read_torch(path).items()}
    _load_own(loss, weights, path, ctx)
    load_backbone(loss.features, "vgg", ctx=ctx, root=root)
    return loss


def load_backbone(features, net: str, *, ctx=None, root: str | os.PathLike | None = None):
    """Find or download torchvision's weights of a net, and load them into its features.

    Parameters
    ----------
    features : AlexNetFeatures, SqueezeNetFeatures or VGGFeatures
    net : {'alex', 'squeeze', 'vgg'}
    ctx, root
        As of `load_lpips`.

    Returns
    -------
    HybridBlock
        The features given.

    Raises
    ------
    WeightsError
        As `load_lpips`.
    """
    if net == "vgg":
        return load_vgg(features, ctx=ctx, root=root)
    path = store.find([BACKBONES[net]], root)
    state = {k: array for k, array in read_torch(path).items() if not k.startswith("classifier.")}
    return load.load_state(features, state, path, ctx)


def _load_own(loss, arrays, path: Path, ctx):
    """Load the parameters of a loss, and leave out those of its features."""
    from gluon_enhance.framework import mx

    parameters = dict(loss._reg_params)
    faults = load.differences(arrays, parameters)
    if faults:
        raise WeightsError(f"{path} does not hold the weights of {type(loss).__name__}: {faults}")
    for name, parameter in parameters.items():
        parameter._load_init(mx.nd.array(arrays[name]), ctx)
