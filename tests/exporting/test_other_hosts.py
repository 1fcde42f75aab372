"""Files that `export` writes for other hosts, each run by that host."""

import importlib.util
import re
import sys

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")
onnx = pytest.importorskip("onnx")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance import exporting  # noqa: E402
from gluon_enhance.errors import EngineError  # noqa: E402
from gluon_enhance.exporting import artifacts  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.weights.readers.ncnn import read_ncnn  # noqa: E402
from gluon_enhance.weights.store import read_card  # noqa: E402

KINDS = {"photo", "text", "hatch", "halftone", "sky", "grays"}
NAME = "edsr_baseline_x2"

needs_pnnx = pytest.mark.skipif(
    importlib.util.find_spec("pnnx") is None, reason="pnnx is not installed"
)


def initialized(name, **options):
    net = ge.get_model(name, **options)
    mx.random.seed(0)
    np.random.seed(0)  # which MXNet's initializers draw from, some of them
    net.initialize(mx.init.Xavier())
    return net


@pytest.fixture(scope="module")
def net():
    return initialized(NAME, num_blocks=2, channels=16)


@pytest.fixture(scope="module")
def folder(net, tmp_path_factory):
    pytest.importorskip("onnxconverter_common")
    pytest.importorskip("onnxruntime.quantization")
    return ge.export(net, tmp_path_factory.mktemp("hosts") / "net", ["ir", "fp16", "int8"])


def expected_of(net, image):
    return net(mx.nd.array(image)).asnumpy()


def test_a_folder_has_the_files_that_were_asked_for_and_the_card_lists_them(folder):
    ends = ".bin", ".fp16.onnx", ".int8.onnx", ".xml"
    assert list(read_card(folder)["files"]) == [f"{NAME}{end}" for end in ends]
    assert {path.name for path in folder.iterdir()} == {*read_card(folder)["files"], "card.json"}


def test_openvinos_file_has_the_exact_weights_and_gives_the_nets_numbers(net, folder, rng):
    openvino = pytest.importorskip("openvino")
    model = openvino.Core().read_model(str(folder / f"{NAME}.xml"))
    constants = [op.get_data() for op in model.get_ops() if op.get_type_name() == "Constant"]
    for layer in (net.head, net.body[0].conv1, net.tail):
        weight = layer.weight.data().asnumpy()
        assert any(np.array_equal(array, weight) for array in constants)
    image = rng.random((1, 3, 9, 14), np.float32)
    result = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(image)[0]
    assert np.abs(result - expected_of(net, image)).max() < 1e-4


@pytest.mark.parametrize("end", ["fp16", "int8"])
def test_rounded_files_take_and_give_float32_and_say_what_they_keep(end, net, folder, rng):
    onnxruntime = pytest.importorskip("onnxruntime")
    name = f"{NAME}.{end}.onnx"
    session = onnxruntime.InferenceSession(str(folder / name))
    image = rng.random((2, 3, 9, 14), np.float32)
    (result,) = session.run(["result"], {"image": image})
    assert result.dtype == np.float32
    expected = expected_of(net, image)
    decibels = -10 * np.log10(np.mean((result - expected) ** 2))
    kept = read_card(folder)["agreement_db"][name]
    assert set(kept) == KINDS and min(kept.values()) >= {"fp16": 60, "int8": 25}[end]
    assert decibels > {"fp16": 60, "int8": 25}[end]
    about = {one.key: one.value for one in onnx.load(str(folder / name)).metadata_props}
    assert about["model"] == NAME and about["scale"] == "2"


@pytest.mark.parametrize("end", ["fp16", "int8"])
def test_rounded_files_can_be_given_as_models_and_are_what_runs(end, folder, rng):
    onnxruntime = pytest.importorskip("onnxruntime")
    file = folder / f"{NAME}.{end}.onnx"
    image = rng.random((64, 64, 3), np.float32)
    enhancer = ge.Enhancer(file, engine="onnxruntime", precision="fp32", tile=64)
    batch = image.transpose(2, 0, 1)[None]
    (expected,) = onnxruntime.InferenceSession(str(file)).run(None, {"image": batch})
    assert np.abs(enhancer.run(batch) - expected).max() < 1e-5


