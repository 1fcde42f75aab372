"""Training in bfloat16: convolutions and what lies between them; the rest stays in float32.

Parameters, gradients, optimizer, averages and losses are float32: bfloat16 has their range, with
8 bits of mantissa. Only what a net computes between its input and its output is rounded, which the
processor does up to twice as fast, or with AMX up to eight times.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import numpy as np

from gluon_enhance.framework import mx

logger = logging.getLogger(__name__)

BF16 = np.dtype([("bfloat16", np.uint16)])
"""As MXNet names it, for NumPy has none."""

CPUINFO = Path("/proc/cpuinfo")  # of Linux, which MXNet needs anyway
PRECISIONS = ("fp32", "bf16", "auto")
FLAGS = ("avx512_bf16", "amx_bf16")
"""Of processors that multiply such numbers; oneDNN emulates it on others, which is slow."""

LOW = {"Convolution", "FullyConnected"}
"""Operators whose inputs are rounded; MXNet crashes in the gradient of a Deconvolution's."""

KEPT = {"Activation", "LeakyReLU", "Pooling", "concat", "slice_axis"}
"""Operators that stay in bfloat16 if one of their inputs is: oneDNN has them, or they copy."""

COPIED = {"UpSampling"}
"""Operators that only copy, which MXNet has in float32 alone: cast before and back after them."""

SUMS = {"elemwise_add"}
"""Operators that stay in bfloat16 if all of their inputs are."""


def choose_precision(precision: str, contexts=()) -> str:
    """Return 'fp32' or 'bf16' for one of `PRECISIONS`, by the flags of this machine's processor.

    'auto' is float32 where one of the contexts is a GPU.
    """
    if precision != "auto":
        return precision
    if any(context.device_type == "gpu" for context in contexts):
        return "fp32"
    try:
        flags = CPUINFO.read_text().split()
    except OSError:
        flags = []
    return "bf16" if any(flag in flags for flag in FLAGS) else "fp32"


def set_precision(precision: str, *nets) -> None:
    """Have initialized nets compute in one of `PRECISIONS`, and say so if it is not float32."""
    contexts = [c for net in nets for p in net.collect_params().values() for c in p.list_ctx()]
    if choose_precision(precision, contexts) == "bf16":
        logger.info("computing in bfloat16")
        for net in nets:
            compute_in_bf16(net)


def compute_in_bf16(net) -> None:
    """Have a net, and all blocks in it, compute in bfloat16; its output is float32.

    What it was hybridized with is compiled anew. Maps that are concatenated must have multiples of
    16 channels: oneDNN's gradient of others fails.

    Parameters
    ----------
    net : HybridBlock
    """
    # Each block is handed operators that cast what they are given, in place of mx.nd or mx.sym;
    # the layers stay as they are, and so do their parameters.
    net.apply(_lower)
    forward = net.hybrid_forward

    def rounded_back(F, *args, **kwargs):
        out = forward(F, *args, **kwargs)
        return list(map(_to_fp32, out)) if isinstance(out, (list, tuple)) else _to_fp32(out)

    net.hybrid_forward = rounded_back


def _lower(block):
    if isinstance(block, mx.gluon.HybridBlock):
        forward = block.hybrid_forward
        block.hybrid_forward = lambda F, *args, **kwargs: forward(_Operators(F), *args, **kwargs)
        block._clear_cached_op()


class _Operators:
    """The operators of ``mx.nd`` or ``mx.sym``, each with its inputs cast to what it takes."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        operator = getattr(self._module, name)
        if not callable(operator):
            return _Operators(operator)  # contrib, linalg
        return functools.partial(_apply, name, operator)


def _apply(name, operator, /, *args, **kwargs):
    tensors = [value for value in (*args, *kwargs.values()) if _is_tensor(value)]
    # Convolutions bring bfloat16 in; what follows them keeps it; all else, such as norms and sums
    # over an image, whose errors would add up, goes back to float32.
    if not (name in LOW or _keeps(name, tensors) and kwargs.get("act_type") != "prelu"):
        out = operator(*map(_to_fp32, args), **{k: _to_fp32(v) for k, v in kwargs.items()})
        return _to_bf16(out) if name in COPIED and all(map(_is_low, tensors)) else out
    out = operator(*map(_to_bf16, args), **{k: _to_bf16(v) for k, v in kwargs.items()})
    return _low(out)


def _keeps(name, tensors):
    """Tell whether an operator of these computes in bfloat16."""
    low = list(map(_is_low, tensors))
    return any(low) if name in KEPT else name in SUMS and all(low)


def _to_bf16(value):
    if not _is_tensor(value) or _is_low(value):
        return value
    return _low(_module_of(value).amp_cast(value, dtype=BF16))


def _to_fp32(value):
    if not _is_tensor(value) or not _is_low(value):
        return value
    return _module_of(value).amp_cast(value, dtype="float32")


def _is_tensor(value):
    return isinstance(value, (mx.nd.NDArray, mx.sym.Symbol))


def _module_of(tensor):
    return mx.sym if isinstance(tensor, mx.sym.Symbol) else mx.nd


class _Low:
    """What an operator gave in bfloat16: Python's arithmetic with it is of float32.

    MXNet's operators of Python's signs are slow in bfloat16, where they are there at all, and take
    no mixture.
    """

    __slots__ = ()


def _in_fp32(name):
    def operate(self, *others):
        return getattr(_to_fp32(self), name)(*map(_to_fp32, others))

    return operate


for _sign in ("add", "sub", "mul", "truediv"):
    for _name in (f"__{_sign}__", f"__r{_sign}__"):
        setattr(_Low, _name, _in_fp32(_name))
for _name in ("__neg__", "__pow__"):
    setattr(_Low, _name, _in_fp32(_name))


class _LowSymbol(_Low, mx.sym.Symbol):
    __slots__ = ()


class _LowArray(_Low, mx.nd.NDArray):
    __slots__ = ()


def _low(tensor):
    """Mark what an operator has just given, in place, as bfloat16."""
    tensor.__class__ = _LowSymbol if isinstance(tensor, mx.sym.Symbol) else _LowArray
    return tensor


def _is_low(tensor):
    return isinstance(tensor, _Low)
