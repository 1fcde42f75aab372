"""Graphs of others are programs: only what image nets need is run, and anything else is named."""

import json
import re
import shutil
import sys
import tracemalloc
from importlib.util import find_spec

import numpy as np
import pytest

from gluon_enhance import Enhancer, engines, zoo
from gluon_enhance.engines.checks.graph import CheckedGraph
from gluon_enhance.engines.checks.operators import OPERATORS
from gluon_enhance.errors import EngineError, WeightsError
from gluon_enhance.weights import store
from gluon_enhance.weights.manifest import fingerprint

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

node = helper.make_node
RNG = np.random.default_rng(0)
IMAGE = RNG.random((1, 3, 6, 8), np.float32)
OPEN = ("n", 3, "h", "w")


def tensor(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def whole(name, *values):
    return tensor(name, values, np.int64)


def kernel(name, outputs=3, inputs=3, side=3):
    shape = (outputs, inputs, side, side)
    return tensor(name, RNG.standard_normal(shape) / (inputs * side * side))


@pytest.fixture
def save(tmp_path):
    """Write nodes from 'x' to 'y'."""

    def write(nodes, constants=(), opset=13, shape=OPEN, change=lambda model: None):
        ends = [helper.make_tensor_value_info(k, 1, s) for k, s in (("x", shape), ("y", None))]
        graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], list(constants))
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        change(model)
        (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
        return tmp_path / "net.onnx"

    return write


def refused(path, shapes=None):
    """Return why a file is refused, which is one line that names it and the way out."""
    with pytest.raises(EngineError) as caught:
        CheckedGraph(path, shapes)
    message = str(caught.value)
    assert message.startswith(str(path)) and "--trust" in message and "\n" not in message
    return message


def pixel_shuffle():
    """As torch exports it: x -> conv -> depth to space, with a PReLU between."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("PRelu", ["a", "slope"], ["b"]),
        node("DepthToSpace", ["b"], ["y"], blocksize=2, mode="CRD"),
    ]
    return nodes, [kernel("w", 12), tensor("slope", np.full((12, 1, 1), 0.2))]


def resized_to_computed_size():
    """As torch exports F.interpolate of a size: from the image's by Shape, Slice and Concat."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Slice", ["shape", "0", "2", "0"], ["head"]),
        node("Slice", ["shape", "2", "4", "0"], ["tail"]),
        node("Cast", ["tail"], ["real"], to=TensorProto.FLOAT),
        node("Mul", ["real", "two"], ["twice"]),
        node("Floor", ["twice"], ["floor"]),
        node("Cast", ["floor"], ["size"], to=TensorProto.INT64),
        node("Concat", ["head", "size"], ["sizes"], axis=0),
        node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest", nearest_mode="floor",
             coordinate_transformation_mode="asymmetric"),
    ]  # fmt: skip
    return nodes, [whole("0", 0), whole("2", 2), whole("4", 4), tensor("two", 2)]


