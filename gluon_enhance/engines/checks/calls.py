"""What a node of an ONNX graph is asked to do: its inputs and attributes, by the file's opset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Optional, TypeVar

import numpy as np

from gluon_enhance.engines.checks.onnx_file import Node, Tensor

Found = TypeVar("Found")

NARROW = 1 << 31
"""Some engines hold whole numbers in 32 bits: sides, steps and what is computed lie below this."""


class Call(NamedTuple):
    """A node with the tensors that it takes; those that are left out are None."""

    node: Node
    inputs: list[Optional[Tensor]]
    attributes: dict
    opset: int

    def given(self, k: int) -> bool:
        """Tell whether there is an input of this number."""
        return k < len(self.inputs) and self.inputs[k] is not None

    def shape(self, k: int = 0) -> tuple[int, ...]:
        """Return the shape of an input."""
        return self.tensor(k).shape

    def value(self, k: int) -> np.ndarray:
        """Return an input that must be known before there is an image."""
        value = self.tensor(k).value
        if value is None:
            raise ValueError(
                f"its input {k} is computed from pixels, or not finite; shapes and indices must not"
            )
        return value

    def tensor(self, k: int = 0) -> Tensor:
        """Return an input, which must be there."""
        tensor = self.inputs[k] if k < len(self.inputs) else None
        return required(tensor, f"its input {k} is missing")

    def whole(self, k: int) -> list[int]:
        """Return an input that must be known, a list of whole numbers."""
        value = self.value(k)
        if value.dtype.kind not in "iu" or value.ndim != 1:
            raise ValueError(f"its input {k} is no list of whole numbers")
        return value.tolist()

    def listed(self, name: str, k: int) -> Optional[list]:
        """Return numbers that are an attribute in some opsets, and an input in others."""
        if self.given(k):
            return self.whole(k)
        return list(self.attributes[name]) if name in self.attributes else None

    def get(self, name: str, default):
        """Return an attribute."""
        return self.attributes.get(name, default)

    def axis(self, default: Optional[int] = None, rank: Optional[int] = None) -> int:
        """Return the attribute `axis`, counted from the first."""
        axis = self.get("axis", default)
        return one_axis(axis, len(self.shape()) if rank is None else rank)


def one_axis(axis: Optional[int], rank: int) -> int:
    """Count an axis from the first."""
    if axis is None or not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is not one of {rank}")
    return axis % rank


def some_axes(axes: Iterable[int], rank: int) -> list[int]:
    """Count axes from the first; each may come once."""
    found = [one_axis(axis, rank) for axis in axes]
    if len(set(found)) < len(found):
        raise ValueError(f"axes {axes!s:.60} are not different ones")
    return found


def same(call: Call) -> tuple[int, ...]:
    """Return the shape of the first input, as what is done to each number keeps it."""
    return call.shape()


def broadcast(call: Call) -> tuple[int, ...]:
    """Return the shape of all inputs together."""
    return np.broadcast_shapes(*(call.shape(k) for k in range(len(call.inputs))))


def is_narrow(array: np.ndarray) -> bool:
    """Tell whether all of some numbers are the same in 32 bits."""
    return bool(np.all((array > -NARROW) & (array < NARROW)))


def required(found: Optional[Found], what: str) -> Found:
    """Return what must be there."""
    if found is None:
        raise ValueError(what)
    return found


def need(condition: bool, what: str) -> None:
    """Refuse what does not fit."""
    if not condition:
        raise ValueError(what)


def need_vectors(call: Call, count: int, numbers: range) -> None:
    """Refuse weights that are not one for each channel."""
    for k in numbers:
        if call.given(k):
            need(call.shape(k) == (count,), f"its input {k} is not of {count} numbers")
