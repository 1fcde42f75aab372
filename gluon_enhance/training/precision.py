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
from gluon_enhance.training.config import option

logger = logging.getLogger(__name__)

BF16 = np.dtype([("bfloat16", np.uint16)])
"""As MXNet names it, for NumPy has none."""

CPUINFO = Path("/proc/cpuinfo")  # of Linux, which MXNet needs anyway
PRECISIONS = ("fp32", "bf16", "auto")
FLAGS = ("avx512_bf16", "amx_bf16")
"""Of processors that multiply such numbers; oneDNN emulates it on others, which is slow."""

LOW = {"Convolution", "Deconvolution", "FullyConnected"}
"""Operators whose inputs are rounded."""

KEPT = {"Activation", "LeakyReLU", "Pooling", "concat", "slice_axis"}
"""Operators that stay in bfloat16 if one of their inputs is: oneDNN has them, or they copy."""


def precision_option():
    """Make the option of scripts whose nets have been tried in bfloat16."""
    return option(
        "fp32",
        "what nets compute in; bf16 needs AVX-512 and is fast where the processor has it; auto: "
        "bf16 there, fp32 elsewhere and on GPUs",
        PRECISIONS,
    )


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
    is_kept = name in KEPT and kwargs.get("act_type") != "prelu"  # which has no bfloat16
    # Convolutions bring bfloat16 in; what follows them keeps it; all else, such as norms and sums
    # over an image, whose errors would add up, goes back to float32.
    low = name in LOW or is_kept and any(map(_is_low, tensors))
    cast = _to_bf16 if low else _to_fp32
    return operator(*map(cast, args), **{key: cast(value) for key, value in kwargs.items()})


def _to_bf16(value):
    if not _is_tensor(value) or _is_low(value):
        return value
    return _module_of(value).amp_cast(value, dtype=BF16)


def _to_fp32(value):
    if not _is_tensor(value) or not _is_low(value):
        return value
    return _module_of(value).amp_cast(value, dtype="float32")


def _is_tensor(value):
    return isinstance(value, (mx.nd.NDArray, mx.sym.Symbol))


def _module_of(tensor):
    return mx.sym if isinstance(tensor, mx.sym.Symbol) else mx.nd


def _is_low(tensor):
    """Tell whether a tensor is bfloat16; of a symbol, if all that it is made of is float32."""
    if isinstance(tensor, mx.nd.NDArray):
        return tensor.dtype == BF16
    types = dict.fromkeys(tensor.list_arguments(), np.float32)
    return tensor.infer_type(**types)[1][0] == BF16
