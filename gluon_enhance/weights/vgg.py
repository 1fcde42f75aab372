"""Load weights of VGG-16 and VGG-19 of any origin, with the input convention they need.

Weights trained on one kind of input are wrong for another, and nothing in the file says so: the
convention is the manifest's for official files, else follows from the format, and is set in the
block together with the weights.
"""

from __future__ import annotations

import os
import re
import tokenize
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from gluon_enhance.errors import WeightsError
from gluon_enhance.small_files import open_regular
from gluon_enhance.weights import load, store
from gluon_enhance.weights.manifest import manifest
from gluon_enhance.weights.readers.archives import MAX_INFLATION, check_members
from gluon_enhance.weights.readers.gluon import read_params
from gluon_enhance.weights.readers.torch import DAMAGE, read_torch

OFFICIAL = {16: "vgg16-397923af.pth", 19: "vgg19-dcbb9e9d.pth"}
"""Depth -> torchvision's file, in the manifest."""


@dataclass(frozen=True)
class InputConvention:
    """What a VGG was trained on: ``(x - mean) / std`` of RGB in [0, 1].

    Attributes
    ----------
    mean, std : tuple of three floats
        In the order R, G, B.
    bgr : bool
        The first kernel's input channels are in the order B, G, R.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False


CONVENTIONS = {
    # torchvision and the Gluon zoo
    "torch": InputConvention(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    # the original weights, and Keras's copy: BGR, 0 to 255 minus the mean
    "caffe": InputConvention(
        mean=(123.68 / 255, 116.779 / 255, 103.939 / 255), std=(1 / 255,) * 3, bgr=True
    ),
    # leftthomas's SRGAN gives torchvision's weights what they were not trained on
    "none": InputConvention(mean=(0.0,) * 3, std=(1.0,) * 3),
}

KERAS_NAME = re.compile(r"block([1-5])_conv([1-4])[/._](?:.*[/_])?(kernel|W|bias|b)(?:_1)?(?::0)?")
FEATURES_NAME = re.compile(r"features\.(\d+)\.(weight|bias)")
LEGACY_GLUON_NAME = re.compile(r"(?:vgg\d+_)?conv(\d+)_(weight|bias)")
HEAD_NAME = re.compile(r"classifier\.\d+\.\w+|output\.\w+|(?:vgg\d+_)?dense\d+_\w+")
"""Names of what follows the last pooling, which no loss needs."""

HEAD = "head"
"""All of them, once renamed."""

DEEPEST = 16
"""Groups in groups of an HDF5 file, of which Keras makes four; each is found by all above it."""


def load_vgg(
    features,
    source: str | os.PathLike | None = None,
    *,
    convention: Optional[str] = None,
    ctx=None,
    root: str | os.PathLike | None = None,
):
    """Load the weights of a `gluon_enhance.losses.VGGFeatures`.

    Parameters
    ----------
    features : VGGFeatures
    source : str or path, optional
        A file, or the name of one in the manifest. Default: torchvision's for this depth.
        ``.pth`` of torchvision, ``.params`` of the Gluon zoo, ``.h5`` of Keras (needs h5py), or
        ``.npz`` with keys ``blockB_convC.kernel`` (H, W, in, out) and ``blockB_convC.bias``.
        A ``.params`` file saved from the block brings its own convention.
    convention : {'torch', 'caffe', 'none'}, optional
        Default: the manifest's for a file with an official name; else torch for ``.pth`` and
        ``.params``, caffe for ``.h5`` and ``.npz``.
    ctx : mxnet.Context or list, optional
        Where to put the weights; default the CPU.
    root : path, optional
        Cache for downloaded weights; default ``MXNET_HOME/models``, else ``~/.mxnet/models``.

    Returns
    -------
    VGGFeatures
        The block given.

    Raises
    ------
    ValueError
        If there is no such convention.
    WeightsError
        If the file cannot be had or read, or does not hold this VGG's layers.
    """
    if convention not in (None, *CONVENTIONS):
        raise ValueError(f"convention is {convention!r}; give one of {', '.join(CONVENTIONS)}")
    path = _path(OFFICIAL[features.depth] if source is None else source, root)
    if path.suffix.lower() not in FORMATS:
        raise WeightsError(f"{path} is no file of VGG weights: give one of {', '.join(FORMATS)}")
    read, usual = FORMATS[path.suffix.lower()]
    state = _named(read(path), features.all_layers)
    _check_order(state, features, path)
    state = _without_deeper_layers(state, features)
    row = manifest().get(path.name)
    convention = convention or (row and row.convention) or usual
    return load.load_state(features, _converted(state, CONVENTIONS[convention]), path, ctx)


def _path(source, root):
    if str(source) in manifest() and not Path(source).is_file():
        return store.find([str(source)], root)
    return store.given(source)


def _named(arrays: Mapping, all_layers) -> dict:
    """Rename to ``conv1_1.weight``; leave out the head, keep unknown names as they are."""
    convs = _convolutions(all_layers)
    named = {_name(str(key), all_layers, convs): array for key, array in arrays.items()}
    named.pop(HEAD, None)
    return named


def _name(key, all_layers, convs):
    match = KERAS_NAME.fullmatch(key)
    if match:
        block, k, kind = match.groups()
        return f"conv{block}_{k}.{'weight' if kind in ('kernel', 'W') else 'bias'}"
    match = FEATURES_NAME.fullmatch(key)
    if match:
        index, kind = int(match[1]), match[2]
        # The Gluon zoo counts its dense layers among the features.
        return f"{all_layers[index]}.{kind}" if index < len(all_layers) else HEAD
    match = LEGACY_GLUON_NAME.fullmatch(key)
    if match and int(match[1]) < len(convs):
        return f"{convs[int(match[1])]}.{match[2]}"
    return HEAD if HEAD_NAME.fullmatch(key) else key


def _convolutions(all_layers):
    return [name for name in all_layers if name.startswith("conv")]


def _check_order(state, features, path):
    """Tell VGG-16 from VGG-19: up to the last convolution in the file, none may be missing."""
    convs = _convolutions(features.all_layers)
    there = [f"{name}.weight" in state for name in convs]
    gap = there.index(False) if False in there else len(convs)
    if any(there[gap:]):
        raise WeightsError(
            f"{path} is not VGG-{features.depth}: it has {convs[there.index(True, gap)]} but no "
            f"{convs[gap]}"
        )


def _without_deeper_layers(state, features):
    wanted = features._collect_params_with_prefix()
    convs = _convolutions(features.all_layers)
    return {
        name: array
        for name, array in state.items()
        if name in wanted or name.partition(".")[0] not in convs
    }


def _converted(state, convention):
    if "mean" in state and "std" in state:
        return state
    first = state.get("conv1_1.weight")
    if convention.bgr and getattr(first, "ndim", 0) == 4:
        state["conv1_1.weight"] = first[:, ::-1]
    shape = (1, 3, 1, 1)
    state["mean"] = np.reshape(convention.mean, shape)
    state["std"] = np.reshape(convention.std, shape)
    return state


def _read_npz(path):
    try:
        # NumPy leaves a file open that it was given by name and cannot read.
        with open_regular(path) as stream:
            with zipfile.ZipFile(stream) as archive:
                check_members(archive.infolist(), Path(path).stat().st_size)
            stream.seek(0)
            arrays = np.load(stream, allow_pickle=False)
            return {name: _from_hwio(np.asarray(arrays[name])) for name in arrays}
    except (*DAMAGE, OSError, MemoryError, tokenize.TokenError) as error:
        raise WeightsError(
            f"{path} is cut short, damaged or not an .npz file ({error!s:.200}); get it again"
        ) from error


def _read_keras(path):
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(f"{path} needs h5py to be read: pip install h5py") from error
    arrays = {}

    budget = MAX_INFLATION * Path(path).stat().st_size

    def keep(name, item):
        nonlocal budget
        if name.count("/") > DEEPEST:
            raise ValueError(f"its groups lie more than {DEEPEST} deep in one another")
        if isinstance(item, h5py.Dataset):
            budget -= item.nbytes
            if budget < 0 or item.dtype.kind not in "fiu" or item.external or item.is_virtual:
                raise ValueError(f"{name} is no plain array of numbers in the file")
            arrays[name] = _from_hwio(item[()])

    try:
        with open_regular(path) as stream, h5py.File(stream, "r") as file:
            file.visititems(keep)
    except (*DAMAGE, OSError) as error:
        raise WeightsError(
            f"{path} is cut short, damaged or not an .h5 file ({error!s:.200}); get it again"
        ) from error
    return arrays


def _from_hwio(array):
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array


FORMATS = {
    ".pth": (read_torch, "torch"),
    ".params": (read_params, "torch"),
    ".npz": (_read_npz, "caffe"),
    ".h5": (_read_keras, "caffe"),
}
"""Suffix -> its reader and the usual convention of weights that come in it."""
