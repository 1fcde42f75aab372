"""Shapes by which graphs of others are checked are those of engines, or a graph is refused."""

from functools import cache

import numpy as np
import pytest

from gluon_enhance.engines.checks import operators
from gluon_enhance.engines.checks.graph import CheckedGraph
from gluon_enhance.errors import EngineError

onnx = pytest.importorskip("onnx")
from onnx import helper, numpy_helper  # noqa: E402

node = helper.make_node
IMAGE = (1, 3, 6, 8)
F32, F16, F64 = np.float32, np.float16, np.float64


def tensor(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def whole(name, *values):
    return tensor(name, values, np.int64)


def save(path, nodes, constants=(), opset=13):
    """Write nodes from 'x', of any shape of four axes, to 'y'."""
    shapes = (("x", [*"nchw"]), ("y", None))
    ends = [helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], list(constants))
    opsets = [helper.make_opsetid("", opset)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )
    return path


@pytest.fixture
def check(tmp_path):
    """Return the shape that a graph's output has by the check, and why it is refused."""

    def shape(nodes, constants=(), opset=13, image=IMAGE):
        path = save(tmp_path / "net.onnx", nodes, constants, opset)
        try:
            return CheckedGraph(path, [image]).check([image])[0], ""
        except EngineError as error:
            return None, str(error)

    return shape


@cache
def core():
    return pytest.importorskip("openvino").Core()


def shape_of_openvino(path, image):
    model = core().read_model(path)
    model.reshape({"x": list(image)})
    return tuple(model.outputs[0].shape)


def shape_of_onnxruntime(path, image):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros(image, np.float32)})[0].shape


ENGINES = [shape_of_openvino, shape_of_onnxruntime]


@pytest.mark.parametrize("op", sorted(operators.OPERATORS))
def test_operators_have_the_attributes_and_inputs_of_their_opsets(op):
    """As the onnx package knows them, up to the newest opset that it has."""
    table = operators.OPERATORS[op]

    def is_there(name, opset):
        return operators.SINCE.get(name, 0) <= opset < operators.GONE.get(name, opset + 1)

    for opset in range(7, min(24, onnx.defs.onnx_opset_version()) + 1):
        try:
            schema = onnx.defs.get_schema(op, opset, "")
        except onnx.defs.SchemaError:
            schema = None
        # Of opset 18 it was replaced for how its weights are meant, which is known here.
        is_gone = schema is None or (schema.deprecated and op != "GroupNormalization")
        assert is_there(op, opset) != is_gone, opset
        if is_gone or schema.deprecated:
            continue
        for name in table.attributes:
            assert is_there(f"{op}.{name}", opset) == (name in schema.attributes), (name, opset)
        forms = [form for since, form in operators.INPUTS.get(op, {}).items() if since <= opset]
        expected = schema.min_input, min(schema.max_input, operators.ALL)
        assert (forms[-1] if forms else table.inputs) == expected, opset


@pytest.mark.parametrize(
    "one, opset, reason",
    [
        (node("Shape", ["x"], ["y"], start=2, end=3), 14, "there is no Shape.end in opset 14"),
        (node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2]), 9, "MaxPool.dil"),
        (node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], ceil_mode=1), 9, "Pool.ceil_mode"),
        (node("ReduceMean", ["x"], ["y"], noop_with_empty_axes=1), 17, "ReduceMean.noop"),
        (node("ReduceMean", ["x", "one"], ["y"]), 17, "in opset 17 it has no form of 2 inputs"),
        (node("ReduceMean", ["x"], ["y"], axes=[1]), 18, "no ReduceMean.axes in opset 18"),
        (node("Resize", ["x", "", "", "four"], ["y"], axes=[0, 1, 3, 2]), 17, "Resize.axes"),
        (node("Resize", ["x", "scales"], ["y"], mode="cubic"), 10, "Resize.mode=cubic"),
        (node("Reshape", ["x", "four"], ["y"], allowzero=1), 13, "Reshape.allowzero"),
        (node("Pad", ["x", "four"], ["y"], mode="wrap"), 18, "Pad.mode=wrap"),
        (node("Slice", ["x"], ["y"], starts=[0], ends=[1]), 10, "no Slice.ends in opset 10"),
        (node("Slice", ["x", "one", "four"], ["y"]), 9, "no form of 3 inputs"),
        (node("Upsample", ["x", "scales"], ["y"]), 10, "there is no Upsample in opset 10"),
        (node("Gelu", ["x"], ["y"]), 19, "there is no Gelu in opset 19"),
    ],
)
def test_what_the_opset_of_a_file_lacks_is_refused_by_its_name(one, opset, reason, check):
    """ONNX Runtime refuses it; OpenVINO leaves it out, and had another shape."""
    constants = [whole("one", 1), whole("four", 1, 3, 6, 8), tensor("scales", [1, 1, 2, 2])]
    assert reason in check([one], constants, opset)[1]


