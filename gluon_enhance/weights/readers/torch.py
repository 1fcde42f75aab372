"""Read PyTorch ``.pth`` files without PyTorch, running no code from the file.

The file is a pickle with its tensors' storages beside it in a zip, or after it in the format
from before PyTorch 1.6.

References
----------
.. [1] https://pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

import io
import math
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gluon_enhance.errors import WeightsError
from gluon_enhance.small_files import open_regular, read_regular
from gluon_enhance.weights.readers import unpickle
from gluon_enhance.weights.readers.archives import check_members
from gluon_enhance.weights.readers.unpickle import Name, expect

STORAGES = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.BFloat16Storage": "<u2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1",
    "torch.BoolStorage": "?",
}
MAX_AXES = 32
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
DAMAGE = (*unpickle.DAMAGE, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)


def read_torch(path: str | os.PathLike) -> dict:
    """Read a state dict that ``torch.save`` wrote, in the zip or the legacy format.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        As saved, possibly nested: tensors are read-only arrays of their dtype (bfloat16 as
        float32), everything else is plain Python. Tensors that shared memory share it.

    Raises
    ------
    WeightsError
        If the file is not a PyTorch file, is cut short or damaged, or asks for a function or
        class that a state dict has no need of.
    """
    path = Path(path)
    try:
        with open_regular(path) as stream:
            is_zip = stream.read(4) == b"PK\x03\x04"
            state = _read_zip(stream, path) if is_zip else _read_legacy(read_regular(path))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error})") from error
    except unpickle.ForbiddenError as error:
        raise WeightsError(
            f"{path} asks for {str(error)[:80]!r}, which a state dict has no need "
            f"of and which could run code: refused; save the net's state_dict() "
            f"only"
        ) from error
    except DAMAGE as error:
        raise WeightsError(
            f"{path} is cut short, damaged or not a PyTorch file "
            f"({type(error).__name__}: {error!s:.200}); get it again"
        ) from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path} holds a {type(state).__name__}, not a state dict")
    return state


def _read_zip(stream, path):
    with zipfile.ZipFile(stream) as archive:
        check_members(archive.infolist(), path.stat().st_size)
        names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names):
            raise WeightsError(
                f"{path} is TorchScript, a program, which is not run here; in PyTorch save the "
                "weights: torch.save(torch.jit.load(FILE).state_dict(), OUT)"
            )
        root = next((name[:-8] for name in names if name.endswith("/data.pkl")), None)
        if root is None:
            raise ValueError("the zip holds no data.pkl")
        order = f"{root}byteorder"
        if order in names and archive.read(order) != b"little":
            raise ValueError("its byte order is not little-endian")

        def read(kind, key, count):
            return _decode(kind, archive.read(f"{root}data/{key}"))

        stream = io.BytesIO(archive.read(f"{root}data.pkl"))
        return unpickle.load(stream, FUNCTIONS, STORAGES, _Storages(read))


def _read_legacy(data):
    stream = io.BytesIO(data)
    if unpickle.load(stream) != LEGACY_MAGIC:
        raise ValueError("it does not begin as PyTorch files do")
    unpickle.load(stream)  # the protocol's version
    if not expect(unpickle.load(stream), dict)["little_endian"]:
        raise ValueError("its byte order is not little-endian")
    budget = len(data)

    def allocate(kind, key, count):
        nonlocal budget
        budget -= count * np.dtype(STORAGES[kind]).itemsize
        if budget < 0:
            raise ValueError(f"storage {key} claims more elements than the file holds")
        return np.empty(count, _decode(kind, b"").dtype)

    storages = _Storages(allocate)
    state = unpickle.load(stream, FUNCTIONS, STORAGES, storages)
    _fill(storages, unpickle.load(stream), data, stream.tell())
    return state


def _fill(storages, keys, data, offset):
    """Copy the storages that follow the pickles: each is its count as int64, then its elements."""
    if {expect(key, str) for key in expect(keys, list)} != set(storages.by_key):
        raise ValueError("the list of its storages does not match its tensors")
    for key in keys:
        storage = storages.by_key[key]
        count = int.from_bytes(data[offset : offset + 8], "little")
        start = offset + 8
        offset = start + count * np.dtype(STORAGES[storage.kind]).itemsize
        if count != len(storage.values) or offset > len(data):
            raise ValueError(f"storage {key} is not whole")
        storage.values[:] = _decode(storage.kind, data[start:offset])


def _decode(kind, data):
    values = np.frombuffer(data, STORAGES[kind])
    return widened_bfloat16(values) if kind == "torch.BFloat16Storage" else values


def widened_bfloat16(values: np.ndarray) -> np.ndarray:
    """Return float32 of bfloat16, which is its upper half and is given as uint16."""
    return (values.astype("<u4") << 16).view("<f4")


@dataclass(frozen=True)
class _Storage:
    kind: str
    values: np.ndarray


class _Storages:
    """Turn persistent ids into storages; ``make(kind, key, count)`` gives each array once."""

    def __init__(self, make):
        self.by_key = {}
        self._make = make

    def __call__(self, persistent_id):
        tag, kind, key, _device, count = expect(persistent_id, tuple)[:5]
        kind, key, count = expect(kind, Name).name, expect(key, str), expect(count, int)
        if tag != "storage" or kind not in STORAGES or count < 0:
            raise ValueError(f"storage {key} is not described as PyTorch does")
        if key not in self.by_key:
            self.by_key[key] = _Storage(kind, self._make(kind, key, count))
        storage = self.by_key[key]
        if (storage.kind, len(storage.values)) != (kind, count):
            raise ValueError(f"storage {key} has {len(storage.values)} of {count} elements")
        return storage


def _tensor(storage, offset, shape, strides, *_):
    values = expect(storage, _Storage).values
    return view(values, offset, expect(shape, tuple), expect(strides, tuple))


def view(values: np.ndarray, offset: int, shape: tuple, strides: tuple) -> np.ndarray:
    """View a storage as a tensor; strides and offset in elements.

    Raises
    ------
    ValueError, TypeError
        If it reaches beyond the storage, or these are not whole numbers from 0.
    """
    if len(shape) != len(strides) or len(shape) > MAX_AXES:
        raise ValueError(f"a tensor has {len(shape)} axes and {len(strides)} strides")
    numbers = [expect(number, int) for number in (offset, *shape, *strides)]
    if min(numbers) < 0:
        raise ValueError(f"a tensor has shape {shape}, strides {strides} and offset {offset}")
    if 0 in shape:
        return np.empty(shape, values.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides))
    if last >= len(values) or math.prod(shape) > len(values):
        raise ValueError(f"a tensor of shape {shape} reaches beyond its storage")
    steps = [stride * values.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)


def _parameter(tensor, *_):
    return expect(tensor, np.ndarray)


def _ordered_dict(pairs=None):
    if pairs is None:
        return {}
    taken = {
        expect(key, unpickle.SCALARS): value
        for key, value in (expect(pair, (list, tuple)) for pair in expect(pairs, list))
    }
    pairs.clear()  # else a pickle could have the same long list copied very often
    return taken


FUNCTIONS = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
