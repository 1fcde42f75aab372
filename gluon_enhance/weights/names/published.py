"""Name a net's weights as the PyTorch programs do that have the same net: the way back."""

from __future__ import annotations

import inspect
import re
from typing import Optional

from gluon_enhance.weights.load import KINDS, regrouped, sub_pixel_factors
from gluon_enhance.weights.names.official import (
    DIV2K_MEAN,
    Layout,
    published_layouts,
    srgan_layout,
)

SIZES = {"scale": "upscale", "num_blocks": "num_block", "channels": "num_feat"}
COLORS = {"num_in_ch": 3, "num_out_ch": 3}
BUILDERS = {
    "EDSR": (
        "basicsr.archs.edsr_arch.EDSR",
        {**SIZES, "residual_scale": "res_scale"},
        {**COLORS, "img_range": 255.0, "rgb_mean": DIV2K_MEAN.tolist()},
    ),
    "MSRResNet": ("basicsr.archs.srresnet_arch.MSRResNet", SIZES, COLORS),
    "RRDBNet": (
        "basicsr.archs.rrdbnet_arch.RRDBNet",
        {**SIZES, "scale": "scale", "growth_channels": "num_grow_ch"},
        COLORS,
    ),
    "SRResNet": ("leftthomas/SRGAN model.Generator", {"scale": "scale_factor"}, {}),
    "SRVGGNetCompact": (
        "basicsr.archs.srvgg_arch.SRVGGNetCompact",
        {"scale": "upscale", "num_convs": "num_conv", "channels": "num_feat"},
        {**COLORS, "act_type": "prelu"},
    ),
}
"""Class of a net -> the PyTorch class of the same, its names of the net's arguments, and what it
takes besides."""


def published_class(net) -> dict:
    """Say what builds a net of PyTorch for a `published_state`, which alone does not tell it all.

    Parameters
    ----------
    net : HybridBlock
        Of `gluon_enhance.get_model`, with a `published_state`.

    Returns
    -------
    dict
        ``class`` and its ``arguments``.
    """
    name, theirs, arguments = BUILDERS[type(net).__name__]
    defaults = {k: p.default for k, p in inspect.signature(type(net)).parameters.items()}
    ours = {**defaults, **net.spec.kwargs}
    arguments = {**{their: ours[our] for our, their in theirs.items()}, **arguments}
    return {"class": name, "arguments": arguments}


def published_state(net) -> Optional[dict]:
    """Take a net's weights as a PyTorch state dict.

    Parameters
    ----------
    net : HybridBlock
        Initialized.

    Returns
    -------
    dict of str to ndarray, float32
        By the names, and in the order of channels, of BasicSR, or of leftthomas/SRGAN for
        SRResNet; None if no such program has a net like this one.
    """
    names = net._collect_params_with_prefix()
    return _state_in(net, published_layouts(type(net).__name__, names))


def pytorch_state(net) -> dict:
    """Take a net's weights as a state dict of its class in `gluon_enhance.exporting.pytorch`.

    Parameters
    ----------
    net : HybridBlock
        Initialized, of a class that is there.

    Returns
    -------
    dict of str to ndarray, float32
        As of `published_state`, where a program has the net. An SRResNet of any number of blocks is
        named as leftthomas/SRGAN does; what is in no program has its own names for layers.
    """
    if type(net).__name__ == "SRResNet":
        state = _state_in(net, (srgan_layout(len(net.body) - 2),))
    else:
        state = published_state(net)
    if state is not None:
        return state
    parameters = net._collect_params_with_prefix()
    return {_in_pytorch(name): p.list_data()[0].asnumpy() for name, p in parameters.items()}


def _state_in(net, layouts: tuple[Layout, ...]) -> Optional[dict]:
    """Take a net's weights in the first of the layouts that has names for all; None if none has."""
    from gluon_enhance.framework import mx

    parameters = {
        name: parameter
        for name, parameter in net._collect_params_with_prefix().items()
        if not isinstance(parameter, mx.gluon.Constant)  # built into the others' nets
    }
    factors, state = sub_pixel_factors(net), {}
    named = (_keys(parameters, layout, len(factors) // 2) for layout in layouts)
    keys = next(filter(None, named), None)
    if keys is None:
        return None
    for name, key in keys.items():
        array = parameters[name].list_data()[0].asnumpy()
        state[key] = regrouped(array, factors[name] ** 2) if name in factors else array
    return state


def _keys(parameters, layout, enlargings):
    """Map the net's names to the layout's; None if it lacks some, or is of another net."""
    body = {name.split(".")[1] for name in parameters if name.startswith("body.")}
    ways = [_reversed(*row, str(len(body) - 1), str(enlargings)) for row in layout.names]
    keys = {name: _key(name, ways) for name in parameters}
    return keys if layout.marker in keys.values() and None not in keys.values() else None


def _reversed(pattern, template, blocks, enlargings):
    """Make pattern and template of a layout's row that lead from the net's name to the key.

    A digit outside of groups is the place after the enlarging layers.
    """
    groups = re.findall(r"\(.*?\)", pattern)
    own = re.escape(template.replace("{blocks}", blocks))
    own = re.sub(r"\\\\(\d)", lambda match: groups[int(match[1]) - 1], own)
    for k, group in enumerate(groups, 1):
        pattern = pattern.replace(group, rf"\g<{k}>", 1)
    return own, pattern.replace(r"\.", ".").replace(r"\d", enlargings)


def _in_pytorch(name):
    """Call the last part of a name as PyTorch does: the gamma of a norm is its weight."""
    layer, dot, kind = name.rpartition(".")
    return layer + dot + next((torch for torch, others in KINDS.items() if kind in others), kind)


def _key(name, ways):
    layer, _, kind = _in_pytorch(name).rpartition(".")
    for pattern, template in ways:
        match = re.fullmatch(pattern, layer)
        if match:
            return f"{match.expand(template)}.{kind}"
    return None
