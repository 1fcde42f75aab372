"""Nets in half precision, by Gluon's `cast` and by MXNet's AMP; its processors lack operators."""

import importlib

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import zoo  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402

#: The smallest net of each architecture, by its class and norm.
SMALLEST = {
    (spec.net, spec.kwargs.get("norm")): name
    for name, spec in sorted(zoo.MODELS.items(), key=lambda item: -item[1].parameters)
}


def traced(name):
    net = zoo.get_model(name)
    net.initialize()
    net.hybridize()
    net(mx.nd.zeros((1, 3, 48, 48)))
    return net


@pytest.mark.parametrize("name", SMALLEST.values())
def test_a_cast_net_is_of_float16_from_input_to_output(name):
    net = zoo.get_model(name)
    net.initialize()
    net.cast("float16")
    _, (output,), _ = net(mx.sym.var("data")).infer_type(data=np.float16)
    assert output == np.float16


@pytest.mark.parametrize("name", SMALLEST.values())
@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_amp_converts_a_net_and_leaves_its_input_and_sizes(name):
    net = traced(name)
    amp = importlib.import_module("mxnet.contrib.amp")
    converted = amp.convert_hybrid_block(net, "float16", ctx=mx.cpu())
    graph = converted._cached_graph[1]
    operators = graph.get_internals().list_outputs()
    assert any("amp_cast" in operator for operator in operators)
    shapes = [
        symbol.infer_shape(data=(1, 3, 48, 64))[1] for symbol in (graph, net(mx.sym.var("data")))
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_amp_converts_an_exported_pair(tmp_path):
    net = traced("srcnn_x4")
    net.export(str(tmp_path / "net"))
    pair = mx.model.load_checkpoint(str(tmp_path / "net"), 0)
    amp = importlib.import_module("mxnet.contrib.amp")
    graph, weights, _ = amp.convert_model(*pair, target_dtype="float16", cast_optional_params=True)
    assert {array.dtype for array in weights.values()} >= {np.float16}
    assert any("amp_cast" in name for name in graph.get_internals().list_outputs())
