"""What a graph makes of inputs of some shapes, found before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from gluon_enhance.engines.checks.calls import NARROW, Call
from gluon_enhance.engines.checks.limits import (
    LARGEST,
    most_at_once,
    refuse_disproportion,
    refuse_enlargement,
    refuse_fixed,
    refuse_tangle,
)
from gluon_enhance.engines.checks.onnx_file import DTYPES, MOST_AXES, Graph, Node, Tensor
from gluon_enhance.engines.checks.operators import OPERATORS
from gluon_enhance.engines.checks.types import type_of
from gluon_enhance.errors import plural

LARGEST_KNOWN = 1 << 10
"""Numbers of what is computed before there is an image; of shapes and indices, a few."""

LOOKS = 1 << 24
"""Numbers that are looked at, of what is known, in all nodes; the indices of a large transformer's
windows are half of it."""

LAYERS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
"""Operators of most work, between which engines look for others to join."""

MISFITS = (ValueError, TypeError, LookupError, ArithmeticError)
"""What a node of wrong inputs and attributes leads to."""


class Followed(NamedTuple):
    """What a graph makes of inputs of some shapes.

    Attributes
    ----------
    outputs : list of tuple of int
        Their shapes.
    maps : dict of str to tuple of int
        The shape of whatever has a name.
    known : dict of int to (str, Tensor)
        What nodes, by their number, compute before there is an image, and its name.
    """

    outputs: list[tuple[int, ...]]
    maps: dict[str, tuple[int, ...]]
    known: dict[int, tuple[str, Tensor]]


def follow(graph: Graph, attributes: Sequence[dict], shapes: Sequence[tuple[int, ...]]) -> Followed:
    """Find the shapes of all maps and what is known of them; refuse too much memory or work.

    Parameters
    ----------
    graph : Graph
    attributes : sequence of dict
        Of its nodes, which are in the table.
    shapes : sequence of tuple of int
        Of its inputs.

    Raises
    ------
    ValueError
        If it does not take them, or does what no image net needs.
    """
    if len(shapes) != len(graph.inputs):
        raise ValueError(f"it has {plural(len(graph.inputs), 'input')}, not {len(shapes)}")
    walk = _Walk(graph, shapes)
    for number, (node, own) in enumerate(zip(graph.nodes, attributes)):
        named(node, partial(walk.step, number, node, own))
    return walk.end(shapes)


def named(node: Node, step):
    """Do a step, and name the node where it fails."""
    try:
        with np.errstate(all="ignore"):
            return step()
    except MISFITS as error:
        raise ValueError(f"{node.op:.60} {node.name:.60}: {error}") from error


class _Walk:
    """Through the nodes in their order."""

    def __init__(self, graph, shapes):
        ends = zip(graph.inputs, shapes, graph.kinds)
        images = {name: Tensor(shape, None, kind) for name, shape, kind in ends}
        self._graph, self._tensors = graph, {**graph.constants, **images}
        self._weights = sum(math.prod(one.shape) for one in graph.constants.values())
        self._of_pixels, self._fixed = set(graph.inputs), 0
        self._makers, self._sizes, self._takes = {}, [], []
        self._in_a_row, self._uses = {}, {}
        self._known, self._looks, self._work = {}, 0, 0

    def step(self, number, node, attributes):
        """Find what a node makes."""
        inputs = _taken(node, self._tensors)
        self._looks += sum(math.prod(one.shape) for one in inputs if one and one.value is not None)
        if self._looks > LOOKS:
            raise ValueError(f"it computes with over {LOOKS:,} indices; no image needs that")
        call = Call(node, inputs, attributes, self._graph.opset)
        made = _made(call, self._tensors)
        self._tensors.update((name, one) for name, one in zip(node.outputs, made) if name)
        self._count(number, node, made)
        self._work += _work(call, self._sizes[-1])

    def _count(self, number, node, made):
        self._sizes.append(sum(math.prod(one.shape) for one in made))
        self._takes.append({self._makers[name] for name in node.inputs if name in self._makers})
        self._makers.update(dict.fromkeys(node.outputs, number))
        if node.op == "Constant":  # the file holds it
            self._weights += self._sizes[-1]
            return
        if node.op in ("Shape", "Size") or self._of_pixels.isdisjoint(node.inputs):
            self._fixed += self._sizes[-1]
        else:
            self._of_pixels.update(node.outputs)
        if made[0].value is not None:
            self._known[number] = node.outputs[0], made[0]
        elif node.op not in ("Shape", "Size"):
            self._note_tangle(node)

    def _note_tangle(self, node):
        """Note how many nodes come after one another without a layer, and who takes a map."""
        taken = self._of_pixels.intersection(node.inputs)
        self._uses.update((name, self._uses.get(name, 0) + 1) for name in taken)
        row = 0
        if node.op not in LAYERS:
            row = 1 + max((self._in_a_row.get(name, 0) for name in node.inputs), default=0)
        self._in_a_row.update(dict.fromkeys(node.outputs, row))

    def end(self, shapes) -> Followed:
        """Return what was found, if it is in proportion."""
        outputs, tensors = self._graph.outputs, self._tensors
        missing = [name for name in outputs if name not in tensors]
        if missing or not outputs:
            raise ValueError(f"nothing makes its output {', '.join(missing):.60}")
        image = sum(math.prod(shape) for shape in shapes)
        made = [tensors[name].shape for name in outputs]
        result = sum(map(math.prod, made))
        kept = {self._makers[name] for name in outputs if name in self._makers}
        refuse_fixed(image, self._weights, self._fixed)
        refuse_enlargement(image, result, len(outputs))
        most = most_at_once(self._sizes, self._takes, kept)
        refuse_disproportion(image, result, self._weights, most, self._work)
        refuse_tangle(self._in_a_row, self._uses)
        return Followed(made, {name: one.shape for name, one in tensors.items()}, self._known)


def _taken(node, tensors):
    """Return a node's inputs, which must be there, and as many as its operator has."""
    missing = [name for name in node.inputs if name and name not in tensors]
    if missing:
        raise ValueError(f"nothing before it makes {missing[0]!r:.60}")
    least, most = OPERATORS[node.op].inputs
    if not least <= len(node.inputs) <= most:
        raise ValueError(f"it has {plural(len(node.inputs), 'input')}, not {least} to {most}")
    return [tensors[name] if name else None for name in node.inputs]