def random_pool(rng):
    op = str(rng.choice(["AveragePool", "LpPool", "MaxPool"]))
    kernel, strides, dilations = rng.integers(1, 5, (3, 2)).tolist()
    attributes = {"kernel_shape": kernel, "strides": strides, "ceil_mode": int(rng.integers(2))}
    if rng.random() < 0.3:
        attributes["dilations"] = dilations
    if rng.random() < 0.6:
        attributes["pads"] = [int(rng.integers(0, k)) for k in kernel * 2]
    else:
        attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    return node(op, ["x"], ["y"], **attributes), (1, 3, *rng.integers(3, 12, 2).tolist())


def test_pools_have_the_shapes_of_engines_or_are_refused(check, tmp_path):
    rng, passed = np.random.default_rng(0), 0
    for _ in range(15):
        one, image = random_pool(rng)
        shape, _ = check([one], opset=22, image=image)
        if shape:
            passed += 1
            for engine in ENGINES:
                assert engine(tmp_path / "net.onnx", image) == shape, one
    assert passed > 4


@pytest.mark.parametrize("op", ["AveragePool", "LpPool", "MaxPool"])
def test_windows_beyond_an_image_are_refused_and_cut_ones_are_not(op, check):
    def pool(side, stride, **attributes):
        kernel = {"kernel_shape": [2, 2], "strides": [stride] * 2, "ceil_mode": 1}
        return check([node(op, ["x"], ["y"], **kernel, **attributes)], (), 22, (1, 3, side, side))

    assert pool(7, 2)[0] == (1, 3, 4, 4)
    assert "its ceil_mode leads to a window of margins" in pool(10, 5)[1]
    assert "ceil_mode and auto_pad" in pool(7, 2, auto_pad="SAME_UPPER")[1]


