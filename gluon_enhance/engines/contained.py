"""Refuse model files that draw on other files, whose contents no card's hash would cover.

An ONNX file may keep its tensors in any file beside it. What it holds is walked here without the
onnx package, in the format of protobuf [1]_.

References
----------
.. [1] https://protobuf.dev/programming-guides/encoding; the fields are those of
   https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from gluon_enhance.errors import EngineError

FIELDS = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}
"""Message -> its fields that lead to tensors, and the messages that these hold."""

GRAPH = 7
EXTERNAL_DATA, DATA_LOCATION = 13, 14
"""Fields of a tensor; one that lies in the file has no number at the second, or 0."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10


def refuse_other_files(path: str | os.PathLike) -> None:
    """Refuse a model file that engines would read together with others than an ``.xml``'s ``.bin``.

    Parameters
    ----------
    path : path
        Of an OpenVINO file if it ends in ``.xml``, else of an ONNX file: engines go by the
        content, and would read another's companions.

    Raises
    ------
    EngineError
        If it is another kind of file, or an ONNX file with tensors in other files.
    """
    path = Path(path)
    kind = "OpenVINO" if path.suffix == ".xml" else "ONNX"
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            is_right = data[:1] == b"<" if kind == "OpenVINO" else _has_graph(data)
            has_others = kind == "ONNX" and _has_tensors_elsewhere(data)
    except (OSError, ValueError, IndexError) as error:  # no file can be empty
        raise EngineError(
            f"{path} is not a whole {kind} file ({error}); export the model again"
        ) from error
    if not is_right:
        raise EngineError(f"{path} is not an {kind} file; export the model again")
    if has_others:
        raise EngineError(
            f"{path} keeps tensors in other files, which nothing verifies; save it with all inside"
        )


def _has_graph(data):
    return any(number == GRAPH for number, _, _ in _fields(data, 0, len(data)))


def _has_tensors_elsewhere(data):
    messages = [("ModelProto", 0, len(data))]
    while messages:
        kind, start, end = messages.pop()
        for number, value, place in _fields(data, start, end):
            if kind == "TensorProto" and (
                number == EXTERNAL_DATA or (number == DATA_LOCATION and value)
            ):
                return True
            if place and number in FIELDS[kind]:
                messages.append((FIELDS[kind][number], *place))
    return False


def _fields(data, position, end):
    """Yield number, value if it is a varint, and (start, end) if it is bytes, of each field."""
    while position < end:
        tag, position = _varint(data, position)
        number, wire_type = (tag & 0xFFFFFFFF) >> 3, tag & 7  # readers drop the bits above
        value, place = None, None
        if wire_type == VARINT:
            value, position = _varint(data, position)
        elif wire_type == BYTES:
            length, start = _varint(data, position)
            position = start + length
            place = start, position
        elif wire_type in (FIXED32, FIXED64):
            position += 4 if wire_type == FIXED32 else 8
        else:
            raise ValueError(f"a field has wire type {wire_type}")
        if position > end:
            raise ValueError(f"a field ends at {position:,}, beyond {end:,}")
        yield number, value, place


def _varint(data, position):
    value = 0
    for k in range(LONGEST_VARINT):
        byte = data[position + k]
        value |= (byte & 127) << (7 * k)
        if byte < 128:
            return value, position + k + 1
    raise ValueError("a number has no end")
