"""The shapes of a net's maps, node by node, and the memory and work that they ask for."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from functools import lru_cache

from gluon_enhance import framework
from gluon_enhance.engines.checks.limits import (
    LARGEST,
    most_at_once,
    refuse_disproportion,
    refuse_enlargement,
    refuse_fixed,
)

SIDES = (256, 2048)
"""Of the images that shapes are inferred for. What grows faster than images do, as the product of
all pixels by all does, is too large for the second."""

PRODUCTS = ("Convolution", "Deconvolution", "FullyConnected", "dot", "batch_dot")
"""Operators whose work is larger than their maps."""

CHANNELS = {"BatchNorm": 1, "InstanceNorm": 1, "LayerNorm": -1, "LeakyReLU": 1}
"""Operators with a number or more for each channel, and its axis; MXNet does not check all."""

RESHAPED = ("Reshape", "reshape_like", "Flatten", "expand_dims", "squeeze", "transpose", "SwapAxis")
"""Operators that keep all numbers; MXNet does not check that there are as many."""

VERSION = 10901
"""Of the texts that MXNet itself has written here: nothing in them is brought up to date."""


class SymbolCheck:
    """What a net of others does with images of each size, found out before MXNet runs it.

    Nothing is computed. A node's shape is known to be sound before the next one's is asked for.

    Parameters
    ----------
    graph : Symbol
        Of a text that `read_graph` returned.
    image : str
        Name of the input that no weight is for.
    weights : dict of str to tuple of int
        Shapes of all others, by name.

    Raises
    ------
    ValueError
        If a weight is empty, or `check` refuses images of one of the `SIDES`.
    """

    def __init__(self, graph, image: str, weights: Mapping[str, tuple[int, ...]]):
        empty = next((name for name, shape in weights.items() if 0 in shape), None)
        if empty is not None:
            raise ValueError(f"weight {empty[:60]!r} is empty")
        graph = json.loads(graph.tojson())
        self._nodes, (self._head, self._output, *_) = graph["nodes"], graph["heads"][0]
        self._image, self._weights = image, weights
        self._passed: set = set()
        for side in SIDES:
            self.check((1, 3, side, side))

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse images of a shape for which the net reads what is not there, or takes too much.

        Those that passed are known.

        Raises
        ------
        ValueError
            If a shape does not fit another, or memory or time are out of proportion to the image
            and the weights.
        """
        if shape in self._passed:
            return
        maps = _shapes(self._nodes, {**self._weights, self._image: shape})
        pixels, result = math.prod(shape), math.prod(maps[self._head][self._output])
        held = sum(map(math.prod, self._weights.values()))
        sizes = [
            0 if node["op"] == "null" else sum(map(math.prod, one))
            for node, one in zip(self._nodes, maps)
        ]
        takes = [{k for k, *_ in node["inputs"]} for node in self._nodes]
        work = sum(_work(node, shapes[0], maps) for node, shapes in zip(self._nodes, maps))
        refuse_fixed(pixels, held, _fixed(self._nodes, self._image, sizes))
        refuse_enlargement(pixels, result)
        most = most_at_once(sizes, takes, {self._head})
        refuse_disproportion(pixels, result, held, most, work)
        self._passed.add(shape)


def _shapes(nodes, known):
    """List the shapes of each node's outputs; `known` has those of variables."""
    maps = []
    for node in nodes:
        if node["op"] == "null":
            maps.append((known[node["name"]],))
            continue
        attrs = tuple(sorted(node.get("attrs", {}).items()))
        inputs = tuple(maps[k][one] for k, one, *_ in node["inputs"])
        _refuse_other_vectors(node, inputs)
        try:
            shapes = _inferred(node["op"], attrs, inputs)
        except framework.mx.MXNetError as error:
            reason = str(error).strip().splitlines()[-1][-200:]
            raise ValueError(
                f"{node['op']} {node['name'][:60]!r} does not fit what it gets for some size of "
                f"image: {reason}"
            ) from error
        if node["op"] in RESHAPED and math.prod(shapes[0]) != math.prod(inputs[0]):
            raise ValueError(f"{node['op']} {node['name'][:60]!r} does not keep all its numbers")
        _refuse_other_channels(node, inputs)
        if not all(min(shape) > 0 and math.prod(shape) <= LARGEST for shape in shapes):
            raise ValueError(f"{node['op']} {node['name'][:60]!r} makes maps of {shapes!s:.80}")
        maps.append(shapes)
    return maps


