"""Messages in the encoding of protobuf, read as a table of their fields says, and written.

What the encoding [1]_ leaves to readers is refused here: fields of other types than the table's,
single ones that come twice, and ones that are not in the table.

References
----------
.. [1] https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, Union

import numpy as np

SKIPPED, REFUSED = "skipped", "refused"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10
LONGEST_TEXT = 1 << 16

SINGLE = {"integer": VARINT, "float": FIXED32, "text": BYTES, "bytes": BYTES}
"""Kinds of fields that come once -> their wire types."""
PACKED = {"integers": VARINT, "floats": FIXED32, "doubles": FIXED64}
"""Kinds of lists of numbers, which may also come all at once as bytes."""
FORMATS = {FIXED32: "<f", FIXED64: "<d"}


class Field(NamedTuple):
    """A field: its kind is a word, the table of a message, or this in a list where many come."""

    name: str
    kind: Union[str, dict, list]
    why: str = "which nets do not need"


def read_message(data, position: int, end: int, table: dict) -> dict:
    """Read the fields of a message by their names.

    Parameters
    ----------
    data : bytes or mmap
    position, end : int
        Where it lies.
    table : dict of int to Field

    Returns
    -------
    dict
        Lists of messages and texts are there also when nothing is in them. Of bytes, the range of
        their places.

    Raises
    ------
    ValueError
        If it is not whole, or has a field that is refused.
    """
    several = (f for f in table.values() if isinstance(f.kind, list) or f.kind == "texts")
    found: dict = {f.name: [] for f in several}
    for number, wire, _, value in fields_of(data, position, end):
        field = table.get(number, Field(f"field {number}", REFUSED))
        if field.kind == REFUSED:
            raise ValueError(f"it has {field.name}, {field.why}")
        if field.kind != SKIPPED:
            _add(found, field, wire, data, value.start, value.stop)
    return found


def fields_of(data, position: int, end: int) -> Iterator[tuple[int, int, int, range]]:
    """Yield each field's number, its wire type, where it begins, and the places of its value.

    Raises
    ------
    ValueError
        If they are not whole.
    """
    while position < end:
        first = position
        tag, position = _varint(data, position, end)
        number, wire = (tag & 0xFFFFFFFF) >> 3, tag & 7  # readers drop the bits above
        start, position = _place(data, position, end, wire)
        yield number, wire, first, range(start, position)


def written(number: int, value: Union[int, bytes]) -> bytes:
    """Return a field with a number that is not negative, or with bytes and their length."""
    if isinstance(value, int):
        return _as_varint(number << 3 | VARINT) + _as_varint(value)
    return _as_varint(number << 3 | BYTES) + _as_varint(len(value)) + value


def _as_varint(value):
    groups = [value >> shift & 127 for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def _add(found, field, wire, data, start, end):
    name, kind = field.name, field.kind
    if isinstance(kind, str) and kind in PACKED:
        _add_numbers(found, field, wire, data, start, end)
        return
    if wire != (SINGLE.get(kind, BYTES) if isinstance(kind, str) else BYTES):
        raise ValueError(f"its {name} has wire type {wire}")
    if isinstance(kind, list):
        found[name].append(read_message(data, start, end, kind[0]))
    elif kind == "texts":
        found[name].append(_text(data, start, end))
    elif name in found:
        raise ValueError(f"its {name} comes twice")
    elif isinstance(kind, dict):
        found[name] = read_message(data, start, end, kind)
    elif kind == "text":
        found[name] = _text(data, start, end)
    else:
        found[name] = range(start, end) if kind == "bytes" else _number(wire, data, start, end)


def _add_numbers(found, field, wire, data, start, end):
    """Add a number to a list, or take all of them, which come as bytes, as an array."""
    name, own = field.name, PACKED[field.kind]
    if wire == BYTES and not len(found.get(name, ())):
        raw = data[start:end]
        found[name] = _varints(raw) if own == VARINT else np.frombuffer(raw, FORMATS[own])
    elif wire == own and isinstance(found.setdefault(name, []), list):
        found[name].append(_number(wire, data, start, end))
    elif wire != BYTES or start < end:
        raise ValueError(f"its {name} comes in pieces")


def _number(wire, data, start, end):
    if wire == VARINT:
        value, _ = _varint(data, start, end)
        return value - (1 << 64) if value >> 63 else value
    return struct.unpack(FORMATS[wire], data[start:end])[0]


def _text(data, start, end):
    if end - start > LONGEST_TEXT:
        raise ValueError(f"a text in it has more than {LONGEST_TEXT:,} bytes")
    return bytes(data[start:end]).decode()


def _place(data, position, end, wire):
    """Return where a field's value begins and ends, for bytes without their length."""
    start = position
    if wire == VARINT:
        _, position = _varint(data, position, end)
    elif wire == BYTES:
        length, start = _varint(data, position, end)
        position = start + length
    elif wire in FORMATS:
        position += struct.calcsize(FORMATS[wire])
    else:
        raise ValueError(f"a field has wire type {wire}")
    if position > end:
        raise ValueError(f"a field ends at {position:,}, beyond {end:,}")
    return start, position


def _varint(data, position, end):
    value = 0
    for k in range(min(LONGEST_VARINT, end - position)):
        byte = data[position + k]
        value |= (byte & 127) << (7 * k)
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, position + k + 1
    raise ValueError("a number has no end")


def _varints(raw):
    """Read integers that lie one behind the other."""
    values = np.frombuffer(raw, np.uint8)
    last = np.flatnonzero(values < 128)
    if not len(values):
        return np.zeros(0, np.int64)
    if not len(last) or last[-1] + 1 != len(values):
        raise ValueError("a number has no end")
    first = np.append(0, last[:-1] + 1)
    lengths = last - first + 1
    if lengths.max() > LONGEST_VARINT:
        raise ValueError("a number has no end")
    places = np.arange(len(values)) - np.repeat(first, lengths)
    parts = (values & 127).astype(np.uint64) << (7 * places).astype(np.uint64)
    return np.add.reduceat(parts, first).view(np.int64)
