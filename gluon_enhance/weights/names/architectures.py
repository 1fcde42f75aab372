"""Which net weights are of, and of what size, read off their names and shapes.

Weights come in other programs' layouts (`gluon_enhance.weights.names.official`) or under the net's
own names; of either the same function reads the sizes, from the shapes under the own names.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Callable, NamedTuple, Optional

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.load import is_equal, own_names, unwrapped
from gluon_enhance.weights.names.official import BATCH_NORM, layouts_for
from gluon_enhance.weights.readers import METADATA

LISTED = 3
"""Names that a refusal spells out."""

RESIDUAL_SCALES = {64: 1, 256: 0.1}
"""Channels of the published EDSR nets -> what their blocks' results are multiplied with."""

LARGEST_SCALE = 64


class Reading(NamedTuple):
    """A net's class, as ``module.Class``, its title, and what it is built with."""

    net: str
    title: str
    kwargs: dict


@dataclass(frozen=True)
class Architecture:
    """One class of nets.

    Attributes
    ----------
    net, title : str
        ``module.Class`` under `gluon_enhance.models`, and what users call it.
    own : str
        Pattern of the net's own names for its layers.
    read : callable
        From a `_Shapes` of own names to what the class is built with; raises ValueError for what
        the class cannot be.
    """

    net: str
    title: str
    own: str
    read: Callable


class _Shapes:
    """Shapes of weights by the net's own names; of what is missing, the name is told."""

    def __init__(self, state, names, told):
        # NumPy would go through all of what else a pickle holds, such as lists of lists.
        self._shapes = {own: getattr(state[key], "shape", ()) for key, own in names.items()}
        self.texts = {own: state[key] for key, own in names.items() if isinstance(state[key], str)}
        self.told = told

    def __contains__(self, name):
        return name in self._shapes

    def conv(self, name):
        """Return the shape of a convolution's weight."""
        shape = self._shapes.get(f"{name}.weight")
        if shape is None or len(shape) != 4:
            raise ValueError(f"{name}.weight is {'missing' if shape is None else shape}")
        return shape

    def blocks(self, pattern):
        """Count the different groups of a pattern that names match."""
        return len({m[1] for m in (re.match(pattern, name) for name in self._shapes) if m})


