"""Graphs that may come from anyone, checked before an engine sees them.

An ONNX file is a program. Of what it may do, image nets need little: operators of a table, shapes
and indices that are computed from the image's size alone, maps and work in proportion to images.
Anything else is refused by its name, before anything is computed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from gluon_enhance.engines import WAY_OUT
from gluon_enhance.engines.checks.calls import NARROW, Call
from gluon_enhance.engines.checks.limits import (
    LARGEST,
    most_at_once,
    refuse_disproportion,
    refuse_enlargement,
    refuse_fixed,
)
from gluon_enhance.engines.checks.onnx_file import DTYPES, MOST_AXES, Tensor, read_onnx, remade
from gluon_enhance.engines.checks.operators import OPERATORS, read_attributes
from gluon_enhance.engines.checks.types import type_of
from gluon_enhance.errors import EngineError, plural

LARGEST_KNOWN = 1 << 10
"""Numbers of what is computed before there is an image; of shapes and indices, a few."""

LOOKS = 1 << 24
"""Numbers that are looked at, of what is known, in all nodes; the indices of a large transformer's
windows are half of it."""

SIDES = (448, 720)
"""Of images that a graph is tried on; for each number up to 10, one of them is a multiple."""

MISFITS = (ValueError, TypeError, LookupError, ArithmeticError)
"""What a node of wrong inputs and attributes leads to."""

LARGEST_STATED = 1 << 24
"""Numbers of an image whose size a file fixes."""

Shapes = Iterable[tuple[int, ...]]


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


class CheckedGraph:
    """An ONNX file of operators that image nets need.

    Parameters
    ----------
    path : path
    shapes : sequence of tuple of int, optional
        Of its inputs, that it is to be run on; default: those of images, as far as it states none.

    Raises
    ------
    EngineError
        If it is no whole ONNX file, or does what no image net needs.
    """

    def __init__(self, path: str | os.PathLike, shapes: Optional[Shapes] = None):
        self._path = Path(path)
        self._passed: dict = {}
        self._follow = lru_cache(maxsize=2)(self._followed)
        if self._path.suffix == ".xml":
            raise EngineError(
                f"{path} is a graph in OpenVINO's own form, of which only those that this package "
                f"ships are run; {WAY_OUT}"
            )
        try:
            self._graph = read_onnx(path)
            self._attributes = [
                _named(node, partial(read_attributes, node)) for node in self._nodes
            ]
        except OSError as error:
            raise EngineError(f"{path} cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise self._refused(error) from error
        if shapes is None:
            self._try_images()
        else:
            self.check(shapes)

    @property
    def _nodes(self):
        return self._graph.nodes

    @property
    def first_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes that the graph has passed with."""
        return next(iter(self._passed))

    def check(self, shapes: Shapes) -> list[tuple[int, ...]]:
        """Check what the graph does with inputs of these shapes; those that passed are known.

        Returns
        -------
        list of tuple of int
            The shapes of its outputs.

        Raises
        ------
        EngineError
            If it does not take them, or does what no image net needs.
        """
        shapes = tuple(tuple(shape) for shape in shapes)
        if shapes not in self._passed:
            try:
                self._passed[shapes] = self._follow(shapes).outputs
            except MISFITS as error:
                raise self._refused(error) from error
        return self._passed[shapes]

    def file_for(self, shapes: Shapes) -> Optional[bytes]:
        """Return what an engine is to load for inputs of these shapes, which have passed.

        What is known before there is an image are constants in it, so that no engine computes it in
        its own way, and none meets an index that was not checked.

        Returns
        -------
        bytes or None
            None for the file itself, if nothing in it is known so.
        """
        known = self._follow(tuple(tuple(shape) for shape in shapes)).known
        if not known:
            return None
        others = (node.inputs for k, node in enumerate(self._nodes) if k not in known)
        needed = {*self._graph.outputs, *chain.from_iterable(others)}
        return remade(
            self._path, {k: one if one[0] in needed else None for k, one in known.items()}
        )

    def compare(self, shapes: Shapes, found: Mapping[str, Optional[tuple[int, ...]]]) -> None:
        """Refuse a graph of whose maps, by name, an engine has other shapes, or None.

        Raises
        ------
        EngineError
        """
        maps = self._follow(tuple(tuple(shape) for shape in shapes)).maps
        for name, shape in found.items():
            if maps.get(name, shape) != shape:
                fault = f"its map {name:.60} is {maps[name]} here, and {shape} for the engine"
                raise self._refused(fault)

    def _try_images(self):
        """Check the graph for images; a net may need sides of some multiple, so two are tried."""
        for side in SIDES:
            try:
                shapes = [_of_image(shape, side) for shape in self._graph.inputs.values()]
            except ValueError as error:
                raise self._refused(error) from error
            try:
                self.check(shapes)
                return
            except EngineError as error:
                refusal = error
        raise refusal

    def _images(self, shapes):
        ends = zip(self._graph.inputs, shapes, self._graph.kinds)
        return {name: Tensor(shape, None, kind) for name, shape, kind in ends}

    def _refused(self, error):
        reason = " ".join(str(error).split())[:300]
        return EngineError(f"{self._path} is no net that is run here: {reason}; {WAY_OUT}")

    def _followed(self, shapes):
        """Find the shapes of all maps, what is known of them, and the memory and work they take."""
        graph = self._graph
        if len(shapes) != len(graph.inputs):
            raise ValueError(f"it has {plural(len(graph.inputs), 'input')}, not {len(shapes)}")
        tensors = {**graph.constants, **self._images(shapes)}
        maker, sizes, takes, work = {}, [], [], 0
        seen, fixed = set(graph.inputs), 0  # of the image's pixels, and of none
        known = {}
        looks = 0
        weights = sum(math.prod(one.shape) for one in graph.constants.values())
        for k, (node, attributes) in enumerate(zip(self._nodes, self._attributes)):
            inputs = _named(node, partial(_taken, node, tensors))
            looks += sum(math.prod(one.shape) for one in inputs if one and one.value is not None)
            if looks > LOOKS:
                raise ValueError(f"it computes with over {LOOKS:,} indices; no image needs that")
            call = Call(node, inputs, attributes, graph.opset)
            made = _named(node, partial(_made, call, tensors))
            tensors.update((name, one) for name, one in zip(node.outputs, made) if name)
            sizes.append(sum(math.prod(one.shape) for one in made))
            if node.op != "Constant" and made[0].value is not None:
                known[k] = node.outputs[0], made[0]
            if node.op == "Constant":  # the file holds it
                weights += sizes[-1]
            elif node.op in ("Shape", "Size") or seen.isdisjoint(node.inputs):
                fixed += sizes[-1]
            else:
                seen.update(node.outputs)
            takes.append({maker[name] for name in node.inputs if name in maker})
            maker.update(dict.fromkeys(node.outputs, k))
            work += _work(call, sizes[-1])
        missing = [name for name in graph.outputs if name not in tensors]
        if missing or not graph.outputs:
            raise ValueError(f"nothing makes its output {', '.join(missing):.60}")
        image = sum(math.prod(shape) for shape in shapes)
        made = [tensors[name].shape for name in graph.outputs]
        result = sum(map(math.prod, made))
        kept = {maker[name] for name in graph.outputs if name in maker}
        refuse_fixed(image, weights, fixed)
        refuse_enlargement(image, result, len(graph.outputs))
        refuse_disproportion(image, result, weights, most_at_once(sizes, takes, kept), work)
        return Followed(made, {name: one.shape for name, one in tensors.items()}, known)


def _named(node, step):
    """Do a step, and name the node where it fails."""
    try:
        with np.errstate(all="ignore"):
            return step()
    except MISFITS as error:
        raise ValueError(f"{node.op:.60} {node.name:.60}: {error}") from error


def _of_image(stated, side):
    """Return the shape of an input, of which a file states some sides."""
    image = (1, 3, side, side)
    if stated is None:
        return image
    shape = tuple(own or one for own, one in zip(stated, (*image, *(1,) * len(stated))))
    if min(shape, default=1) < 1 or math.prod(shape) > LARGEST_STATED:
        raise ValueError(f"it states images of {stated!s:.60}")
    return shape


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
