"""What ``--formats torch`` writes, run by a Python that has neither this package nor MXNet."""

import ast
import importlib
import inspect
import py_compile
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.errors import EngineError  # noqa: E402
from gluon_enhance.exporting import artifacts  # noqa: E402
from gluon_enhance.exporting.pytorch_files import FILES, built_in_pytorch  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.layers.norms import NORMS  # noqa: E402
from gluon_enhance.weights.store import read_card  # noqa: E402

SOURCES = Path(ge.__file__).parent / "exporting" / "pytorch"
SPANDREL = {"RRDBNet", "SRVGGNetCompact"}
"""Classes of nets whose weights spandrel loads: no file of Python is written for them."""
TINY = {"num_blocks": 1, "channels": 4}
#: A model, and what tells its options apart -> these: together all of every class with a file.
OPTIONS = {
    "dped_resnet tiny": TINY,
    "dped_resnet_bn tiny": TINY,
    "dped_resnet_bn stats": {**TINY, "norm": "batch_stats"},
    "dped_resnet layer": {**TINY, "norm": "layer", "tanh_scale": 0.5},
    "dped_densenet chain": {"num_blocks": 2, "num_layers": 3, "channels": 4},
    "dped_densenet dense": {"num_layers": 2, "channels": 4, "dense": True, "norm": "batch"},
    "wespe tiny": {**TINY, "tanh_scale": 0.5},
    "plsr_x2 mean": {**TINY, "mean": (0.1, 0.2, 0.3)},
    "plsr_x4 tiny": TINY,
    "plsr_x8 tiny": TINY,
    "style_wave tiny": TINY,
    "style_the_wave_eccv16 tiny": TINY,
    "style_wave zero": {**TINY, "padding": "zero", "norm": "layer", "tanh_scale": 127},
    "style_wave nearest": {**TINY, "padding": "reflect", "doublings": "nearest"},
    "style_wave stats": {**TINY, "norm": "batch_stats"},
    "edsr_baseline_x2 tiny": TINY,
    "edsr_baseline_x3 tiny": TINY,
    "edsr_x4 tiny": TINY,
    "edsr_x4 x8": {**TINY, "scale": 8},
    "srresnet_x4 tiny": TINY,
    "srresnet_x4 slopes": {"num_blocks": 2, "channels": 4, "shared_slopes": False, "tanh": True},
    "srgan_voc_x2 tiny": {"channels": 4},
    "srgan_voc_x8 tiny": {"channels": 4},
    "msrresnet_x4 tiny": TINY,
    "msrresnet_x4 gray": {"scale": 3, "num_blocks": 2, "channels": 8, "image_channels": 1},
    "msrresnet_x4 RGBA": {**TINY, "scale": 2, "image_channels": 4},
    "realesrgan_lite_x4 tiny": {"num_convs": 1, "channels": 4, "full_channels": 3},
    "realesrgan_lite_x2 tiny": {"num_convs": 2, "channels": 6, "full_channels": 4},
    "realesrgan_lite_x4 x8": {"scale": 8, "num_convs": 2, "channels": 4, "full_channels": 4},
    "srcnn_x4 untrained": {},
    "srcnn_x4 fast": {"scale": 3, "kernel_size": 1},
}
SHIPPED = [
    spec.name
    for spec in map(ge.zoo.get_spec, ge.list_models())
    if spec.weights_kind == "shipped" and spec.net.partition(".")[2] not in SPANDREL
]
RUN = """
import runpy, sys
sys.modules.update(dict.fromkeys(("gluon_enhance", "mxnet")))  # an import of them fails
import numpy, torch
torch.set_num_threads(1)
for folder in sys.argv[1:]:
    name = folder.rpartition("/")[2].split()[0]
    net = runpy.run_path(f"{folder}/{name}.py")["load"]()
    with torch.inference_mode():
        batches = map(torch.from_numpy, numpy.load(f"{folder}/batches.npz").values())
        numpy.savez(f"{folder}/results.npz", *(net(batch).numpy() for batch in batches))
"""


ROWS = [*OPTIONS, *SHIPPED]


