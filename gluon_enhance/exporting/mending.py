"""What MXNet's exporter to ONNX cannot do or does wrong, mended before and after it runs.

Gluon's PixelShuffle2D is exported for factor 2 only; here it becomes one node, for any factor. The
gammas that a BatchNorm with ``fix_gamma`` ignores would count.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

from gluon_enhance import framework

MARK = "_channels_first"
"""End of the names of nodes that stand for a shuffle in PixelShuffle2D's order of channels."""


def mend_pair(symbol: Path, params: Path) -> None:
    """Rewrite the pair of files that MXNet's exporter reads, in place.

    Shuffles become ``depth_to_space``, which has another order of channels until `restore_order`
    is called on the ONNX file.
    """
    graph = json.loads(symbol.read_text(encoding="utf-8"))
    _fold_shuffles(graph["nodes"])
    symbol.write_text(json.dumps(graph), encoding="utf-8")
    arrays = framework.mx.nd.load(str(params))
    for name in _ignored_gammas(graph["nodes"]):
        arrays[f"arg:{name}"][:] = 1
    framework.mx.nd.save(str(params), arrays)


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
