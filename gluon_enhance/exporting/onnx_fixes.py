"""What MXNet's exporter to ONNX cannot do or does wrong, mended before and after it runs.

Gluon's PixelShuffle2D is exported for factor 2 only; here it becomes one node, for any factor. The
gammas that a BatchNorm with ``fix_gamma`` ignores would count. Instance norms written as moments,
as our nets have them, become one node, which tiling can find.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np

from gluon_enhance.weights.readers.gluon import read_params, save_arrays

MOMENT = (("broadcast_div", None), ("sum", (2,)), ("broadcast_div", None), ("sum", (3,)))
"""Operators, and their axes, that average planes in `models.layers.norms.MomentNorm`."""

MARK = "_channels_first"
"""End of the names of nodes that stand for a shuffle in PixelShuffle2D's order of channels."""


def mend_pair(symbol: Path, params: Path) -> None:
    """Rewrite the pair of files that MXNet's exporter reads, in place.

    Shuffles become ``depth_to_space``, which has another order of channels until `restore_order`
    is called on the ONNX file.
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


def restore_order(model) -> None:
    """Give the nodes that `mend_pair` made the order of channels of PixelShuffle2D."""
    from onnx import helper

    for node in model.graph.node:
        if node.op_type == "DepthToSpace" and node.name.endswith(MARK):
            node.attribute.append(helper.make_attribute("mode", "CRD"))


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