def reshaped_by_gathers():
    """A pixel shuffle by hand, whose sides are gathered from the shape."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], auto_pad="SAME_UPPER"),
        node("Shape", ["a"], ["s"]),
        node("Gather", ["s", "two"], ["h"]),
        node("Gather", ["s", "minus"], ["w1"]),
        node("Unsqueeze", ["h", "zero"], ["h1"]),
        node("Unsqueeze", ["w1", "zero"], ["w2"]),
        node("Concat", ["fixed", "h1", "w2"], ["t"], axis=0),
        node("Reshape", ["a", "t"], ["b"]),
        node("Transpose", ["b"], ["c"], perm=[0, 1, 4, 2, 5, 3]),
        node("Mul", ["h1", "double"], ["hh"]),
        node("Mul", ["w2", "double"], ["ww"]),
        node("Concat", ["batch", "hh", "ww"], ["u"], axis=0),
        node("Reshape", ["c", "u"], ["y"]),
    ]
    scalars = [tensor(name, n, np.int64) for name, n in (("two", 2), ("minus", -1))]
    lists = [whole("zero", 0), whole("fixed", 1, 3, 2, 2), whole("double", 2), whole("batch", 1, 3)]
    return nodes, [kernel("w", 12), *scalars, *lists]


def styled():
    """Reflected margins, an instance norm, a stride, an upsampling, clipped."""
    nodes = [
        node("Pad", ["x", "margins"], ["a"], mode="reflect"),
        node("Conv", ["a", "w"], ["b"], strides=[2, 2]),
        node("InstanceNormalization", ["b", "gamma", "beta"], ["c"], epsilon=1e-5),
        node("Relu", ["c"], ["d"]),
        node("Resize", ["d", "", "scales"], ["e"], mode="linear"),
        node("ReduceMean", ["e"], ["m"], axes=[2, 3]),
        node("Sub", ["e", "m"], ["f"]),
        node("Clip", ["f", "low", "high"], ["y"]),
    ]
    norm = [tensor("gamma", np.ones(3)), tensor("beta", np.zeros(3))]
    rest = [tensor("scales", [1, 1, 2, 2]), tensor("low", 0), tensor("high", 1)]
    return nodes, [kernel("w"), *norm, *rest, whole("margins", 0, 0, 1, 1, 0, 0, 1, 1)]


def attended():
    """Channel attention: a mean, two linear layers, a product; and a split with a softmax."""
    nodes = [
        node("GlobalAveragePool", ["x"], ["a"]),
        node("Flatten", ["a"], ["b"]),
        node("Gemm", ["b", "m", "n"], ["c"], transB=1),
        node("Sigmoid", ["c"], ["d"]),
        node("Unsqueeze", ["d", "axes"], ["e"]),
        node("Mul", ["x", "e"], ["f"]),
        node("Split", ["f", "parts"], ["g", "h"], axis=1),
        node("Softmax", ["h"], ["i"], axis=1),
        node("Concat", ["g", "i"], ["y"], axis=1),
    ]
    matrix = [tensor("m", np.eye(3)), tensor("n", np.zeros(3))]
    return nodes, [*matrix, whole("axes", 2, 3), whole("parts", 1, 2)]


KINDS = [pixel_shuffle, resized_to_computed_size, reshaped_by_gathers, styled, attended]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_what_exporters_write_for_image_nets_is_run(kind, engine, save):
    """And gives what onnx's own reference gives."""
    pytest.importorskip(engine)
    from onnx.reference import ReferenceEvaluator

    path = save(*kind())
    (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": IMAGE})
    result = engines.load(engine, path, precision="fp32", threads=1).run(IMAGE)
    assert result.shape == expected.shape and np.abs(result - expected).max() < 1e-4


def in_a_row(count, make):
    names = ["x", *(f"t{k}" for k in range(count - 1)), "y"]
    return [make(*pair) for pair in zip(names, names[1:])]


def relu(a, b):
    return node("Relu", [a], [b])


def plus_image(a, b):
    return node("Add", [a, "x"], [b])


def layered(nodes, period):
    """Put a layer in the place of each so manieth node."""
    for k in range(period - 1, len(nodes), period):
        nodes[k] = node("Conv", [nodes[k].input[0], "w"], nodes[k].output, auto_pad="SAME_UPPER")
    return nodes


@pytest.mark.parametrize(
    "nodes, message",
    [
        (in_a_row(201, relu), "201 nodes without a layer in a row, and 200 at most"),
        (layered(in_a_row(600, plus_image), 10), "540 nodes that take one map, and 500 at most"),
        (layered(in_a_row(10_001, relu), 100), "10,001 nodes, and 10,000 at most"),
    ],
    ids=["in a row", "of one map", "in all"],
)  # fmt: skip
def test_nets_that_openvino_would_compile_for_minutes_are_refused(nodes, message, save):
    assert message in refused(save(nodes, [kernel("w")]))


def test_nets_of_some_hundred_nodes_are_run(save):
    CheckedGraph(save(in_a_row(200, relu)))
    CheckedGraph(save(layered(in_a_row(500, plus_image), 10), [kernel("w")]))


@pytest.mark.parametrize("kind", KINDS)
def test_engines_get_what_is_known_as_constants(kind, save):
    """And the same net; a file of which nothing is known so stays as it is."""
    from onnx.reference import ReferenceEvaluator

    path = save(*kind())
    graph = CheckedGraph(path, [IMAGE.shape])
    made = graph.file_for([IMAGE.shape])
    if kind not in (resized_to_computed_size, reshaped_by_gathers):
        assert made is None
        return
    model = onnx.load_from_string(made)
    assert {"Shape", "Mul", "Gather"}.isdisjoint(one.op_type for one in model.graph.node)
    results = [
        ReferenceEvaluator(source).run(None, {"x": IMAGE})[0] for source in (str(path), model)
    ]
    assert np.array_equal(*results)


def test_doubles_are_computed_here(save):
    """OpenVINO did not end to compile these nodes, in a file of 207 bytes."""
    nodes = [
        node("Add", ["a", "b"], ["sum"]),
        node("Sub", ["sum", "a"], ["rest"]),
        node("Cast", ["rest"], ["real"], to=1),
        node("Add", ["x", "real"], ["y"]),
    ]
    constants = [tensor("a", [1e9], np.float64), tensor("b", [0.1], np.float64)]
    made = CheckedGraph(save(nodes, constants), [IMAGE.shape]).file_for([IMAGE.shape])
    first, last = onnx.load_from_string(made).graph.node
    assert (first.op_type, last.op_type) == ("Constant", "Add")
    value = numpy_helper.to_array(first.attribute[0].t)
    np.testing.assert_allclose(value, 0.1, atol=1e-6)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float32, np.bool_])
