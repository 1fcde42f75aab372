"""ONNX files of others, read without the onnx package: what nets need, and nothing else.

Every field of the format [1]_ is known here, or the file is refused: what engines would find in it
is what was found here. So it holds no other graphs, functions or sparse tensors, and names no other
file, whose contents no card's hash would cover.

References
----------
.. [1] https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, in the encoding of
   https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Mapping
from typing import NamedTuple, Optional

import numpy as np

from gluon_enhance.engines.checks.protobuf import (
    REFUSED,
    SKIPPED,
    Field,
    fields_of,
    read_message,
    written,
)
from gluon_enhance.small_files import open_regular

MOST_NODES = 20_000
"""The deepest nets of the zoo have 2,600."""
MOST_AXES = 8
LARGEST_WHOLE, LARGEST_REAL = 1 << 18, 1 << 10
"""Numbers of a tensor that are looked at: of indices, and of scales of images; not of weights."""
OPSETS = range(7, 25)

FLOAT16, BFLOAT16 = 10, 16
DTYPES = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", FLOAT16: "<f2",
    11: "<f8", 12: "<u4", 13: "<u8", BFLOAT16: None,
}  # fmt: skip
"""Of tensors, by their number; NumPy has no bfloat16."""
REAL = (1, FLOAT16, 11)
UINT8, INT64, BOOL = 2, 7, 9

TYPED = {
    "float_data": (1,),
    "int32_data": (2, 3, 4, 5, 6, 9, 10, 16),
    "int64_data": (7,),
    "double_data": (11,),
    "uint64_data": (12, 13),
}
"""Fields with a tensor's numbers that are not raw -> the types that they are for."""

TENSOR = {
    1: Field("dims", "integers"),
    2: Field("data_type", "integer"),
    3: Field("segment", REFUSED),
    4: Field("float_data", "floats"),
    5: Field("int32_data", "integers"),
    6: Field("string_data", REFUSED),
    7: Field("int64_data", "integers"),
    8: Field("name", "text"),
    9: Field("raw_data", "bytes"),
    10: Field("double_data", "doubles"),
    11: Field("uint64_data", "integers"),
    12: Field("doc_string", SKIPPED),
    13: Field("external_data", REFUSED, "which lies in another file, that nothing verifies"),
    14: Field("data_location", "integer"),
    16: Field("metadata_props", SKIPPED),
}
ATTRIBUTE = {
    1: Field("name", "text"),
    2: Field("f", "float"),
    3: Field("i", "integer"),
    4: Field("s", "text"),
    5: Field("t", TENSOR),
    6: Field("g", REFUSED),
    7: Field("floats", "floats"),
    8: Field("ints", "integers"),
    9: Field("strings", REFUSED),
    10: Field("tensors", REFUSED),
    11: Field("graphs", REFUSED),
    13: Field("doc_string", SKIPPED),
    14: Field("tp", REFUSED),
    15: Field("type_protos", REFUSED),
    20: Field("type", "integer"),
    21: Field("ref_attr_name", REFUSED),
    22: Field("sparse_tensor", REFUSED),
    23: Field("sparse_tensors", REFUSED),
}
KINDS = {1: ("f", 0.0), 2: ("i", 0), 3: ("s", ""), 4: ("t", {}), 6: ("floats", ()), 7: ("ints", ())}
"""Type of an attribute -> the field that has its value, and what it is where none is written."""
NODE = {
    1: Field("input", "texts"),
    2: Field("output", "texts"),
    3: Field("name", "text"),
    4: Field("op_type", "text"),
    5: Field("attribute", [ATTRIBUTE]),
    6: Field("doc_string", SKIPPED),
    7: Field("domain", "text"),
    8: Field("overload", REFUSED),
    9: Field("metadata_props", SKIPPED),
    10: Field("device_configurations", REFUSED),
}
DIMENSION = {
    1: Field("dim_value", "integer"),
    2: Field("dim_param", "text"),
    3: Field("denotation", SKIPPED),
}
TENSOR_TYPE = {
    1: Field("elem_type", "integer"),
    2: Field("shape", {1: Field("dim", [DIMENSION])}),
}
TYPE = {
    1: Field("tensor_type", TENSOR_TYPE),
    **{k: Field(f"type {k}", REFUSED) for k in (4, 5, 7, 8, 9)},
    6: Field("denotation", SKIPPED),
}
VALUE = {
    1: Field("name", "text"),
    2: Field("type", TYPE),
    3: Field("doc_string", SKIPPED),
    4: Field("metadata_props", SKIPPED),
}
NODES, VALUE_INFO, GRAPHS = 1, 13, 7
"""Numbers of fields of a graph, and of a model."""
GRAPH = {
    NODES: Field("node", [NODE]),
    2: Field("name", SKIPPED),
    5: Field("initializer", [TENSOR]),
    10: Field("doc_string", SKIPPED),
    11: Field("input", [VALUE]),
    12: Field("output", [VALUE]),
    VALUE_INFO: Field("value_info", SKIPPED),
    14: Field("quantization_annotation", SKIPPED),
    15: Field("sparse_initializer", REFUSED),
    16: Field("metadata_props", SKIPPED),
}
MODEL = {
    1: Field("ir_version", "integer"),
    **{k: Field("about the model", SKIPPED) for k in (2, 3, 4, 5, 6, 14)},
    GRAPHS: Field("graph", GRAPH),
    8: Field("opset_import", [{1: Field("domain", "text"), 2: Field("version", "integer")}]),
    20: Field("training_info", REFUSED),
    25: Field("functions", REFUSED),
    26: Field("configuration", REFUSED),
}


