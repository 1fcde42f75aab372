import sys

import numpy as np
import pytest

from gluon_enhance import engines
from gluon_enhance.errors import EngineError
from gluon_enhance.inference import Enhancer
from gluon_enhance.weights import store


def test_auto_takes_the_fastest_that_is_installed(monkeypatch):
    monkeypatch.setattr(engines, "is_installed", lambda name: name != "openvino")
    assert engines.choose("auto") == "onnxruntime"
    monkeypatch.setattr(engines, "is_installed", lambda name: True)
    assert engines.choose("auto") == "openvino"
    assert engines.choose("auto", device="cuda") == "onnxruntime"


def test_unknown_engine_is_named_with_the_choices():
    with pytest.raises(EngineError, match="'tensorrt'.*openvino, onnxruntime, mxnet"):
        engines.choose("tensorrt")


def test_engine_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr(engines, "is_installed", lambda name: False)
    with pytest.raises(EngineError, match="mxnet is not installed; pip install"):
        engines.choose("mxnet")


@pytest.mark.parametrize(
    "option, message",
    [
        (dict(precision="fp8"), "precision is 'fp8'; choose one of auto, fp32, tf32, bf16, int8"),
        (dict(device="tpu"), "device is 'tpu'; choose one of auto, cpu, cuda"),
        (dict(threads=0), "threads is 0"),
    ],
)
def test_unknown_options_are_named_with_the_choices(option, message):
    with pytest.raises(EngineError, match=message):
        engines.load("openvino", "model.onnx", **option)


@pytest.mark.parametrize(
    "engine, precision, able",
    [
        ("openvino", "tf32", "onnxruntime"),
        ("onnxruntime", "int8", "openvino"),
        ("mxnet", "bf16", "openvino"),
    ],
)
def test_precision_of_other_engines_is_refused_with_the_engine_that_has_it(engine, precision, able):
    message = f"engine {engine} has no {precision}; that needs --engine {able}"
    with pytest.raises(EngineError, match=message):
        engines.load(engine, "model.onnx", precision=precision)


def test_tf32_without_a_gpu_is_refused():
    pytest.importorskip("onnxruntime")
    model = store.find_shipped("rrdb_lite_x4", ".onnx")
    with pytest.raises(EngineError, match="'tf32', which processors lack"):
        engines.load("onnxruntime", model, precision="tf32", device="cpu")


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_file_that_is_no_model_is_refused_by_name(tmp_path, engine):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(EngineError, match="model.onnx"):
        engines.load(engine, path)


def test_cuda_where_there_is_none_says_so(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    with pytest.raises(EngineError, match="no CUDA"):
        engines.load("onnxruntime", tmp_path / "model.onnx", device="cuda")


def test_cuda_without_onnxruntime_says_what_to_install(monkeypatch):
    monkeypatch.setattr(engines, "is_installed", lambda name: name == "openvino")
    with pytest.raises(EngineError, match=r"pip install 'gluon-enhance\[gpu\]'"):
        engines.choose("auto", device="cuda")


@pytest.fixture
def broken_cuda(monkeypatch):
    """ONNX Runtime's package for GPUs on a machine without one."""
    onnxruntime = pytest.importorskip("onnxruntime")
    providers = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" in providers:
        pytest.skip("this machine has CUDA")
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *providers]
    )
    return store.find_shipped("rrdb_lite_x4", ".onnx")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_cuda_asked_for_is_never_replaced_by_the_processor(broken_cuda, monkeypatch, capfd):
    missing = "Failed to load libcublasLt.so.13"
    monkeypatch.setattr(
        "onnxruntime.preload_dlls", lambda: sys.stdout.write(missing), raising=False
    )
    with pytest.raises(EngineError, match="cannot use a GPU here"):
        engines.load("onnxruntime", broken_cuda, device="cuda")
    assert missing not in capfd.readouterr().out


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_the_device_described_is_the_one_in_use(broken_cuda):
    assert engines.load("onnxruntime", broken_cuda).describe()["device"] == "cpu"


def test_net_with_norms_gives_the_same_of_a_large_photo_as_of_a_small_one(monkeypatch, rng):
    openvino_engine = pytest.importorskip("gluon_enhance.engines.openvino_engine")
    batches = [rng.random((1, 3, *size), np.float32) for size in ((40, 56), (48, 32))]
    fixed, free = (
        engines.load("openvino", store.find_shipped("dped_resnet", ".onnx"), precision="fp32")
        for _ in range(2)
    )
    expected = [fixed.run(batch) for batch in batches]
    monkeypatch.setattr(openvino_engine, "LARGE", 0)
    for batch, result in zip(batches, expected):
        np.testing.assert_allclose(free.run(batch), result, atol=1e-6)


@pytest.mark.parametrize("model", ["srcnn_x4", "dped_densenet"])
def test_onnxruntime_runs_shipped_models_without_openvino(monkeypatch, picture, model):
    """Whole and, of the second, in bands; files of others are refused: see test_proportion."""
    pytest.importorskip("onnxruntime")
    options = {"engine": "onnxruntime", "tile": 32}
    expected = Enhancer(model, **options)(picture)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert np.array_equal(Enhancer(model, **options)(picture), expected)
