"""A file of a few bytes cannot make an engine take gigabytes."""

import re
import sys

import numpy as np
import pytest

from gluon_enhance import engines, zoo
from gluon_enhance.engines import proportion
from gluon_enhance.errors import EngineError
from gluon_enhance.weights import store

onnx = pytest.importorskip("onnx")
pytest.importorskip("openvino")


@pytest.fixture(params=["openvino", "onnxruntime"])
def name(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def engine(tmp_path, name):
    """A net that adds the mean of a map of `side` x `side` pixels to an image."""

    def load(kind, side):
        make = onnx.helper.make_node
        first = {
            "fixed": [make("ConstantOfShape", ["shape"], ["map"])],
            "from the image": [
                make("ReduceMean", ["data"], ["mean"]),
                make("Expand", ["mean", "shape"], ["map"]),
            ],
        }
        last = [make("ReduceMean", ["map"], ["value"]), make("Add", ["data", "value"], ["out"])]
        ends = [
            onnx.helper.make_tensor_value_info(k, 1, ["n", 3, "h", "w"]) for k in ("data", "out")
        ]
        shape = onnx.numpy_helper.from_array(np.array([1, 1, side, side]), "shape")
        graph = onnx.helper.make_graph([*first[kind], *last], "net", ends[:1], ends[1:], [shape])
        opsets = [onnx.helper.make_opsetid("", 13)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
        path = tmp_path / "net.onnx"
        path.write_bytes(model.SerializeToString())
        return engines.load(name, path, precision="fp32", threads=1)

    return load


@pytest.mark.parametrize("kind", ["fixed", "from the image"])
def test_maps_out_of_proportion_are_refused_before_they_are_made(kind, engine):
    batch = np.zeros((1, 3, 8, 8), np.float32)
    assert engine(kind, 16).run(batch).shape == batch.shape
    message = r"net.onnx makes 144,000,000 numbers at once for \d+ of input and output"
    with pytest.raises(EngineError, match=message) as caught:
        engine(kind, 12_000).run(batch)
    assert "\n" not in str(caught.value)


def test_the_bound_grows_with_the_image(engine, monkeypatch):
    net = engine("from the image", 100)  # 10,000 numbers, the bound is 256 x 2 x 3 x H x W
    monkeypatch.setattr(proportion, "SMALL_MAP", 0)
    with pytest.raises(EngineError, match=re.escape("10,000 numbers")):
        net.run(np.zeros((1, 3, 2, 3), np.float32))
    net.run(np.zeros((1, 3, 2, 4), np.float32))


@pytest.mark.parametrize("model", ["dped_densenet", "esrgan_lite_x4", "srresnet_x4"])
def test_shipped_models_stay_far_below_the_bound(model, name, monkeypatch):
    monkeypatch.setattr(proportion, "SMALL_MAP", 0)
    monkeypatch.setattr(proportion, "LARGEST_MAP", 256 // 6)
    path = store.find_shipped(model, ".onnx")
    side = 16 * zoo.get_spec(model).multiple
    engine = engines.load(name, path, precision="fp32", threads=1)
    engine.run(np.zeros((1, 3, side, side), np.float32))


def test_a_file_that_nothing_can_check_is_refused_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match=r"net.onnx cannot be checked.*pip install openvino"):
        proportion.MapsInProportion(tmp_path / "net.onnx")
