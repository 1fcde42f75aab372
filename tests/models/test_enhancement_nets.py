"""What every net of DPED, PLSR, style and WESPE does alike."""

import numpy as np
import pytest
from random_nets import randomize

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import engines  # noqa: E402
from gluon_enhance.exporting import export_onnx  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.dped import DPEDDenseNet, DPEDResNet  # noqa: E402
from gluon_enhance.models.plsr import PLSR, JohnsonSR  # noqa: E402
from gluon_enhance.models.style import StyleNet  # noqa: E402
from gluon_enhance.models.wespe import WESPEGenerator  # noqa: E402

SMALL = {"num_blocks": 1, "channels": 6}
NETS = {
    "dped": lambda: DPEDResNet(**SMALL),
    "dped_bn": lambda: DPEDResNet(norm="batch", **SMALL),
    "dped_batch_stats": lambda: DPEDResNet(norm="batch_stats", **SMALL),
    "dped_densenet_chain": lambda: DPEDDenseNet(2, 3, 4),
    "dped_densenet": lambda: DPEDDenseNet(2, 3, 4, dense=True),
    "plsr_x2": lambda: PLSR(**SMALL),
    "plsr_x4": lambda: JohnsonSR(4, **SMALL),
    "plsr_x8": lambda: JohnsonSR(8, **SMALL),
    "style": lambda: StyleNet(channels=4, num_blocks=1),
    "style_instance": lambda: StyleNet(channels=16, num_blocks=1, norm="instance"),
    "style_zero": lambda: StyleNet(channels=4, num_blocks=1, padding="zero"),
    "style_reflect": lambda: StyleNet(4, 1, padding="reflect", doublings="nearest"),
    "wespe": lambda: WESPEGenerator(**SMALL),
    "wespe_layer": lambda: WESPEGenerator("layer", 0.5, **SMALL),
}
SCALES = {"plsr_x2": 2, "plsr_x4": 4, "plsr_x8": 8}


@pytest.fixture(params=NETS)
def net(request, rng):
    net = NETS[request.param]()
    randomize(net, rng)
    net.tail.weight.set_data(net.tail.weight.data() * 0.1)  # off the ends of the tanh
    return net


def test_hybrid_equals_imperative(net, rng):
    x = mx.nd.array(rng.random((2, 3, 13, 10)))
    imperative = net(x).asnumpy()
    net.hybridize(static_alloc=True, static_shape=True)
    assert np.abs(net(x).asnumpy() - imperative).max() < 1e-6


@pytest.mark.parametrize("size", [(9, 9), (11, 14), (17, 30)])
def test_any_size_comes_out_scaled(net, request, size, rng):
    scale = SCALES.get(request.node.callspec.params["net"], 1)
    assert net(mx.nd.array(rng.random((1, 3, *size)))).shape[2:] == tuple(scale * n for n in size)


def test_every_trained_parameter_gets_a_gradient(net, rng):
    with mx.autograd.record():
        loss = (net(mx.nd.array(rng.random((2, 3, 12, 12)))) ** 2).sum()
    loss.backward()
    trained = [(n, p) for n, p in net.collect_params().items() if p.grad_req != "null"]
    assert not [n for n, p in trained if not p.grad().abs().sum().asscalar() > 0]


def test_saved_parameters_come_back(net, tmp_path, rng):
    x = mx.nd.array(rng.random((1, 3, 12, 9)))
    expected = net(x).asnumpy()
    net.save_parameters(str(tmp_path / "net.params"))
    randomize(net, rng)
    net.load_parameters(str(tmp_path / "net.params"))
    assert np.array_equal(net(x).asnumpy(), expected)


def test_onnx_file_gives_the_nets_numbers_at_other_sizes_and_the_net_stays(net, tmp_path, rng):
    batches = [rng.random(shape, np.float32) for shape in ((1, 3, 13, 17), (2, 3, 20, 11))]
    expected = [net(mx.nd.array(batch)).asnumpy() for batch in batches]
    path = export_onnx(net, tmp_path / "net.onnx", multiple=2)
    engine = engines.load("onnxruntime", path, precision="fp32")
    for batch, reference in zip(batches, expected):
        assert np.abs(engine.run(batch) - reference).max() < 1e-4
        assert np.abs(net(mx.nd.array(batch)).asnumpy() - reference).max() < 1e-6


@pytest.mark.parametrize("name, norms", [("dped", 2), ("style_instance", 7), ("dped_bn", 0)])
def test_exported_instance_norms_are_single_nodes_that_tiling_can_find(name, norms, tmp_path, rng):
    onnx = pytest.importorskip("onnx")
    net = NETS[name]()
    randomize(net, rng)
    nodes = onnx.load(str(export_onnx(net, tmp_path / "net.onnx", multiple=2))).graph.node
    assert [node.op_type for node in nodes].count("InstanceNormalization") == norms
