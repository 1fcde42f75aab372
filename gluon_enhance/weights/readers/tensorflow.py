"""Read TensorFlow V2 checkpoints without TensorFlow.

A checkpoint is ``NAME.index``, a table in LevelDB's format from tensor names to where the tensors
lie, and the tensors themselves in ``NAME.data-00000-of-00001`` and further shards.

References
----------
.. [1] https://github.com/google/leveldb/blob/main/doc/table_format.md
.. [2] https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/tensor_bundle.proto
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gluon_enhance.errors import WeightsError

MAGIC = 0xDB4775248B80FB57
MAX_AXES = 32
MAX_NAME = 1000
"""Bytes. Names share their beginnings, so that a small file could hold very many long ones."""
FOOTER_BYTES = 48
TRAILER_BYTES = 5
"""After each block: its compression in one byte, and a checksum in four."""

DTYPES = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "u1",
    5: "<i2",
    6: "i1",
    9: "<i8",
    10: "?",
    19: "<f2",
}
"""TensorFlow's numbers of the plain types."""

DAMAGE = (ValueError, TypeError, IndexError, KeyError, OverflowError)


def read_tensorflow(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read a checkpoint, checking every tensor's checksum.

    Parameters
    ----------
    path : path
        The ``.index`` file; the ``.data`` files lie beside it.

    Returns
    -------
    dict of str to ndarray
        Read-only, in the axis order of TensorFlow: kernels are (height, width, in, out).

    Raises
    ------
    WeightsError
        If a file is missing, cut short, changed, or not a checkpoint of plain tensors.
    """
    path = Path(path)
    try:
        entries = dict(_table(path.read_bytes()))
        header = _fields(entries.pop(""))
        if header.get(2, 0) != 0:
            raise ValueError("its byte order is not little-endian")
        count = header[1]
        tensors = {name: _Tensor(name, _fields(value)) for name, value in entries.items()}
        shards = {
            shard: path.with_name(f"{path.stem}.data-{shard:05d}-of-{count:05d}").read_bytes()
            for shard in sorted({tensor.shard for tensor in tensors.values()})
        }
        _check_overlap(tensors.values())
        return {name: tensor.read(shards[tensor.shard]) for name, tensor in tensors.items()}
    except OSError as error:
        raise WeightsError(
            f"{error.filename} cannot be read ({error.strerror}): a TensorFlow checkpoint is an "
            f".index file with its .data files beside it"
        ) from error
    except DAMAGE as error:
        raise WeightsError(
            f"{path} or its .data file is cut short, changed or not a TensorFlow checkpoint "
            f"({type(error).__name__}: {error!s:.200}); get both again"
        ) from error


def _check_overlap(tensors):
    """Refuse a small file that holds one tensor very many times."""
    ends = {}
    for tensor in sorted(tensors, key=lambda tensor: (tensor.shard, tensor.offset)):
        if tensor.offset < ends.get(tensor.shard, 0):
            raise ValueError(f"{tensor.name} overlaps another")
        ends[tensor.shard] = tensor.offset + tensor.size


class _Tensor:
    """Where one tensor lies: a BundleEntryProto."""

    def __init__(self, name, fields):
        if fields.get(1) not in DTYPES or 7 in fields:
            raise ValueError(f"{name} is no plain tensor of numbers")
        self.name = name
        self.dtype = np.dtype(DTYPES[fields[1]])
        self.shape = tuple(_fields(dim).get(1, 0) for dim in _repeated(fields.get(2, b""), 2))
        if len(self.shape) > MAX_AXES:
            raise ValueError(f"{name} has {len(self.shape)} axes")
        self.shard = fields.get(3, 0)
        self.offset = fields.get(4, 0)
        self.size = fields.get(5, 0)
        self.checksum = fields[6]
        if math.prod(self.shape) * self.dtype.itemsize != self.size:
            raise ValueError(f"{name} has shape {self.shape} and {self.size:,} bytes")

    def read(self, shard):
        data = shard[self.offset : self.offset + self.size]
        if len(data) != self.size:
            raise ValueError(f"{self.name} reaches beyond the {len(shard):,} bytes of its file")
        if masked_crc32c(data) != self.checksum:
            raise ValueError(f"{self.name} does not match its checksum")
        return np.frombuffer(data, self.dtype).reshape(self.shape)


def _table(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the keys and values of a LevelDB-style table."""
    if len(data) < FOOTER_BYTES or int.from_bytes(data[-8:], "little") != MAGIC:
        raise ValueError("the index does not end as tables do")
    footer = data[-FOOTER_BYTES:]
    _, start = _handle(footer, 0)  # the meta-index, which checkpoints leave empty
    index, _ = _handle(footer, start)
    end = 0
    for _, value in _block(data, *index):
        (offset, size), _ = _handle(value, 0)
        if offset < end:
            raise ValueError("blocks of the index overlap")
        end = offset + size
        for key, entry in _block(data, offset, size):
            yield key.decode(), entry


def _block(data, offset, size):
    """Yield the entries of one block: each key is what it shares with the last, and a rest."""
    end = offset + size
    block, trailer = data[offset:end], data[end : end + TRAILER_BYTES]
    if len(trailer) != TRAILER_BYTES or len(block) != size:
        raise ValueError(f"a block reaches beyond the {len(data):,} bytes of the index")
    if masked_crc32c(block + trailer[:1]) != int.from_bytes(trailer[1:], "little"):
        raise ValueError("a block of the index does not match its checksum")
    if trailer[0] != 0:
        raise ValueError("the index is compressed, which TensorFlow's own are not")
    restarts = int.from_bytes(block[-4:], "little")
    position, key = 0, b""
    while position < size - 4 * (restarts + 1):
        shared, position = _varint(block, position)
        rest, position = _varint(block, position)
        length, position = _varint(block, position)
        if shared + rest > MAX_NAME:
            raise ValueError(f"a name has {shared + rest:,} bytes")
        key = key[:shared] + block[position : position + rest]
        position += rest
        yield key, block[position : position + length]
        position += length


def _handle(data, position):
    offset, position = _varint(data, position)
    size, position = _varint(data, position)
    return (offset, size), position


def _varint(data, position):
    value = shift = 0
    while shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
    raise ValueError("a number has more than 64 bits")


def _fields(message) -> dict:
    """Read a protocol-buffer message: {field number: its last value}."""
    return dict(_messages(message))


def _repeated(message, number):
    return [value for field, value in _messages(message) if field == number]


def _messages(data):
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(data, position)
        elif kind == 2:  # bytes, or a message
            length, position = _varint(data, position)
            value = data[position : position + length]
            position += length
        elif kind == 5:  # a 32-bit number, as the checksums are
            value = int.from_bytes(data[position : position + 4], "little")
            position += 4
        else:
            raise ValueError(f"a field has the unexpected wire type {kind}")
        if position > len(data):
            raise ValueError("a field reaches beyond its message")
        yield tag >> 3, value


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = _crc_table()


def masked_crc32c(data: bytes) -> int:
    """Compute LevelDB's checksum: the CRC-32C, rotated by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