def test_no_engine_computes_anew_what_was_checked(engine, dtype, save, monkeypatch):
    """Were it another number there, it could be an index beyond the data."""
    pytest.importorskip(engine)
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "three"], ["side"]),  # 8
        node("Sub", ["side", "five"], ["n"]),  # which is 3, and 2 by a wrong table
        node("Cast", ["n"], ["m"], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype))),
        node("Cast", ["m"], ["index"], to=TensorProto.INT64),
        node("Gather", ["x", "index"], ["y"], axis=2),
    ]
    path = save(nodes, [whole("three", 3), whole("five", 5)])
    wrong = OPERATORS["Sub"]._replace(computes=lambda call: np.asarray([2], np.int64))
    monkeypatch.setitem(OPERATORS, "Sub", wrong)
    result = engines.load(engine, path, precision="fp32", threads=1).run(IMAGE)
    index = np.array([2]).astype(dtype).astype(np.int64)
    np.testing.assert_allclose(result, IMAGE[:, :, index], atol=1e-6)


def test_a_map_that_openvino_finds_of_another_shape_is_refused(save, monkeypatch):
    pytest.importorskip("openvino")
    path = save([node("Relu", ["x"], ["r"]), node("GlobalAveragePool", ["r"], ["y"])])
    wrong = OPERATORS["Relu"]._replace(makes=lambda call: (1, 3, 5, 8))
    monkeypatch.setitem(OPERATORS, "Relu", wrong)
    engine = engines.load("openvino", path, precision="fp32", threads=1)
    match = r"its map r is \(1, 3, 5, 8\) here, and \(1, 3, 6, 8\) for the engine"
    with pytest.raises(EngineError, match=match):
        engine.run(IMAGE)


def test_images_of_two_sizes_have_constants_of_their_own(save):
    pytest.importorskip("onnxruntime")
    engine = engines.load("onnxruntime", save(*resized_to_computed_size()), precision="fp32")
    for width in (8, 5, 7, 8):
        image = IMAGE[..., :width]
        assert np.array_equal(engine.run(image), image.repeat(2, 2).repeat(2, 3))


@pytest.mark.parametrize(
    "nodes, constants, opset",
    [
        ([node("Upsample", ["x"], ["y"], scales=[1.0, 1, 2, 2])], [], 7),
        ([node("Upsample", ["x", "s"], ["y"])], [tensor("s", [1, 1, 2, 2])], 9),
        ([node("Resize", ["x", "s"], ["y"])], [tensor("s", [1, 1, 2, 2])], 10),
        ([node("Pad", ["x"], ["y"], pads=[0, 0, 1, 1, 0, 0, 1, 1])], [], 9),
        ([node("Slice", ["x"], ["y"], starts=[1], ends=[9], axes=[2])], [], 9),
        ([node("Clip", ["x"], ["y"], min=0.0, max=1.0)], [], 9),
        ([node("ReduceSum", ["x"], ["y"], axes=[1])], [], 11),
        ([node("ReduceMean", ["x", "a"], ["y"])], [whole("a", 1)], 18),
    ],
)
def test_files_of_older_and_newer_opsets_have_the_shapes_of_the_reference(
    nodes, constants, opset, save
):
    inferred = onnx.shape_inference.infer_shapes(
        onnx.load(str(save(nodes, constants, opset, IMAGE.shape))), data_prop=True
    )
    (value,) = inferred.graph.output
    expected = tuple(one.dim_value for one in value.type.tensor_type.shape.dim)
    path = save(nodes, constants, opset)
    assert CheckedGraph(path).check([IMAGE.shape]) == [expected]


