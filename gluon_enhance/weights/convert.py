"""Fit weights of any known origin into a Gluon net, by name and shape.

A key map translates the names of an official file into the net's own; adding a net whose
official weights use other names means adding its layouts here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.torch_reader import read_torch

WRAPPERS = ("params_ema", "params")
"""Keys of BasicSR checkpoints that hold the weights; the averaged ones are meant for use."""

LISTED = 3
"""Names that an error message spells out before it counts the rest."""


@dataclass(frozen=True)
class Layout:
    """One way to name a net's weights.

    Attributes
    ----------
    marker : str
        A key that only this layout of the net has.
    names : tuple of (str, str)
        Pattern of a key without its ``.weight`` or ``.bias``, and the net's name for it as a
        template of `re.Match.expand`; ``{blocks}`` stands for the number of blocks in the body.
    """

    marker: str
    names: tuple[tuple[str, str], ...]


RRDB_CONV = r"body.\1.rdb\2.conv\3"

LAYOUTS = {
    "RRDBNet": (
        Layout(  # the release of 2018, and most community models
            marker="model.0.weight",
            names=(
                (r"model\.0", "head"),
                (r"model\.1\.sub\.(\d+)\.RDB([1-3])\.conv([1-5])\.0", RRDB_CONV),
                (r"model\.1\.sub\.(\d+)", r"body.\1"),
                (r"model\.3", "upsample.0"),
                (r"model\.6", "upsample.1"),
                (r"model\.8", "tail.0"),
                (r"model\.10", "tail.2"),
            ),
        ),
        Layout(  # xinntao/ESRGAN today: RRDB_ESRGAN_x4.pth, RRDB_PSNR_x4.pth
            marker="trunk_conv.weight",
            names=(
                (r"conv_first", "head"),
                (r"RRDB_trunk\.(\d+)\.RDB([1-3])\.conv([1-5])", RRDB_CONV),
                (r"trunk_conv", "body.{blocks}"),
                (r"upconv1", "upsample.0"),
                (r"upconv2", "upsample.1"),
                (r"HRconv", "tail.0"),
                (r"conv_last", "tail.2"),
            ),
        ),
        Layout(  # BasicSR and Real-ESRGAN
            marker="conv_body.weight",
            names=(
                (r"conv_first", "head"),
                (r"body\.(\d+)\.rdb([1-3])\.conv([1-5])", RRDB_CONV),
                (r"conv_body", "body.{blocks}"),
                (r"conv_up1", "upsample.0"),
                (r"conv_up2", "upsample.1"),
                (r"conv_hr", "tail.0"),
                (r"conv_last", "tail.2"),
            ),
        ),
    ),
}


def load_weights(net, path: str | os.PathLike, ctx=None):
    """Load a file of weights into a net.

    Parameters
    ----------
    net : HybridBlock
        Initialized or not; its shapes are known.
    path : path
        A Gluon ``.params`` file of this net, or a PyTorch ``.pth`` in one of the net's layouts.
    ctx : mxnet.Context or list, optional
        Where to put an uninitialized net; default the CPU.

    Returns
    -------
    HybridBlock
        The net given.

    Raises
    ------
    WeightsError
        If the file cannot be read, or does not hold this net's weights, all and no others.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise WeightsError(
            f"{path} is no file of weights: its suffix is {suffix!r}, not one of "
            f"{', '.join(SUFFIXES)}"
        )
    return load_state(net, READERS[SUFFIXES[suffix]](path), path, ctx)


def load_state(net, state: Mapping, source: str | os.PathLike = "the state dict", ctx=None):
    """Load a state dict into a net, with the net's own names or in one of its layouts.

    Parameters
    ----------
    net : HybridBlock
    state : mapping of str to ndarray
        May be wrapped (``params_ema``, ``params``) and prefixed (``module.``).
    source : str or path
        What error messages call it.
    ctx : mxnet.Context or list, optional

    Returns
    -------
    HybridBlock
        The net given.

    Raises
    ------
    WeightsError
        If names or shapes do not match; the net is then left as it was.
    """
    from gluon_enhance.framework import mx

    parameters = net._collect_params_with_prefix()
    arrays = _renamed(_unwrapped(state), parameters, type(net).__name__, source)
    _check(arrays, parameters, type(net).__name__, source)
    for name, parameter in parameters.items():
        parameter._load_init(mx.nd.array(np.asarray(arrays[name], np.float32)), ctx)
    return net


def read_params(path: str | os.PathLike) -> dict:
    """Read a Gluon ``.params`` file.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    WeightsError
        If the file cannot be read or does not hold named arrays.
    """
    from gluon_enhance.framework import mx

    try:
        arrays = mx.nd.load(str(path))
    except (mx.base.MXNetError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"{path} is cut short, damaged or not a .params file; get it again "
            f"({str(error).strip().splitlines()[-1]})"
        ) from error
    if not isinstance(arrays, dict):
        raise WeightsError(f"{path} holds arrays without names; save it with net.save_parameters")
    return {name: array.asnumpy() for name, array in arrays.items()}


READERS = {"gluon": read_params, "torch": read_torch}
SUFFIXES = {".params": "gluon", ".pth": "torch", ".pt": "torch"}


def _unwrapped(state):
    for wrapper in WRAPPERS:
        if isinstance(state.get(wrapper), dict):
            state = state[wrapper]
            break
    if state and all(str(key).startswith("module.") for key in state):
        state = {key[len("module.") :]: value for key, value in state.items()}
    return state


def _renamed(state, parameters, net_name, source):
    layout = next((one for one in LAYOUTS.get(net_name, ()) if one.marker in state), None)
    if layout is None and parameters.keys().isdisjoint(state):
        raise WeightsError(
            f"{source} holds no weights of {net_name} in a known layout: its names "
            f"are {_listed(list(state))}; a community variant is another net"
        )
    if layout is None:
        return state
    names = {key: _new_name(str(key), layout.names) for key in state}
    blocks = {name.split(".")[1] for name in names.values() if re.match(r"body\.\d+\.", name)}
    return {names[key].replace("{blocks}", str(len(blocks))): state[key] for key in state}


def _new_name(key, names):
    layer, _, kind = key.rpartition(".")
    for pattern, template in names:
        match = re.fullmatch(pattern, layer)
        if match and kind in ("weight", "bias"):
            return f"{match.expand(template)}.{kind}"
    return key


def _check(arrays, parameters, net_name, source):
    missing = [name for name in parameters if name not in arrays]
    left_over = [name for name in arrays if name not in parameters]
    misfits = [
        f"{name} {getattr(arrays[name], 'shape', 'no array')} instead of {parameter.shape}"
        for name, parameter in parameters.items()
        if name in arrays and getattr(arrays[name], "shape", None) != parameter.shape
    ]
    faults = [
        f"{title} {_listed(names)}"
        for title, names in (
            ("missing", missing),
            ("left over", left_over),
            ("of another shape", misfits),
        )
        if names
    ]
    if faults:
        raise WeightsError(
            f"{source} does not fit this {net_name} (another size, or a community "
            f"variant?): {'; '.join(faults)}"
        )


def _listed(names):
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(map(str, names[:LISTED])) + rest