class Tensor(NamedTuple):
    """A shape, what is in it where that is known before there is an image, and its type."""

    shape: tuple[int, ...]
    value: Optional[np.ndarray] = None
    kind: int = 1


class Node(NamedTuple):
    """An operator with what it takes and gives; an empty name is an input that is left out."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, object]


class Graph(NamedTuple):
    """What an ONNX file holds.

    Its `inputs` have the sizes that it states, None for those it leaves open, and `kinds` their
    types.
    """

    opset: int
    nodes: list[Node]
    constants: dict[str, Tensor]
    inputs: dict[str, Optional[tuple[Optional[int], ...]]]
    kinds: list[int]
    outputs: list[str]


def read_onnx(path: str | os.PathLike) -> Graph:
    """Read a file.

    Raises
    ------
    ValueError
        If it is no whole ONNX file, or holds what no image net needs.
    OSError
        If it cannot be read.
    """
    # No file can be empty, says mmap: a ValueError.
    with open_regular(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _graph(read_message(data, 0, len(data), MODEL), data)


def remade(data: bytes, values: Mapping[int, Optional[tuple[str, Tensor]]]) -> bytes:
    """Return a file's bytes in which nodes, by number, are constants of a name, or left out.

    What it says of maps between nodes is left out too.
    """
    return b"".join(_remade_model(data, values))


def _remade_model(data, values):
    for number, _, first, value in fields_of(data, 0, len(data)):
        if number == GRAPHS:
            yield written(number, b"".join(_remade_graph(data, value, values)))
        else:
            yield data[first : value.stop]


def _remade_graph(data, place, values):
    node = 0
    for number, _, first, value in fields_of(data, place.start, place.stop):
        if number != VALUE_INFO and (number != NODES or node not in values):
            yield data[first : value.stop]
        elif number == NODES and values[node]:
            yield written(NODES, _constant(*values[node]))
        node += number == NODES


def _constant(name, tensor):
    """Return the node that makes a tensor: its output, operator and attribute of type 4."""
    sides = b"".join(written(1, side) for side in tensor.shape)
    held = sides + written(2, tensor.kind) + written(9, tensor.value.tobytes())
    attribute = written(1, b"value") + written(5, held) + written(20, 4)
    return written(2, name.encode()) + written(4, b"Constant") + written(5, attribute)


def _graph(model, data):
    graph = model.get("graph")
    if not graph:
        raise ValueError("it holds no graph")
    if len(graph["node"]) > MOST_NODES:
        raise ValueError(f"it has more than {MOST_NODES} nodes")
    constants = {}
    for tensor in graph["initializer"]:
        name = tensor.get("name", "")
        if not name or name in constants:
            raise ValueError(f"two of its tensors have the name {name!r:.60}, or one has none")
        constants[name] = _tensor(tensor, data)
    inputs = {one.get("name", ""): _stated(one) for one in graph["input"]}
    kinds = [_kind(one) for one in graph["input"] if one.get("name", "") not in constants]
    if not set(kinds) <= {*REAL, BFLOAT16}:
        raise ValueError("it takes other numbers than real ones, which no image is of")
    return Graph(
        _opset(model["opset_import"]),
        [_node(node, k, data) for k, node in enumerate(graph["node"])],
        constants,
        {name: shape for name, shape in inputs.items() if name not in constants},
        kinds,
        [one.get("name", "") for one in graph["output"]],
    )


def _opset(imports):
    own = [one.get("version", 0) for one in imports if one.get("domain", "") in ("", "ai.onnx")]
    if len(own) != 1 or own[0] not in OPSETS:
        raise ValueError(
            f"its opset is {own!s:.40}; those from {OPSETS[0]} to {OPSETS[-1]} are run here"
        )
    return own[0]


def _node(node, number, data):
    op, name = node.get("op_type", ""), node.get("name", "") or f"number {number}"
    if node.get("domain", "") not in ("", "ai.onnx"):
        op = f"{node['domain']}.{op}"
    attributes = {}
    for attribute in node["attribute"]:
        field, empty = KINDS.get(attribute.get("type"), ("", None))
        key = attribute.get("name", "")
        if not field or key in attributes:
            raise ValueError(f"{op:.60} {name:.60} has attribute {key:.60} twice or of no type")
        value = attribute.get(field, empty)
        if field == "t":
            value = _tensor(value, data)
        elif isinstance(value, (list, np.ndarray)):
            value = tuple(np.asarray(value).tolist())
        attributes[key] = value
    return Node(op, name, tuple(node["input"]), tuple(node["output"]), attributes)


def _stated(value):
    shape = value.get("type", {}).get("tensor_type", {}).get("shape")
    return shape and tuple(one.get("dim_value") or None for one in shape["dim"])


def _kind(value):
    return value.get("type", {}).get("tensor_type", {}).get("elem_type")


def _tensor(fields, data):
    """Return a tensor, which has as many numbers as it says, with its value if that is small."""
    kind, shape = fields.get("data_type", 0), tuple(map(int, fields.get("dims", ())))
    name = f"tensor {fields.get('name', '')!r:.60}"
    if kind not in DTYPES or fields.get("data_location"):
        raise ValueError(f"{name} is of a type, or at a place, that nets do not need")
    if len(shape) > MOST_AXES or not all(0 <= side < 1 << 31 for side in shape):
        raise ValueError(f"{name} has shape {shape!s:.80}")
    filled = [field for field in ("raw_data", *TYPED) if len(fields.get(field, ()))]
    if len(filled) > 1 or any(kind not in TYPED.get(field, DTYPES) for field in filled):
        raise ValueError(f"{name} keeps its numbers in {', '.join(filled)}")
    count, numbers = math.prod(shape), fields.get(filled[0]) if filled else range(0)
    is_raw = isinstance(numbers, range)
    if len(numbers) != count * (_bytes(kind) if is_raw else 1):
        raise ValueError(f"{name} has not the {count:,} numbers that its shape says")
    if kind == BFLOAT16 or count > (LARGEST_REAL if kind in REAL else LARGEST_WHOLE):
        return Tensor(shape, None, kind)
    if is_raw:
        value = np.frombuffer(data[numbers.start : numbers.stop], DTYPES[kind])
    elif kind == FLOAT16:  # as the bits of an integer
        value = np.asarray(numbers, np.int64).astype("<u2").view("<f2")
    else:
        value = np.asarray(numbers).astype(DTYPES[kind])
    return Tensor(shape, value.reshape(shape), kind)


def _bytes(kind):
    return 2 if kind == BFLOAT16 else np.dtype(DTYPES[kind]).itemsize