def test_the_file_of_16_bits_has_no_weight_in_32(folder):
    tensors = onnx.load(str(folder / f"{NAME}.fp16.onnx")).graph.initializer
    assert {tensor.data_type for tensor in tensors} == {onnx.TensorProto.FLOAT16}


def test_of_convolutions_all_but_the_first_and_the_last_two_have_8_bits(folder):
    nodes = onnx.load(str(folder / f"{NAME}.int8.onnx")).graph.node
    made = {output: node.op_type for node in nodes for output in node.output}
    convs = [made.get(node.input[1]) for node in nodes if node.op_type == "Conv"]
    assert convs == [None, *["DequantizeLinear"] * (len(convs) - 3), None, None]


def test_a_file_of_8_bits_that_keeps_too_little_is_refused_with_its_figure(
    net, tmp_path, monkeypatch
):
    pytest.importorskip("onnxruntime.quantization")
    monkeypatch.setattr(artifacts, "MIN_AGREEMENT", 99)
    message = r"int8\.onnx keeps [\d.]+ dB to the net on a picture of kind \w+ \(at least 99"
    with pytest.raises(EngineError, match=message):
        ge.export(net, tmp_path / "net", ["int8"])
    assert not list(tmp_path.iterdir())


def test_a_net_too_small_for_8_bits_is_refused(tmp_path):
    pytest.importorskip("onnxruntime.quantization")
    with pytest.raises(EngineError, match="realesr_video_x4 has no convolution that 8 bits are fo"):
        ge.export(initialized("realesr_video_x4", channels=4), tmp_path / "net", ["int8"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "module, name",
    [("onnxconverter_common.float16", "fp16"), ("onnxruntime.quantization", "int8")],
)
def test_a_package_that_a_format_needs_is_named(module, name, net, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineError, match=rf"exporting needs {module}.*pip install onnx"):
        ge.export(net, tmp_path / "net", [name])
    assert not list(tmp_path.iterdir())


def test_formats_with_a_file_of_one_name_are_refused_together(net, tmp_path):
    with pytest.raises(ValueError, match=r"ir and ncnn both have a NAME\.bin"):
        ge.export(net, tmp_path / "net", ["ir", "ncnn"])


@needs_pnnx
@pytest.mark.parametrize(
    "name, options",
    [
        (NAME, {"num_blocks": 1, "channels": 16}),
        ("esrgan_lite_x4", {"num_blocks": 1, "channels": 8, "growth_channels": 4}),
        ("realesrgan_x2", {"num_blocks": 1, "channels": 8, "growth_channels": 4}),
        ("srgan_voc_x2", {"channels": 8}),
        ("realesr_video_x4", {"channels": 8}),
        ("realesrgan_lite_x4", {"num_convs": 1, "channels": 8, "full_channels": 4}),
        ("dped_resnet", {"num_blocks": 1, "channels": 8}),
        ("plsr_x4", {}),
        ("srcnn_x4", {}),
    ],
)
def test_ncnn_gives_the_nets_numbers_at_a_size_that_was_not_tried(name, options, tmp_path, rng):
    ncnn = pytest.importorskip("ncnn")
    net = initialized(name, **options)
    folder = ge.export(net, tmp_path / "net", ["ncnn"])
    image = rng.random((1, 3, 20, 28), np.float32)
    by_ncnn = ncnn.Net()
    by_ncnn.load_param(str(folder / f"{name}.param"))
    by_ncnn.load_model(str(folder / f"{name}.bin"))
    extractor = by_ncnn.create_extractor()
    extractor.input("data", ncnn.Mat(image[0]).clone())
    status, result = extractor.extract("output")
    expected = expected_of(net, image)[0]
    assert status == 0
    # ncnn computes in 16 bits unless told otherwise.
    assert np.abs(np.array(result) - expected).max() < 0.02 * max(1, np.abs(expected).max())


@needs_pnnx
def test_ncnns_files_hold_the_weights_in_float16(tmp_path):
    net = initialized("realesr_video_x4", channels=8)
    folder = ge.export(net, tmp_path / "net", ["ncnn"])
    arrays = read_ncnn(folder / "realesr_video_x4.bin")
    weight = net.body[0].weight.data().asnumpy()
    kept = arrays["convolution.1.weight"]
    assert np.array_equal(kept, kept.astype(np.float16))
    # pnnx writes no subnormal numbers.
    np.testing.assert_allclose(kept, weight, rtol=2**-10, atol=2**-14)


@needs_pnnx
@pytest.mark.parametrize(
    "name, options, operator",
    [
        ("style_starry_night", {"channels": 4}, "Slice"),
        ("msrresnet_x4", {"num_blocks": 1, "channels": 4, "image_channels": 1}, "Concat"),
        ("wespe", {"num_blocks": 1, "channels": 4, "norm": "layer"}, "Reshape"),
    ],
)
def test_what_ncnn_cannot_hold_is_named_and_nothing_is_written(name, options, operator, tmp_path):
    message = rf"{name} cannot be written for ncnn: .*{operator}.*leave the format ncnn out"
    with pytest.raises(EngineError, match=message):
        ge.export(initialized(name, **options), tmp_path / "net", ["ncnn"])
    assert not list(tmp_path.iterdir())


@needs_pnnx
def test_without_ncnn_a_line_says_that_its_files_were_not_run(net, tmp_path, monkeypatch, caplog):
    hide(monkeypatch, "ncnn")
    ge.export(net, tmp_path / "net", ["ncnn"])
    assert re.search(rf"{NAME}\.param was not run: ncnn is not installed", caplog.text)


def test_without_pnnx_the_format_ncnn_says_what_to_install(net, tmp_path, monkeypatch):
    hide(monkeypatch, "pnnx")
    with pytest.raises(EngineError, match="needs pnnx, which is not installed; pip install pnnx"):
        ge.export(net, tmp_path / "net", ["ncnn"])


def hide(monkeypatch, package):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == package else find(name)
    )


