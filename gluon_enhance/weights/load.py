"""Fit weights of any known origin into a Gluon net, by name and shape."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Optional

import numpy as np

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.names.official import Layout, layouts_for
from gluon_enhance.weights.readers import METADATA, READERS, SUFFIXES

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "net_g", "model")
"""Keys of checkpoints that hold the weights, the averaged ones first."""

PREFIXES = (r"module\.", r"generator\.", r"net_g\.", r"netG\.", r"model\.(?!\d)")
"""Of data-parallel training, of mmagic and others; dropped if all keys have it. ESRGAN of 2018 has
``model.`` and a number, which is none."""

KINDS = {"weight": ("gamma", "alpha"), "bias": ("beta",), "running_mean": (), "running_var": ()}
"""Last part of a name in PyTorch -> what Gluon calls it in norms and PReLU, if otherwise."""

LISTED, LONGEST = 20, 100
"""Names that an error message spells out before it counts the rest, and letters of each."""


def load_weights(net, path: str | os.PathLike, ctx=None):
    """Load a file of weights into a net.

    Parameters
    ----------
    net : HybridBlock
        Initialized or not; its shapes are known.
    path : path
        A Gluon ``.params`` file of this net, or a PyTorch ``.pth``, Torch7 ``.t7``, TensorFlow
        ``.index`` or ncnn ``.bin`` file in one of the net's layouts.
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
    return load_state(net, read_weights(path), path, ctx)


def read_weights(path: str | os.PathLike) -> dict:
    """Read a file of weights in any of the formats, as its reader gives it.

    Raises
    ------
    WeightsError
        If its suffix is not one of the formats', or it cannot be read.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise WeightsError(
            f"{path} is no file of weights: its suffix is {suffix!r}, not one of "
            f"{', '.join(SUFFIXES)}"
        )
    name = SUFFIXES[suffix]
    reader = importlib.import_module(f"gluon_enhance.weights.readers.{name}")
    return getattr(reader, READERS[name])(path)


def load_state(net, state: Mapping, source: str | os.PathLike = "the state dict", ctx=None):
    """Load a state dict into a net, with the net's own names or in one of its layouts.

    Of the own names, the last parts may be PyTorch's: a norm's gamma its weight.

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
    state, net_name = unwrapped(state), type(net).__name__
    layout = _layout(state, parameters, net_name, source)
    _check_padding(net, layout, source)
    if layout:
        arrays = _renamed(state, parameters, layout, source)
    else:
        lacking = parameters.keys() - state.keys()
        arrays = {_gluon_name(str(name), lacking): array for name, array in state.items()}
    # Own names whose last parts are PyTorch's, as export writes some, are of a net in PyTorch too.
    is_own = layout is None and arrays.keys() == state.keys()
    arrays = {**_constants(parameters), **arrays}
    _check(arrays, parameters, net_name, source)
    if not is_own:
        arrays.update(_block_first(net, arrays))
    for name, parameter in parameters.items():
        parameter._load_init(mx.nd.array(np.asarray(arrays[name], np.float32)), ctx)
    return net


def unwrapped(state: Mapping) -> dict:
    """Take the weights out of a checkpoint, without prefixes that all names share."""
    seen: set[int] = set()  # what a pickle builds may hold itself
    inner: Optional[Mapping] = state
    while inner is not None and id(inner) not in seen:
        state = inner
        seen.add(id(state))
        inside = (state[wrapper] for wrapper in WRAPPERS if wrapper in state)
        inner = next((one for one in inside if isinstance(one, dict)), None)
    state = {k: v for k, v in state.items() if k != METADATA}
    for prefix in PREFIXES:
        if state and all(re.match(prefix, str(key)) for key in state):
            state = {re.sub(prefix, "", key, count=1): value for key, value in state.items()}
    return {k: v for k, v in state.items() if not str(k).endswith(".num_batches_tracked")}


def _layout(state, parameters, net_name, source):
    layout = next((one for one in layouts_for(net_name, state) if one.marker in state), None)
    if layout is None and parameters.keys().isdisjoint(state):
        raise WeightsError(
            f"{source} holds no weights of {net_name} in a known layout: its names "
            f"are {_listed(list(state))}; a community variant is another net"
        )
    return layout


def _check_padding(net, layout, source):
    """Refuse weights that would fit, though the layers around them are others."""
    if layout is None or layout.padding is None:
        return
    own = "reflect_start" if net._reflection else "zero"
    if own != layout.padding:
        raise WeightsError(
            f"{source} is of a net with padding {layout.padding!r}, not {own!r}; build the net "
            f"with padding={layout.padding!r}"
        )


