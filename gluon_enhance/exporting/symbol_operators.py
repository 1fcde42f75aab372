"""The operators of MXNet that image nets need, and what each may be told.

MXNet takes what a symbol file says as it is: operators that call an address which the file gives,
strides of 0 to divide by, constants of any size. So a file is held against this table, and MXNet is
given what the table's readers made of its texts, never the texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, Union

Reader = Callable[[str], Any]
"""Takes the text of an attribute and returns its value; raises ValueError if none is allowed."""

DIGITS = 10
"""No number that an image net needs is longer."""

NONE = "None"


class SymbolOperator(NamedTuple):
    """How many inputs an operator has, with these attributes, and how they are read."""

    inputs: Union[int, Callable[[Mapping], int]] = 1
    attributes: Mapping[str, Reader] = {}
    required: tuple = ()


def read_attributes(op: str, texts: Mapping[str, str]) -> dict:
    """Read the attributes of a node.

    Parameters
    ----------
    op : str
        In the table.
    texts : dict of str to str
        As a symbol file has them. Those that only concern training, speed or devices are left out.

    Returns
    -------
    dict
        Numbers, truth values, texts and tuples.

    Raises
    ------
    ValueError
        If one is missing, not in the table, or out of its bounds.
    """
    operator = OPERATORS[op]
    values = {}
    for name, text in texts.items():
        if name.startswith("__") or name.endswith(HINTS):
            continue
        if name not in operator.attributes:
            raise ValueError(f"attribute {name[:40]!r} is not one that image nets need")
        try:
            values[name] = operator.attributes[name](text)
        except ValueError:
            raise ValueError(f"{name}={text[:40]!r} is not within what is allowed") from None
    missing = [name for name in operator.required if name not in values]
    if missing:
        raise ValueError(f"attribute {missing[0]!r} is missing")
    if values.get("num_filter", 0) % values.get("num_group", 1):
        raise ValueError("num_group does not divide num_filter")
    return values


def count_inputs(op: str, values: Mapping) -> int:
    """Return how many inputs a node with these attributes has."""
    inputs = OPERATORS[op].inputs
    return inputs(values) if callable(inputs) else inputs


def _whole(low, high):
    def read(text):
        if not re.fullmatch(rf"-?\d{{1,{DIGITS}}}L?", text, re.ASCII):
            raise ValueError
        value = int(text.rstrip("L"))
        if not low <= value <= high:
            raise ValueError
        return value

    return read


def _several(one, least=0, most=6):
    """Read tuples, written with brackets of either kind or as one number."""

    def read(text):
        body = text.strip()
        if body[:1] + body[-1:] in ("()", "[]"):
            body = body[1:-1]
        parts = body.rstrip(", ").split(",") if body.strip(", ") else []
        if not least <= len(parts) <= most:
            raise ValueError
        return tuple(one(part.strip()) for part in parts)

    return read


def _or_none(read):
    return lambda text: None if text == NONE else read(text)


def _one_of(*texts):
    def read(text):
        if text not in texts:
            raise ValueError
        return text

    return read


def _truth(text):
    return {"true": True, "1": True, "false": False, "0": False}[_one_of(*TRUTHS)(text.lower())]


def _number(text):
    if len(text) > 40 or not re.fullmatch(r"[-+.\deE]+", text, re.ASCII):
        raise ValueError
    value = float(text)
    if not abs(value) < 3e38:  # float32's largest
        raise ValueError
    return value


def _within(low, high):
    def read(text):
        value = _number(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return read


def _new_shape(text):
    """Read Reshape's target: of sizes and of codes; what MXNet divides by is never 0."""
    shape = _several(_whole(-4, 1 << 16), 1, 8)(text)
    for k, code in enumerate(shape):
        halves = shape[k + 1 : k + 3]
        if code == -4 and (len(halves) < 2 or halves == (-1, -1) or not all(map(_is_size, halves))):
            raise ValueError
    # Larger products could be 0 in 64 bits.
    if math.prod(size for size in shape if size > 0) > 1 << 20:
        raise ValueError
    return shape


