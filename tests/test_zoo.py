import json
import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gluon_enhance import zoo
from gluon_enhance.errors import UnknownModelError, WeightsError
from gluon_enhance.framework import is_mxnet_installed
from gluon_enhance.weights import store

REPOSITORY = Path(__file__).resolve().parents[1]
needs_mxnet = pytest.mark.skipif(not is_mxnet_installed(), reason="MXNet is not installed")


@pytest.fixture
def no_shipped_models(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "model_zoo_folder", lambda: tmp_path / "model_zoo")
    return tmp_path / "model_zoo"


def rrdbnet_parameters(num_blocks, channels, growth_channels, inputs):
    """Weights and biases of the 3x3 convolutions in the paper's figure."""

    def conv(c_in, c_out):
        return 9 * c_in * c_out + c_out

    growth = [conv(channels + k * growth_channels, growth_channels) for k in range(4)]
    dense = sum(growth) + conv(channels + 4 * growth_channels, channels)
    ends = conv(inputs, channels) + 4 * conv(channels, channels) + conv(channels, 3)
    return 3 * num_blocks * dense + ends


def test_importing_the_zoo_does_not_import_mxnet():
    code = "import sys, gluon_enhance.zoo as z; z.list_models(); print('mxnet' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, text=True, capture_output=True, check=True
    ).stdout
    assert output.strip() == "False"


@pytest.mark.parametrize("name", zoo.MODELS)
def test_spec_is_whole(name):
    spec = zoo.MODELS[name]
    assert spec.name == name == name.lower()
    assert spec.name.endswith(f"_x{spec.scale}") == (spec.scale > 1)
    assert spec.kwargs.get("scale", spec.scale) == spec.scale
    assert spec.tiling in ("exact", "global_statistics")
    assert spec.halo >= 0 and spec.multiple >= 1
    assert spec.paper.startswith("https://")
    assert pickle.loads(pickle.dumps(spec)) == spec
    hash(spec)
    for file in spec.weights:
        assert store.manifest()[file].layout == spec.net.partition(".")[2]
        assert store.manifest()[file].license == spec.license