def _renamed(state, parameters, layout, source):
    for key, value in layout.fixed.items():
        if key in state and not is_equal(state[key], value):
            has_text = isinstance(value, str) and isinstance(state[key], str)
            found = f" ({state[key]:.100}, not {value})" if has_text else ""
            raise WeightsError(
                f"{source} has another {key} than the net, where it is built in{found}: it is of "
                f"another net, or was trained on another range or mean of colors"
            )
    state = {key: array for key, array in state.items() if key not in layout.fixed}
    names, arrays = own_names(state, layout), {}
    for key, array in state.items():
        name = _gluon_name(names[key] or str(key), parameters)
        arrays[name] = _turned(array, layout.axes)
    return arrays


def own_names(keys: Iterable[str], layout: Layout) -> dict[str, Optional[str]]:
    """Map keys of a layout to the net's names, with PyTorch's last parts; others to None."""
    names = {key: _new_name(str(key), layout.names) for key in keys}
    named = [name for name in names.values() if name]
    blocks = {name.split(".")[1] for name in named if re.match(r"body\.\d+\.", name)}
    count = str(len(blocks))
    return {key: name and name.replace("{blocks}", count) for key, name in names.items()}


def is_equal(array: object, value: np.ndarray | str) -> bool:
    """Tell whether what a file holds is what a net has built in."""
    if isinstance(value, str):
        return isinstance(array, str) and array == value
    if not isinstance(array, np.ndarray) or array.shape != value.shape:
        return False
    return np.allclose(array, value, 1e-3, 1e-3)


def _gluon_name(name, parameters):
    layer, _, kind = name.rpartition(".")
    others = [f"{layer}.{other}" for other in KINDS.get(kind, ())]
    return next((other for other in others if other in parameters), name)


def _constants(parameters):
    """Values of what nets compute with and never train, which only their own files hold."""
    from gluon_enhance.framework import mx

    return {
        name: parameter.value.asnumpy()
        for name, parameter in parameters.items()
        if isinstance(parameter, mx.gluon.Constant)
    }


def _block_first(net, arrays):
    """Reorder the channels that become pixels, from PyTorch's order to ``depth_to_space``'s."""
    return {
        name: regrouped(np.asarray(arrays[name]), len(arrays[name]) // factor**2)
        for name, factor in sub_pixel_factors(net).items()
    }


def sub_pixel_factors(net, prefix="") -> dict:
    """Map the names of the parameters whose channels become pixels to their enlargement."""
    factors = {}
    for child_name, child in net._children.items():
        name = f"{prefix}{child_name}."
        factors.update(sub_pixel_factors(child, name))
        factor = getattr(child, "sub_pixel_factor", None)
        if factor:
            factors.update({f"{name}weight": factor, f"{name}bias": factor})
    return factors


def regrouped(array: np.ndarray, groups: int) -> np.ndarray:
    """Put the first of each group of rows first, then the second of each, and so on."""
    split = array.reshape(groups, -1, *array.shape[1:])
    return split.swapaxes(0, 1).reshape(array.shape)


def _turned(array, axes):
    return array.transpose(axes) if getattr(array, "ndim", 0) == len(axes) else array


_compiled = lru_cache(maxsize=4096)(re.compile)


def _new_name(key, names):
    layer, dot, kind = key.rpartition(".")
    if kind not in KINDS:
        layer, dot, kind = key, "", ""
    for pattern, template in names:
        match = _compiled(pattern).fullmatch(layer)
        if match:
            return match.expand(template) + dot + kind
    return None


def _check(arrays, parameters, net_name, source):
    faults = differences(arrays, parameters)
    if faults:
        raise WeightsError(
            f"{source} does not fit this {net_name} (another size, or a community variant?): "
            f"{faults}"
        )


def differences(arrays: Mapping, expected: Mapping) -> str:
    """List what is missing, left over or of another shape than expected; empty if all fits."""
    missing = [name for name in expected if name not in arrays]
    left_over = [name for name in arrays if name not in expected]
    misfits = [
        f"{name!s:.60} {getattr(arrays[name], 'shape', 'no array')} instead of {other.shape}"
        for name, other in expected.items()
        if name in arrays and getattr(arrays[name], "shape", None) != other.shape
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
    return "; ".join(faults)


def _listed(names):
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(f"{name!s:.{LONGEST}}" for name in names[:LISTED]) + rest