SHIPPED = [name for name in zoo.list_models() if zoo.get_spec(name).weights_kind == "shipped"]


@pytest.mark.parametrize("model", SHIPPED)
def test_shipped_nets_could_be_anyones(model):
    CheckedGraph(store.find_shipped(model, ".onnx"))


BRANCH = helper.make_graph(
    [node("Identity", ["x"], ["z"])], "branch", [], [helper.make_tensor_value_info("z", 1, None)]
)


@pytest.mark.parametrize(
    "one, reason",
    [
        (node("If", ["x"], ["y"], then_branch=BRANCH, else_branch=BRANCH), "it has g"),
        (node("Loop", ["many", "", "x"], ["y"], body=BRANCH), "it has g"),
        (node("GridSample", ["x", "x"], ["y"]), "operator 'GridSample'"),
        (node("FusedConv", ["x", "w"], ["y"], domain="com.microsoft"), "com.microsoft.FusedConv"),
        (node("Relu", ["x"], ["y"], inplace=1), "attribute 'inplace'"),
        (node("GatherElements", ["x", "w"], ["y"]), "operator 'GatherElements'"),
        (node("ScatterElements", ["x", "w", "x"], ["y"]), "operator 'ScatterElements'"),
    ],
)
def test_operators_that_image_nets_do_not_need_are_named(one, reason, save):
    assert reason in refused(save([one], [kernel("w"), whole("many", 1 << 40)]))


@pytest.mark.parametrize(
    "nodes, reason",
    [
        ([node("Gather", ["x", "far"], ["y"], axis=1)], "indices are out of range: 3 are there"),
        ([node("GatherND", ["x", "places"], ["y"])], "input 0 is computed from pixels"),
        ([node("ScatterND", ["x", "places", "u"], ["y"])], "input 0 is computed from pixels"),
        (
            [node("Shape", ["x"], ["s"]), node("ScatterND", ["s", "out", "v"], ["y"])],
            "indices are out of range: 4 are there",
        ),
        (
            [node("Cast", ["x"], ["i"], to=7), node("Gather", ["x", "i"], ["y"])],
            "input 1 is computed from pixels",
        ),
        (
            [node("Cast", ["x"], ["i"], to=7), node("Reshape", ["x", "i"], ["y"])],
            "input 1 is computed from pixels",
        ),
        ([node("Conv", ["x", "w"], ["y"], strides=[0, 1])], "strides=(0, 1) is not within"),
        ([node("Conv", ["x", "w"], ["y"], group=2)], "does not fit 3 channels in 2 groups"),
        ([node("Conv", ["x", "w", "bias"], ["y"])], "is not of 3 numbers"),
        ([node("PRelu", ["x", "u"], ["y"])], "PRelu number 0: shape mismatch"),
        ([node("Pad", ["x", "margins"], ["y"], mode="reflect")], "margins are larger than"),
        ([node("Add", ["x", "far"], ["y"])], "its input 1 is of a type that does not fit"),
        ([node("Cast", ["x"], ["y"])], "attribute 'to' is missing"),
        ([node("MaxPool", ["x"], ["y"])], "its kernel_shape is missing"),
        ([node("Mish", ["far"], ["y"])], "its input 0 is of a type that does not fit"),
        ([node("Relu", ["z"], ["y"]), node("Relu", ["x"], ["z"])], "nothing before it makes 'z'"),
        ([node("Relu", ["x"], ["y"]), node("Relu", ["x"], ["y"])], "something else makes 'y'"),
        ([node("Relu", ["x"], ["z"])], "nothing makes its output y"),
    ],
)
def test_indices_and_shapes_out_of_range_are_refused(nodes, reason, save):
    constants = [kernel("w"), whole("far", 3), tensor("places", [[0, 99]], np.int64)]
    constants += [tensor("out", [[4]], np.int64), whole("v", 7), tensor("u", np.ones((1, 5, 7)))]
    constants += [tensor("bias", np.ones(4)), whole("margins", 0, 0, 999, 0, 0, 0, 999, 0)]
    assert reason in refused(save(nodes, constants))


