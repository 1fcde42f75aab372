"""Read nets from Torch7 ``.t7`` files without Torch, running no code from the file.

References
----------
.. [1] https://github.com/torch/torch7/blob/master/File.lua
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gluon_enhance.errors import WeightsError
from gluon_enhance.small_files import read_regular
from gluon_enhance.weights.readers.torch import STORAGES, view
from gluon_enhance.weights.readers.unpickle import SCALARS, ForbiddenError, expect

NIL, NUMBER, STRING, TABLE, TORCH, BOOLEAN = range(6)
FUNCTIONS = (6, 7, 8)
"""What marks an object's type; functions come in three versions of the format."""

TENSORS = ("weight", "bias", "running_mean", "running_var")
"""A layer's fields that a net needs; the file also keeps gradients and buffers."""

CONVOLUTION = ("kW", "kH", "dW", "dH", "padW", "padH")
GEOMETRY = {
    "SpatialConvolution": CONVOLUTION,
    "SpatialFullConvolution": (*CONVOLUTION, "adjW", "adjH"),
    "SpatialReflectionPadding": ("pad_l", "pad_r", "pad_t", "pad_b"),
    "SpatialBatchNormalization": ("eps",),
    "InstanceNormalization": ("eps",),
    "MulConstant": ("constant_scalar",),
    "ShaveImage": ("size",),
}
"""Numbers that tell a layer from others of its class and shapes."""

DAMAGE = (ValueError, TypeError, KeyError, OverflowError, RecursionError, struct.error)


def read_torch7(path: str | os.PathLike) -> dict:
    """Read the layers of a net that ``torch.save`` wrote, alone or as ``model`` of a checkpoint.

    Parameters
    ----------
    path : path
        Binary, little-endian, of a 64-bit machine.

    Returns
    -------
    dict
        Layers are named by their places in the tree of ``modules``, from 0. Of layer ``10.0.1``,
        ``10.0.1.weight``, ``.bias``, ``.running_mean`` and ``.running_var`` are read-only arrays,
        and ``10.0.1.layer`` is its class and geometry: ``'ShaveImage 2'``. ``preprocessing`` is
        the option of that name, if the checkpoint has it.

    Raises
    ------
    WeightsError
        If the file is not a Torch7 file of a net, is cut short or damaged, or holds anything but
        numbers, strings, booleans, tables, tensors and layers of ``nn``.
    """
    path = Path(path)
    try:
        root = _Torch7Reader(read_regular(path)).read()
        checkpoint = root if isinstance(root, dict) else {"model": root}
        state = dict(_layers(checkpoint["model"], "", set()))
        options = expect(checkpoint.get("opt", {}), dict)
        if "preprocessing" in options:
            state["preprocessing"] = expect(options["preprocessing"], str)
        return state
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error})") from error
    except ForbiddenError as error:
        raise WeightsError(
            f"{path} holds {str(error)[:80]!r}, which a net has no need of and which could run "
            f"code: refused; save the net alone, as floats"
        ) from error
    except DAMAGE as error:
        raise WeightsError(
            f"{path} is cut short, damaged or not a Torch7 file of a net "
            f"({type(error).__name__}: {error!s:.200}); get it again"
        ) from error


@dataclass(frozen=True, eq=False)
class _TorchLayer:
    """An object of a class of ``nn``: its fields, as a plain table."""

    name: str
    fields: dict


class _Torch7Reader:
    """Read objects one after the other; those that were read before come as their number."""

    def __init__(self, data):
        self.data, self.position, self.seen = data, 0, {}

    def read(self):
        kind = self._int()
        if kind in _PLAIN:
            return _PLAIN[kind](self)
        if kind in FUNCTIONS:
            raise ForbiddenError("a Lua function")
        if kind not in (TABLE, TORCH):
            raise ValueError(f"no object has type {kind}")
        number = self._int()
        if number not in self.seen:
            read = self._read_table if kind == TABLE else self._read_torch
            read(number)
        return self.seen[number]

    def _read_table(self, number):
        self.seen[number] = table = {}  # first, for it may hold itself
        for _ in range(self._int()):
            key = expect(self.read(), SCALARS)
            table[key] = self.read()

    def _read_torch(self, number):
        version = self._text()
        name = self._text() if version.startswith("V ") else version
        storage = name.replace("Tensor", "Storage")
        if name.startswith("nn."):
            self.seen[number] = layer = _TorchLayer(name[3:], {})
            layer.fields.update(expect(self.read(), dict))
        elif name in STORAGES:
            dtype = np.dtype(STORAGES[name])
            (count,) = self._numbers("q")
            self.seen[number] = np.frombuffer(self._bytes(count * dtype.itemsize), dtype)
        elif storage in STORAGES:
            self.seen[number] = self._tensor(np.dtype(STORAGES[storage]))
        else:
            raise ForbiddenError(name)

    def _tensor(self, dtype):
        axes = self._int()
        numbers = self._numbers(f"{2 * axes + 1}q")
        shape, strides, offset = numbers[:axes], numbers[axes:-1], numbers[-1] - 1
        values = self.read()
        # Torch's tensors without axes are empty, and may have no storage.
        return view(expect(values, np.ndarray), offset, shape, strides) if axes else dtype.type([])

    def _bytes(self, count):
        start, end = self.position, self.position + count
        if not start <= end <= len(self.data):
            raise ValueError(f"{count:,} bytes at {start:,} reach beyond the file")
        self.position = end
        return self.data[start:end]

    def _numbers(self, form):
        return struct.unpack(f"<{form}", self._bytes(struct.calcsize(f"<{form}")))

    def _int(self):
        return self._numbers("i")[0]

    def _text(self):
        return self._bytes(self._int()).decode("latin-1")


_PLAIN = {
    NIL: lambda reader: None,
    NUMBER: lambda reader: reader._numbers("d")[0],
    STRING: _Torch7Reader._text,
    BOOLEAN: lambda reader: bool(reader._int()),
}


def _layers(layer, place, seen) -> Iterator[tuple[str, object]]:
    """Yield what is to know of a layer and of those in it; each has one place."""
    if id(expect(layer, _TorchLayer)) in seen:
        raise ValueError(f"layer {place[:-1]} also has another place")
    seen.add(id(layer))
    geometry = [f"{layer.fields.get(field, 0):g}" for field in GEOMETRY.get(layer.name, ())]
    yield f"{place}layer", " ".join([layer.name, *geometry])
    for field in TENSORS:
        if field in layer.fields:
            yield f"{place}{field}", expect(layer.fields[field], np.ndarray)
    children = expect(layer.fields.get("modules", {}), dict)
    for k in range(len(children)):
        yield from _layers(children[k + 1], f"{place}{k}.", seen)
