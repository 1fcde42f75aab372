"""What the layers of an ncnn net compute, as a hash that any exporter's way to write it gives.

Converters fold activations into convolutions or leave them alone, scale by ``Eltwise`` or by
``BinaryOp``, and name values as they like; the order of convolutions is the file's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from inspect import signature

LEAKY = "2"
"""ncnn's number of the leaky rectifier, in a convolution."""


class Program:
    """Values as hashes of what they are computed by."""

    def __init__(self):
        self._scaled = {}
        self._seen = {"convolution": 0, "prelu": 0}

    def value(self, *of: object) -> str:
        """Hash an operation with its values."""
        return hashlib.sha256(repr(of).encode()).hexdigest()[:16]

    def conv(self, x: str, slope: float | None = None, kernel=3, pad=1) -> str:
        """Convolve by the next weights, and rectify all but a share `slope` of what is negative."""
        out = self.value("convolution", self._next("convolution"), kernel, pad, x)
        return out if slope is None else self.leaky(out, slope)

    def prelu(self, x: str) -> str:
        """Rectify, but for a share by the next slopes."""
        return self.value("prelu", self._next("prelu"), x)

    def leaky(self, x: str, slope: float) -> str:
        """Rectify all but a share `slope` of what is negative."""
        return self.value("leaky", float(slope), x)

    def concat(self, *values: str) -> str:
        """Put channels beside each other."""
        return self.value("concat", *values)

    def scaled(self, x: str, factor: float) -> str:
        """Multiply by a number."""
        out = self.value("scaled", float(factor), x)
        self._scaled[out] = float(factor), x
        return out

    def total(self, *terms: tuple[float, str]) -> str:
        """Add values, each times a number."""
        flat = []
        for factor, x in terms:
            own, inner = self._scaled.get(x, (1.0, x))
            flat.append((float(factor) * own, inner))
        return self.value("total", *sorted(flat))

    def nearest(self, x: str, factor: float) -> str:
        """Repeat each pixel."""
        return self.value("nearest", float(factor), x)

    def shuffle(self, x: str, factor: int) -> str:
        """Turn channels into pixels."""
        return self.value("shuffle", int(factor), x)

    def _next(self, kind):
        self._seen[kind] += 1
        return self._seen[kind] - 1


def graph_of(layers: Iterable) -> str:
    """Hash what the layers of a ``.param`` file compute; the last one's is the net's.

    Raises
    ------
    KeyError, ValueError
        If a layer takes what none before it gives, or another count of inputs than its kind, or a
        number is none.
    """
    program, last = Program(), ""
    values: dict[str, object] = {}
    for layer in layers:
        sources = [values[name] for name in layer.inputs]
        last = _value(program, layer, sources)
        # A split gives the same several times; nothing else that is known here gives more than one.
        several = layer.kind != "Split" and len(layer.outputs) > 1
        for k, name in enumerate(layer.outputs):
            values[name] = program.value(last, k) if several else last
    return last


def _value(program, layer, sources):
    numbers = dict(layer.numbers)
    make = _KNOWN.get(layer.kind)
    if make and not _takes(make, len(sources)):
        raise ValueError(f"a layer {layer.kind} has {len(sources)} inputs")
    value = make(program, numbers, *sources) if make else None
    if value is None or numbers:  # what is left over is not known
        return program.value("unknown", layer.kind, sorted(layer.numbers.items()), *sources)
    return value


def _takes(make, count):
    try:
        signature(make).bind(None, None, *range(count))
    except TypeError:
        return False
    return True


def _conv(program, numbers, x):
    kernel, pad = int(numbers.pop("1")), int(numbers.pop("4", 0))
    for key in ("0", "5", "6"):  # what the shapes of its arrays say
        numbers.pop(key, None)
    for key, plain in (("2", "1"), ("3", "1"), ("11", str(kernel)), ("14", str(pad)), ("8", "0")):
        _drop(numbers, key, plain)
    slope = None
    if numbers.get("9") == LEAKY:
        count, slope = numbers.pop("-23310").split(",")
        numbers.pop("9")
    _drop(numbers, "9", "0")
    return program.conv(x, None if slope is None else float(slope), kernel, pad)


def _eltwise(program, numbers, *sources):
    _, *factors = numbers.pop("-23301", "0").split(",")
    if numbers.pop("0", "0") != "1" or len(factors) not in (0, len(sources)):
        return None
    return program.total(*zip(map(float, factors or [1] * len(sources)), sources))


def _binary(program, numbers, *sources):
    kind, has_number = numbers.pop("0", "0"), numbers.pop("1", "0") == "1"
    number = float(numbers.pop("2", 0))
    if has_number and kind == "2" and len(sources) == 1:
        return program.scaled(sources[0], number)
    if not has_number and kind == "0" and len(sources) == 2:
        return program.total(*((1, x) for x in sources))
    return None


def _interp(program, numbers, x):
    high, wide = float(numbers.pop("1", 1)), float(numbers.pop("2", 1))
    _drop(numbers, "3", "0"), _drop(numbers, "4", "0"), _drop(numbers, "6", "0")
    return program.nearest(x, high) if numbers.pop("0", "0") == "1" and high == wide else None


def _shuffle(program, numbers, x):
    _drop(numbers, "1", "0")
    return program.shuffle(x, int(numbers.pop("0", 1)))


def _concat(program, numbers, *sources):
    _drop(numbers, "0", "0")
    return program.concat(*sources)


def _prelu(program, numbers, x):
    numbers.pop("0")
    return program.prelu(x)


def _drop(numbers, key, plain):
    """Take away a number that is what it is without being given."""
    if numbers.get(key) == plain:
        del numbers[key]


_KNOWN = {
    "Input": lambda program, numbers: (numbers.clear(), program.value("input"))[1],
    "Split": lambda program, numbers, x: x,
    "Convolution": _conv,
    "PReLU": _prelu,
    "ReLU": lambda program, numbers, x: program.leaky(x, float(numbers.pop("0", 0))),
    "Concat": _concat,
    "Eltwise": _eltwise,
    "BinaryOp": _binary,
    "Interp": _interp,
    "PixelShuffle": _shuffle,
}


def rrdb_graph(blocks: int, doublings: int) -> str:
    """Hash what an RRDBNet computes that does not fold its input."""
    program = Program()
    x = head = program.conv(program.value("input"))
    for _ in range(blocks):
        block = x
        for _ in range(3):
            dense, seen = x, [x]
            for _ in range(4):
                seen.append(program.conv(program.concat(*seen) if seen[1:] else x, 0.2))
            x = program.total((0.2, program.conv(program.concat(*seen))), (1, dense))
        x = program.total((0.2, x), (1, block))
    x = program.total((1, head), (1, program.conv(x)))
    for _ in range(doublings):
        x = program.conv(program.nearest(x, 2), 0.2)
    return program.conv(program.conv(x, 0.2))


def srvgg_graph(convs: int, scale: int) -> str:
    """Hash what an SRVGGNetCompact computes."""
    program = Program()
    x = image = program.value("input")
    for _ in range(convs + 1):
        x = program.prelu(program.conv(x))
    x = program.conv(x)
    if scale == 1:
        return program.total((1, x), (1, image))
    return program.total((1, program.shuffle(x, scale)), (1, program.nearest(image, scale)))
