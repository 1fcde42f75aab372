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
from gluon_enhance.engines.checks.calls import Call, broadcast, need, same
from gluon_enhance.engines.checks.onnx_file import DTYPES, Node, Tensor
from gluon_enhance.engines.checks.types import FLOAT64, type_of
from gluon_enhance.errors import plural

MOST_DOUBLES = 1 << 10
"""Of an output; as many as are known before there is an image."""
CONSTANTS = ("Constant", "ConstantOfShape")


class Operator(NamedTuple):
    """What shapes an operator makes, of how many inputs, with which attributes.

    Of what is known before there is an image, `computes` gives the result where that may be needed.
    The rules of `types` are in `gluon_enhance.engines.checks.types`.
    """

    makes: Callable[[Call], Union[tuple, list]] = same
    inputs: tuple[int, int] = (1, 1)
    attributes: Mapping[str, Callable] = {}
    computes: Optional[Callable[[Call], Optional[np.ndarray]]] = None
    work: Optional[Callable[[Call, int], int]] = None
    types: str = "F>F"

    def shape(self, call: Call) -> Union[tuple, list]:
        """Return the shape of a node's output, or a list of those of several.

        Raises
        ------
        ValueError
            If it has what its opset has not, or inputs and attributes that do not fit.
        """
        _need_opset(call)
        _need_numbers(call)
        made = self.makes(call)
        if type_of(call, self.types) == FLOAT64 and call.node.op not in CONSTANTS:
            # OpenVINO may compute without end with doubles that are not short.
            is_few = isinstance(made, tuple) and math.prod(made) <= MOST_DOUBLES
            is_known = all(one is None or one.value is not None for one in call.inputs)
            is_fine = is_few and is_known and self.value(call) is not None
            need(is_fine, "it makes float64, which is no type of maps; make it float32")
        return made

    def value(self, call: Call) -> Optional[np.ndarray]:
        """Return a node's output, of inputs that are known; None if it is not known, or finite."""
        arrays = [one.value for one in call.inputs if one is not None]
        if self.computes is None or not all(map(_is_finite, arrays)):
            return None
        value = self.computes(call)
        return value if _is_finite(value) else None


def _is_finite(array):
    return array is None or array.dtype.kind != "f" or bool(np.isfinite(array).all())


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
            isinstance(value, tuple)
            and 0 < len(value) <= most  # Engines differ about lists of nothing.
            and all(map(_whole(low, high), value))
        )

    return allows


def _one_of(*allowed):
    return lambda value: type(value) is type(allowed[0]) and value in allowed


def _number(value):
    return isinstance(value, float) and math.isfinite(value)


def _positive(value):
    return _number(value) and 0 <= value <= 1


def _numbers(value):
    return isinstance(value, tuple) and len(value) > 0 and all(map(_number, value))


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
POOL = {**WINDOW, "ceil_mode": TRUTH}
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
}
REDUCTIONS = (
    "L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare",
)  # fmt: skip
"""Of which the axes are an input from opset 18 on; those of ReduceSum are from 13 on."""
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
    **{
        name: Operator(shapes.pool, (1, 1), {**POOL, own: allows}, work=_per_window)
        for name, own, allows in (
            ("MaxPool", "storage_order", _one_of(0)), ("AveragePool", "count_include_pad", TRUTH),
            ("LpPool", "p", _whole(1, 16)),
        )
    },
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
    "Softmax": Operator(shapes.softmax, (1, 1), {"axis": AXIS}),
    "LogSoftmax": Operator(shapes.softmax, (1, 1), {"axis": AXIS}),
    "Gelu": Operator(same, (1, 1), {"approximate": _one_of("none", "tanh")}),
    **dict.fromkeys(
        ("LeakyRelu", "Elu", "Celu", "ThresholdedRelu", "Swish"),
        Operator(same, (1, 1), {"alpha": _number}),
    ),
    "Selu": Operator(same, (1, 1), {"alpha": _number, "gamma": _number}),
    "HardSigmoid": Operator(same, (1, 1), {"alpha": _number, "beta": _number}),
    "Shrink": Operator(same, (1, 1), {"bias": _number, "lambd": _number}),
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
    "Resize": Operator(shapes.resize, (1, 4), RESIZED, work=_per_neighbor, types="FRRL>F"),
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
            ("ReduceSum", values.exact(np.sum)),
            ("ReduceProd", values.exact(np.prod)),
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

