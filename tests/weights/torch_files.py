"""Write files as ``torch.save`` does, without PyTorch: the counterpart of the reader's tests."""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from unittest import mock

import numpy as np

KINDS = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class Storage:
    def __init__(self, kind, data, count):
        self.kind, self.data, self.count = kind, data, count


class Tensor:
    """A view of a storage; strides and offset in elements."""

    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, OrderedDict())

    @classmethod
    def of(cls, array):
        array = np.array(array, order="C")
        storage = Storage(KINDS[array.dtype.name] + "Storage", array.tobytes(), array.size)
        return cls(storage, 0, array.shape, tuple(s // array.itemsize for s in array.strides))


def _fake_torch():
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch._utils = utils
    for kind in [*KINDS.values(), "BFloat16"]:
        name = f"{kind}Storage"
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    exec("def _rebuild_tensor_v2(*arguments): pass", utils.__dict__)
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    return torch


class _Pickler(pickle.Pickler):
    def __init__(self, stream, protocol, torch, legacy):
        super().__init__(stream, protocol)
        self.torch, self.legacy, self.storages = torch, legacy, []

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        if obj not in self.storages:
            self.storages.append(obj)
        key = str(self.storages.index(obj))
        identity = ("storage", getattr(self.torch, obj.kind), key, "cpu", obj.count)
        return (*identity, None) if self.legacy else identity

    def reducer_override(self, obj):
        if isinstance(obj, np.ndarray):
            obj = Tensor.of(obj)
        if isinstance(obj, Tensor):
            return self.torch._utils._rebuild_tensor_v2, obj.arguments
        return NotImplemented


def _pickled(state, protocol, legacy):
    torch = _fake_torch()
    stream = io.BytesIO()
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": torch._utils}):
        pickler = _Pickler(stream, protocol, torch, legacy)
        pickler.dump(state)
    return stream.getvalue(), pickler.storages


def write_zip(path, state, protocol=2, compression=zipfile.ZIP_STORED):
    data, storages = _pickled(state, protocol, legacy=False)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", "little")
        for key, storage in enumerate(storages):
            archive.writestr(f"archive/data/{key}", storage.data)
        archive.writestr("archive/version", "3\n")


def write_legacy(path, state, protocol=2):
    data, storages = _pickled(state, protocol, legacy=True)
    info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    with open(path, "wb") as file:
        for header in (LEGACY_MAGIC, 1001, info):
            file.write(pickle.dumps(header, protocol))
        file.write(data)
        file.write(pickle.dumps([str(key) for key in range(len(storages))], protocol))
        for storage in storages:
            file.write(struct.pack("<q", storage.count) + storage.data)
