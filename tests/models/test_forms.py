"""What users get outside training is a graph that other programs know."""

import importlib

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import engines, zoo  # noqa: E402
from gluon_enhance.errors import EngineError  # noqa: E402
from gluon_enhance.exporting import export_onnx  # noqa: E402
from gluon_enhance.exporting.symbol import measured_pair  # noqa: E402
from gluon_enhance.forms import EXPORTING, FAST, in_form, set_form  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.training.devices import Devices  # noqa: E402
from gluon_enhance.training.steps import SupervisedStep  # noqa: E402
from gluon_enhance.whole_image.split import split_onnx  # noqa: E402

SHIPPED = [name for name, spec in zoo.MODELS.items() if spec.weights_kind == "shipped"]


def exported(name, folder):
    """Export a shipped net as any Gluon user does; return the pair, an image and the answer."""
    net = zoo.get_model(name, pretrained=True)
    net.hybridize()
    side = max(16, net.spec.min_size + 7) // 8 * 8
    image = mx.nd.array(np.random.default_rng(0).random((1, 3, side, side + 8)))
    answer = net(image).asnumpy()
    net.export(str(folder / "net"))
    return folder / "net-symbol.json", folder / "net-0000.params", image, answer


SLOPES = {"realesrgan_lite_x4"}
"""Nets with a slope for each channel, which MXNet's exporter writes as (C,), not (C, 1, 1)."""
NOT_TAKEN = pytest.mark.xfail(raises=EngineError, strict=True)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[NOT_TAKEN] * (name in SLOPES)) for name in SHIPPED],
)
def test_exported_nets_pass_mxnets_own_onnx_exporter(name, tmp_path):
    pytest.importorskip("onnx.mapping")
    symbol, params, image, answer = exported(name, tmp_path)
    path = tmp_path / "net.onnx"
    # The file is of a fixed size: MXNet's default.
    mx.onnx.export_model(str(symbol), str(params), [image.shape], np.float32, str(path))
    engine = engines.load("openvino", path, precision="fp32")
    assert np.abs(engine.run(image.asnumpy()) - answer).max() < 1e-4


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_nets_are_converted_to_mixed_precision(name):
    """By MXNet's AMP, to what GPUs compute in; processors have no float16."""
    net = zoo.get_model(name, pretrained=True)
    net.hybridize()
    net(mx.nd.zeros((1, 3, 48, 48)))
    amp = importlib.import_module("mxnet.contrib.amp")
    converted = amp.convert_hybrid_block(net, "float16", ctx=mx.cpu())
    operators = converted._cached_graph[1].get_internals().list_outputs()
    assert any("amp_cast" in operator for operator in operators)


@pytest.mark.parametrize("name", ["dped_densenet", "srcnn_x4"])
def test_exported_pairs_run_as_those_of_others(name, tmp_path):
    """Nets with instance norms are known by their graph, and run in bands."""
    pytest.importorskip("onnx.mapping")
    symbol, params, image, answer = exported(name, tmp_path)
    net = measured_pair(symbol, params)
    needs_whole = name == "dped_densenet"
    assert net.spec.tiling == ("global_statistics" if needs_whole else "exact")
    path = export_onnx(net, tmp_path / "net.onnx")
    engine = engines.load("openvino", path, precision="fp32")
    assert np.abs(engine.run(image.asnumpy()) - answer).max() < 1e-4
    if needs_whole:
        split_onnx(path)  # which compares bands with the whole


def test_training_steps_have_the_fast_form_and_it_computes_the_same():
    net = zoo.get_model("dped_densenet", pretrained=True)
    image = mx.nd.random.uniform(shape=(1, 3, 24, 32))
    plain = net(image).asnumpy()
    devices = Devices("cpu", 1)
    step = SupervisedStep(net, {}, devices.trainer([net], 1e-3), devices)
    assert {block.form for block in blocks_with_forms(step.net)} == {FAST}
    assert np.abs(net(image).asnumpy() - plain).max() < 1e-5


def test_a_form_for_a_while_leaves_each_block_its_own():
    net = zoo.get_model("srresnet_x4")
    set_form(net.tail, FAST)
    before = [block.form for block in blocks_with_forms(net)]
    with in_form(net, EXPORTING):
        assert {block.form for block in blocks_with_forms(net)} == {EXPORTING}
    assert [block.form for block in blocks_with_forms(net)] == before
    assert len(set(before)) == 2


def blocks_with_forms(net):
    blocks = []
    net.apply(lambda block: blocks.append(block) if hasattr(block, "form") else None)
    return blocks
