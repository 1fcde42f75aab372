"""The operators of ONNX that image nets need, and what each may be told.

Engines take what a file says as it is: loops without end, indices out of range, constants of any
size. So a file is held against this table before an engine sees it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Callable, NamedTuple, Optional, Union

import numpy as np

from gluon_enhance.engines.checks import shapes as shapes
from gluon_enhance.engines.checks import values as values
from gluon_enhance.engines.checks.calls import Call, broadcast, same
from gluon_enhance.engines.checks.onnx_file import DTYPES, Node, Tensor


class Operator(NamedTuple):
    """What shapes an operator makes, of how many inputs, with which attributes.

    Of what is known before there is an image, `value` gives the result where that may be needed.
    The rules of `types` are in `gluon_enhance.engines.checks.types`.
    """

    shape: Callable[[Call], Union[tuple, list]] = same
    inputs: tuple[int, int] = (1, 1)
    attributes: Mapping[str, Callable] = {}
    value: Optional[Callable[[Call], Optional[np.ndarray]]] = None
    work: Optional[Callable[[Call, int], int]] = None
    types: str = "F>F"


def read_attributes(node: Node) -> dict:
    """Return the attributes of a node.

    Raises
    ------
    ValueError
        If its operator or one of them is not in the table, or one is out of bounds.
    """
    if node.op not in OPERATORS:
        raise ValueError(
            f"it has operator {node.op[:60]!r}, which is not among those of image nets"
        )
    known = OPERATORS[node.op].attributes
    for name, value in node.attributes.items():
        if name not in known:
            raise ValueError(f"attribute {name[:60]!r} is not one that image nets need")
        if not known[name](value):
            raise ValueError(f"{name}={value!s:.60} is not within what is allowed")
    return dict(node.attributes)


def _whole(low, high):
    return lambda value: type(value) is int and low <= value <= high


def _several(low, high, most=8):
    def allows(value):
        return (
            isinstance(value, tuple) and len(value) <= most and all(map(_whole(low, high), value))
        )

    return allows


def _one_of(*allowed):
    return lambda value: type(value) is type(allowed[0]) and value in allowed


def _number(value):
    return isinstance(value, float) and math.isfinite(value)


def _positive(value):
    return _number(value) and 0 <= value <= 1


def _numbers(value):
    return isinstance(value, tuple) and all(map(_number, value))


def _tensor(value):
    return isinstance(value, Tensor)


def _small(value):
    return _tensor(value) and math.prod(value.shape) == 1 and value.value is not None


TRUTH = _one_of(0, 1)
WHOLE = _whole(-(1 << 63), (1 << 63) - 1)
AXIS = _whole(-8, 8)
AXES = _several(-8, 8)
POSITIONS = _several(-(1 << 63), (1 << 63) - 1)
DTYPE = _one_of(*DTYPES)
WINDOW = {
    "auto_pad": _one_of("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
    "kernel_shape": _several(1, 64, 3),
    "pads": _several(0, 1024),
    "strides": _several(1, 64, 3),
    "dilations": _several(1, 64, 3),
}
CONVOLUTION = {**WINDOW, "group": _whole(1, 1 << 16)}
POOL = {
    **WINDOW,
    "ceil_mode": TRUTH,
    "count_include_pad": TRUTH,
    "storage_order": _one_of(0),
    "p": _whole(1, 16),
}
REDUCED = {"axes": AXES, "keepdims": TRUTH, "noop_with_empty_axes": TRUTH}
RESIZED = {
    "mode": _one_of("nearest", "linear", "cubic"),
    "coordinate_transformation_mode": _one_of(
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"
    ),
    "nearest_mode": _one_of("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    "cubic_coeff_a": _number,
    "exclude_outside": TRUTH,
    "extrapolation_value": _number,
    "antialias": TRUTH,
    "axes": AXES,
    "keep_aspect_ratio_policy": _one_of("stretch"),
    "scales": _numbers,
}
ALL = 1024
"""Most inputs of those that take any number."""


def _per_weight(call, numbers):
    return numbers * math.prod(call.shape(1)[1:])


def _per_input(call, numbers):
    return math.prod(call.shape()) * math.prod(call.shape(1)[1:])


def _per_window(call, numbers):
    return numbers * math.prod(call.attributes["kernel_shape"])


def _per_row(call, numbers):
    return numbers * call.shape()[-2 if call.get("transA", 0) else -1]


def _per_neighbor(call, numbers):
    return max(numbers, math.prod(call.shape())) * (16 if call.get("mode", "") == "cubic" else 4)


#: Functions of two arrays, and of one, by the rule of their types.
OF_TWO: tuple[tuple[str, dict[str, Callable]], ...] = (
    (
        "N>N",
        {
            "Add": values.exact(np.add),
            "Sub": values.exact(np.subtract),
            "Mul": values.exact(np.multiply),
        },
    ),
    ("T>B", {"Equal": np.equal}),
    (
        "N>B",
        {
            "Less": np.less,
            "LessOrEqual": np.less_equal,
            "Greater": np.greater,
            "GreaterOrEqual": np.greater_equal,
        },
    ),
    ("B>B", {"And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor}),
)
OF_ONE: tuple[tuple[str, dict[str, Callable]], ...] = (
    ("T>T", {"Identity": np.asarray}),
    ("N>N", {"Neg": values.exact(np.negative), "Abs": values.exact(np.abs), "Sign": np.sign}),
    ("F>F", {"Sqrt": np.sqrt, "Floor": np.floor, "Ceil": np.ceil}),
    ("B>B", {"Not": np.logical_not}),
)
OPERATORS: dict[str, Operator] = {
    "Conv": Operator(shapes.conv, (2, 3), CONVOLUTION, work=_per_weight),
    "ConvTranspose": Operator(
        shapes.conv_transpose,
        (2, 3),
        {**CONVOLUTION, "output_padding": _several(0, 63, 3)},
        work=_per_input,
    ),
    **dict.fromkeys(
        ("MaxPool", "AveragePool", "LpPool"),
        Operator(shapes.pool, (1, 1), POOL, work=_per_window),
    ),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), Operator(shapes.global_pool)),
    "MatMul": Operator(shapes.matmul, (2, 2), work=_per_row),
    "Gemm": Operator(
        shapes.gemm,
        (2, 3),
        {"alpha": _number, "beta": _number, "transA": TRUTH, "transB": TRUTH},
        work=_per_row,
    ),
    "BatchNormalization": Operator(
        shapes.channel_norm,
        (5, 5),
        {
            "epsilon": _positive,
            "momentum": _positive,
            "spatial": _one_of(1),
            "training_mode": _one_of(0),
        },
    ),
    "InstanceNormalization": Operator(shapes.channel_norm, (3, 3), {"epsilon": _positive}),
    "GroupNormalization": Operator(
        shapes.group_norm,
        (3, 3),
        {"epsilon": _positive, "num_groups": _whole(1, 1 << 16), "stash_type": _one_of(1)},
    ),
    "LayerNormalization": Operator(
        shapes.layer_norm,
        (2, 3),
        {"epsilon": _positive, "axis": AXIS, "stash_type": _one_of(1)},
    ),
    "MeanVarianceNormalization": Operator(shapes.mean_norm, (1, 1), {"axes": AXES}),
    "LpNormalization": Operator(shapes.along_axis, (1, 1), {"axis": AXIS, "p": _one_of(1, 2)}),
    "LRN": Operator(
        shapes.image_only,
        (1, 1),
        {"size": _whole(1, 63), "alpha": _number, "beta": _number, "bias": _number},
        work=lambda call, numbers: numbers * call.get("size", 1),
    ),
    "PRelu": Operator(shapes.prelu, (2, 2)),
    "Clip": Operator(shapes.clip, (1, 3), {"min": _number, "max": _number}, types="N>N"),
    "Softmax": Operator(shapes.along_axis, (1, 1), {"axis": AXIS}),
    "LogSoftmax": Operator(shapes.along_axis, (1, 1), {"axis": AXIS}),
    "Gelu": Operator(same, (1, 1), {"approximate": _one_of("none", "tanh")}),
    **dict.fromkeys(
        ("LeakyRelu", "Elu", "Celu", "Selu", "HardSigmoid", "ThresholdedRelu", "Shrink", "Swish"),
        Operator(
            same,
            (1, 1),
            {name: _number for name in ("alpha", "beta", "gamma", "lambd", "bias")},
        ),
    ),
    **dict.fromkeys(
        ("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Mish", "HardSwish", "Erf", "Exp",
         "Log", "Reciprocal", "Sin", "Cos", "Round"),
        Operator(),
    ),
    "Dropout": Operator(
        shapes.dropout, (1, 3), {"ratio": _positive, "seed": WHOLE}, types="FRB>F"
    ),
    "QuantizeLinear": Operator(
        shapes.quantized, (2, 3), {"axis": AXIS, "saturate": TRUTH}, types="FFQ>?"
    ),
    "DequantizeLinear": Operator(shapes.quantized, (2, 3), {"axis": AXIS}, types="QFQ>F"),
    "Resize": Operator(shapes.resize, (2, 4), RESIZED, work=_per_neighbor, types="FRRL>F"),
    "Upsample": Operator(
        shapes.resize,
        (1, 2),
        {"mode": _one_of("nearest", "linear"), "scales": _numbers},
        work=_per_neighbor,
        types="FR>F",
    ),
    "DepthToSpace": Operator(
        shapes.depth_to_space,
        (1, 1),
        {"blocksize": _whole(1, 64), "mode": _one_of("DCR", "CRD")},
    ),
    "SpaceToDepth": Operator(shapes.space_to_depth, (1, 1), {"blocksize": _whole(1, 64)}),
    "Pad": Operator(
        shapes.pad,
        (1, 4),
        {
            "mode": _one_of("constant", "reflect", "edge", "wrap"),
            "pads": _several(-4096, 4096, 16),
            "value": _number,
        },
        types="NLNL>N",
    ),
    **dict.fromkeys(
        ("ReduceMean", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
         "ReduceSumSquare"),
        Operator(shapes.reduce, (1, 2), REDUCED, types="FL>F"),
    ),
    # From here on what may be done to shapes, too: its results are known before there is an image.
    **{
        name: Operator(shapes.reduce, (1, 2), REDUCED, values.reduced(function), types="NL>N")
        for name, function in (
            ("ReduceSum", values.exact(np.sum)), ("ReduceProd", values.exact(np.prod)),
            ("ReduceMax", np.max), ("ReduceMin", np.min),
        )
    },
    **{
        name: Operator(broadcast, (2, 2), {}, values.of_all(function), types=types)
        for types, functions in OF_TWO
        for name, function in functions.items()
    },
    "Pow": Operator(broadcast, (2, 2), types="FM>F"),
    "Div": Operator(shapes.divided, (2, 2), {}, values.of_all(values.divide), types="N>N"),
    "Mod": Operator(shapes.divided, (2, 2), {"fmod": TRUTH}, values.remainder, types="N>N"),
    **{
        name: Operator(broadcast, (1, ALL), {}, function, types="N>N")
        for name, function in (
            ("Max", values.folded(np.maximum)), ("Min", values.folded(np.minimum)),
            ("Sum", values.folded(values.exact(np.add))),
        )
    },
    "Mean": Operator(broadcast, (1, ALL)),
    **{
        name: Operator(same, (1, 1), {}, values.of_all(function), types=types)
        for types, functions in OF_ONE
        for name, function in functions.items()
    },
    "Where": Operator(broadcast, (3, 3), {}, values.of_all(np.where), types="BT>T"),
    "Cast": Operator(same, (1, 1), {"to": DTYPE, "saturate": TRUTH}, values.cast, types="T>?"),
    "Shape": Operator(
        shapes.shape_of, (1, 1), {"start": AXIS, "end": AXIS}, values.shape, types="T>L"
    ),
    "Size": Operator(shapes.scalar, (1, 1), {}, values.size, types="T>L"),
    "Constant": Operator(
        values.constant_shape,
        (0, 0),
        {
            "value": _tensor,
            "value_float": _number,
            "value_int": WHOLE,
            "value_floats": _numbers,
            "value_ints": _several(-(1 << 63), (1 << 63) - 1, 1 << 18),
        },
        values.constant,
        types=">?",
    ),
    "ConstantOfShape": Operator(
        shapes.constant_of_shape, (1, 1), {"value": _small}, values.filled, types="L>?"
    ),
    "Range": Operator(shapes.ranged, (3, 3), {}, values.ranged, types="N>N"),
    **{
        name: Operator(shape, inputs, attributes, values.reshaped(shape), types="TL>T")
        for name, shape, inputs, attributes in (
            ("Reshape", shapes.reshape, (2, 2), {"allowzero": TRUTH}),
            ("Flatten", shapes.flatten, (1, 1), {"axis": AXIS}),
            ("Squeeze", shapes.squeeze, (1, 2), {"axes": AXES}),
            ("Unsqueeze", shapes.unsqueeze, (1, 2), {"axes": AXES}),
        )
    },
    "Transpose": Operator(
        shapes.transpose, (1, 1), {"perm": _several(0, 7)}, values.transposed, types="T>T"
    ),
    "Expand": Operator(shapes.expand, (2, 2), {}, values.expanded, types="TL>T"),
    "Tile": Operator(shapes.tile, (2, 2), {}, values.tiled, types="TL>T"),
    "Concat": Operator(shapes.concat, (1, ALL), {"axis": AXIS}, values.joined, types="T>T"),
    "Split": Operator(
        shapes.split,
        (1, 2),
        {"axis": AXIS, "split": _several(1, 1 << 20, ALL), "num_outputs": _whole(1, ALL)},
        types="TL>T",
    ),
    "Slice": Operator(
        shapes.sliced,
        (1, 5),
        {"starts": POSITIONS, "ends": POSITIONS, "axes": AXES},
        values.sliced,
        types="TI>T",
    ),
    "Gather": Operator(shapes.gather, (2, 2), {"axis": AXIS}, values.gathered, types="TI>T"),
    "GatherND": Operator(
        shapes.gather_nd, (2, 2), {"batch_dims": _one_of(0)}, values.gathered_nd, types="TL>T"
    ),
    "ScatterND": Operator(
        shapes.scatter_nd,
        (3, 3),
        {"reduction": _one_of("none")},
        values.scattered_nd,
        types="TLT>T",
    ),
}  # fmt: skip
"""Everything else is refused."""
