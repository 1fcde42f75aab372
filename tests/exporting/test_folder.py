import json
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance import exporting  # noqa: E402
from gluon_enhance.errors import EngineError, WeightsError  # noqa: E402
from gluon_enhance.exporting import artifacts  # noqa: E402
from gluon_enhance.exporting.folder import WRITERS, _put_in_place  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.imaging.arrays import to_float  # noqa: E402
from gluon_enhance.weights.manifest import sha256, write_card  # noqa: E402
from gluon_enhance.weights.store import model_zoo_folder, read_card  # noqa: E402

SRRESNET = {"num_blocks": 1, "channels": 4}
#: One model for each architecture of the zoo and its variants -> sizes that are soon computed.
#: What follows a name tells apart its options that are not in the zoo.
SMALL = {
    "esrgan_lite_x4": {"num_blocks": 1, "channels": 4, "growth_channels": 4},
    "realesrgan_x2": {"num_blocks": 1, "channels": 4, "growth_channels": 4},
    "srcnn_x4": {},
    "srresnet_x4": SRRESNET,
    "srgan_voc_x8": {"channels": 4},
    "msrresnet_x4": SRRESNET,
    "edsr_baseline_x3": SRRESNET,
    "realesr_video_x4": {"channels": 4},
    "realesrgan_lite_x4": {"num_convs": 2, "channels": 4, "full_channels": 4},
    "dped_resnet": {"num_blocks": 1, "channels": 4},
    "dped_resnet_bn": {"num_blocks": 1, "channels": 4},
    "dped_resnet layer": {"num_blocks": 1, "channels": 4, "norm": "layer"},
    "dped_resnet_bn stats": {"num_blocks": 1, "channels": 4, "norm": "batch_stats"},
    "dped_densenet": {"num_blocks": 1, "num_layers": 2, "channels": 4},
    "plsr_x2": {},
    "plsr_x4": {},
    "wespe": {},
    "wespe layer": {"num_blocks": 1, "channels": 4, "norm": "layer"},
    "style_starry_night": {"channels": 4},
    "style_the_wave_eccv16": {"channels": 4},
}
PUBLISHED = {
    "esrgan_lite_x4",
    "realesrgan_x2",
    "srgan_voc_x8",
    "msrresnet_x4",
    "edsr_baseline_x3",
    "realesr_video_x4",
}


def architecture(name):
    spec = ge.zoo.get_spec(name)
    return spec.net, spec.kwargs.get("norm"), spec.kwargs.get("tanh")


def test_each_architecture_of_the_zoo_is_among_those_tried_here():
    tried = {architecture(key) for key in SMALL if " " not in key}
    assert tried == set(map(architecture, ge.list_models()))


def small(name="esrgan_lite_x4"):
    """A net whose norms and slopes are not their initial, trivial ones."""
    model, rng = name.split()[0], np.random.default_rng(0)
    net = ge.get_model(model, prefix=f"{model}_", **SMALL[name])
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 48, 48)))
    for key, parameter in net._collect_params_with_prefix().items():
        if key.endswith(("alpha", "gamma", "beta", "running_mean", "running_var")):
            parameter.set_data(mx.nd.array(rng.uniform(0.2, 0.8, parameter.shape)))
    return net


@pytest.mark.parametrize("name", ["dped_resnet layer", "dped_resnet_bn stats", "wespe layer"])
def test_norms_of_the_whole_image_give_tiles_that_equal_it(name, tmp_path, picture):
    folder = ge.export(small(name), tmp_path / "net", ["onnx"])
    whole, tiled = (ge.Enhancer(folder, precision="fp32", tile=tile) for tile in (64, 20))
    image = to_float(picture)
    assert np.abs(tiled(image) - whole(image)).max() <= 1 / 255


@pytest.fixture(scope="module", params=SMALL)
def model(request, tmp_path_factory):
    net = small(request.param)
    return net, ge.export(net, tmp_path_factory.mktemp("models") / "net")


@pytest.fixture(scope="module")
def esrgan(tmp_path_factory):
    net = small()
    return net, ge.export(net, tmp_path_factory.mktemp("models") / "net")


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "mxnet"])
def test_every_architecture_gives_its_numbers_in_every_engine(model, engine, rng):
    net, folder = model
    batch = rng.random((1, 3, 48, 64), np.float32)
    enhancer = ge.Enhancer(folder, engine=engine, precision="fp32")
    assert np.abs(enhancer.run(batch) - net(mx.nd.array(batch)).asnumpy()).max() < 1e-4