def _refuse_other_vectors(node, inputs):
    """Refuse what MXNet would read beyond the end of."""
    if node["op"] not in CHANNELS and node["op"] != "GroupNorm":
        return
    first, *others = inputs
    attrs = node.get("attrs", {})
    if node["op"] == "GroupNorm":  # it has one a group
        channels = int(attrs.get("num_groups", 1))
    else:
        axis = int(attrs.get("axis", CHANNELS[node["op"]]))
        channels = first[axis] if -len(first) <= axis < len(first) else 0
    allowed = {(channels,), (1,)} if node["op"] == "LeakyReLU" else {(channels,)}
    if not allowed.issuperset(others):
        raise ValueError(
            f"{node['op']} {node['name'][:60]!r} has weights that are not one a channel"
        )


def _refuse_other_channels(node, inputs):
    """Refuse a bilinear enlargement that counts other channels than it has: MXNet divides by it."""
    attrs = node.get("attrs", {})
    if node["op"] == "UpSampling" and attrs["sample_type"] == "bilinear":
        stated, channels = int(attrs.get("num_filter", 0)), inputs[0][1]
        if stated != channels:
            raise ValueError(
                f"UpSampling {node['name'][:60]!r} has num_filter={stated}, not the {channels} "
                "channels of its map"
            )


@lru_cache(maxsize=4096)
def _inferred(op, attrs, shapes):
    """Have MXNet tell the shapes of one node's outputs."""
    count, attrs = len(shapes), dict(attrs)
    nodes = [{"op": "null", "name": f"x{k}", "inputs": []} for k in range(count)]
    inputs = [[k, 0, 0] for k in range(count)]
    nodes.append({"op": op, "name": "node", "attrs": attrs, "inputs": inputs})
    heads = [[count, k, 0] for k in range(int(attrs.get("num_outputs", 1)))]
    version = {"mxnet_version": ["int", VERSION]}
    text = {"nodes": nodes, "arg_nodes": list(range(count)), "heads": heads, "attrs": version}
    symbol = framework.mx.sym.load_json(json.dumps(text))
    _, outputs, _ = symbol.infer_shape_partial(**{f"x{k}": shape for k, shape in enumerate(shapes)})
    if not outputs or not all(outputs):
        raise ValueError(f"the shape that {op} makes of {shapes!s:.80} is not known")
    return tuple(map(tuple, outputs))


def _fixed(nodes, image, sizes):
    """Count the numbers of maps that are the same for all images."""
    seen, fixed = set(), 0
    for k, node in enumerate(nodes):
        if (node["op"], node["name"]) == ("null", image):
            seen.add(k)
        elif seen.isdisjoint(one for one, *_ in node["inputs"]):
            fixed += sizes[k]
        else:
            seen.add(k)
    return fixed


def _work(node, shape, maps):
    """Return about how many products of two numbers a node takes."""
    op, attrs = node["op"], node.get("attrs", {})
    numbers = math.prod(shape)
    if op == "Pooling":
        return numbers * math.prod(ast.literal_eval(attrs.get("kernel", "(1,)")))
    if op not in PRODUCTS:
        return 0 if op == "null" else numbers
    first, second = (maps[k][one] for k, one, *_ in node["inputs"][:2])
    if op in ("dot", "batch_dot"):
        rows = 0 if op == "dot" else -2
        return numbers * first[rows if attrs.get("transpose_a") == "True" else -1]
    # A weight has one row for each number of the result or, turned around, of the map.
    return math.prod(first if op == "Deconvolution" else shape) * math.prod(second[1:])
