"""What operators of ONNX make of tensors that are known before there is an image.

So exporters compute shapes, indices and margins from the image's size. Engines are given the
results, and do not compute them anew.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import Callable

import numpy as np

from gluon_enhance.engines.checks.calls import Call, is_narrow, need
from gluon_enhance.engines.checks.onnx_file import DTYPES
from gluon_enhance.engines.checks.shapes import shape_range, slices


def _arrays(call):
    return [one.value for one in call.inputs if one is not None]


def of_all(function: Callable) -> Callable[[Call], np.ndarray]:
    """Apply a function to all inputs."""
    return lambda call: function(*_arrays(call))


def folded(function: Callable) -> Callable[[Call], np.ndarray]:
    """Apply a function of two to all inputs in turn."""
    return lambda call: reduce(function, _arrays(call))


def reduced(function: Callable) -> Callable[[Call], np.ndarray]:
    """Apply a function to axes, in the input's type."""

    def value(call):
        array = call.value(0)
        axes = call.listed("axes", 1)
        if not axes and call.get("noop_with_empty_axes", 0):
            return array
        axes, kept = tuple(axes) if axes else None, bool(call.get("keepdims", 1))
        return np.asarray(function(array, axis=axes, keepdims=kept), array.dtype)

    return value


def exact(function: Callable) -> Callable:
    """Make a function of arrays one that refuses whole numbers which not all engines hold."""

    def compute(*arrays, **options):
        result = function(*arrays, **options)
        if arrays[0].dtype.kind in "iu":
            reals = [array.astype(np.float64) for array in arrays]
            real = function(*reals, **options)
            fits = np.array_equal(result, real) and all(map(is_narrow, (*reals, real)))
            need(fits, "it computes whole numbers beyond 32 bits")
        return result

    return compute


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Divide; whole numbers towards 0, by others than 0."""
    if a.dtype.kind not in "iu":
        return np.divide(a, b)
    need(is_narrow(a), "it divides whole numbers beyond 32 bits")
    quotient = np.abs(a) // np.abs(b)
    return np.where((a < 0) == (b < 0), quotient, -quotient).astype(a.dtype)


def remainder(call: Call) -> np.ndarray:
    """Return what is left of a division, with the sign of the second or, by fmod, of the first."""
    a, b = _arrays(call)
    need(a.dtype.kind not in "iu" or is_narrow(a), "it divides whole numbers beyond 32 bits")
    return np.fmod(a, b) if call.get("fmod", 0) else np.mod(a, b)


def cast(call: Call) -> np.ndarray:
    """Return numbers of another type; of bfloat16, which NumPy lacks, those of float32."""
    array, dtype = call.value(0), np.dtype(DTYPES[call.get("to", 1)] or "<f4")
    result = array.astype(dtype)
    if dtype.kind in "iu":
        is_same = np.array_equal(result.astype(np.float64), np.trunc(array.astype(np.float64)))
        need(is_same, "what it casts is no number of that type")
    return result


def shape(call: Call) -> np.ndarray:
    """Return an input's sides."""
    return np.asarray(call.shape()[shape_range(call)], np.int64)


def size(call: Call) -> np.ndarray:
    """Return how many numbers an input has."""
    return np.asarray(math.prod(call.shape()), np.int64)


def constant(call: Call) -> np.ndarray | None:
    """Return what a Constant holds, if it is small."""
    ((name, value),) = call.attributes.items()
    if name == "value":
        return value.value
    return np.asarray(value, np.float32 if "float" in name else np.int64)


def constant_shape(call: Call) -> tuple[int, ...]:
    """Return the shape of what a Constant holds."""
    if len(call.attributes) != 1:
        raise ValueError("it does not have one value")
    ((name, value),) = call.attributes.items()
    if name == "value":
        return value.shape
    return (len(value),) if name.endswith("s") else ()


def filled(call: Call) -> np.ndarray:
    """Return a constant of a shape that is known."""
    value = call.get("value", None)
    one = np.zeros((), np.float32) if value is None else value.value.reshape(())
    return np.full(call.whole(0), one, one.dtype)


def ranged(call: Call) -> np.ndarray:
    """Return numbers from one to another."""
    start, stop, step = (array.reshape(())[()] for array in _arrays(call))
    return np.arange(start, stop, step, start.dtype)


def reshaped(shape: Callable) -> Callable[[Call], np.ndarray]:
    """Give the same numbers another shape."""
    return lambda call: call.value(0).reshape(shape(call))


def expanded(call: Call) -> np.ndarray:
    """Return numbers repeated to another shape."""
    return call.value(0) * np.ones(call.whole(1), call.value(0).dtype)


def transposed(call: Call) -> np.ndarray:
    """Return numbers with axes in another order."""
    return call.value(0).transpose(call.get("perm", None))


def tiled(call: Call) -> np.ndarray:
    """Return copies."""
    return np.tile(call.value(0), call.whole(1))


def joined(call: Call) -> np.ndarray:
    """Return one behind the other."""
    return np.concatenate(_arrays(call), axis=call.axis())


def sliced(call: Call) -> np.ndarray:
    """Return a part of each axis."""
    return call.value(0)[slices(call)]


def gathered(call: Call) -> np.ndarray:
    """Return places of an axis."""
    return np.take(call.value(0), call.value(1), axis=call.axis(0))


def gathered_nd(call: Call) -> np.ndarray:
    """Return places of several axes."""
    return call.value(0)[tuple(np.moveaxis(call.value(1), -1, 0))]


def scattered_nd(call: Call) -> np.ndarray:
    """Return other numbers at places of several axes."""
    array = call.value(0).copy()
    array[tuple(np.moveaxis(call.value(1), -1, 0))] = call.value(2)
    return array
