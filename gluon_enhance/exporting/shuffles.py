"""Gluon's PixelShuffle2D, which MXNet exports for factor 2 only, as one node of ONNX."""

from __future__ import annotations

import ast
import json
from pathlib import Path

MARK = "_channels_first"
"""End of the names of nodes that stand for a shuffle in PixelShuffle2D's order of channels."""


def fold_shuffles(symbol: Path) -> None:
    """Put a ``depth_to_space`` in place of every shuffle in a ``-symbol.json`` file.

    It has another order of channels until `restore_order` is called on the ONNX file.
    """
    graph = json.loads(symbol.read_text(encoding="utf-8"))
    nodes = graph["nodes"]
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
    symbol.write_text(json.dumps(graph), encoding="utf-8")


def restore_order(model) -> None:
    """Give the nodes that `fold_shuffles` made the order of channels of PixelShuffle2D."""
    from onnx import helper

    for node in model.graph.node:
        if node.op_type == "DepthToSpace" and node.name.endswith(MARK):
            node.attribute.append(helper.make_attribute("mode", "CRD"))


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