@pytest.mark.parametrize(
    "nodes, reason",
    [
        (
            [
                node("ConstantOfShape", ["huge"], ["m"]),
                node("ReduceMean", ["m"], ["n"]),
                node("Add", ["x", "n"], ["y"]),
            ],
            "it makes 180,000,001 numbers of no image at all",
        ),
        (
            [
                node("ReduceMean", ["x"], ["m"]),
                node("Expand", ["m", "huge"], ["n"]),
                node("ReduceMean", ["n"], ["o"]),
                node("Add", ["x", "o"], ["y"]),
            ],
            "numbers at once",
        ),
        (
            [node("Tile", ["x", "times"], ["y"])],
            "it makes 786,432,000 numbers of 196,608; no image needs that",
        ),
        (
            [node("Relu", ["x"], ["a0"])]
            + [node("Conv", [f"a{k}", "wide"], [f"a{k + 1}"], pads=[15] * 4) for k in range(100)]
            + [node("Relu", ["a100"], ["y"])],
            "products for an image",
        ),
    ],
)
def test_memory_and_work_are_in_proportion_to_the_image(nodes, reason, save):
    constants = [whole("huge", 1, 1, 15_000, 12_000), whole("times", 1, 1, 100, 40)]
    path = save(nodes, [*constants, kernel("wide", side=31)])
    tracemalloc.start()
    try:
        assert reason in refused(path, [(1, 3, 256, 256)])
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


FARTHEST, NEXT_TO = (1 << 63) - 1, 1 << 31


def sliced(start, end, step, dtype=np.int64):
    values = [tensor(name, [one], dtype) for name, one in zip("seat", (start, end, 2, step))]
    return [node("Slice", ["x", *"seat"], ["y"])], values


@pytest.mark.parametrize("step", [-NEXT_TO, -(1 << 63), NEXT_TO, FARTHEST])
def test_steps_that_not_all_engines_hold_are_refused(step, save):
    """OpenVINO left the result of -2**31 as it found its memory."""
    assert f"its steps are [{step}]" in refused(save(*sliced(-1, -(1 << 63), step)))


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(
    "start, end, step",
    [
        (1, FARTHEST, 1),
        (-1, -FARTHEST - 1, -1),
        (1, NEXT_TO - 1, 2),
        (-1, -NEXT_TO, -2),
        (-1, -FARTHEST - 1, 1 - NEXT_TO),
        (-(1 << 40), 1 << 40, 1),
    ],
)
def test_ends_as_far_away_as_exporters_write_them_are_the_images(start, end, step, engine, save):
    pytest.importorskip(engine)
    path = save(*sliced(start, end, step))
    result = engines.load(engine, path, precision="fp32", threads=1).run(IMAGE)
    assert np.array_equal(result, IMAGE[:, :, start:end:step])


def divided(*nodes, op="Div", **attrs):
    """Whole numbers of an image, divided."""
    return [
        node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        *nodes,
        node(op, ["i", "by"], ["q"], **attrs),
        node("Cast", ["q"], ["y"], to=1),
    ]


@pytest.mark.parametrize("op", ["Div", "Mod"])
@pytest.mark.parametrize("by", [0, -1, 1 << 32, [3, 0, 3]])
def test_divisors_at_which_a_processor_stops_are_refused(op, by, save):
    assert "it divides by" in refused(save(divided(op=op), [tensor("by", by, np.int64)]))


def test_whole_numbers_are_not_divided_by_pixels(save):
    nodes = divided(node("Sub", ["i", "i"], ["by"]))
    assert "it divides whole numbers by what pixels tell" in refused(save(nodes))
    nodes = [node("Cast", ["x"], ["i"], to=TensorProto.INT64), node("Div", ["i", ""], ["y"])]
    assert "its input 1 is missing" in refused(save(nodes))


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_divisions_that_are_known_to_be_sound_are_run(engine, save):
    """Half of an image's height, of its shape, is what is left of it; 7 of 3 is 2."""
    pytest.importorskip(engine)
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "axis"], ["height"]),
        node("Div", ["height", "two"], ["half"]),
        node("Slice", ["x", "zero", "half", "axis"], ["a"]),
        node("Mul", ["a", "seven"], ["b"]),
        node("Cast", ["b"], ["c"], to=TensorProto.INT32),
        node("Div", ["c", "three"], ["d"]),
        node("Cast", ["d"], ["y"], to=1),
    ]
    constants = [whole("axis", 2), whole("two", 2), whole("zero", 0), tensor("seven", 7)]
    path = save(nodes, [*constants, tensor("three", 3, np.int32)])
    result = engines.load(engine, path, precision="fp32", threads=1).run(np.ones_like(IMAGE))
    assert result.shape == (1, 3, 3, 8) and np.all(result == 2)