def test_every_architecture_has_its_files_in_the_card(model):
    net, folder = model
    name = net.spec.name
    card = json.loads((folder / "card.json").read_text())
    expected = {f"{name}-symbol.json", f"{name}-0000.params", f"{name}.onnx"}
    if net.spec.tiling == "global_statistics":
        expected.add(f"{name}.segments.zip")
    if name in PUBLISHED:
        expected.add(f"{name}.safetensors")
    assert (
        set(card["files"]) == {path.name for path in folder.iterdir()} - {"card.json"} == expected
    )
    for file, row in card["files"].items():
        path = folder / file
        assert row == {"sha256": sha256(path), "size": path.stat().st_size}


def test_onnx_file_has_the_cards_opset_and_one_input(model):
    onnx = pytest.importorskip("onnx")
    net, folder = model
    file = onnx.load(str(folder / f"{net.spec.name}.onnx"))
    card = json.loads((folder / "card.json").read_text())
    assert [one.version for one in file.opset_import] == [card["opset"]] == [13]
    assert [value.name for value in file.graph.input] == ["image"]
    onnx.checker.check_model(file, full_check=True)


def test_safetensors_hold_the_weights_by_the_names_of_basicsr(esrgan):
    safetensors = pytest.importorskip("safetensors.numpy")
    net, folder = esrgan
    state = safetensors.load_file(str(folder / "esrgan_lite_x4.safetensors"))
    for key, layer in (("conv_first", net.head), ("body.0.rdb3.conv1", net.body[0].rdb3.conv1)):
        assert np.array_equal(state[f"{key}.weight"][:4], layer.weight.data().asnumpy())


def test_safetensors_say_how_wide_a_pytorch_net_must_be_built(esrgan):
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(esrgan[1] / "esrgan_lite_x4.safetensors", "np") as file:
        about = json.loads(file.metadata()["model"])
    assert about["class"] == "basicsr.archs.rrdbnet_arch.RRDBNet"
    assert about["arguments"]["num_grow_ch"] == 32  # of the net itself 4
    assert about["scale"] == 4 and about["license"] == "Apache-2.0"


@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_plain_mxnet_loads_the_pair_in_both_modes_of_batchnorm(model, rng):
    """In training mode a BatchNorm takes the batch's statistics, else the running ones."""
    net, folder = model
    base = str(folder / net.spec.name)
    pair = mx.gluon.SymbolBlock.imports(f"{base}-symbol.json", ["data"], f"{base}-0000.params")
    batch = mx.nd.array(rng.random((2, 3, 48, 56)))
    for train in (False, True):
        with mx.autograd.record(train_mode=train):
            expected, result = net(batch), pair(batch)
        assert np.abs(result.asnumpy() - expected.asnumpy()).max() < 1e-4


def test_card_says_what_is_known_and_no_scores_of_other_weights(esrgan):
    card = json.loads((esrgan[1] / "card.json").read_text())
    assert card["scores"] == {} and card["range"] == [0, 1]
    assert card["version"] == ge.__version__ and card["license"] == "Apache-2.0"
    assert (card["scale"], card["multiple"], card["min_size"]) == (4, 1, 1)
    assert card["tiling"] == "exact"
    radius = int(re.search(r"the radius is (\d+)", card["halo_by"])[1])
    assert 0 < card["halo"] <= radius  # of random weights, on the built-in photo


def test_the_license_of_shipped_weights_comes_along(tmp_path):
    folder = ge.export("realesrgan_lite_x4", tmp_path / "net", ["symbol"])
    shipped = model_zoo_folder() / "realesrgan_lite_x4" / "LICENSE"
    assert (folder / "LICENSE").read_bytes() == shipped.read_bytes()
    assert "LICENSE" in json.loads((folder / "card.json").read_text())["files"]
    assert ge.export("realesrgan_lite_x4", folder, ["symbol"]) == folder


def test_card_of_a_shipped_model_has_its_scores(tmp_path):
    folder = ge.export("esrgan_lite_x4", tmp_path / "new" / "folder", ["onnx"])
    card = json.loads((folder / "card.json").read_text())
    assert card["scores"] == ge.zoo.get_spec("esrgan_lite_x4").scores != {}
    assert list(card["files"]) == [
        "esrgan_lite_x4.int8.bin",
        "esrgan_lite_x4.int8.xml",
        "esrgan_lite_x4.onnx",
    ]


def with_wrong_pair(monkeypatch):
    load = artifacts.load_pair

    def load_wrong(symbol, params, **options):
        arrays = mx.nd.load(str(params))
        arrays["arg:" + HEAD] += 0.1
        mx.nd.save(str(params), arrays)
        return load(symbol, params, **options)

    monkeypatch.setattr(artifacts, "load_pair", load_wrong)


