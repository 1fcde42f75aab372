"""What MXNet's exporter to ONNX cannot do or does wrong, mended before and after it runs.

Gluon's PixelShuffle2D is exported for factor 2 only; here it becomes one node, for any factor. The
gammas that a BatchNorm with ``fix_gamma`` ignores would count. Instance norms written as moments,
as our nets have them, become one node, which tiling can find. Two things are right that other
programs do not read, as ncnn and OpenCV's dnn: shuffles in depth_to_space's order of channels, and
the dozen nodes of a ``slice_like``.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from gluon_enhance import framework
from gluon_enhance.weights.readers.gluon import read_params, save_arrays

MOMENT = (("broadcast_div", None), ("sum", (2,)), ("broadcast_div", None), ("sum", (3,)))
"""Operators, and their axes, that average planes in `models.layers.norms.MomentNorm`."""

OLDEST_OPSET = 12
"""Of MXNet's exporter, under which its table has most operators."""

MARK = "_channels_first"
"""End of the names of nodes that stand for a shuffle in PixelShuffle2D's order of channels."""


def mend_pair(symbol: Path, params: Path) -> None:
    """Rewrite the pair of files that MXNet's exporter reads, in place.

    Shuffles become ``depth_to_space``, which has another order of channels until
    `put_channels_first` is called on the ONNX file's graph.
    """
    graph = json.loads(symbol.read_text(encoding="utf-8"))
    _fold_shuffles(graph["nodes"])
    _fold_norms(graph["nodes"])
    symbol.write_text(json.dumps(graph), encoding="utf-8")
    arrays = read_params(params)
    for name in _ignored_gammas(graph["nodes"]):
        arrays[f"arg:{name}"] = np.ones_like(arrays[f"arg:{name}"])
    save_arrays(params, arrays)


def has_instance_norms(nodes: list[dict]) -> bool:
    """Tell whether a net needs statistics of the whole image, whatever a trial on a photo says."""
    return any(node["op"] == "InstanceNorm" or _norm(nodes, node) for node in nodes)


def put_channels_first(graph) -> None:
    """Have the file's shuffles take channels in PixelShuffle2D's order, PyTorch's: mode CRD.

    Those that `mend_pair` made are of nets with that order. Of others, the convolution that gives
    the channels gives them in it from now on; where it is not one convolution's, the node stays.

    Parameters
    ----------
    graph : onnx.GraphProto
        Changed in place.
    """
    from onnx import helper

    makers = {node.output[0]: node for node in graph.node}
    uses = Counter(name for node in graph.node for name in node.input)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "DepthToSpace":
            continue
        if not node.name.endswith(MARK):
            conv = makers.get(node.input[0])
            if conv is None or not _is_reorderable(conv, uses, constants):
                continue
            for name in conv.input[1:]:
                _reorder(constants[name], node.attribute[0].i ** 2)
        node.attribute.append(helper.make_attribute("mode", "CRD"))


def _is_reorderable(conv, uses, constants):
    """Tell whether a node is a convolution of one group whose arrays serve nothing else."""
    groups = [attribute.i for attribute in conv.attribute if attribute.name == "group"]
    is_plain = conv.op_type == "Conv" and groups in ([], [1])
    are_own = all(uses[name] == 1 for name in (*conv.output, *conv.input[1:]))
    return is_plain and are_own and all(name in constants for name in conv.input[1:])


def _reorder(tensor, places):
    """Put what a convolution has for each output channel, place by place, channel by channel."""
    from onnx import numpy_helper

    array = numpy_helper.to_array(tensor)
    by_channel = array.reshape(places, -1, *array.shape[1:]).swapaxes(0, 1).reshape(array.shape)
    tensor.CopyFrom(numpy_helper.from_array(by_channel, tensor.name))


@contextmanager
def plain_crops():
    """Have MXNet export ``slice_like`` as three nodes for a while, instead of its dozen."""
    table = framework.mx.onnx.mx2onnx._export_onnx.MXNetGraph.registry_[OLDEST_OPSET]
    former = table["slice_like"]
    table["slice_like"] = partial(_crop, former)
    try:
        yield
    finally:
        table["slice_like"] = former