@pytest.mark.parametrize(
    "op, a, b",
    [("Mul", 1 << 20, 1 << 11), ("Add", 1 << 40, -(1 << 40)), ("Sub", -(1 << 31), 1)],
)
def test_sizes_are_computed_within_32_bits(op, a, b, save):
    nodes = [node(op, ["a", "b"], ["c"]), node("Reshape", ["x", "c"], ["y"])]
    assert "beyond 32 bits" in refused(save(nodes, [whole("a", a), whole("b", b)]))


def test_the_numbers_that_a_check_looks_at_are_bounded(save):
    nodes = [node("ReduceProd", ["c"], [f"p{k}"], keepdims=0) for k in range(100)]
    path = save([*nodes, node("Relu", ["x"], ["y"])], [tensor("c", np.ones(1 << 18), np.int32)])
    assert "it computes with over 16,777,216 indices" in refused(path)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
def test_turned_convolutions_have_the_sizes_of_engines_or_are_refused(auto_pad, save):
    """A kernel of one pixel and a stride of 4 make 21 of 6 pixels, not 24; one of 5 is cut."""
    nodes = [node("ConvTranspose", ["x", "w"], ["y"], strides=[4, 4], auto_pad=auto_pad)]
    path = save(nodes, [kernel("w", side=1)])
    assert CheckedGraph(path).check([IMAGE.shape]) == [(1, 3, 21, 29)]
    for engine in ("openvino", "onnxruntime"):
        if find_spec(engine):
            run = engines.load(engine, path, precision="fp32", threads=1).run
            assert run(IMAGE).shape == (1, 3, 21, 29)
    assert "is not done alike by all engines" in refused(save(nodes, [kernel("w", side=5)]))


def test_maps_of_no_image_are_refused_before_an_engine_would_make_them(save):
    nodes = [
        node("ConstantOfShape", ["huge"], ["m"]),
        node("ReduceMean", ["m"], ["n"]),
        node("Add", ["x", "n"], ["y"]),
    ]
    assert "of no image" in refused(save(nodes, [whole("huge", 1, 1, 12_000, 12_000)]))
    relu = [node("Relu", ["x"], ["y"])]
    assert "it states images of" in refused(save(relu, shape=(1, 3, 1 << 20, 1 << 20)))