def with_wrong_onnx(monkeypatch):
    import onnx

    simplify = exporting._simplify

    def simplify_wrongly(draft):
        simplify(draft)
        model = onnx.load(str(draft))
        (bias,) = (one for one in model.graph.initializer if one.name == HEAD)
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.1, HEAD))
        onnx.save(model, str(draft))

    monkeypatch.setattr(exporting, "_simplify", simplify_wrongly)


def with_wrong_safetensors(monkeypatch):
    state_of = artifacts.published_state

    def wrong(net):
        state = state_of(net)
        return {**state, "conv_first.bias": state["conv_first.bias"] + 0.1}

    monkeypatch.setattr(artifacts, "published_state", wrong)


HEAD = "esrgan_lite_x4_conv0_bias"


@pytest.mark.parametrize(
    "name, spoil",
    [
        ("symbol", with_wrong_pair),
        ("onnx", with_wrong_onnx),
        ("safetensors", with_wrong_safetensors),
    ],
)
def test_a_wrong_file_fails_with_its_figure_and_leaves_the_folder_as_it_was(
    name, spoil, tmp_path, monkeypatch, esrgan
):
    folder = ge.export(esrgan[0], tmp_path / "net", [name])
    before = {path: path.read_bytes() for path in folder.iterdir()}
    spoil(monkeypatch)
    with pytest.raises(EngineError, match=r"differs from the net by [\d.]+(e-\d+)? on \(1, 3,"):
        ge.export(esrgan[0], folder, [name])
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]


def test_an_earlier_export_and_an_empty_folder_are_replaced(tmp_path, esrgan):
    (tmp_path / "net").mkdir()
    ge.export(esrgan[0], tmp_path / "net", ["symbol", "onnx"])
    ge.export(esrgan[0], tmp_path / "net", ["onnx"])
    names = sorted(path.name for path in (tmp_path / "net").iterdir())
    assert names == ["card.json", "esrgan_lite_x4.onnx"]