def made(row):
    """A shipped net; or a small one whose norms and slopes are not their initial, trivial ones."""
    if row in SHIPPED:
        return ge.get_model(row, pretrained=True)
    name, rng = row.split()[0], np.random.default_rng(0)
    net = ge.get_model(name, prefix=f"{name}_", **OPTIONS[row])
    net.initialize(mx.init.Xavier())
    for key, parameter in net._collect_params_with_prefix().items():
        if key.endswith(("alpha", "gamma", "beta", "running_mean", "running_var", "bias")):
            parameter.set_data(mx.nd.array(rng.uniform(0.2, 0.8, parameter.shape)))
    return net


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each row's file and net make of batches of two sizes: {row: [(file's, net's), ...]}."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    top, rng, nets = tmp_path_factory.mktemp("torch"), np.random.default_rng(0), {}
    for row in ROWS:
        net = made(row)
        (top / row).mkdir()
        artifacts.write_torch(artifacts.Job(net, top / row, 1, []))
        least = net.spec.min_size - 1  # which style nets have, as they reflect the image
        shapes = ((1, 3, least + 16, least + 8), (2, 3, least + 7, least + 11))
        batches = [rng.random(shape, np.float32) for shape in shapes]
        np.savez(top / row / "batches.npz", *batches)
        nets[row] = [net(mx.nd.array(batch)).asnumpy() for batch in batches]
    subprocess.run([sys.executable, "-I", "-c", RUN, *(str(top / row) for row in ROWS)], check=True)
    return {row: list(zip(np.load(top / row / "results.npz").values(), nets[row])) for row in ROWS}


@pytest.mark.parametrize("row", ROWS)
def test_file_gives_the_nets_numbers_where_neither_package_nor_mxnet_are(row, answers):
    for result, expected in answers[row]:
        assert np.abs(result - expected).max() <= 1e-5


def test_rows_have_every_option_of_every_class_with_a_file():
    """Every argument has two values at least, and all norms and scales are there."""
    values = {}
    for row in ROWS:
        built = built_in_pytorch(ge.get_model(row.split()[0], **OPTIONS.get(row, {})))
        for argument, value in built["arguments"].items():
            values.setdefault((built["class"], argument), set()).add(str(value))
    assert {name for name, _ in values} == set(FILES)
    assert not {key for key, seen in values.items() if len(seen) < 2}
    assert values["DPEDResNet", "norm"] == values["StyleNet", "norm"] == set(NORMS)
    scales = {"EDSR": "2348", "SRResNet": "248", "SRVGGNetBilinear": "248", "MSRResNet": "234"}
    for name, numbers in scales.items():
        assert values[name, "scale"] == set(numbers)


@pytest.mark.parametrize("name", {spec.net: name for name, spec in ge.zoo.MODELS.items()}.values())
def test_every_class_of_the_zoo_has_a_file_or_is_one_that_spandrel_loads(name):
    net = ge.get_model(name)
    assert (type(net).__name__ in SPANDREL) != bool(built_in_pytorch(net))


def test_all_files_load_alike():
    """Each is complete, so they repeat a function, which must not come to differ."""
    sources = [path for path in SOURCES.glob("*.py") if path.stem != "__init__"]
    trees = [ast.parse(path.read_text(encoding="utf-8")).body for path in sources]
    functions = [
        ast.unparse(node) for body in trees for node in body if getattr(node, "name", "") == "load"
    ]
    assert len(functions) == len(sources) and len(set(functions)) == 1


@pytest.mark.parametrize("name", FILES)
def test_defaults_are_those_of_the_net(name):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    (module,) = {spec.net for spec in ge.zoo.MODELS.values() if spec.net.endswith(f".{name}")}
    net = getattr(importlib.import_module(f"gluon_enhance.models.{module.split('.')[0]}"), name)
    twins = importlib.import_module(f"gluon_enhance.exporting.pytorch.{FILES[name]}")
    arguments = list(inspect.signature(twins.NETS[name]).parameters.values())
    assert arguments == list(inspect.signature(net).parameters.values())[:-1]  # but **kwargs


