import sys

import numpy as np
import pytest
from torch_files import write_legacy, write_zip

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.errors import WeightsError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.losses.vgg import VGGFeatures  # noqa: E402
from gluon_enhance.weights import store  # noqa: E402
from gluon_enhance.weights import vgg as vgg_weights  # noqa: E402
from gluon_enhance.weights.manifest import WeightFile, manifest  # noqa: E402
from gluon_enhance.weights.vgg import load_vgg  # noqa: E402

SHAPES = {"conv1_1": (64, 3, 3, 3), "conv1_2": (64, 64, 3, 3), "conv2_1": (128, 64, 3, 3)}
TORCHVISION = {"conv1_1": "features.0", "conv1_2": "features.2", "conv2_1": "features.5"}
TORCH_MEAN, TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN, CAFFE_STD = np.array([123.68, 116.779, 103.939]) / 255, (1 / 255,) * 3


@pytest.fixture
def arrays(rng):
    """The first three convolutions under the block's own names, kernels as (out, in, h, w)."""
    weights = {f"{name}.weight": rng.random(shape) for name, shape in SHAPES.items()}
    biases = {f"{name}.bias": rng.random(shape[0]) for name, shape in SHAPES.items()}
    return {name: array.astype(np.float32) for name, array in {**weights, **biases}.items()}


def small_vgg(depth=16):
    return VGGFeatures(depth, ("relu1_2",))


def torchvision(arrays):
    head = {"classifier.0.weight": np.zeros((2, 2), np.float32)}
    pairs = ((name.split("."), array) for name, array in arrays.items())
    return {**{f"{TORCHVISION[conv]}.{kind}": array for (conv, kind), array in pairs}, **head}


def keras(arrays):
    """``{(conv, kind): array}`` with kernels (h, w, in, out)."""
    pairs = ((tuple(name.split(".")), array) for name, array in arrays.items())
    return {pair: a.transpose(2, 3, 1, 0) if a.ndim == 4 else a for pair, a in pairs}


def write_npz(path, arrays, **more):
    kinds = {"weight": "kernel", "bias": "bias"}
    named = {f"block{c[4:]}.{kinds[k]}": a for (c, k), a in keras(arrays).items()}
    np.savez(path, **{name.replace("_", "_conv"): array for name, array in named.items()}, **more)


def write_params(path, arrays):
    mx.nd.save(str(path), {name: mx.nd.array(array) for name, array in arrays.items()})


def assert_holds(features, arrays, mean, std, bgr=False):
    loaded = {k: p.data().asnumpy() for k, p in features._collect_params_with_prefix().items()}
    np.testing.assert_allclose(loaded.pop("mean").ravel(), mean, rtol=1e-6)
    np.testing.assert_allclose(loaded.pop("std").ravel(), std, rtol=1e-6)
    assert loaded.keys() == {f"conv1_{k}.{kind}" for k in (1, 2) for kind in ("weight", "bias")}
    for name, array in loaded.items():
        expected = arrays[name][:, ::-1] if bgr and name == "conv1_1.weight" else arrays[name]
        np.testing.assert_array_equal(array, expected)


