"""Write ``.t7`` files as Torch7's ``torch.save`` does, by the description in its File.lua."""

import struct

import numpy as np

NIL, NUMBER, STRING, TABLE, TORCH, BOOLEAN = range(6)
KINDS = {"float32": "Float", "float64": "Double", "int64": "Long", "uint8": "Byte"}


class Layer:
    """An object of a class of ``nn``, or of another if the name has a dot."""

    def __init__(self, name, *children, **fields):
        self.name = name
        self.fields = fields
        if children:
            self.fields["modules"] = {k + 1: child for k, child in enumerate(children)}

    @property
    def children(self):
        return list(self.fields["modules"].values())


class Function:
    """Written as Torch writes a Lua function: its bytecode."""


class _Writer:
    """Each table, layer, tensor and storage is numbered, and written once."""

    def __init__(self):
        self.out, self.numbers, self.kept = [], {}, []

    def pack(self, form, *values):
        self.out.append(struct.pack(f"<{form}", *values))

    def text(self, text):
        self.pack("i", len(text))
        self.out.append(text.encode("latin-1"))

    def write(self, value):
        if value is None:
            self.pack("i", NIL)
        elif isinstance(value, bool):
            self.pack("ii", BOOLEAN, value)
        elif isinstance(value, (int, float)):
            self.pack("id", NUMBER, value)
        elif isinstance(value, str):
            self.pack("i", STRING)
            self.text(value)
        elif isinstance(value, Function):
            self.pack("iii", 8, 1, 4)
            self.out.append(b"\x1bLua")
        else:
            self.numbered(value)

    def numbered(self, value):
        self.pack("i", TABLE if isinstance(value, dict) else TORCH)
        number = self.numbers.get(id(value))
        if number:
            return self.pack("i", number)
        self.numbers[id(value)] = number = len(self.numbers) + 1
        self.kept.append(value)  # else another object may get its id
        self.pack("i", number)
        if isinstance(value, dict):
            self.table(value)
        elif isinstance(value, Layer):
            self.header(value.name if "." in value.name else f"nn.{value.name}")
            self.write(value.fields)
        else:
            self.tensor(value)

    def header(self, name):
        self.text("V 1")
        self.text(name)

    def table(self, table):
        self.pack("i", len(table))
        for key, value in table.items():
            self.write(key)
            self.write(value)

    def tensor(self, array):
        """A view of the array that it is a view of, if it is one, as of all of a net's weights."""
        base = array if array.base is None else array.base
        kind = KINDS[array.dtype.name]
        self.header(f"torch.{kind}Tensor")
        axes = array.ndim if array.size else 0
        strides = [stride // array.itemsize for stride in array.strides]
        offset = (array.ctypes.data - base.ctypes.data) // array.itemsize
        self.pack(f"i{2 * axes}q", axes, *array.shape[:axes], *strides[:axes])
        self.pack("q", offset + 1)
        if not axes:
            return self.write(None)
        self.pack("i", TORCH)
        key = ("storage", id(base))
        known = key in self.numbers
        number = self.numbers.setdefault(key, len(self.numbers) + 1)
        self.kept.append(base)
        self.pack("i", number)
        if not known:
            self.header(f"torch.{kind}Storage")
            self.pack("q", base.size)
            self.out.append(np.ascontiguousarray(base).tobytes())
        return None


def t7_bytes(value):
    writer = _Writer()
    writer.write(value)
    return b"".join(writer.out)


def write_t7(path, value):
    path.write_bytes(t7_bytes(value))
    return path
