import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import (
    engines,  # noqa: E402
    exporting,
)
from gluon_enhance.exporting.float16 import halve_onnx, rounded  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402


def test_large_weights_are_rounded_and_norms_stay(rng):
    arrays = {"weight": rng.random((64, 16, 3, 3), np.float32), "gamma": rng.random(64, np.float32)}
    result = rounded(arrays)
    assert result["weight"].dtype == np.float16
    assert np.abs(result["weight"] - arrays["weight"]).max() <= 2**-12
    assert result["gamma"] is arrays["gamma"]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_file_of_rounded_weights_halves_and_gives_the_same_numbers(engine, tmp_path, rng):
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Conv2D(48, 3, padding=1, in_channels=3))
    net.add(mx.gluon.nn.Conv2D(3, 3, padding=1, in_channels=48))
    net.initialize(mx.init.Xavier())
    for parameter in net.collect_params().values():
        parameter.set_data(parameter.data().astype(np.float16).astype(np.float32))
    path = exporting.export_onnx(net, tmp_path / "net.onnx")
    batch = rng.random((1, 3, 8, 12), np.float32)
    size, expected = path.stat().st_size, engines.load(engine, path, precision="fp32").run(batch)
    halve_onnx(path)
    assert path.stat().st_size < 0.7 * size
    result = engines.load(engine, path, precision="fp32").run(batch)
    assert np.abs(result - expected).max() < 1e-6


def test_weights_that_float16_would_change_stay(tmp_path):
    net = mx.gluon.nn.Conv2D(3, 21, padding=10, in_channels=3)
    net.initialize(mx.init.Xavier())
    path = exporting.export_onnx(net, tmp_path / "net.onnx")
    size = path.stat().st_size
    halve_onnx(path)
    assert abs(path.stat().st_size - size) < 0.05 * size
