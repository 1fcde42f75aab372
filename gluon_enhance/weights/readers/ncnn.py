"""Read weights from ncnn's ``.param`` and ``.bin`` files, as upscayl and the Vulkan tools use them.

The ``.param`` file is a text that lists the layers with their numbers; the ``.bin`` file holds the
arrays of one layer after the other, without names.

References
----------
.. [1] https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gluon_enhance.errors import WeightsError, plural
from gluon_enhance.small_files import read_regular, read_small
from gluon_enhance.weights.names.ncnn_graph import graph_of

MAGIC = "7767517"
LARGEST_PARAM = 4 << 20
"""Bytes of a ``.param`` file; the largest official one has 117,030."""

DTYPES = {0: "<f4", 0x01306B47: "<f2"}
"""The word that precedes the weights of a convolution -> their type."""

WORD = 4
"""Arrays begin at multiples of so many bytes."""


@dataclass(frozen=True)
class _NcnnLayer:
    """A line of the ``.param`` file: what it computes, from and into what, with which numbers."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[str, str]

    def count(self, key: str, default: int | None = None) -> int:
        """Return a whole number, at least 0."""
        value = int(self.numbers[key] if default is None else self.numbers.get(key, default))
        if value < 0:
            raise ValueError(f"{self.kind} has {key}={value}")
        return value


def read_ncnn(path: str | os.PathLike) -> dict:
    """Read the weights of an ncnn net.

    Parameters
    ----------
    path : path
        The ``.bin`` file; the ``.param`` file of the same name lies beside it. Either may be named.

    Returns
    -------
    dict
        Of the k-th convolution in the graph's order ``convolution.k.weight``, (out, in, height,
        width), and ``convolution.k.bias``; of the k-th PReLU ``prelu.k.weight``, (channels,); all
        float32. ``graph`` is a hash of what is computed from what, whatever the names are.

    Raises
    ------
    WeightsError
        If either file cannot be read, they do not belong together, the weights are quantized, or
        there are layers with weights other than convolutions and PReLU.
    """
    path = Path(path)
    param, data = path.with_suffix(".param"), path.with_suffix(".bin")
    try:
        layers = list(_layers(read_small(param, LARGEST_PARAM).decode("ascii")))
        return {**dict(_arrays(layers, read_regular(data))), "graph": graph_of(layers)}
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error}); an ncnn net is a .param and a .bin file of one name"
        ) from error
    except (ValueError, KeyError) as error:
        raise WeightsError(
            f"{param} and {data.name} are cut short, damaged, or no ncnn net of convolutions in "
            f"float16 or float32 ({type(error).__name__}: {error!s:.200}); get both again"
        ) from error


def _layers(text) -> Iterator[_NcnnLayer]:
    magic, counts, *lines = text.splitlines()
    if magic.strip() != MAGIC:
        raise ValueError(f"the first line is {magic[:20]!r}, not {MAGIC}")
    lines = [line.split() for line in lines if line.strip()]
    layers, _ = counts.split()  # and values
    if len(lines) != int(layers):
        raise ValueError(f"{plural(len(lines), 'layer')} instead of {layers}")
    for kind, _, inputs, outputs, *rest in lines:
        first, last = int(inputs), int(inputs) + int(outputs)
        if not 0 <= first <= last <= len(rest):
            ends = f"{plural(int(inputs), 'input')} and {plural(int(outputs), 'output')}"
            raise ValueError(f"a {kind} has {ends}")
        numbers = dict(item.split("=", 1) for item in rest[last:])
        yield _NcnnLayer(kind, tuple(rest[:first]), tuple(rest[first:last]), numbers)


def _arrays(layers, data) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of all layers by name; every byte of the data must be one's."""
    position, seen = 0, Counter[str]()

    def take(dtype, count):
        nonlocal position
        end = position + count * np.dtype(dtype).itemsize
        if end > len(data):
            raise ValueError(f"the .bin file ends at {len(data):,} of at least {end:,} bytes")
        array = np.frombuffer(data, dtype, count, position)
        position = -(-end // WORD) * WORD
        return array

    for layer in layers:
        name = f"{layer.kind.lower()}.{seen[layer.kind]}"
        seen[layer.kind] += 1
        if layer.kind == "Convolution":
            weight = take(_dtype_of(take("<u4", 1)[0]), layer.count("6"))
            yield f"{name}.weight", weight.reshape(_shape(layer)).astype(np.float32)
            if layer.count("5", 0):
                yield f"{name}.bias", take("<f4", layer.count("0"))
        elif layer.kind == "PReLU":
            yield f"{name}.weight", take("<f4", layer.count("0"))
    if position != len(data):
        raise ValueError(f"{len(data) - position:,} bytes are left over in the .bin file")


def _dtype_of(flag):
    if flag not in DTYPES:
        raise ValueError(f"the weights are quantized (flag {flag:#x})")
    return DTYPES[flag]


def _shape(layer):
    out_channels, width = layer.count("0"), layer.count("1")
    height = layer.count("11", width)
    return out_channels, -1, height, width