class Shuffled(mx.gluon.HybridBlock):
    """What `put_channels_first` must leave: a shuffle of what is no convolution's alone."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        with self.name_scope():
            groups = 3 if kind == "groups" else 1
            self.conv = mx.gluon.nn.Conv2D(12, 3, padding=1, groups=groups, in_channels=3)

    def hybrid_forward(self, F, x):
        features = self.conv(x)
        if self.kind == "a ReLU between":
            return F.depth_to_space(F.relu(features), block_size=2)
        shuffled = F.depth_to_space(features, block_size=2)
        if self.kind == "another user":
            first = F.slice_axis(features, axis=1, begin=0, end=3)
            return shuffled + F.UpSampling(first, scale=2, sample_type="nearest")
        return shuffled


@pytest.mark.parametrize("kind", ["a ReLU between", "another user", "groups"])
def test_shuffles_whose_channels_cannot_be_moved_stay_and_are_right(kind, tmp_path):
    net = Shuffled(kind)
    net.initialize(mx.init.Xavier())
    path = exporting.export_onnx(net, tmp_path / "net.onnx")  # which compares the numbers
    (shuffle,) = (n for n in onnx.load(str(path)).graph.node if n.op_type == "DepthToSpace")
    assert [attribute.name for attribute in shuffle.attribute] == ["blocksize"]


class Named(mx.gluon.HybridBlock):
    """A net two of whose maps have the names that the file's input and output get."""

    def __init__(self):
        super().__init__()
        self.conv = mx.gluon.nn.Conv2D(3, 3, padding=1, in_channels=3)

    def hybrid_forward(self, F, x):
        shown = F.negative(self.conv(x), name="image")
        return F.relu(F.negative(shown, name="result"))


def test_maps_that_are_called_as_the_input_and_output_get_other_names(tmp_path):
    net = Named()
    net.initialize(mx.init.Xavier())
    path = exporting.export_onnx(net, tmp_path / "net.onnx")  # which compares the numbers
    graph = onnx.load(str(path)).graph
    assert (graph.input[0].name, graph.output[0].name) == ("image", "result")
    assert sum("image" in node.input for node in graph.node) == 1