def test_the_bound_is_checked_anew_for_each_size(save):
    """The product of all pixels by all fits small images only."""
    nodes = [
        node("Reshape", ["x", "flat"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[0, 2, 1]),
        node("MatMul", ["b", "a"], ["c"]),
        node("MatMul", ["a", "c"], ["d"]),
        node("Shape", ["x"], ["s"]),
        node("Reshape", ["d", "s"], ["y"]),
    ]
    path = save(nodes, [whole("flat", 1, 3, -1)])
    graph = CheckedGraph(path, [(1, 3, 32, 32)])
    with pytest.raises(EngineError, match="numbers at once"):
        graph.check([(1, 3, 512, 512)])


def elsewhere(model):
    one = model.graph.initializer.add(name="w", data_type=1, dims=[3])
    one.data_location = TensorProto.EXTERNAL
    one.external_data.add(key="location", value="/etc/passwd")


def sparse(model):
    model.graph.sparse_initializer.add().dims.append(3)


def sparse_attribute(model):
    one = model.graph.node[0].attribute.add(name="sparse_value", type=11)
    one.sparse_tensor.dims.append(3)


def function(model):
    model.functions.add(name="f")


def training(model):
    model.training_info.add()


def too_many_numbers(model):
    model.graph.initializer.add(name="w", data_type=1, dims=[1 << 20, 1 << 20], raw_data=b"1234")


def twice(model):
    model.graph.initializer.extend([tensor("w", 1), tensor("w", 2)])


def unknown_opset(model):
    model.opset_import[0].version = 99


@pytest.mark.parametrize(
    "change, reason",
    [
        (elsewhere, "external_data, which lies in another file"),
        (sparse, "sparse_initializer"),
        (sparse_attribute, "sparse_tensor"),
        (function, "functions"),
        (training, "training_info"),
        (too_many_numbers, "has not the 1,099,511,627,776 numbers"),
        (twice, "two of its tensors"),
        (unknown_opset, "opset is [99]"),
    ],
)
def test_what_else_a_file_may_hold_is_named(change, reason, save):
    assert reason in refused(save([node("Relu", ["x"], ["y"])], change=change))


def test_a_second_graph_does_not_hide_behind_the_first(save):
    """Readers of protobuf would join the two."""
    path = save([node("Relu", ["x"], ["y"])])
    path.write_bytes(path.read_bytes() * 2)
    assert "comes twice" in refused(path)


@pytest.mark.parametrize("content", [b"", b"\x3a", b"\x3a\x05", b"\xff" * 20, b"\x08\x08", b"\x0b"])
def test_damaged_files_are_refused(content, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    refused(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EngineError, match=r"nowhere.onnx cannot be read \(No such file"):
        CheckedGraph(tmp_path / "nowhere.onnx")


def test_graphs_of_openvinos_own_form_need_trust(tmp_path):
    pytest.importorskip("openvino")
    path = store.find_shipped("esrgan_lite_x4", ".int8.xml")
    assert "OpenVINO's own form" in refused(path)
    engines.load("openvino", path, precision="fp32", threads=1, trusted=True)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_who_is_trusted_may_run_any_operator(engine, save):
    pytest.importorskip(engine)
    path = save([node("CumSum", ["x", "axis"], ["y"])], [tensor("axis", 3, np.int32)])
    with pytest.raises(EngineError, match="operator 'CumSum'"):
        engines.load(engine, path, precision="fp32", threads=1)
    result = engines.load(engine, path, precision="fp32", threads=1, trusted=True).run(IMAGE)
    assert np.allclose(result, np.cumsum(IMAGE, axis=3), atol=1e-5)


def test_onnx_runtime_needs_no_openvino(save, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setitem(sys.modules, "openvino", None)
    path = save([node("Relu", ["x"], ["y"])])
    result = engines.load("onnxruntime", path, threads=1).run(IMAGE - 0.5)
    assert np.array_equal(result, np.maximum(IMAGE - 0.5, 0))


def test_every_operator_of_the_table_is_one_of_onnx():
    from gluon_enhance.engines.checks.operators import OPERATORS

    known = {schema.name: schema for schema in onnx.defs.get_all_schemas_with_history()}
    newer = {"Swish"}  # than this package of onnx
    assert OPERATORS.keys() - newer <= known.keys()


def test_the_table_of_fields_is_that_of_onnx():
    """Names and numbers, by what the onnx package knows; what it lacks is newer than it."""
    from gluon_enhance.engines.checks import onnx_file

    pairs = {
        "MODEL": onnx.ModelProto, "GRAPH": onnx.GraphProto, "NODE": onnx.NodeProto,
        "ATTRIBUTE": onnx.AttributeProto, "TENSOR": onnx.TensorProto,
        "VALUE": onnx.ValueInfoProto,
    }  # fmt: skip
    for name, message in pairs.items():
        table = getattr(onnx_file, name)
        for field in message.DESCRIPTOR.fields:
            ours = table[field.number]
            assert ours.name in (field.name, "about the model"), f"{name} {field.name}"
            assert re.match("text|bytes", str(ours.kind)) is None or field.type in (9, 12)


def test_files_of_8_bits_in_a_folder_are_those_that_are_shipped_or_need_trust(tmp_path):
    pytest.importorskip("openvino")
    folder = shutil.copytree(store.model_zoo_folder() / "esrgan_lite_x4", tmp_path / "net")
    options = {"engine": "openvino", "precision": "int8", "threads": 1}
    expected = Enhancer(folder, **options).run(IMAGE)
    xml = folder / "esrgan_lite_x4.int8.xml"
    xml.write_bytes(xml.read_bytes() + b"\n")
    card = json.loads((folder / "card.json").read_text())
    card["files"][xml.name] = fingerprint(xml)
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match=r"int8.xml is not the file that this version ships"):
        Enhancer(folder, **options)
    assert np.array_equal(Enhancer(folder, trust=True, **options).run(IMAGE), expected)
