"""What is converted into the cache: once, whole, by however many at once."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gluon_enhance import exporting
from gluon_enhance.errors import EngineError, UnknownModelError, WeightsError
from gluon_enhance.inference.resolve import resolve
from gluon_enhance.weights import store
from gluon_enhance.weights.readers.gluon import write_params
from gluon_enhance.zoo import MODELS

RUN = """
import sys
import numpy as np
import gluon_enhance as ge

image = np.arange(10 * 8 * 3, dtype=np.uint8).reshape(10, 8, 3)
np.save(sys.argv[2], ge.Enhancer(sys.argv[1], precision="fp32", threads=1)(image))
"""


def test_many_at_once_convert_one_time(tmp_path, monkeypatch):
    calls, together = [], threading.Barrier(4)

    def export_onnx(net, path, multiple):
        calls.append(path)
        time.sleep(0.2)
        path.write_bytes(b"onnx")

    def find(_):
        together.wait()
        return source.find(".onnx")

    monkeypatch.setattr(exporting, "export_onnx", export_onnx)
    (tmp_path / "own.params").write_bytes(b"weights")
    monkeypatch.setattr("gluon_enhance.zoo.get_model", lambda *_, **__: None)
    source = resolve(f"srcnn_x4={tmp_path / 'own.params'}")[1]
    with ThreadPoolExecutor(4) as threads:
        paths = set(threads.map(find, range(4)))
    assert len(calls) == len(paths) == 1 and paths.pop().read_bytes() == b"onnx"


def test_two_commands_that_convert_one_model_at_once_agree(tmp_path):
    pytest.importorskip("mxnet", reason="MXNet is not installed")
    pytest.importorskip("onnx")
    import gluon_enhance as ge

    net = ge.get_model("srcnn_x4")
    net.initialize()
    net.save_parameters(str(tmp_path / "own.params"))
    answers = [tmp_path / "0.npy", tmp_path / "1.npy"]
    commands = [
        subprocess.Popen([sys.executable, "-c", RUN, f"srcnn_x4={tmp_path / 'own.params'}", answer])
        for answer in answers
    ]
    assert [command.wait(timeout=120) for command in commands] == [0, 0]
    first, second = map(np.load, answers)
    assert np.array_equal(first, second) and first.shape == (40, 32, 3)
    cache = store.cache_folder()
    left = {path.suffix or path.name for path in cache.iterdir()}
    assert {".onnx"} <= left <= {".onnx", ".lock", ".sha256", "compiled"}
    assert {path.suffix for path in (cache / "compiled").rglob("*")} <= {".compiled"}


@pytest.fixture
def general_models(tmp_path, monkeypatch, rng):
    """Weights of the two general models, by name, in the places of the official ones."""
    pytest.importorskip("mxnet", reason="MXNet is not installed")
    from gluon_enhance import get_model

    states, files = {}, {}
    for name in ("realesr_general_x4", "realesr_general_wdn_x4"):
        net = get_model(name)
        shapes = {key: p.shape for key, p in net._collect_params_with_prefix().items()}
        states[name] = {key: rng.normal(size=s).astype(np.float32) for key, s in shapes.items()}
        files[net.spec.weights[0]] = write_params(tmp_path / f"{name}.params", states[name])
    monkeypatch.setattr(store, "find", lambda names, *_: files[names[0]])
    return states


@pytest.mark.parametrize("name", ["realesr_general_x4", "realesr_general_wdn_x4"])
@pytest.mark.parametrize("strength", [0, 0.25, 1])
def test_denoise_is_a_net_between_the_general_models(general_models, name, strength):
    net = resolve(name, strength)[1].net()
    denoising, keeping = (
        general_models[name] for name in ("realesr_general_x4", "realesr_general_wdn_x4")
    )
    for key, parameter in net._collect_params_with_prefix().items():
        expected = strength * denoising[key].astype(np.float64) + (1 - strength) * keeping[key]
        np.testing.assert_allclose(parameter.data().asnumpy(), expected, rtol=1e-5, atol=1e-6)


def test_each_strength_has_a_file_of_its_own(general_models, monkeypatch):
    monkeypatch.setattr(exporting, "export_onnx", lambda net, path, _: path.write_bytes(b"onnx"))
    paths = [resolve("realesr_general_x4", s)[1].find(".onnx") for s in (0, 0.25, 0.5, 1, 0.25)]
    assert len(set(paths)) == 4 and paths[1] == paths[4]


@pytest.mark.parametrize(
    "name, strength, message",
    [
        (
            "esrgan_lite_x4",
            0.5,
            "denoise is for realesr_general_x4 and realesr_general_wdn_x4",
        ),
        ("RealESR_General_x4", 1.5, "denoise is 1.5; give a number from 0 to 1"),
        ("realesr_general_x4", float("nan"), "denoise is nan"),
    ],
)
def test_denoise_that_cannot_be_served_is_refused(name, strength, message):
    with pytest.raises((EngineError, ValueError), match=message):
        resolve(name, strength)


def test_empty_text_is_no_model():
    with pytest.raises(UnknownModelError):
        resolve("")


def test_a_model_without_weights_is_refused_by_its_name():
    names = [name for name, spec in MODELS.items() if spec.weights_kind == "none"]
    assert "plsr_x8" in names
    for name in names:
        with pytest.raises(WeightsError, match=f"{name} has no trained weights; give a file"):
            resolve(name)[1].find(".onnx")