def _rrdb(shapes):
    channels, taken = shapes.conv("head")[:2]
    image_channels = shapes.conv("tail.2")[0]
    unshuffle = _root(taken, image_channels, "the first convolution takes", "the last gives")
    doublings = shapes.blocks(r"upsample\.(\d+)\.weight")
    if unshuffle not in (1, 2, 4) or 2**doublings < unshuffle:
        raise ValueError(f"its input is folded by {unshuffle} and enlarged {doublings} times by 2")
    scale = 2**doublings // unshuffle
    kwargs = {
        "scale": scale,
        "num_blocks": shapes.blocks(r"body\.(\d+)\.rdb1\.conv1\.weight"),
        "channels": channels,
        "growth_channels": shapes.conv("body.0.rdb1.conv1")[0],
    }
    if unshuffle != max(4 // scale, 1):
        kwargs["unshuffle"] = unshuffle
    if "body.0.rdb1.conv1x1.weight" in shapes:
        kwargs["plus"] = True
    return {**kwargs, **_colors(image_channels)}


def _srvgg(shapes):
    channels, taken = shapes.conv("head.0")[:2]
    convs = shapes.blocks(r"body\.(\d*[02468])\.weight")
    slopes = shapes.blocks(r"body\.(\d*[13579])\.(?:weight|alpha)")
    if convs != slopes:
        raise ValueError(
            f"it has {convs} convolutions and {slopes} PReLUs, which are its only kind"
        )
    scale = _root(shapes.conv("tail")[0], taken, "the last convolution gives", "the first takes")
    width = {} if channels == 64 else {"channels": channels}
    return {"scale": scale, "num_convs": convs, **width, **_colors(taken)}


def _srvgg_bilinear(shapes):
    return {
        "scale": 2 ** shapes.blocks(r"upsample\.(\d+)\.weight"),
        "num_convs": shapes.blocks(r"body\.(\d*[02468])\.weight"),
        "channels": shapes.conv("head.0")[0],
        "full_channels": shapes.conv("join")[0],
    }


def _edsr(shapes):
    channels, taken = shapes.conv("head")[:2]
    if taken != 3 or shapes.conv("tail")[0] != 3:
        raise ValueError(f"it takes {taken} channels and gives {shapes.conv('tail')[0]}, not 3")
    residual_scale = shapes.told.get("residual_scale", RESIDUAL_SCALES.get(channels))
    if residual_scale is None:
        raise ValueError(
            f"nothing in it tells by what its residuals of {channels} channels are multiplied: "
            "give it with a name, edsr_baseline_x2=FILE if by 1 and edsr_x2=FILE if by 0.1, with "
            "its scale"
        )
    kwargs = {"scale": _enlarged(shapes, channels), "num_blocks": _residual_blocks(shapes)}
    kwargs["channels"] = channels
    return kwargs if residual_scale == 1 else {**kwargs, "residual_scale": residual_scale}


def _msrresnet(shapes):
    channels, taken = shapes.conv("head")[:2]
    given = shapes.conv("tail.2")[0]
    if taken != given:
        raise ValueError(f"it takes {taken} channels and gives {given}")
    kwargs = {"scale": _enlarged(shapes, channels), "num_blocks": _residual_blocks(shapes)}
    return {**kwargs, **({} if channels == 64 else {"channels": channels}), **_colors(taken)}


def _srresnet(shapes):
    channels = shapes.conv("head.0")[0]
    blocks = _residual_blocks(shapes)
    trunk_norm = any(f"body.{blocks + 1}.{kind}" in shapes for kind in ("running_mean", "gamma"))
    kwargs = {"scale": 2 ** shapes.blocks(r"upsample\.(\d*[02468])\.weight"), "num_blocks": blocks}
    if channels != 64:
        kwargs["channels"] = channels
    # The only program with a PReLU there, leftthomas/SRGAN, ends in a tanh; the paper's does not.
    return kwargs if trunk_norm else {**kwargs, "trunk_norm": False, "tanh": True}


def _style(shapes):
    channels = shapes.conv("head.0")[0]
    norm = "batch" if BATCH_NORM in shapes.texts.values() else "instance"
    kwargs = {"channels": channels, "norm": norm}
    reflects = any(text.startswith("SpatialReflection") for text in shapes.texts.values())
    return kwargs if reflects else {**kwargs, "padding": "zero"}


def _residual_blocks(shapes):
    return shapes.blocks(r"body\.(\d+)\.conv1\.weight")


def _enlarged(shapes, channels):
    scale = 1
    for k in range(shapes.blocks(r"upsample\.(\d+)\.weight")):
        scale *= _root(shapes.conv(f"upsample.{k}")[0], channels, f"upsample.{k} gives", "of")
    return scale


def _root(many, few, what, whom):
    """Return the factor of which the square is many / few."""
    factor = math.isqrt(many // few) if few else 0
    if factor**2 * few != many or not 0 < factor <= LARGEST_SCALE:
        raise ValueError(f"{what} {many} channels, {whom} {few}: no square number times as many")
    return factor


def _colors(channels):
    if channels not in (1, 3, 4):
        raise ValueError(f"its images have {channels} channels, not 1, 3 or 4")
    return {} if channels == 3 else {"image_channels": channels}


ARCHITECTURES = (
    Architecture(
        "rrdbnet.RRDBNet",
        "RRDB (ESRGAN, Real-ESRGAN)",
        r"head|body\.\d+(\.rdb[1-3]\.conv([1-5]|1x1))?|upsample\.\d+|tail\.[02]",
        _rrdb,
    ),
    Architecture(
        "srvgg.SRVGGNetBilinear",
        "SRVGGNetBilinear",
        r"head\.[01]|body\.\d+|join|upsample\.\d+|tail\.[02]",
        _srvgg_bilinear,
    ),
    Architecture("srvgg.SRVGGNetCompact", "SRVGGNetCompact", r"head\.[01]|body\.\d+|tail", _srvgg),
    Architecture(
        "edsr.EDSR", "EDSR", r"mean|head|body\.\d+(\.conv[12])?|upsample\.\d+|tail", _edsr
    ),
    Architecture(
        "srresnet.MSRResNet",
        "MSRResNet",
        r"enlarge|head|body\.\d+(\.conv[12])?|upsample\.\d+|tail\.[02]",
        _msrresnet,
    ),
    Architecture(
        "srresnet.SRResNet",
        "SRResNet",
        r"head\.[01]|body\.\d+(\.(conv[12]|norm[12]|prelu))?|upsample\.\d+|tail",
        _srresnet,
    ),
    Architecture("dped.DPEDResNet", "DPED", "(?!)", lambda shapes: {}),  # own names: which norm?
    Architecture("style.StyleNet", "style net", "(?!)", _style),  # which padding?
)


def read_off(checkpoint: Mapping, source: object, told: Mapping = MappingProxyType({})) -> Reading:
    """Read off weights which net they are of.

    Parameters
    ----------
    checkpoint : mapping
        As a reader gives it: may be wrapped and prefixed.
    source : object
        What error messages call it.
    told : mapping
        What the user says by a name, of that which weights do not tell: ``residual_scale``.

    Returns
    -------
    Reading
        Of a net whose class has layers for all of the names; whether the shapes fit, loading tells.

    Raises
    ------
    WeightsError
        If no net known here has such weights. The message names the nearest and what differs.
    """
    state = unwrapped(checkpoint)
    if not state:
        raise WeightsError(f"{source} holds no weights")
    if any(str(key).startswith(("arg:", "aux:")) for key in state):
        raise WeightsError(
            f"{source} is half of a pair that MXNet saved, and its X-symbol.json is the net: give "
            "that as the model, with both in one folder"
        )
    told = {**told, **_declared(checkpoint)}
    matches = sorted((_match(one, state) for one in ARCHITECTURES), key=_Match.rank, reverse=True)
    best = matches[0]
    title = best.architecture.title
    if best.share == 0:
        known = ", ".join(one.title for one in ARCHITECTURES)
        raise WeightsError(
            f"{source} is of no net known here ({known}): its weights are {_some(state)}"
        )
    if best.strange:
        raise WeightsError(
            f"{source} is of a net that is not known here. {title} is the nearest and lacks "
            f"{_some(best.strange)}"
        )
    faults = []
    for architecture, _, names, strange, _ in matches:
        if strange:
            continue
        try:
            kwargs = architecture.read(_Shapes(state, names, told))
            return Reading(architecture.net, architecture.title, kwargs)
        except ValueError as error:
            faults.append(error)
    raise WeightsError(f"{source} has the names of {title}, but {faults[0]}") from faults[0]


class _Match(NamedTuple):
    """How many of the names are an architecture's, in its best layout; own names are no layout."""

    architecture: Architecture
    share: float
    names: dict
    strange: list
    is_layout: bool

    def rank(self):
        return self.share, self.is_layout


def _match(architecture, state):
    """Find the layout of an architecture that has most of these names."""
    layouts = [None, *layouts_for(architecture.net.partition(".")[2], state)]
    matches = (_in_layout(architecture, layout, state) for layout in layouts)
    return max(matches, key=_Match.rank)


def _in_layout(architecture, layout, state):
    if layout is None:
        pattern = re.compile(rf"(?:{architecture.own})(?:\.\w+)?")
        names: dict[str, Optional[str]] = {
            key: key if pattern.fullmatch(str(key)) else None for key in state
        }
    else:
        built_in = {
            k for k, value in layout.fixed.items() if k in state and is_equal(state[k], value)
        }
        missing = layout.fixed.keys() & {"graph"} - state.keys()
        names = own_names([key for key in state if key not in built_in], layout)
        names.update({key: key for key in built_in})
        if missing:
            names = dict.fromkeys(state)
    strange = [key for key, own in names.items() if own is None]
    share = 1 - len(strange) / len(state)
    known = {key: own for key, own in names.items() if own is not None}
    return _Match(architecture, share, known, strange, layout is not None)


def _declared(checkpoint):
    """Return the arguments of the PyTorch class that our own safetensors tell besides."""
    texts = checkpoint.get(METADATA)
    try:
        arguments = json.loads(texts["model"])["arguments"] if texts else {}
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    value = arguments.get("res_scale") if isinstance(arguments, dict) else None
    is_factor = type(value) in (int, float) and abs(value) <= LARGEST_SCALE
    return {"residual_scale": value} if is_factor else {}


def _some(names):
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(f"{name!s:.100}" for name in list(names)[:LISTED]) + rest
