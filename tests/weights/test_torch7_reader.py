import struct

import numpy as np
import pytest
from torch7_files import Function, Layer, t7_bytes, write_t7

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.readers.torch7 import read_torch7


def conv(weight, bias=None):
    geometry = {"kW": 3, "kH": 5, "dW": 2, "dH": 1, "padW": 1, "padH": 0}
    tensors = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    return Layer("SpatialConvolution", **tensors, **geometry)


def small_net(rng):
    block = Layer("Sequential", conv(rng.random((2, 3, 5, 3))), Layer("ShaveImage", size=2))
    return Layer("Sequential", block, conv(rng.random((1, 2, 5, 3)), rng.random(1)), Layer("Tanh"))


def refusal(path, content):
    path.write_bytes(content if isinstance(content, bytes) else t7_bytes(content))
    with pytest.raises(WeightsError) as caught:
        read_torch7(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_layers_come_back_by_their_places(tmp_path, rng):
    net = small_net(rng)
    state = read_torch7(write_t7(tmp_path / "net.t7", net))
    first, second = net.children[0].children[0], net.children[1]
    layers = {
        "layer": "Sequential",
        "0.layer": "Sequential",
        "0.0.layer": "SpatialConvolution 3 5 2 1 1 0",
        "0.1.layer": "ShaveImage 2",
        "1.layer": "SpatialConvolution 3 5 2 1 1 0",
        "2.layer": "Tanh",
    }
    assert {key: value for key, value in state.items() if key.endswith("layer")} == layers
    assert state.keys() - layers.keys() == {"0.0.weight", "1.weight", "1.bias"}
    np.testing.assert_array_equal(state["0.0.weight"], first.fields["weight"])
    np.testing.assert_array_equal(state["1.weight"], second.fields["weight"])
    np.testing.assert_array_equal(state["1.bias"], second.fields["bias"])


def test_the_net_of_a_checkpoint_is_read_with_the_option_that_matters(tmp_path, rng):
    options = {"preprocessing": "vgg", "gpu": -1, "use_cudnn": True, "styles": {1: "a", 2: None}}
    checkpoint = {"opt": options, "val_loss_history": {1: 0.5}, "model": small_net(rng)}
    alone = read_torch7(write_t7(tmp_path / "net.t7", checkpoint["model"]))
    state = read_torch7(write_t7(tmp_path / "checkpoint.t7", checkpoint))
    assert state.pop("preprocessing") == "vgg"
    assert state.keys() == alone.keys()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_tensors_may_be_transposed_views_of_one_storage(tmp_path, dtype):
    flat = np.arange(60).astype(dtype)
    weight, bias = flat[10:58].reshape(2, 3, 4, 2).transpose(1, 0, 3, 2), flat[3:6]
    state = read_torch7(write_t7(tmp_path / "net.t7", conv(weight, bias)))
    assert state["weight"].dtype == state["bias"].dtype == dtype
    np.testing.assert_array_equal(state["weight"], weight)
    np.testing.assert_array_equal(state["bias"], bias)


def test_loops_empty_tensors_and_files_without_versions_are_read(tmp_path):
    layer = conv(np.zeros((1, 1, 5, 3)), np.zeros(0))
    layer.fields["parent"] = {"child": layer}
    assert read_torch7(write_t7(tmp_path / "net.t7", layer))["bias"].shape == (0,)
    old = t7_bytes(Layer("Tanh")).replace(struct.pack("<i", 3) + b"V 1", b"", 1)
    (tmp_path / "old.t7").write_bytes(old)
    assert read_torch7(tmp_path / "old.t7") == {"layer": "Tanh"}


@pytest.mark.parametrize(
    "value, named",
    [
        (Layer("Tanh", hook=Function()), "a Lua function"),
        (Layer("os.execute", command="reboot"), "os.execute"),
        (Layer("Sequential", Layer("cudnn.SpatialConvolution")), "cudnn.SpatialConvolution"),
        (Layer("torch.CudaTensor"), "torch.CudaTensor"),
    ],
)
def test_anything_but_data_is_refused_by_name(tmp_path, value, named):
    message = refusal(tmp_path / "net.t7", value)
    assert f"holds '{named}', which a net has no need of and which could run code" in message


def test_every_cut_is_refused(tmp_path, rng):
    whole = t7_bytes(Layer("Sequential", conv(rng.random((1, 2, 5, 3)), rng.random(1))))
    for length in range(len(whole)):
        assert "cut short" in refusal(tmp_path / "net.t7", whole[:length])


def test_every_changed_byte_is_refused_or_harmless(tmp_path, rng):
    path = tmp_path / "net.t7"
    whole = t7_bytes(Layer("Sequential", conv(rng.random((1, 2, 5, 3)), rng.random(1))))
    for place in range(len(whole)):
        for change in (0x01, 0x80, 0xFF):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
            try:
                read_torch7(path)
            except WeightsError as error:
                assert "\n" not in str(error)


def table(*items):
    """A table as bytes: its number is 1, items are objects as bytes, keys and values in turn."""
    return struct.pack("<iii", 3, 1, len(items) // 2) + b"".join(items)


@pytest.mark.parametrize(
    "content",
    [
        {"model": None},
        {"weights": {}},
        Layer("Sequential", "a string"),
        Layer("Sequential", modules={1: Layer("Tanh"), 3: Layer("Tanh")}),
        Layer("SpatialConvolution", kW="three"),
        Layer("Linear", weight="no tensor"),
        struct.pack("<iii", 3, 1, 2**31 - 1),
        struct.pack("<ii", 2, 2**31 - 1) + b"text",
        struct.pack("<ii", 2, -1) + b"text",
        table(struct.pack("<ii", 3, 1), t7_bytes("a table as a key")),
        t7_bytes({"a": 1})[:-12] * 5000,  # tables within tables
        b"4\n1\n3\nV 1\n13\nnn.Sequential\n",  # Torch's text format
    ],
)
def test_what_is_no_net_is_refused(tmp_path, content):
    assert "is cut short, damaged or not a Torch7 file" in refusal(tmp_path / "net.t7", content)


def test_tensors_stay_within_their_storage(tmp_path):
    whole = t7_bytes(Layer("Linear", weight=np.zeros((2, 3)), bias=np.zeros(3)))
    shape = struct.pack("<i4q", 2, 2, 3, 3, 1)
    assert whole.count(shape) == 1
    for numbers in ((2, 4, 3, 1), (3, 3, 3, 1), (2, 3, 4, 1), (2, 3, -3, 1), (-2, 3, 3, 1)):
        content = whole.replace(shape, struct.pack("<i4q", 2, *numbers))
        assert "a tensor" in refusal(tmp_path / "net.t7", content)
    offset = whole.replace(shape + struct.pack("<q", 1), shape + struct.pack("<q", 2))
    assert "reaches beyond its storage" in refusal(tmp_path / "net.t7", offset)


def test_a_layer_in_two_places_is_refused_without_walking_all_its_paths(tmp_path):
    layer = Layer("Tanh")
    for _ in range(60):
        layer = Layer("Sequential", layer, layer)
    assert "also has another place" in refusal(tmp_path / "net.t7", layer)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="nowhere.t7 cannot be read"):
        read_torch7(tmp_path / "nowhere.t7")
