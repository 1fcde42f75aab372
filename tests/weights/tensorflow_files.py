"""Write TensorFlow V2 checkpoints by their format's description, to test the reader of them."""

import numpy as np

from gluon_enhance.weights.readers.tensorflow import MAGIC, masked_crc32c

NUMBERS = {"f4": 1, "f8": 2, "i4": 3, "u1": 4, "i8": 9, "f2": 19}


def write_checkpoint(base, tensors, shards=1, per_block=3, compression=0, byte_order=0):
    """Write ``base.index`` and ``base.data-*``; the tensors go round the shards by name."""
    data = [b""] * shards
    entries = [("", field(1, shards) + (field(2, byte_order) if byte_order else b""))]
    for k, (name, array) in enumerate(sorted(tensors.items())):
        raw = np.ascontiguousarray(array).tobytes()
        shard = k % shards
        entries.append((name, entry(array, shard, len(data[shard]), raw)))
        data[shard] += raw
    for shard, raw in enumerate(data):
        base.with_name(f"{base.name}.data-{shard:05d}-of-{shards:05d}").write_bytes(raw)
    index = base.with_name(f"{base.name}.index")
    index.write_bytes(table(entries, per_block, compression))
    return index


def entry(array, shard, offset, raw):
    dims = b"".join(field(2, field(1, size)) for size in array.shape)
    message = field(1, NUMBERS[array.dtype.str[1:]]) + field(2, dims)
    message += (field(3, shard) if shard else b"") + (field(4, offset) if offset else b"")
    checksum = masked_crc32c(raw).to_bytes(4, "little")
    return message + field(5, len(raw)) + bytes([6 << 3 | 5]) + checksum


def table(entries, per_block, compression):
    out, handles = b"", []
    groups = [entries[k : k + per_block] for k in range(0, len(entries), per_block)]
    for group in groups:
        body = block(group)
        handles.append((group[-1][0], varint(len(out)) + varint(len(body))))
        out += sealed(body, compression)
    meta = varint(len(out)) + varint(len(block([])))
    out += sealed(block([]), 0)
    body = block(handles)
    footer = meta + varint(len(out)) + varint(len(body))
    return out + sealed(body, 0) + footer.ljust(40, b"\0") + MAGIC.to_bytes(8, "little")


def block(entries):
    body, last = b"", b""
    for name, value in entries:
        key = name.encode()
        shared = next((i for i, (a, b) in enumerate(zip(key, last)) if a != b), None)
        shared = min(len(key), len(last)) if shared is None else shared
        body += varint(shared) + varint(len(key) - shared) + varint(len(value))
        body += key[shared:] + value
        last = key
    return body + bytes(4) + (1).to_bytes(4, "little")


def sealed(body, compression):
    body += bytes([compression])
    return body + masked_crc32c(body).to_bytes(4, "little")


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