def _made(call, tensors):
    """Return a node's outputs."""
    operator, names = OPERATORS[call.node.op], call.node.outputs
    kind = type_of(call, operator.types)
    shapes = operator.shape(call)
    shapes = shapes if isinstance(shapes, list) else [shapes]
    if len(names) != len(shapes) or not all(names):
        raise ValueError(f"it has {plural(len(names), 'output')}, not {len(shapes)}")
    if len(set(names)) < len(names) or not tensors.keys().isdisjoint(names):
        raise ValueError(f"something else makes {names[0]!r:.60}, too")
    if any(map(_is_too_large, shapes)):
        raise ValueError(f"it makes a map of {shapes!s:.80}")
    if len(shapes) == 1 and math.prod(shapes[0]) <= LARGEST_KNOWN and operator.value:
        known = all(one is None or one.value is not None for one in call.inputs)
        if known or call.node.op in ("Shape", "Size"):
            value = operator.value(call)
            if value is not None and value.shape == shapes[0] and value.dtype == DTYPES[kind]:
                return [Tensor(shapes[0], value, kind)]
    if not all(min(shape, default=1) > 0 for shape in shapes):
        raise ValueError(f"it makes a map of {shapes!s:.80}")
    return [Tensor(shape, None, kind) for shape in shapes]


def _is_too_large(shape):
    is_wide = max(shape, default=0) >= NARROW
    return is_wide or len(shape) > MOST_AXES or math.prod(shape) > LARGEST


def _work(call, numbers):
    """Return about how many products a node takes."""
    work = OPERATORS[call.node.op].work
    if work:
        return work(call, numbers)
    return max([numbers, *(math.prod(one.shape) for one in call.inputs if one is not None)])
