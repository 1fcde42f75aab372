import sys

import numpy as np
import pytest

from gluon_enhance import engines
from gluon_enhance.errors import EngineError
from gluon_enhance.inference.enhancer import Enhancer
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
    pytest.importorskip(engine)
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
    pytest.importorskip(engine)
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


@pytest.mark.parametrize(
    "device, gpu, name",
    [("auto", None, None), ("cpu", None, None), ("cuda", 0, "cuda"), ("cuda:0", 0, "cuda"),
     ("cuda:1", 1, "cuda:1"), ("cuda:12", 12, "cuda:12")],
)  # fmt: skip
def test_device_tells_the_gpu(device, gpu, name):
    assert engines.gpu_of(device) == gpu
    assert gpu is None or engines.cuda_name(gpu) == name


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda1", "cuda:-1", ""])
def test_unknown_device_is_refused_with_those_there_are(device):
    with pytest.raises(EngineError, match="choose one of auto, cpu, cuda or, of several GPUs"):
        engines.choose("auto", device)


@pytest.mark.parametrize("device, expected", [("cuda:1", 1), ("cuda", 0), ("auto", 0)])
def test_the_gpu_that_is_named_is_the_one_asked_for(monkeypatch, device, expected):
    onnxruntime = pytest.importorskip("onnxruntime")

    class Session:
        def __init__(self, path, options, providers):
            self.providers = providers

        def get_providers(self):
            return [name for name, _ in self.providers]

        def get_inputs(self):
            asked.extend(self.providers)
            return []

    asked = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    engine = engines.load("onnxruntime", store.find_shipped("srcnn_x4", ".onnx"), device=device)
    ((_, settings),) = asked
    assert settings["device_id"] == expected
    assert engine.describe()["device"] == ("cuda:1" if expected else "cuda")


def test_the_gpu_that_is_named_is_mxnets_context(monkeypatch):
    pytest.importorskip("mxnet", reason="MXNet is not installed")
    from gluon_enhance.engines import mxnet

    asked = []
    monkeypatch.setattr(mxnet, "context", lambda name: asked.append(name) or 1 / 0)
    for device in ("cpu", "cuda", "cuda:3"):
        with pytest.raises(ZeroDivisionError):
            engines.load("mxnet", None, device=device)
    assert asked == ["cpu", "gpu(0)", "gpu(3)"]


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
    openvino_engine = pytest.importorskip("gluon_enhance.engines.openvino")
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