def _order(text):
    """Read the axes of a transposition; with one twice, MXNet leaves the result unwritten."""
    axes = _several(_whole(0, 6))(text)
    if len(set(axes)) < len(axes):
        raise ValueError
    return axes


def _is_size(code):
    return code == -1 or code > 0


def _margins(text):
    widths = _several(_whole(0, 1024), 8, 8)(text)
    if any(widths[:4]):
        raise ValueError
    return widths


TRUTHS = ("true", "1", "false", "0")
HINTS = ("lr_mult", "wd_mult", "ctx_group", "force_mirroring", "mirror_stage", "profiler_scope",
         "workspace", "cudnn_tune", "cudnn_off", "ctx", "target_shape", "keep_highest")  # fmt: skip
"""Ends of the names of attributes that change no result, and are left out; the last two are of
before `shape` and `pad`, which they would stand in for."""

AXIS = _whole(-6, 6)
AXES = _or_none(_several(AXIS))
POSITION = _whole(-(1 << 31), (1 << 31) - 1)
FLOATS = _one_of("float16", "float32", NONE)
CHANNELS = _whole(1, 1 << 14)
SHAPE = _several(_whole(1, 1 << 14), 1)
TWICE = {"transpose_a": _truth, "transpose_b": _truth, "forward_stype": _one_of("default", NONE)}
WINDOW = {
    "kernel": _several(_whole(1, 64), 2, 2),
    "stride": _several(_whole(1, 64), 2, 2),
    "dilate": _several(_whole(1, 64), 2, 2),
    "pad": _several(_whole(0, 1024), 2, 2),
    "num_filter": CHANNELS,
    "num_group": CHANNELS,
    "no_bias": _truth,
    "layout": _one_of("NCHW", NONE),
}
REDUCED = {"axis": AXES, "keepdims": _truth, "exclude": _truth}
NORM = {"axis": AXIS, "eps": _within(1e-12, 1), "output_mean_var": _one_of("False", "0")}
CONSTANT = {"shape": SHAPE, "dtype": FLOATS}


def _weighted(values):
    return 2 if values.get("no_bias") else 3


def _listed(values):
    return values["num_args"]