def refusal(*arguments, **keywords):
    with pytest.raises(WeightsError) as caught:
        load_vgg(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_torchvisions_pth_loads_without_its_head_and_deeper_layers(write, arrays, tmp_path):
    write(tmp_path / "vgg.pth", torchvision(arrays))
    features = small_vgg()
    assert load_vgg(features, tmp_path / "vgg.pth") is features
    assert_holds(features, arrays, TORCH_MEAN, TORCH_STD)


def test_npz_of_the_original_weights_is_bgr(arrays, tmp_path):
    write_npz(tmp_path / "vgg.npz", arrays)
    features = load_vgg(small_vgg(), tmp_path / "vgg.npz")
    assert_holds(features, arrays, CAFFE_MEAN, CAFFE_STD, bgr=True)


def test_gluons_params_load_with_dotted_names(arrays, tmp_path):
    named = torchvision(arrays)
    del named["classifier.0.weight"]
    named["features.31.weight"] = np.zeros((2, 2))  # the Dense layer behind VGG-16's features
    named["output.bias"] = np.zeros(2)
    write_params(tmp_path / "vgg.params", named)
    assert_holds(load_vgg(small_vgg(), tmp_path / "vgg.params"), arrays, TORCH_MEAN, TORCH_STD)


@pytest.mark.parametrize("prefix", ["", "vgg0_"])
def test_gluons_params_load_with_names_of_old(prefix, arrays, tmp_path):
    order = {name: number for number, name in enumerate(SHAPES)}
    named = {f"{prefix}dense0_weight": np.zeros((2, 2))}
    for name, array in arrays.items():
        conv, kind = name.split(".")
        named[f"{prefix}conv{order[conv]}_{kind}"] = array
    write_params(tmp_path / "vgg.params", named)
    assert_holds(load_vgg(small_vgg(), tmp_path / "vgg.params"), arrays, TORCH_MEAN, TORCH_STD)


@pytest.mark.parametrize("depth", [16, 19])
def test_gluons_own_names_are_all_known(depth):
    """Of the zoo's nets, which this MXNet builds without weights."""
    zoo = mx.gluon.model_zoo.vision.get_vgg(depth)
    convs = [name for name in VGGFeatures(depth, ("pool5",)).all_layers if name[:4] == "conv"]
    expected = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    for names in (zoo._collect_params_with_prefix(), zoo.collect_params()):
        named = vgg_weights._named(dict.fromkeys(names), VGGFeatures(depth, ("pool5",)).all_layers)
        assert named.keys() == expected


@pytest.mark.parametrize(
    "place",
    ["{layer}/{layer}_{short}_1:0", "{layer}/{layer}/{long}:0"],
    ids=["Keras 1", "Keras 2"],
)
def test_keras_h5_loads(place, arrays, tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(tmp_path / "vgg_notop.h5", "w") as file:
        for (conv, kind), array in keras(arrays).items():
            names = {"weight": ("W", "kernel"), "bias": ("b", "bias")}[kind]
            layer = f"block{conv[4]}_conv{conv[6]}"
            file[place.format(layer=layer, short=names[0], long=names[1])] = array
        file.create_group("block1_pool")
    features = load_vgg(small_vgg(), tmp_path / "vgg_notop.h5")
    assert_holds(features, arrays, CAFFE_MEAN, CAFFE_STD, bgr=True)


def test_a_damaged_h5_is_refused(tmp_path):
    pytest.importorskip("h5py", reason="h5py is not installed")
    (tmp_path / "vgg.h5").write_bytes(b"no hierarchy")
    assert "damaged" in refusal(small_vgg(), tmp_path / "vgg.h5")


def test_h5_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "vgg.h5").write_bytes(b"")
    assert "pip install h5py" in refusal(small_vgg(), tmp_path / "vgg.h5")


def test_another_convention_can_be_asked_for(arrays, tmp_path):
    write_zip(tmp_path / "vgg.pth", torchvision(arrays))
    features = load_vgg(small_vgg(), tmp_path / "vgg.pth", convention="caffe")
    assert_holds(features, arrays, CAFFE_MEAN, CAFFE_STD, bgr=True)
    with pytest.raises(ValueError, match="convention is 'bgr'; give one of torch, caffe, none"):
        load_vgg(small_vgg(), tmp_path / "vgg.pth", convention="bgr")


def test_a_file_saved_from_the_block_brings_its_convention(arrays, tmp_path):
    write_npz(tmp_path / "vgg.npz", arrays)
    load_vgg(small_vgg(), tmp_path / "vgg.npz").save_parameters(str(tmp_path / "own.params"))
    features = load_vgg(small_vgg(), tmp_path / "own.params")
    assert_holds(features, arrays, CAFFE_MEAN, CAFFE_STD, bgr=True)


def test_the_other_depth_is_refused(arrays, tmp_path):
    more = {"block3_conv3.kernel": np.zeros((3, 3, 1, 1)), "block4_conv1.kernel": np.zeros(2)}
    names = {**more, **{f"block3_conv{k}.kernel": np.zeros(2) for k in (1, 2)}}
    names["block2_conv2.kernel"] = np.zeros(2)
    write_npz(tmp_path / "vgg16.npz", arrays, **names)
    assert load_vgg(small_vgg(16), tmp_path / "vgg16.npz")
    message = refusal(small_vgg(19), tmp_path / "vgg16.npz")
    assert "is not VGG-19: it has conv4_1 but no conv3_4" in message
    names["block3_conv4.kernel"] = np.zeros(2)
    write_npz(tmp_path / "vgg19.npz", arrays, **names)
    assert "left over conv3_4.weight" in refusal(small_vgg(16), tmp_path / "vgg19.npz")


@pytest.mark.parametrize("depth, other", [(16, 19), (19, 16)])
def test_torchvisions_file_of_the_other_depth_is_refused(depth, other, arrays, tmp_path):
    state = torchvision(arrays)
    for index, layer in enumerate(VGGFeatures(other, ("pool5",)).all_layers):
        if layer.startswith("conv"):
            state.setdefault(f"features.{index}.weight", np.zeros(1, np.float32))
    write_zip(tmp_path / "vgg.pth", state)
    assert load_vgg(small_vgg(other), tmp_path / "vgg.pth")
    assert f"is not VGG-{depth}: it has conv4_" in refusal(small_vgg(depth), tmp_path / "vgg.pth")


def test_missing_misshapen_and_unknown_arrays_are_listed(arrays, tmp_path):
    wrong = torchvision(arrays)
    del wrong["features.2.bias"]
    wrong["features.0.weight"] = np.zeros((64, 1, 3, 3), np.float32)
    wrong["features.1.running_mean"] = wrong["features.1.weight"] = np.zeros(64, np.float32)
    write_zip(tmp_path / "vgg_bn.pth", wrong)
    message = refusal(small_vgg(), tmp_path / "vgg_bn.pth")
    assert "missing conv1_2.bias" in message
    assert "conv1_1.weight (64, 1, 3, 3) instead of (64, 3, 3, 3)" in message
    assert "left over features.1.running_mean, relu1_1.weight" in message


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04cut short", b"not a zip"])
def test_a_damaged_npz_is_refused(content, tmp_path):
    (tmp_path / "vgg.npz").write_bytes(content)
    assert "damaged" in refusal(small_vgg(), tmp_path / "vgg.npz")


def test_a_lone_array_is_refused(tmp_path):
    np.save(tmp_path / "vgg.npy", np.zeros(3))
    (tmp_path / "vgg.npy").rename(tmp_path / "vgg.npz")
    assert "not an .npz file" in refusal(small_vgg(), tmp_path / "vgg.npz")


def test_pickles_in_an_npz_are_refused(arrays, tmp_path):
    write_npz(tmp_path / "vgg.npz", arrays, more=np.array([{}], dtype=object))
    assert "damaged" in refusal(small_vgg(), tmp_path / "vgg.npz")


def test_other_formats_are_refused_with_the_choices(tmp_path):
    (tmp_path / "vgg.mat").write_bytes(b"")
    assert "give one of .pth, .params, .npz, .h5" in refusal(small_vgg(), tmp_path / "vgg.mat")


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "nowhere.npz is no file" in refusal(small_vgg(), tmp_path / "nowhere.npz")


@pytest.mark.parametrize("source", [None, "vgg16-397923af.pth"])
def test_official_files_are_found_by_name_and_verified(source, arrays, tmp_path, monkeypatch):
    name = "vgg16-397923af.pth"
    monkeypatch.setenv("GLUON_ENHANCE_WEIGHTS", str(tmp_path))
    write_zip(tmp_path / name, torchvision(arrays))
    assert "has" in refusal(small_vgg(), source)  # not the official bytes
    own = {name: WeightFile(name, "")}
    monkeypatch.setattr(store, "manifest", lambda: own)
    assert_holds(load_vgg(small_vgg(), source), arrays, TORCH_MEAN, TORCH_STD)


@pytest.mark.parametrize("name", ["vgg16_notop.params", "vgg16-mine.npz"])
@pytest.mark.parametrize("convention", ["torch", "caffe"])
def test_an_official_file_brings_the_convention_of_its_row_whatever_its_suffix(
    name, convention, arrays, tmp_path, monkeypatch
):
    if name.endswith(".npz"):
        write_npz(tmp_path / name, arrays)
    else:
        named = torchvision(arrays)
        del named["classifier.0.weight"]
        write_params(tmp_path / name, named)
    monkeypatch.setenv("GLUON_ENHANCE_WEIGHTS", str(tmp_path))
    rows = {name: WeightFile(name, "", convention=convention)}
    for module in (store, vgg_weights):
        monkeypatch.setattr(module, "manifest", lambda: rows)
    mean, std = (TORCH_MEAN, TORCH_STD) if convention == "torch" else (CAFFE_MEAN, CAFFE_STD)
    for source in (name, tmp_path / name):
        features = load_vgg(small_vgg(), source)
        assert_holds(features, arrays, mean, std, bgr=convention == "caffe")


def test_the_manifest_has_torchvisions_files():
    for depth, name in vgg_weights.OFFICIAL.items():
        file = manifest()[name]
        assert name == f"vgg{depth}-{file.sha256[:8]}.pth"  # torch hub's naming
        assert file.url == f"https://download.pytorch.org/models/{name}"