CHANGES = {
    8: "Expand MaxPool.storage_order",
    9: "ConstantOfShape Erf MeanVarianceNormalization Shrink Sign Where "
    "-BatchNormalization.spatial -Upsample.scales",
    10: "DequantizeLinear Mod QuantizeLinear Resize ThresholdedRelu AveragePool.ceil_mode "
    "MaxPool.ceil_mode MaxPool.dilations -Slice.axes -Slice.ends -Slice.starts -Upsample",
    11: "GatherND Range Round ScatterND DepthToSpace.mode Resize.mode=cubic "
    "Resize.coordinate_transformation_mode Resize.cubic_coeff_a Resize.exclude_outside "
    "Resize.extrapolation_value Resize.nearest_mode -Clip.max -Clip.min -Pad.pads -Pad.value",
    12: "Celu GreaterOrEqual LessOrEqual Constant.value_float Constant.value_floats "
    "Constant.value_int Constant.value_ints Dropout.seed GatherND.batch_dims -Dropout.ratio",
    13: "DequantizeLinear.axis QuantizeLinear.axis ReduceSum.noop_with_empty_axes "
    "-ReduceSum.axes -Split.split -Squeeze.axes -Unsqueeze.axes",
    14: "HardSwish BatchNormalization.training_mode Reshape.allowzero",
    15: "Shape.end Shape.start",
    16: "ScatterND.reduction",
    17: "LayerNormalization",
    18: "GroupNormalization Mish LpPool.ceil_mode LpPool.dilations Resize.antialias Resize.axes "
    "Resize.keep_aspect_ratio_policy Split.num_outputs "
    + " ".join(f"Reduce{name}.noop_with_empty_axes -Reduce{name}.axes" for name in REDUCTIONS),
    19: "AveragePool.dilations Cast.saturate Pad.mode=wrap QuantizeLinear.saturate "
    "Resize.coordinate_transformation_mode=half_pixel_symmetric",
    20: "Gelu",
    21: "GroupNormalization.stash_type",
    24: "Swish",
}
"""Of the operators and their attributes: what came with an opset of ONNX, and what went (-)."""

INPUTS = {
    "Clip": {7: (1, 1), 11: (1, 3)},
    "Dropout": {7: (1, 1), 12: (1, 3)},
    "Gemm": {7: (3, 3), 11: (2, 3)},
    "Pad": {7: (1, 1), 11: (2, 3), 18: (2, 4)},
    **{f"Reduce{name}": {7: (1, 1), 18: (1, 2)} for name in REDUCTIONS},
    "ReduceSum": {7: (1, 1), 13: (1, 2)},
    "Resize": {10: (2, 2), 11: (3, 4), 13: (1, 4)},
    "Slice": {7: (1, 1), 10: (3, 5)},
    "Split": {7: (1, 1), 13: (1, 2)},
    "Squeeze": {7: (1, 1), 13: (1, 2)},
    "Unsqueeze": {7: (1, 1), 13: (2, 2)},
    "Upsample": {7: (1, 1), 9: (2, 2)},
}
"""How many inputs an operator has from an opset on, where that changed."""

_CHANGED = [(name, opset) for opset, names in CHANGES.items() for name in names.split()]
SINCE = {name: opset for name, opset in _CHANGED if name[0] != "-"}
GONE = {name[1:]: opset for name, opset in _CHANGED if name[0] == "-"}


def _need_opset(call):
    """Refuse what a node's opset lacks: some engines refuse it, and others leave it out."""
    (op, opset), given = (call.node.op, call.opset), call.attributes.items()
    named = [op, *(f"{op}.{name}" for name, _ in given)]
    named += [f"{op}.{name}={value}" for name, value in given if isinstance(value, str)]
    for one in named:
        is_there = SINCE.get(one, 0) <= opset < GONE.get(one, opset + 1)
        need(is_there, f"there is no {one} in opset {opset}")
    forms = [form for since, form in INPUTS.get(op, {}).items() if since <= opset]
    least, most = forms[-1] if forms else OPERATORS[op].inputs
    count = len(call.inputs)
    need(least <= count <= most, f"in opset {opset} it has no form of {plural(count, 'input')}")


LISTS = {
    "Concat": 0, "ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Resize": 1,
    **{f"Reduce{name}": 1 for name in ("Sum", *REDUCTIONS)},
}  # fmt: skip
"""Which inputs, from a first on, are lists that all engines read alike if they are empty."""


def _need_numbers(call):
    """Refuse a tensor of no numbers, which OpenVINO takes for one of one number."""
    lists_from = LISTS.get(call.node.op, len(call.inputs))
    for k, one in enumerate(call.inputs):
        is_list = k >= lists_from and one is not None and len(one.shape) == 1
        need(one is None or is_list or 0 not in one.shape, f"its input {k} is empty")