@pytest.mark.parametrize("op", ["AveragePool", "Conv"])
def test_dilated_windows_have_margins_that_are_written(op, check):
    """ONNX Runtime leaves dilations out of margins that it reckons itself."""
    inputs = ["x", "w"] if op == "Conv" else ["x"]
    window = {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER", "dilations": [2, 2]}
    weights = [tensor("w", np.ones((3, 3, 3, 3)))] if op == "Conv" else []
    reason = check([node(op, inputs, ["y"], **window)], weights, 22)[1]
    assert "auto_pad SAME_LOWER and dilations are not done alike" in reason


FORMS = {
    8: lambda scales: (node("Upsample", ["x"], ["y"], scales=list(map(float, scales))), []),
    9: lambda scales: (node("Upsample", ["x", "s"], ["y"]), [tensor("s", scales)]),
    13: lambda scales: (node("Resize", ["x", "", "s"], ["y"]), [tensor("s", scales)]),
}


@pytest.mark.parametrize("opset", FORMS)
def test_scales_that_round_to_either_side_of_a_whole_number_are_refused(opset, check):
    """10 pixels times 0.7 of float32 are 6.9999998: 7 to engines."""
    for side, scale in ((10, 1.4), (10, 2.3), (28, 2.9999998), (720, 1.9999999)):
        one, constants = FORMS[opset]([1, 1, scale, 1])
        reason = check([one], constants, opset, (1, 3, side, 8))[1]
        assert "are not rounded alike by all engines" in reason


@pytest.mark.parametrize("opset", FORMS)
def test_scales_of_nets_make_the_sides_of_engines(opset, check, tmp_path):
    for scale in (1.5, 2, 3, 4, 4 / 3) if opset < 13 else (0.25, 1 / 3, 0.5, 2 / 3, 1.5, 2, 4):
        one, constants = FORMS[opset]([1, 1, scale, scale])
        image = (1, 3, 24, 35)
        shape, reason = check([one], constants, opset, image)
        assert not reason
        for engine in ENGINES:
            assert engine(tmp_path / "net.onnx", image) == shape


@pytest.mark.parametrize("op", operators.REDUCTIONS)
@pytest.mark.parametrize("opset", [12, 13])
def test_reductions_have_the_shapes_of_engines_or_are_refused(op, opset, check, tmp_path):
    shape, reason = check([node(f"Reduce{op}", ["x"], ["y"], axes=[1])], (), opset)
    if shape:
        for engine in ENGINES:
            assert engine(tmp_path / "net.onnx", IMAGE) == shape
    else:
        assert "OpenVINO does not read its axes in opset 13" in reason


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Squeeze", ["x", "none"], ["y"])],
        [node("Unsqueeze", ["x", "none"], ["y"])],
        [node("Shape", ["none"], ["s"]), node("Reshape", ["x", "s"], ["y"])],
        [node("Size", ["none"], ["s"]), node("Expand", ["x", "s"], ["y"])],
        [node("Slice", ["x", "none", "none"], ["y"])],
    ],
)
def test_tensors_of_no_numbers_are_refused_where_engines_take_them_for_one(nodes, check):
    assert "is empty" in check(nodes, [whole("none")])[1]


def test_lists_of_no_numbers_are_refused_where_engines_differ(check):
    one = node("Squeeze", ["x"], ["y"])
    one.attribute.append(helper.make_attribute("axes", [], attr_type=onnx.AttributeProto.INTS))
    assert "axes=() is not within what is allowed" in check([one], (), 11)[1]


@pytest.mark.parametrize("op", ["ReduceSum", "Unsqueeze", "Squeeze", "Reshape"])
def test_lists_have_one_axis(op, check):
    """Of an axis that is one number, and no list, OpenVINO reduces all."""
    reason = check([node(op, ["x", "a"], ["y"])], [tensor("a", 0, np.int64)])[1]
    assert "its input 1 is no list of whole numbers" in reason


def test_scales_are_of_float32_as_engines_round_others(check):
    one = node("Resize", ["x", "", "s"], ["y"])
    for scales in (F64([1, 1, 0.7, 0.7]), F32([[1, 1], [2, 2]])):
        assert (
            "its scales are no list of float32"
            in check([one], [tensor("s", scales, scales.dtype)])[1]
        )


def test_exporters_leave_out_what_resize_needs_not_by_a_tensor_of_no_numbers(check):
    one = node("Resize", ["x", "none", "none", "sizes"], ["y"])
    constants = [tensor("none", []), whole("sizes", 1, 3, 12, 16)]
    assert check([one], constants)[0] == (1, 3, 12, 16)


HEIGHT = [
    node("Shape", ["x"], ["sides"]),
    node("Gather", ["sides", "two"], ["height"]),
    node("Cast", ["height"], ["real"], to=1),
]
AS_SIZE = [
    node("Cast", ["size"], ["whole"], to=7),
    node("Concat", ["fixed", "whole", "last"], ["target"], axis=0),
    node("Resize", ["x", "", "", "target"], ["y"]),
]


def resized(check, nodes, opset=13, **constants):
    """Resize an image to a height that is computed from its own, 6."""
    arrays = [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()]
    sides = [whole("two", 2), whole("fixed", 1, 3), whole("last", 8)]
    return check([*HEIGHT, *nodes, *AS_SIZE], [*arrays, *sides], opset)


