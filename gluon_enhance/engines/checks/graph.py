"""Graphs that may come from anyone, checked before an engine sees them.

An ONNX file is a program. Of what it may do, image nets need little: operators of a table, shapes
and indices that are computed from the image's size alone, maps and work in proportion to images.
Anything else is refused by its name, before anything is computed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Optional

from gluon_enhance.engines import WAY_OUT
from gluon_enhance.engines.checks.follow import MISFITS, follow, named
from gluon_enhance.engines.checks.onnx_file import read_onnx, remade
from gluon_enhance.engines.checks.operators import read_attributes
from gluon_enhance.errors import EngineError
from gluon_enhance.small_files import read_regular

SIDES = (448, 720)
"""Of images that a graph is tried on; for each number up to 10, one of them is a multiple."""

LARGEST_STATED = 1 << 24
"""Numbers of an image whose size a file fixes."""

Shapes = Iterable[tuple[int, ...]]


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
        if self._path.suffix == ".xml":
            raise EngineError(
                f"{path} is a graph in OpenVINO's own form, of which only those that this package "
                f"ships are run; {WAY_OUT}"
            )
        try:
            self._graph = read_onnx(path)
            attributes = [named(node, partial(read_attributes, node)) for node in self._nodes]
        except OSError as error:
            raise EngineError(f"{path} cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise self._refused(error) from error
        self._follow = lru_cache(maxsize=2)(partial(follow, self._graph, attributes))
        if shapes is None:
            self._try_images()
        else:
            self.check(shapes)
        if self.computes_sizes:
            self._data  # noqa: B018 - the file may be gone when it is needed again

    @property
    def _nodes(self):
        return self._graph.nodes

    @property
    def first_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes that the graph has passed with."""
        return next(iter(self._passed))

    @property
    def computes_sizes(self) -> bool:
        """Tell whether shapes, or what else is known without an image, are not in the file."""
        return bool(self._follow(self.first_shapes).known)

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
        values = {k: one if one[0] in needed else None for k, one in known.items()}
        return remade(self._data, values)

    @cached_property
    def _data(self):
        return read_regular(self._path)

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

    def _refused(self, error):
        reason = " ".join(str(error).split())[:300]
        return EngineError(f"{self._path} is no net that is run here: {reason}; {WAY_OUT}")


def _of_image(stated, side):
    """Return the shape of an input, of which a file states some sides."""
    image = (1, 3, side, side)
    if stated is None:
        return image
    shape = tuple(own or one for own, one in zip(stated, (*image, *(1,) * len(stated))))
    if min(shape, default=1) < 1 or math.prod(shape) > LARGEST_STATED:
        raise ValueError(f"it states images of {stated!s:.60}")
    return shape