OPERATORS: dict[str, SymbolOperator] = {
    "Convolution": SymbolOperator(_weighted, WINDOW, ("kernel", "num_filter")),
    "Deconvolution": SymbolOperator(
        lambda values: 2 if values.get("no_bias", True) else 3,
        {
            **WINDOW,
            "adj": _several(_whole(0, 63), 2, 2),
        },
        ("kernel", "num_filter"),
    ),
    "FullyConnected": SymbolOperator(
        _weighted,
        {"num_hidden": _whole(1, 1 << 20), "no_bias": _truth, "flatten": _truth},
        ("num_hidden",),
    ),
    "Pooling": SymbolOperator(
        1,
        {
            **{name: WINDOW[name] for name in ("kernel", "stride", "pad", "layout")},
            "pool_type": _one_of("max", "avg", "sum"),
            "global_pool": _truth,
            "pooling_convention": _one_of("valid", "full"),
            "count_include_pad": _or_none(_truth),
        },
    ),
    "_contrib_AdaptiveAvgPooling2D": SymbolOperator(
        1, {"output_size": _several(_whole(1, 1024), 0, 2)}
    ),
    "BatchNorm": SymbolOperator(
        5,
        {
            **NORM,
            "momentum": _within(0, 1),
            "fix_gamma": _truth,
            "use_global_stats": _truth,
            "min_calib_range": _or_none(_number),
            "max_calib_range": _or_none(_number),
        },
    ),
    "InstanceNorm": SymbolOperator(3, {"eps": NORM["eps"]}),
    "LayerNorm": SymbolOperator(3, NORM),
    "GroupNorm": SymbolOperator(3, {**NORM, "num_groups": CHANNELS}),
    "L2Normalization": SymbolOperator(
        1, {"eps": NORM["eps"], "mode": _one_of("channel", "instance", "spatial")}
    ),
    "LRN": SymbolOperator(
        1,
        {"nsize": _whole(1, 63), "alpha": _number, "beta": _number, "knorm": _within(1e-6, 1e6)},
        ("nsize",),
    ),
    "Activation": SymbolOperator(
        1,
        {"act_type": _one_of("relu", "sigmoid", "tanh", "softrelu", "softsign")},
        ("act_type",),
    ),
    "LeakyReLU": SymbolOperator(
        lambda values: 2 if values.get("act_type") == "prelu" else 1,
        {
            "act_type": _one_of("leaky", "prelu", "elu", "selu", "gelu"),
            "slope": _number,
            "lower_bound": _number,
            "upper_bound": _number,
        },
    ),
    "softmax": SymbolOperator(
        1,
        {
            "axis": AXIS,
            "temperature": _or_none(_within(1e-6, 1e6)),
            "dtype": FLOATS,
            "use_length": _one_of("False", "0"),
        },
    ),
    "Dropout": SymbolOperator(
        1, {"p": _within(0, 0.99), "mode": _one_of("training"), "axes": _several(AXIS)}
    ),
    "hard_sigmoid": SymbolOperator(1, {"alpha": _number, "beta": _number}),
    "clip": SymbolOperator(1, {"a_min": _number, "a_max": _number}, ("a_min", "a_max")),
    "Cast": SymbolOperator(1, {"dtype": FLOATS}, ("dtype",)),
    "amp_cast": SymbolOperator(1, {"dtype": FLOATS}, ("dtype",)),
    "Concat": SymbolOperator(_listed, {"num_args": _whole(1, 1024), "dim": AXIS}, ("num_args",)),
    "stack": SymbolOperator(_listed, {"num_args": _whole(1, 1024), "axis": AXIS}, ("num_args",)),
    "add_n": SymbolOperator(_listed, {"num_args": _whole(1, 1024)}, ("num_args",)),
    "SliceChannel": SymbolOperator(
        1,
        {"num_outputs": _whole(1, 1024), "axis": AXIS, "squeeze_axis": _truth},
        ("num_outputs",),
    ),
    "slice": SymbolOperator(
        1,
        {
            "begin": _several(_or_none(POSITION)),
            "end": _several(_or_none(POSITION)),
            "step": _several(_or_none(_whole(1, 64))),
        },
        ("begin", "end"),
    ),
    "slice_axis": SymbolOperator(
        1, {"axis": AXIS, "begin": POSITION, "end": _or_none(POSITION)}, ("axis", "begin", "end")
    ),
    "slice_like": SymbolOperator(2, {"axes": _several(AXIS)}),
    "Pad": SymbolOperator(
        1,
        {
            "mode": _one_of("constant", "edge", "reflect"),
            "pad_width": _margins,
            "constant_value": _number,
        },
        ("mode", "pad_width"),
    ),
    "UpSampling": SymbolOperator(
        lambda values: 2 if values.get("sample_type") == "bilinear" else 1,
        {
            "scale": _whole(1, 16),
            "num_filter": _whole(0, 1 << 14),
            "sample_type": _one_of("nearest", "bilinear"),
            "multi_input_mode": _one_of("concat", "sum"),
            "num_args": _whole(1, 2),
        },
        ("scale", "sample_type"),
    ),
    "_contrib_BilinearResize2D": SymbolOperator(
        1,
        {
            "height": _whole(1, 1 << 14),
            "width": _whole(1, 1 << 14),
            "scale_height": _or_none(_within(1 / 64, 16)),
            "scale_width": _or_none(_within(1 / 64, 16)),
            "mode": _one_of("size", "odd_scale"),
            "align_corners": _truth,
        },
    ),
    "depth_to_space": SymbolOperator(1, {"block_size": _whole(1, 64)}, ("block_size",)),
    "space_to_depth": SymbolOperator(1, {"block_size": _whole(1, 64)}, ("block_size",)),
    "Reshape": SymbolOperator(
        1,
        {
            "shape": _new_shape,
            "reverse": _truth,
        },
        ("shape",),
    ),
    "Flatten": SymbolOperator(1),
    "transpose": SymbolOperator(1, {"axes": _order}),
    "SwapAxis": SymbolOperator(1, {"dim1": _whole(0, 6), "dim2": _whole(0, 6)}),
    "expand_dims": SymbolOperator(1, {"axis": AXIS}, ("axis",)),
    "squeeze": SymbolOperator(1, {"axis": AXES}),
    "tile": SymbolOperator(1, {"reps": _several(_whole(1, 64), 1)}, ("reps",)),
    "broadcast_to": SymbolOperator(1, {"shape": _several(_whole(0, 1 << 14), 1)}, ("shape",)),
    "broadcast_like": SymbolOperator(2),
    "reshape_like": SymbolOperator(2),
    "dot": SymbolOperator(2, TWICE),
    "batch_dot": SymbolOperator(2, TWICE),
    "_zeros": SymbolOperator(0, CONSTANT, ("shape",)),
    "_ones": SymbolOperator(0, CONSTANT, ("shape",)),
    "_full": SymbolOperator(0, {**CONSTANT, "value": _number}, ("shape", "value")),
    **dict.fromkeys(("sum", "mean", "max", "min"), SymbolOperator(1, REDUCED)),
    **dict.fromkeys(
        ("relu", "sigmoid", "tanh", "softsign", "erf", "exp", "log", "log1p", "expm1", "sqrt",
         "rsqrt", "square", "abs", "negative", "reciprocal", "sign", "floor", "ceil", "round",
         "rint", "fix", "trunc", "sin", "cos", "_copy", "BlockGrad", "zeros_like", "ones_like"),
        SymbolOperator(1),
    ),
    **dict.fromkeys(
        ("elemwise_add", "elemwise_sub", "elemwise_mul", "elemwise_div", "_maximum", "_minimum",
         "_power", "broadcast_add", "broadcast_sub", "broadcast_mul", "broadcast_div",
         "broadcast_maximum", "broadcast_minimum", "broadcast_power"),
        SymbolOperator(2),
    ),
    **dict.fromkeys(
        ("_plus_scalar", "_minus_scalar", "_rminus_scalar", "_mul_scalar", "_div_scalar",
         "_rdiv_scalar", "_maximum_scalar", "_minimum_scalar", "_power_scalar", "_rpower_scalar"),
        SymbolOperator(1, {"scalar": _number, "is_int": _truth}, ("scalar",)),
    ),
}  # fmt: skip
"""Everything else is refused."""

OLD_NAMES = {
    "_Plus": "elemwise_add", "_Minus": "elemwise_sub", "_Mul": "elemwise_mul",
    "_Div": "elemwise_div", "_PlusScalar": "_plus_scalar", "_MinusScalar": "_minus_scalar",
    "_RMinusScalar": "_rminus_scalar", "_MulScalar": "_mul_scalar", "_DivScalar": "_div_scalar",
    "_RDivScalar": "_rdiv_scalar", "_Maximum": "_maximum", "_Minimum": "_minimum",
    "_MaximumScalar": "_maximum_scalar", "_MinimumScalar": "_minimum_scalar",
    "ElementWiseSum": "add_n", "concat": "Concat", "reshape": "Reshape", "pad": "Pad",
    "cast": "Cast", "flatten": "Flatten", "split": "SliceChannel", "identity": "_copy",
    "stop_gradient": "BlockGrad", "crop": "slice", "BatchNorm_v1": "BatchNorm",
    "Convolution_v1": "Convolution", "Pooling_v1": "Pooling",
}  # fmt: skip
"""Names by which MXNet, or older versions of it, have them too."""
