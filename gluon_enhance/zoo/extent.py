"""How a net's output lies on its input, read off its graph: ratio, radius and sizes that fit."""

from __future__ import annotations

import ast
import json
import math
from fractions import Fraction
from typing import Callable, NamedTuple, Optional

SIDE = 1 << 12
"""Input pixels of the part that the radius is computed around: any that all sizes divide."""


class Extent(NamedTuple):
    """What a graph tells of a net from image to image.

    Attributes
    ----------
    scale : int
        Ratio of output to input size.
    multiple : int
        The input's height and width must be multiples of it.
    stride : int
        Ratio of the input's size to that of the smallest maps that strides make.
    radius : int
        Input pixels around a part of the input on which the part's result depends, norms apart.
    min_size : int
        Pixels that each side of the input must have for reflections.
    """

    scale: int
    multiple: int
    stride: int
    radius: int
    min_size: int


class _Placement(NamedTuple):
    """How a map lies on the one that it is made of.

    `step` is the ratio of their sizes, old to new, `stride` the part of it that is no fold of
    pixels into channels, and `reach` leads from the first and last pixel that are wanted of the new
    map to those that they are made of.
    """

    step: Fraction = Fraction(1)
    stride: Fraction = Fraction(1)
    reach: Callable = lambda low, high: (low, high)


def extent_of(net) -> Optional[Extent]:
    """Trace a net and read its graph.

    Parameters
    ----------
    net : HybridBlock
        From (N, 3, H, W) to (N, 3, H * scale, W * scale).

    Returns
    -------
    Extent or None
        None if the graph has operators whose reach is not known here, or no whole scale.
    """
    from gluon_enhance.forms import EXPORTING, in_form
    from gluon_enhance.framework import mx

    with in_form(net, EXPORTING):  # norms are one operator then
        return extent_of_graph(json.loads(net(mx.sym.var("data")).tojson()))


def extent_of_graph(graph: dict) -> Optional[Extent]:
    """Read MXNet's JSON of a net with one output and the input ``data``; see `extent_of`."""
    nodes = graph["nodes"]
    try:
        layers = [_layer(node) for node in nodes]
    except KeyError:  # an operator that is not known
        return None
    steps, strides, multiple, least = {}, {}, 1, 1
    for k, (node, layer) in enumerate(zip(nodes, layers)):
        inputs = [source for source, *_ in node["inputs"] if source in steps]
        if node["name"] == "data":
            steps[k] = strides[k] = Fraction(1)
        if not inputs:  # weights, and what is made of them
            continue
        step = steps[inputs[0]]
        if any(steps[source] != step for source in inputs):
            return None
        if node["op"] == "space_to_depth":
            multiple = math.lcm(multiple, math.ceil(step * layer.step))
        if node["op"] == "Pad" and node["attrs"]["mode"] == "reflect":
            least = max(least, math.ceil(step * -layer.reach(0, 0)[0]) + 1)
        steps[k] = step * layer.step
        strides[k] = layer.stride * max(strides[source] for source in inputs)
    head = graph["heads"][0][0]
    if head not in steps or (1 / steps[head]).denominator != 1:
        return None
    scale = int(1 / steps[head])
    low, high = _wanted(nodes, layers, head, SIDE * scale)
    radius = max(-low, high - SIDE + 1, 0)
    return Extent(scale, multiple, math.ceil(max(strides.values())), radius, least)


def _wanted(nodes, layers, head, size):
    """Return the first and last input pixel on which the pixels from 0 to size of a map depend."""
    wanted = {head: (0, size - 1)}
    for k in range(head, -1, -1):
        if k not in wanted:
            continue
        low, high = wanted[k]
        if nodes[k]["name"] == "data":
            return low, high
        low, high = layers[k].reach(low, high)
        for source, *_ in nodes[k]["inputs"]:
            own = wanted.get(source, (low, high))
            wanted[source] = min(low, own[0]), max(high, own[1])
    return 0, 0


def _layer(node):
    if node["op"] in POINTWISE:
        return _Placement()
    return _LAYERS[node["op"]]({key: _value(text) for key, text in node.get("attrs", {}).items()})


def _value(text):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _pair(attrs, key, default):
    """Return the larger of two numbers: images are turned by a quarter now and then."""
    return max(attrs.get(key) or (default,), default=default)


def _conv(attrs):
    kernel, pad = _pair(attrs, "kernel", 1), _pair(attrs, "pad", 0)
    stride, dilate = _pair(attrs, "stride", 1), _pair(attrs, "dilate", 1)
    end = (kernel - 1) * dilate - pad
    step = Fraction(stride)
    return _Placement(step, step, lambda low, high: (low * stride - pad, high * stride + end))


def _deconv(attrs):
    kernel, pad = _pair(attrs, "kernel", 1), _pair(attrs, "pad", 0)
    stride = _pair(attrs, "stride", 1)
    step = Fraction(1, stride)
    return _Placement(
        step,
        step,
        lambda low, high: (-((kernel - 1 - low - pad) // stride), (high + pad) // stride),
    )


def _enlarge(factor):
    step = Fraction(1, factor)
    return _Placement(step, step, lambda low, high: (low // factor, high // factor))


def _fold(attrs):
    factor = attrs["block_size"]
    step = Fraction(factor)
    return _Placement(step, reach=lambda low, high: (low * factor, high * factor + factor - 1))


def _shift(begin):
    return _Placement(reach=lambda low, high: (low + begin, high + begin))


_LAYERS = {
    "Convolution": _conv,
    "Pooling": _conv,
    "Deconvolution": _deconv,
    "UpSampling": lambda attrs: _enlarge(attrs["scale"]),
    "depth_to_space": lambda attrs: _enlarge(attrs["block_size"]),
    "space_to_depth": _fold,
    "Pad": lambda attrs: _shift(-attrs["pad_width"][4]),
    "slice_axis": lambda attrs: _shift(attrs["begin"] if attrs["axis"] in (2, 3) else 0),
}

POINTWISE = {
    "null",
    "Activation",
    "BatchNorm",
    "Concat",
    "InstanceNorm",
    "LeakyReLU",
    "SliceChannel",
    "_copy",
    "_div_scalar",
    "_minus_scalar",
    "_mul_scalar",
    "_plus_scalar",
    "_rminus_scalar",
    "broadcast_add",
    "broadcast_div",
    "broadcast_mul",
    "broadcast_sub",
    "clip",
    "elemwise_add",
    "elemwise_mul",
    "elemwise_sub",
    "relu",
    "sigmoid",
    "tanh",
}
"""Operators that look at one pixel of each map, norms, and no operator."""
