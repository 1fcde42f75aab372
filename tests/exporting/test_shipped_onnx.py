"""What other programs find in the ONNX file of each shipped model."""

import cv2
import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")
onnx = pytest.importorskip("onnx")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance import exporting, zoo  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402

SHIPPED = [name for name in ge.list_models() if zoo.get_spec(name).weights_kind == "shipped"]
SIDES = 46, 50  # no multiples of 4, to which the style nets crop what they round up


pytestmark = pytest.mark.filterwarnings("ignore:the float32 number")  # of next to nothing


@pytest.fixture(scope="module", params=SHIPPED)
def exported(request, tmp_path_factory):
    net = ge.get_model(request.param, pretrained=True)
    path = tmp_path_factory.mktemp("onnx") / f"{request.param}.onnx"
    return net, exporting.export_onnx(net, path, exporting.trial_unit(net.spec))


def test_every_node_has_its_own_name_and_metadata_say_what_the_file_is(exported):
    net, path = exported
    file = onnx.load(str(path))
    names = [node.name for node in file.graph.node]
    assert all(names) and len(set(names)) == len(names)
    assert [value.name for value in file.graph.input] == ["image"]
    assert [value.name for value in file.graph.output] == ["result"]
    assert {one.key: one.value for one in file.metadata_props} == {
        "model": net.spec.name,
        "scale": str(net.spec.scale),
        "range": "[0, 1]",
        "version": ge.__version__,
    }


def test_shuffles_have_the_order_of_pytorch_and_no_size_is_scattered(exported):
    nodes = onnx.load(str(exported[1])).graph.node
    modes = [
        attribute.s
        for node in nodes
        for attribute in node.attribute
        if node.op_type == "DepthToSpace" and attribute.name == "mode"
    ]
    assert modes == [b"CRD"] * sum(node.op_type == "DepthToSpace" for node in nodes)
    assert not {"ScatterND", "GatherND", "ConstantOfShape"} & {node.op_type for node in nodes}


def test_opencv_and_onnxruntime_give_the_blocks_numbers(exported, rng):
    onnxruntime = pytest.importorskip("onnxruntime")
    net, path = exported
    image = rng.random((1, 3, *SIDES), np.float32)
    expected = net(mx.nd.array(image)).asnumpy()
    session = onnxruntime.InferenceSession(str(path))
    (result,) = session.run(["result"], {"image": image})
    assert np.abs(result - expected).max() < 1e-4
    by_opencv = cv2.dnn.readNetFromONNX(np.frombuffer(of_one_size(path, image.shape), np.uint8))
    by_opencv.setInput(image, "image")
    assert np.abs(by_opencv.forward("result") - expected).max() < 1e-4


def test_the_usual_converter_to_float16_keeps_the_numbers(exported, rng):
    onnxruntime = pytest.importorskip("onnxruntime")
    float16 = pytest.importorskip("onnxconverter_common.float16")
    net, path = exported
    half = float16.convert_float_to_float16(onnx.load(str(path)), keep_io_types=True)
    image = rng.random((1, 3, *SIDES), np.float32)
    session = onnxruntime.InferenceSession(half.SerializeToString())
    (result,) = session.run(["result"], {"image": image})
    assert np.abs(result - net(mx.nd.array(image)).asnumpy()).max() < 1 / 255


def of_one_size(path, shape):
    """Give the file as OpenCV's importer needs it: for one size of images."""
    file = onnx.load(str(path))
    for axis, size in zip(file.graph.input[0].type.tensor_type.shape.dim, shape):
        axis.dim_value = size
    return file.SerializeToString()