@pytest.fixture(scope="module")
def edsr():
    return made("edsr_baseline_x2 tiny")


def test_card_lists_the_files(edsr, tmp_path):
    folder = ge.export(edsr, tmp_path / "net", ["torch"])
    assert [*read_card(folder)["files"]] == ["edsr_baseline_x2.py", "edsr_baseline_x2.safetensors"]


def test_weights_are_the_file_of_the_format_safetensors_where_there_is_one(edsr, tmp_path):
    for formats in (["safetensors"], ["torch"], ["torch", "safetensors"]):
        ge.export(edsr, tmp_path / formats[0] / str(len(formats)), formats)
    assert len({path.read_bytes() for path in tmp_path.rglob("*.safetensors")}) == 1


@pytest.mark.parametrize("row", ["dped_resnet layer", "plsr_x2 mean", "srresnet_x4 tiny"])
def test_weights_read_back(row, tmp_path, rng):
    net, name = made(row), row.split()[0]
    artifacts.write_torch(artifacts.Job(net, tmp_path, 1, []))
    again = ge.get_model(name, pretrained=tmp_path / f"{name}.safetensors", **OPTIONS[row])
    batch = mx.nd.array(rng.random((1, 3, 11, 13)))
    assert np.array_equal(again(batch).asnumpy(), net(batch).asnumpy())


def test_a_file_that_differs_from_the_net_is_refused(edsr, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    state = artifacts.pytorch_state(edsr)
    state["conv_last.bias"] = state["conv_last.bias"] + 2.55
    monkeypatch.setattr(artifacts, "pytorch_state", lambda net: state)
    with pytest.raises(EngineError, match=r"edsr_baseline_x2\.py differs from the net by 0\.01 on"):
        ge.export(edsr, tmp_path / "net", ["torch"])
    assert not list(tmp_path.iterdir())


def test_where_pytorch_is_missing_a_line_says_that_the_file_was_not_run(
    edsr, tmp_path, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "torch", None)
    folder = ge.export(edsr, tmp_path / "net", ["torch"])
    (line,) = caplog.messages
    assert line.startswith("edsr_baseline_x2.py was not run against the net: PyTorch is not")
    assert (folder / "edsr_baseline_x2.py").is_file()


def test_a_net_that_no_program_has_is_named_with_what_to_do(tmp_path):
    net = ge.get_model("rrdb_x4", scale=8, num_blocks=1, channels=4, growth_channels=4)
    net.initialize()
    with pytest.raises(EngineError, match=r"rrdb_x4 cannot .* RRDBNet .*'scale': 8.*without torch"):
        ge.export(net, tmp_path / "net", ["torch"])
    assert not list(tmp_path.iterdir())


def test_a_folder_whose_file_was_imported_is_replaced(edsr, tmp_path):
    folder = ge.export(edsr, tmp_path / "net", ["torch"])
    py_compile.compile(str(folder / "edsr_baseline_x2.py"))
    assert (folder / "__pycache__").is_dir()
    ge.export(edsr, folder, ["torch"])
    assert not (folder / "__pycache__").exists()


@pytest.mark.parametrize("name", ["esrgan_lite_x4", "realesrgan_x2", "realesr_video_x4"])
def test_spandrel_loads_what_has_no_file(name, tmp_path, rng):
    spandrel = pytest.importorskip("spandrel", reason="spandrel is not installed")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    net = ge.get_model(name, **({"num_blocks": 4} if name == "realesrgan_x2" else {}))
    net.initialize(mx.init.Xavier())
    folder = ge.export(net, tmp_path / "net", ["torch"])
    assert {path.name for path in folder.iterdir()} == {"card.json", f"{name}.safetensors"}
    twin = spandrel.ModelLoader().load_from_file(folder / f"{name}.safetensors").model.eval()
    batch = rng.random((1, 3, 12, 14), np.float32)
    with torch.inference_mode():
        result = twin(torch.from_numpy(batch)).numpy()
    assert np.abs(result - net(mx.nd.array(batch)).asnumpy()).max() <= 1e-5