EXPORTED = [
    ([node("Mul", ["real", "a"], ["b"]), node("Floor", ["b"], ["size"])], 2, 12),
    ([node("Mul", ["real", "a"], ["b"]), node("Floor", ["b"], ["size"])], 1.25, 7),
    ([node("Div", ["real", "a"], ["b"]), node("Ceil", ["b"], ["size"])], 4, 2),
    ([node("Div", ["real", "a"], ["size"])], 3, 2),
    ([node("Sub", ["real", "a"], ["b"]), node("Sqrt", ["b"], ["size"])], 2, 2),
    ([node("Concat", ["real", "a"], ["b"], axis=0), node("ReduceProd", ["b"], ["size"])], 3, 18),
]


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("nodes, number, height", EXPORTED)
def test_sizes_that_exporters_compute_of_reals_are_known(nodes, number, height, dtype, check):
    if dtype is F64:  # as PyTorch writes numbers of Python
        nodes = [node("Cast", ["long"], ["a"], to=1), *nodes]
    name = "long" if dtype is F64 else "a"
    shape, reason = resized(check, nodes, **{name: np.asarray([number], dtype)})
    assert not reason and shape == (1, 3, height, 8)


def lowered(*nodes):
    """Compute 1 of what engines may differ in: whether 'b' is below 5."""
    below = [node("Less", ["b", "five"], ["c"]), node("Cast", ["c"], ["size"], to=7)]
    return [*nodes, *below]


@pytest.mark.parametrize(
    "nodes, constants",
    [
        (lowered(node("ReduceMax", ["a"], ["b"])), {"a": F32([1, np.nan, 2])}),
        (lowered(node("Max", ["a", "real"], ["b"])), {"a": F32([np.nan])}),
        (lowered(node("Identity", ["a"], ["b"])), {"a": F32([np.inf])}),
    ],
)
def test_reals_that_are_not_finite_are_not_known(nodes, constants, check):
    reason = resized(check, nodes, five=F32([5]), **constants)[1]
    assert "is computed from pixels, or not finite" in reason


@pytest.mark.parametrize("bounds", [(0, 1, 0.1), (0.5, 3, 1), (-(2**24), 1, 1)])
def test_ranges_of_fractions_have_a_length_that_engines_round(bounds, check):
    nodes = [node("Range", ["a", "b", "c"], ["r"]), node("Shape", ["r"], ["size"])]
    a, b, c = np.asarray(bounds, F32)
    reason = resized(check, nodes, a=a, b=b, c=c)[1]
    assert "its bounds are no whole numbers below 2^24" in reason
    assert resized(check, nodes, a=F32(1), b=F32(10), c=F32(2))[0] == (1, 3, 5, 8)


DOUBLED = node("Cast", ["x"], ["d"], to=11)


@pytest.mark.parametrize(
    "nodes, constants",
    [
        ([DOUBLED, node("Mul", ["d", "a"], ["v"])], {"a": F64([2])}),
        ([node("Mul", ["a", "b"], ["v"])], {"a": np.ones((64, 1)), "b": np.ones((1, 64))}),
        ([node("Neg", ["a"], ["v"])], {"a": np.ones(2000)}),
    ],
)
def test_maps_of_float64_are_refused(nodes, constants, check):
    """Some have OpenVINO compile without end."""
    arrays = [numpy_helper.from_array(one, name) for name, one in constants.items()]
    rest = [
        node("Cast", ["v"], ["f"], to=1),
        node("ReduceMax", ["f"], ["m"], keepdims=0),
        node("Add", ["x", "m"], ["y"]),
    ]
    assert "float64, which is no type of maps" in check([*nodes, *rest], arrays)[1]


def test_sizes_and_weights_of_float64_that_are_cast_are_not_refused(check):
    nodes = [
        node("Constant", [], ["a"], value=tensor("", 1.5, F64)),
        node("Cast", ["height"], ["h"], to=11),
        node("Mul", ["h", "a"], ["b"]),
        node("Floor", ["b"], ["c"]),
        node("Unsqueeze", ["c", "axis"], ["d"]),
        node("Squeeze", ["d", "axis"], ["size"]),
    ]
    assert resized(check, nodes, axis=np.int64([0]))[0] == (1, 3, 9, 8)
    nodes = [node("Cast", ["w"], ["v"], to=1), node("Conv", ["x", "v"], ["y"])]
    assert check(nodes, [tensor("w", np.ones((64, 3, 3, 3)), F64)])[0] == (1, 64, 4, 6)