def test_a_folder_with_anything_else_in_it_stays(tmp_path, esrgan):
    folder = ge.export(esrgan[0], tmp_path / "net", ["onnx"])
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="notes.txt, which no export wrote"):
        ge.export(esrgan[0], folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_stays_and_is_named(tmp_path, esrgan):
    (tmp_path / "net").write_text("mine")
    with pytest.raises(FileExistsError, match="net is a file; give a new or empty folder"):
        ge.export(esrgan[0], tmp_path / "net", ["onnx"])
    assert (tmp_path / "net").read_text() == "mine"


@pytest.fixture
def earlier(tmp_path, esrgan):
    return ge.export(esrgan[0], tmp_path / "net", ["onnx"])


def test_a_file_saved_while_an_export_runs_stays(earlier, tmp_path, monkeypatch, esrgan):
    def write(*arguments):
        (earlier / "notes.txt").write_text("mine")

    monkeypatch.setitem(WRITERS, "safetensors", write)
    before = (earlier / "card.json").read_bytes()
    with pytest.raises(FileExistsError, match=f"{earlier} holds notes.txt, which no export wrote"):
        ge.export(esrgan[0], earlier, ["safetensors"])
    assert (earlier / "notes.txt").read_text() == "mine"
    assert (earlier / "card.json").read_bytes() == before and [*tmp_path.iterdir()] == [earlier]


@pytest.mark.parametrize("error", [KeyboardInterrupt, PermissionError])
def test_an_earlier_export_is_back_if_the_new_one_gets_no_name(
    error, earlier, tmp_path, monkeypatch, esrgan
):
    rename = Path.rename

    def fail(path, target):
        if path.name == "draft":
            assert not earlier.exists()
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    before = {path.name: path.read_bytes() for path in earlier.iterdir()}
    with pytest.raises(error):
        ge.export(esrgan[0], earlier, ["onnx"])
    assert {path.name: path.read_bytes() for path in earlier.iterdir()} == before
    assert [*tmp_path.iterdir()] == [earlier]


@pytest.mark.parametrize(
    "file", ["card.json", "-symbol.json", "-0000.params", ".onnx", ".safetensors"]
)
def test_a_disk_that_is_full_by_little_is_named_and_leaves_the_earlier_export(
    file, earlier, tmp_path, full_disk, esrgan
):
    (whole,) = (path for path in esrgan[1].iterdir() if path.name.endswith(file))
    before = {path.name: path.read_bytes() for path in earlier.iterdir()}
    with full_disk(whole.stat().st_size - 1), pytest.raises(EngineError) as caught:
        ge.export(esrgan[0], earlier)
    assert re.search("cannot be written.*(disk full|free space)", str(caught.value))
    assert {path.name: path.read_bytes() for path in earlier.iterdir()} == before
    assert [*tmp_path.iterdir()] == [earlier]


def test_folders_put_in_one_place_at_once_are_whole(tmp_path):
    def put(number):
        for k in range(100):
            draft = tmp_path / f"{number}-{k}" / "draft"
            draft.mkdir(parents=True)
            for file in "ab":
                (draft / file).write_text(f"{number}-{k}")
            write_card(draft, {"files": {"a": {}, "b": {}}})
            _put_in_place(draft, tmp_path / "net")

    threads = [threading.Thread(target=put, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    a, b = (((tmp_path / "net") / file).read_text() for file in "ab")
    assert a == b and a.endswith("-99")


@pytest.mark.parametrize(
    "engine, file",
    [
        ("openvino", "esrgan_lite_x4.onnx"),
        ("mxnet", "esrgan_lite_x4-symbol.json"),
        ("mxnet", "esrgan_lite_x4-0000.params"),
    ],
)
def test_a_changed_file_is_refused(engine, file, tmp_path, esrgan):
    folder = ge.export(esrgan[0], tmp_path / "net")
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{file} is cut short or changed") as caught:
        ge.Enhancer(folder, engine=engine)
    assert str(caught.value).endswith("; export the model again")


@pytest.mark.parametrize("file", ["esrgan_lite_x4.onnx", "esrgan_lite_x4.int8.bin"])
def test_a_missing_file_is_named_with_what_to_do(file, tmp_path):
    folder = ge.export("esrgan_lite_x4", tmp_path / "net", ["onnx"])
    (folder / file).unlink()
    precision = "int8" if "int8" in file else "fp32"
    message = f"{folder} lacks {file}, which its card lists; export the model again"
    with pytest.raises(WeightsError, match=message):
        ge.Enhancer(folder, engine="openvino", precision=precision)


def test_a_shipped_models_files_of_8_bits_come_along_with_onnx(tmp_path, picture):
    pytest.importorskip("openvino")
    folder = ge.export("esrgan_lite_x4", tmp_path / "net", ["onnx"])
    shipped = read_card(model_zoo_folder() / "esrgan_lite_x4")
    card, image = read_card(folder), picture[:24, :16]
    assert card["int8"] == shipped["int8"]
    for suffix in ("xml", "bin"):
        file = f"esrgan_lite_x4.int8.{suffix}"
        assert card["files"][file] == shipped["files"][file]
    options = {"engine": "openvino", "precision": "int8", "threads": 1}
    expected = ge.enhance(image, "esrgan_lite_x4", **options)
    assert np.array_equal(ge.enhance(image, folder, **options), expected)


def test_without_onnx_files_there_are_none_of_8_bits(tmp_path):
    folder = ge.export("esrgan_lite_x4", tmp_path / "net", ["safetensors"])
    card = read_card(folder)
    assert "int8" not in card and list(card["files"]) == ["esrgan_lite_x4.safetensors"]


def test_a_folder_without_files_of_8_bits_says_what_to_do(tmp_path, esrgan):
    folder = ge.export(esrgan[0], tmp_path / "net", ["onnx"])
    with pytest.raises(WeightsError, match=r"no esrgan_lite_x4\.int8\.bin .*use --precision auto"):
        ge.Enhancer(folder, engine="openvino", precision="int8")


def test_a_folder_without_a_symbol_file_names_the_engines_that_run_it(tmp_path, esrgan):
    folder = ge.export(esrgan[0], tmp_path / "net", ["onnx"])
    with pytest.raises(EngineError, match="openvino or onnxruntime"):
        ge.Enhancer(folder, engine="mxnet")


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: ge.get_model("srcnn_x4"), WeightsError, "srcnn_x4 has no weights yet"),
        (lambda: mx.gluon.nn.Sequential(), ValueError, "Sequential is no HybridBlock"),
        (lambda: "plsr_x8", WeightsError, "plsr_x8 has no trained weights"),
    ],
)
def test_what_cannot_be_exported_is_named(make, error, message, tmp_path):
    with pytest.raises(error, match=message):
        ge.export(make(), tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_unknown_formats_are_named_with_the_choices(tmp_path, esrgan):
    with pytest.raises(ValueError, match="tflite.*symbol, onnx, safetensors"):
        ge.export(esrgan[0], tmp_path / "net", ["tflite"])


@pytest.mark.parametrize("module", ["onnx.mapping", "safetensors.numpy"])
def test_a_package_that_is_missing_is_named(module, tmp_path, monkeypatch, esrgan):
    """As onnx.mapping is in onnx 1.18 and newer."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineError, match=rf"exporting needs {module}.*pip install 'onnx<1\.18'"):
        ge.export(esrgan[0], tmp_path / "net")
    assert not list(tmp_path.iterdir())