def _crop(former, node, **kwargs):
    """Slice a map from 0 to where the other's shape ends, along the axes in question."""
    from onnx import helper, numpy_helper

    axes = ast.literal_eval(node.get("attrs", {}).get("axes", "()"))
    if not axes:  # which is all of them
        return former(node, **kwargs)
    name, places = node["name"], node["inputs"]
    data, like = (kwargs["outputs_lookup"][place[0]][place[1]].name for place in places)
    shape, starts, ends, along = (f"{name}_{part}" for part in ("shape", "starts", "ends", "axes"))
    for key, values in ((starts, [0] * len(axes)), (along, axes)):
        kwargs["initializer"].append(numpy_helper.from_array(np.array(values, np.int64), key))
    return [
        helper.make_node("Shape", [like], [shape]),
        helper.make_node("Gather", [shape, along], [ends]),
        helper.make_node("Slice", [data, starts, ends, along], [name]),
    ]


def _ignored_gammas(nodes):
    for node in nodes:
        fixed = node.get("attrs", {}).get("fix_gamma", "True") in ("True", "1")
        if node["op"] == "BatchNorm" and fixed:
            yield nodes[node["inputs"][1][0]]["name"]


def _fold_shuffles(nodes):
    for node in nodes:
        chain = _chain(nodes, node)
        factor = _factor(chain)
        if factor:
            node.update(
                op="depth_to_space",
                name=node["name"] + MARK,
                attrs={"block_size": str(factor)},
                inputs=chain[0]["inputs"],
            )


def _chain(nodes, last):
    """List a node and the three that lead to it, in the order in which they run."""
    chain = [last]
    while len(chain) < 4 and chain[0]["inputs"]:
        chain.insert(0, nodes[chain[0]["inputs"][0][0]])
    return chain


def _factor(chain):
    """Return the factor by which four nodes, as PixelShuffle2D has them, enlarge; 0 if others."""
    if [node["op"] for node in chain] != ["Reshape", "Reshape", "transpose", "Reshape"]:
        return 0
    attrs = [node.get("attrs", {}) for node in chain]
    first, second, turn, last = (
        ast.literal_eval(a.get("shape") or a.get("axes") or "()") for a in attrs
    )
    factor = second[3] if len(second) == 7 else 0
    expected = ((0, -4, -1, factor**2, 0, 0), (0, 0, -4, factor, factor, 0, 0), (0, 0, -3, -3))
    return factor if (first, second, last) == expected and turn == (0, 1, 4, 2, 5, 3) else 0


def _fold_norms(nodes):
    for node in nodes:
        norm = _norm(nodes, node)
        if norm:
            *inputs, epsilon = norm
            node.update(op="InstanceNorm", attrs={"eps": epsilon}, inputs=inputs)


def _norm(nodes, last):
    """Return data, gamma, beta and epsilon of the instance norm that ends with a node, if any."""
    scaled, beta = _inputs(nodes, last, "broadcast_add")
    centered, gain = _inputs(nodes, scaled, "broadcast_mul")
    gamma, inverse = _inputs(nodes, gain, "broadcast_mul")
    deviation = _followed(nodes, inverse, (("reciprocal", None), ("sqrt", None)))
    variance = _followed(nodes, deviation, (("_plus_scalar", None),))
    square = _followed(nodes, variance, MOMENT)
    data, mean = _inputs(nodes, centered, "broadcast_sub")
    averaged = _followed(nodes, mean, MOMENT)
    weights = [_followed(nodes, one, (("Reshape", None),)) for one in (gamma, beta)]
    ends = [centered, data], [_followed(nodes, square, (("square", None),)), averaged]
    if None in (data, *weights) or ends[0] != ends[1]:
        return None
    weights = [[nodes.index(one), 0, 0] for one in weights]
    return centered["inputs"][0], *weights, deviation["attrs"]["scalar"]


def _inputs(nodes, node, op):
    """Return the two nodes that lead to one of this operator; two of None if it is another's."""
    if node is None or node["op"] != op:
        return None, None
    return [nodes[place[0]] for place in node["inputs"]]


def _followed(nodes, node, steps):
    """Go back from a node through operators, along their first inputs; None if others are there."""
    for op, axes in steps:
        if node is None or node["op"] != op:
            return None
        axis = node.get("attrs", {}).get("axis", "None")  # of all axes, if it is not said
        if axes and ast.literal_eval(axis) != axes:
            return None
        node = nodes[node["inputs"][0][0]]
    return node
