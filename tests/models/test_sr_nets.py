"""What every convolutional super-resolution net must do, whatever its layers."""

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import Enhancer, engines  # noqa: E402
from gluon_enhance.data.benchmarks import find_pairs, read_pair  # noqa: E402
from gluon_enhance.exporting import export_onnx  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.imaging.metrics import psnr  # noqa: E402
from gluon_enhance.models.edsr import EDSR  # noqa: E402
from gluon_enhance.models.rrdbnet import RRDBNet  # noqa: E402
from gluon_enhance.models.srcnn import SRCNN  # noqa: E402
from gluon_enhance.models.srresnet import MSRResNet, SRResNet  # noqa: E402
from gluon_enhance.models.srvgg import SRVGGNetCompact  # noqa: E402

NETS = {
    "srcnn": (4, lambda: SRCNN(4, kernel_size=1)),
    "srcnn x3": (3, lambda: SRCNN(3, kernel_size=1)),
    "srresnet": (4, lambda: SRResNet(4, num_blocks=1, channels=8)),
    "srresnet slopes": (2, lambda: SRResNet(2, num_blocks=1, channels=8, shared_slopes=False)),
    "srgan": (8, lambda: SRResNet(8, num_blocks=1, channels=4, trunk_norm=False, tanh=True)),
    "msrresnet": (4, lambda: MSRResNet(4, num_blocks=1, channels=4)),
    "edsr x2": (2, lambda: EDSR(2, num_blocks=1, channels=4)),
    "edsr x3": (3, lambda: EDSR(3, num_blocks=1, channels=4, residual_scale=0.1)),
    "edsr x4": (4, lambda: EDSR(4, num_blocks=1, channels=4)),
    "rrdb": (4, lambda: RRDBNet(4, num_blocks=1, channels=4, growth_channels=2)),
    "rrdb x2": (2, lambda: RRDBNet(2, num_blocks=1, channels=4, growth_channels=2)),
    "srvgg": (4, lambda: SRVGGNetCompact(4, num_convs=1, channels=8)),
    "srvgg x2": (2, lambda: SRVGGNetCompact(2, num_convs=2, channels=5)),
}
MULTIPLES = {"rrdb x2": 2}
"""What height and width must be multiples of, if of more than 1."""


@pytest.fixture(params=NETS)
def scale_and_net(request, rng):
    """A net whose slopes and norms are not their initial, trivial ones."""
    scale, make = NETS[request.param]
    net = make()
    net.initialize(mx.init.Xavier())
    for name, parameter in net._collect_params_with_prefix().items():
        if name.rpartition(".")[2] in ("alpha", "gamma", "beta", "running_mean", "running_var"):
            parameter.set_data(mx.nd.array(rng.uniform(0.1, 0.9, parameter.shape)))
    return scale, net


@pytest.fixture
def multiple(request):
    return MULTIPLES.get(request.node.callspec.params["scale_and_net"], 1)


def test_hybrid_equals_imperative_at_odd_sizes(scale_and_net, multiple, rng):
    scale, net = scale_and_net
    shapes = ((2, 3, 7 * multiple, 5 * multiple), (1, 3, 3 * multiple, 10 * multiple))
    batches = [mx.nd.array(rng.random(shape)) for shape in shapes]
    imperative = [net(batch).asnumpy() for batch in batches]
    net.hybridize()
    for batch, expected in zip(batches, imperative):
        assert expected.shape[2:] == (scale * batch.shape[2], scale * batch.shape[3])
        assert np.abs(net(batch).asnumpy() - expected).max() < 1e-5


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_exported_net_gives_the_same_numbers_at_any_size(
    scale_and_net, multiple, engine, tmp_path, rng
):
    """The width 8 is also the number of channels: per-channel slopes must not be taken for it."""
    _, net = scale_and_net
    path = export_onnx(net, tmp_path / "net.onnx", multiple)
    runner = engines.load(engine, path, precision="fp32")
    for shape in ((1, 3, 8, 8), (2, 3, 5 * multiple, 13 * multiple)):
        batch = rng.random(shape, np.float32)
        assert np.abs(runner.run(batch) - net(mx.nd.array(batch)).asnumpy()).max() < 1e-4


def test_every_trained_parameter_gets_a_gradient(scale_and_net, rng):
    _, net = scale_and_net
    # Under the batch's own statistics a norm would cancel the biases before it.
    with mx.autograd.record(train_mode=False):
        loss = (net(mx.nd.array(rng.random((2, 3, 8, 8)))) ** 2).sum()
    loss.backward()
    trained = {n: p for n, p in net.collect_params().items() if p.grad_req != "null"}
    assert not [n for n, p in trained.items() if not p.grad().abs().sum().asscalar() > 0]


def test_saved_parameters_come_back(scale_and_net, multiple, tmp_path, rng, request):
    _, net = scale_and_net
    other = NETS[request.node.callspec.params["scale_and_net"]][1]()
    net.save_parameters(str(tmp_path / "net.params"))
    other.load_parameters(str(tmp_path / "net.params"))
    x = mx.nd.array(rng.random((1, 3, 5 * multiple, 6)))
    assert np.array_equal(net(x).asnumpy(), other(x).asnumpy())


@pytest.mark.reference
@pytest.mark.slow
@pytest.mark.parametrize(
    "model, file, expected",
    [
        ("srgan_voc_x4", "srgan/netG_epoch_4_100.pth", 30.64),
        ("realesr_video_x4", "realesr-animevideov3.rezipped.pth", 28.22),
    ],
)
def test_official_weights_reach_their_score_on_set5(reference_data, model, file, expected):
    enhance = Enhancer(f"{model}={reference_data / 'weights' / file}", precision="fp32")
    folder = reference_data / "sets" / "Set5" / "x4"
    scores = []
    for pair in find_pairs(folder / "hr", folder / "lr"):
        lr, hr, scale = read_pair(pair, 4)
        scores.append(psnr(enhance(lr), hr, crop_border=scale, y_channel=True))
    assert round(np.mean(scores), 2) == expected
