"""Our models among GluonCV's."""

import importlib.util
import sys

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")
if not importlib.util.find_spec("gluoncv"):
    pytest.skip("GluonCV is not installed", allow_module_level=True)

from gluon_enhance import gluoncv as ours  # noqa: E402
from gluon_enhance import zoo  # noqa: E402
from gluon_enhance.errors import EngineError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402

# A PyTorch newer than 1.x would stop GluonCV's own import, not that of ours.
model_zoo, utils = sys.modules["gluoncv"].model_zoo, sys.modules["gluoncv"].utils
NAME = "srcnn_x4"


@pytest.fixture
def net():
    return model_zoo.get_model(NAME, pretrained=True)


def test_models_are_listed_beside_gluoncvs_own():
    listed = model_zoo.get_model_list()
    assert {*zoo.list_models(), "resnet50_v1b"} <= set(listed)
    ours.register()  # once more
    assert len(model_zoo.get_model_list()) == len(set(listed))


def test_a_model_from_there_is_the_zoos(net):
    image = mx.nd.random.uniform(shape=(1, 3, 6, 5))
    expected = zoo.get_model(NAME, pretrained=True)(image).asnumpy()
    assert np.array_equal(net(image).asnumpy(), expected)
    assert net.spec == zoo.get_spec(NAME)


@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_exported_blocks_take_bytes_or_what_the_net_takes(net, tmp_path, rng):
    """As the files say that plain MXNet loads."""
    photo = rng.integers(0, 256, (1, 12, 10, 3))
    values = mx.nd.array(photo.transpose(0, 3, 1, 2) / 255)
    expected = net(values).asnumpy()
    utils.export_block(str(tmp_path / "raw"), net, (3, 8, 8), preprocess=None, layout="CHW")
    utils.export_block(str(tmp_path / "bytes"), net, (8, 8, 3), preprocess=ours.ToUnitRange())
    for name, data in (("raw", values), ("bytes", mx.nd.array(photo))):
        files = [str(tmp_path / f"{name}-{end}") for end in ("symbol.json", "0000.params")]
        block = mx.gluon.SymbolBlock.imports(files[0], ["data"], files[1])
        assert np.abs(block(data).asnumpy() - expected).max() < 1e-5


def test_a_name_that_gluoncv_gives_another_model_is_an_error(monkeypatch):
    monkeypatch.setitem(model_zoo.model_zoo._models, NAME, zoo.get_model)
    with pytest.raises(EngineError, match=f"has a model {NAME} of its own"):
        ours.register()
