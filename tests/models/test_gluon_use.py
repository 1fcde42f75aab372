"""Nets used as any Gluon user does."""

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.errors import EngineError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402

SMALL = {"num_blocks": 1, "channels": 4}


def made(name="edsr_x2", **options):
    net = ge.get_model(name, **SMALL, **options)
    net.initialize(mx.init.Xavier())
    return net


def test_options_change_the_net_and_its_spec():
    net = made("edsr_x4", scale=2)
    assert net(mx.nd.zeros((1, 3, 8, 9))).shape == (1, 3, 16, 18)
    assert (net.spec.scale, net.spec.kwargs["scale"], net.spec.kwargs["channels"]) == (2, 2, 4)


@pytest.mark.parametrize(
    "name, options, message",
    [
        (
            "dped_resnet",
            {"scale": 2},
            "dped_resnet has no option scale; DPEDResNet takes num_blocks, ",
        ),
        ("wespe", {"scale": 2}, "WESPEGenerator takes norm, tanh_scale, num_blocks, channels"),
        ("srcnn_x4", {"classes": 9}, "srcnn_x4 has no option classes; SRCNN takes scale"),
    ],
)
def test_an_option_that_a_net_does_not_have_is_named(name, options, message):
    with pytest.raises(TypeError, match=message):
        ge.get_model(name, **options)


def test_two_nets_learn_with_one_trainer():
    nets = made(), made("dped_resnet")
    parameters = nets[0].collect_params()
    parameters.update(nets[1].collect_params())
    trainer = mx.gluon.Trainer(parameters, "sgd", {"learning_rate": 0.1})
    before = [net.head.weight.data().asnumpy() for net in nets]
    with mx.autograd.record():
        output = nets[0](nets[1](mx.nd.random.uniform(shape=(1, 3, 8, 8))))
        loss = ge.losses.L1Loss()(output, mx.nd.zeros((1, 3, 16, 16)))
    loss.backward()
    trainer.step(1)
    for net, former in zip(nets, before):
        assert not np.array_equal(net.head.weight.data().asnumpy(), former)


def test_parameters_are_saved_and_loaded(tmp_path):
    net, image = made("srresnet_x4"), mx.nd.random.uniform(shape=(1, 3, 8, 8))
    net.save_parameters(str(tmp_path / "net.params"))
    again = ge.get_model("srresnet_x4", **SMALL)
    again.load_parameters(str(tmp_path / "net.params"))
    read = ge.get_model(pretrained=tmp_path / "net.params")
    for other in (again, read):
        assert np.array_equal(other(image).asnumpy(), net(image).asnumpy())


@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_an_export_is_imported_as_a_symbol_block(tmp_path):
    net, image = made(), mx.nd.random.uniform(shape=(2, 3, 9, 7))
    pair = ge.export(net, tmp_path / "net", ["symbol"]) / "edsr_x2"
    block = mx.gluon.SymbolBlock.imports(f"{pair}-symbol.json", ["data"], f"{pair}-0000.params")
    assert np.array_equal(block(image).asnumpy(), net(image).asnumpy())


def test_a_summary_counts_the_weights(capsys):
    net = made("dped_resnet")
    net.summary(mx.nd.zeros((1, 3, 16, 16)))
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "Total params" in line)
    assert int(line.split()[-1]) == net.spec.parameters


@pytest.fixture
def numpy_mode():
    mx.npx.set_np()
    yield
    mx.npx.reset_np()


@pytest.mark.parametrize(
    "use",
    [
        lambda folder: ge.get_model("srcnn_x4"),
        lambda folder: ge.get_model("srcnn_x4", pretrained=True),
        lambda folder: ge.export(mx.gluon.nn.HybridSequential(), folder / "net"),
        lambda folder: ge.losses.VGGFeatures(16, "relu1_1")(mx.np.zeros((1, 3, 8, 8))),
    ],
)
def test_numpy_mode_is_refused_in_a_line_that_says_what_to_do(use, numpy_mode, tmp_path):
    with pytest.raises(EngineError, match=r"npx\.set_np\(\) is in force.*npx\.reset_np\(\)"):
        use(tmp_path)


def test_engines_of_files_do_not_mind_numpy_mode(numpy_mode):
    image = np.zeros((8, 9, 3), np.uint8)
    assert ge.Enhancer("srcnn_x4", engine="openvino")(image).shape == (32, 36, 3)
