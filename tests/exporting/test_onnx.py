import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import (
    engines,  # noqa: E402
    exporting,
)
from gluon_enhance.errors import EngineError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.rrdbnet import RRDBNet  # noqa: E402


@pytest.fixture(scope="module", params=[4, 2])
def exported(request, tmp_path_factory):
    net = RRDBNet(request.param, num_blocks=1, channels=16, growth_channels=8)
    net.initialize(mx.init.Xavier())
    path = tmp_path_factory.mktemp("export") / "net.onnx"
    return net, exporting.export_onnx(net, path, multiple=4 // request.param)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (3, 3, 14, 6), (1, 3, 2, 40)])
def test_engines_give_the_nets_numbers_at_any_size(exported, engine, shape, rng):
    net, path = exported
    batch = rng.random(shape, np.float32)
    expected = net(mx.nd.array(batch)).asnumpy()
    result = engines.load(engine, path, precision="fp32").run(batch)
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() < 1e-4


def test_mxnet_engine_gives_the_nets_numbers(exported, rng):
    net, _ = exported
    batch = rng.random((1, 3, 8, 12), np.float32)
    expected = net(mx.nd.array(batch)).asnumpy()
    assert np.abs(engines.load("mxnet", net).run(batch) - expected).max() < 1e-5


def test_file_has_free_axes_and_no_initializer_among_its_inputs(exported):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(exported[1]))
    assert len(model.graph.input) == 1
    axes = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert axes == ["batch", 3, "height", "width"]
    onnx.checker.check_model(model, full_check=True)


def test_file_that_differs_from_its_net_is_not_kept(tmp_path, monkeypatch):
    net = RRDBNet(4, num_blocks=1, channels=8, growth_channels=4)
    net.initialize(mx.init.Xavier())
    path = tmp_path / "net.onnx"
    path.write_bytes(b"the user's")
    monkeypatch.setattr(exporting, "TOLERANCE", -1.0)
    with pytest.raises(EngineError, match="differs from the net by"):
        exporting.export_onnx(net, path)
    assert path.read_bytes() == b"the user's"
    assert list(tmp_path.iterdir()) == [path]