@pytest.mark.parametrize("name", [n for n, s in zoo.MODELS.items() if "RRDBNet" in s.net])
def test_parameters_follow_from_the_layers(name):
    spec = zoo.MODELS[name]
    sizes = {key: value for key, value in spec.kwargs.items() if key != "scale"}
    inputs = 3 * (4 // spec.scale) ** 2
    assert spec.parameters == rrdbnet_parameters(**sizes, inputs=inputs)


@needs_mxnet
@pytest.mark.parametrize("name", zoo.MODELS)
def test_built_net_has_the_parameters_of_its_spec(name):
    net = zoo.get_model(name)
    parameters = net.collect_params().values()
    trained = sum(math.prod(p.shape) for p in parameters if p.grad_req != "null")
    assert trained == zoo.MODELS[name].parameters
    assert net.spec == zoo.MODELS[name]


@needs_mxnet
def test_two_nets_of_one_name_are_in_one_block_and_one_trainer_and_their_files_load(tmp_path):
    from gluon_enhance.framework import mx

    class Both(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.first = zoo.get_model("srcnn_x4", pretrained=True)
                self.second = zoo.get_model("srcnn_x4", pretrained=True)

        def hybrid_forward(self, F, x):
            return self.first(x) + 2 * self.second(x)

    alone, others = (zoo.get_model("srcnn_x4", pretrained=True) for _ in range(2))
    mx.gluon.Trainer({**alone.collect_params(), **others.collect_params()}, "adam")
    image = mx.nd.random.uniform(shape=(1, 3, 6, 5))
    expected = 3 * alone(image).asnumpy()
    both = Both()
    mx.gluon.Trainer(both.collect_params(), "adam")
    assert len(both.collect_params().keys()) == 2 * len(alone.collect_params().keys())
    np.testing.assert_allclose(both(image).asnumpy(), expected, rtol=1e-5)
    both.save_parameters(str(tmp_path / "both.params"))
    both.second.save_parameters(str(tmp_path / "second.params"))
    again = Both()
    again.load_parameters(str(tmp_path / "both.params"))
    np.testing.assert_allclose(again(image).asnumpy(), expected, rtol=1e-5)
    one = zoo.get_model("srcnn_x4", pretrained=tmp_path / "second.params")
    np.testing.assert_allclose(3 * one(image).asnumpy(), expected, rtol=1e-5)


def test_full_nets_have_the_published_sizes():
    assert zoo.MODELS["esrgan_x4"].parameters == 16_697_987
    assert zoo.MODELS["realesrgan_x2"].parameters == 16_703_171
    assert zoo.MODELS["realesrgan_anime_x4"].parameters == 4_467_779
    assert zoo.MODELS["rrdb_lite_x4"].parameters <= 1_500_000


def test_names_are_found_in_any_case():
    assert zoo.get_spec("ESRGAN_x4") is zoo.MODELS["esrgan_x4"]


def test_an_unknown_name_brings_up_the_near_ones():
    with pytest.raises(UnknownModelError) as caught:
        zoo.get_spec("esrgan_x3")
    assert str(caught.value).startswith("there is no model 'esrgan_x3'; near ones are esrgan_x4")
    with pytest.raises(UnknownModelError, match="'nothing'; `gluon-enhance models` lists all"):
        zoo.get_spec("nothing")


def test_models_are_listed_by_pattern_and_weights(no_shipped_models):
    assert zoo.list_models() == list(zoo.MODELS)
    assert set(zoo.list_models("realesrgan_*")) == {
        "realesrgan_lite_x4",
        "realesrgan_lite_x2",
        "realesrgan_x4",
        "realesrgan_x2",
        "realesrgan_anime_x4",
    }
    assert zoo.list_models("*GAN_X2") == ["realesrgan_x2"]
    assert "rrdb_lite_x4" in zoo.list_models(pretrained=False)
    assert "esrgan_x4" in zoo.list_models(pretrained=True)
    assert zoo.list_models("nothing*") == []


def test_a_card_makes_a_model_shipped_and_gives_its_scores(no_shipped_models):
    spec = zoo.MODELS["rrdb_lite_x4"]
    assert (spec.weights_kind, spec.scores) == ("none", {})
    assert zoo.MODELS["esrgan_x4"].weights_kind == "official"
    scores = {"Set5 x4": {"psnr_y": 31.2}}
    (no_shipped_models / spec.name).mkdir(parents=True)
    (no_shipped_models / spec.name / "card.json").write_text(json.dumps({"scores": scores}))
    assert (spec.weights_kind, spec.scores) == ("shipped", scores)


@needs_mxnet
def test_untrained_nets_come_uninitialized():
    with pytest.raises(RuntimeError, match="has not been initialized"):
        zoo.get_model("rrdb_lite_x4").head.weight.data()


@needs_mxnet
def test_kwargs_replace_those_of_the_table():
    net = zoo.get_model("rrdb_lite_x4", num_blocks=1, prefix="mine_")
    assert net.prefix == "mine_"
    assert net.spec.kwargs == {**zoo.MODELS["rrdb_lite_x4"].kwargs, "num_blocks": 1}
    assert zoo.MODELS["rrdb_lite_x4"].kwargs["num_blocks"] == 4


@needs_mxnet
@pytest.mark.parametrize("name", ["dped_resnet", "dped_resnet_bn", "dped_densenet", "wespe"])
def test_tiling_follows_from_the_norm_that_a_net_is_built_with(name):
    for norm in ("instance", "batch_stats", "layer"):
        assert zoo.get_model(name, norm=norm).spec.tiling == "global_statistics"
    assert zoo.get_model(name, norm="batch").spec.tiling == "exact"


@needs_mxnet
def test_parameters_are_those_of_the_net_that_is_built():
    spec = zoo.get_model("rrdb_lite_x4", num_blocks=1).spec
    sizes = {"num_blocks": 1, "channels": 32, "growth_channels": 16}
    assert spec.parameters == rrdbnet_parameters(**sizes, inputs=3)


@needs_mxnet
def test_weights_come_from_a_file_or_from_the_shipped_model(no_shipped_models, tmp_path):
    net = zoo.get_model("rrdb_lite_x4")
    net.initialize()
    folder = no_shipped_models / "rrdb_lite_x4"
    folder.mkdir(parents=True)
    path = folder / "rrdb_lite_x4.params"
    net.save_parameters(str(path))
    expected = net.tail[2].weight.data().asnumpy()
    given = zoo.get_model("rrdb_lite_x4", pretrained=path)
    np.testing.assert_array_equal(given.tail[2].weight.data().asnumpy(), expected)

    digest = store.WeightFile(path.name, "0" * 64)
    card = {"name": "rrdb_lite_x4", "files": {path.name: {"sha256": digest.sha256}}}
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="is cut short or changed"):
        zoo.get_model("rrdb_lite_x4", pretrained=True)


@needs_mxnet
def test_untrained_models_have_no_pretrained_weights(no_shipped_models):
    with pytest.raises(WeightsError, match="rrdb_lite_x4 has no trained weights"):
        zoo.get_model("rrdb_lite_x4", pretrained=True)


@needs_mxnet
def test_a_truncated_official_file_is_not_loaded(no_shipped_models, monkeypatch, tmp_path):
    (tmp_path / "RRDB_ESRGAN_x4.pth").write_bytes(bytes(1234))
    monkeypatch.setenv("GLUON_ENHANCE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="RRDB_ESRGAN_x4.pth has 1,234 of 66,929,193 bytes"):
        zoo.get_model("esrgan_x4", pretrained=True)
