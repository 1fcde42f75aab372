"""What a card beside a file of weights says of the net that they are of."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from gluon_enhance import zoo
from gluon_enhance.errors import WeightsError
from gluon_enhance.framework import is_mxnet_installed
from gluon_enhance.weights.readers.gluon import save_arrays

SPEC = zoo.MODELS["wespe"]
TRAINED = {
    "name": "wespe",
    "kwargs": {"norm": "layer", "tanh_scale": 0.5},
    "tiling": "global_statistics",
    "parameters": 401_475,
}
SMALL = {"num_blocks": 1, "channels": 6}
#: Options of training scripts that are not in the zoo's table.
VARIANTS = [
    ("wespe", {"tanh_scale": 0.5, **SMALL}),
    ("wespe", {"norm": "layer", **SMALL}),
    ("wespe", {"norm": "batch", **SMALL}),
    ("dped_resnet", {"norm": "batch_stats", **SMALL}),
    ("dped_densenet", {"dense": True, "num_layers": 2, "channels": 4}),
    ("dped_densenet", {"norm": "layer", "num_layers": 2, "channels": 4}),
    ("plsr_x2", {"mean": [0.2, 0.3, 0.4], **SMALL}),
    ("style_wave", {"padding": "zero", "channels": 4}),
]


def put(folder, card, name="wespe.params"):
    (folder / "card.json").write_text(json.dumps(card))
    return folder / name


def test_options_of_a_training_replace_those_of_the_table(tmp_path):
    spec = zoo.trained_spec(SPEC, put(tmp_path, TRAINED))
    assert spec.kwargs == TRAINED["kwargs"] != SPEC.kwargs
    batch = {**TRAINED, "kwargs": {"norm": "batch"}, "tiling": "exact", "parameters": 7}
    spec = zoo.trained_spec(SPEC, put(tmp_path, batch))
    assert (spec.tiling, spec.parameters, spec.halo) == ("exact", 7, SPEC.halo)


@pytest.mark.parametrize(
    "change, name",
    [
        ({"name": "dped_resnet"}, "wespe.params"),
        ({}, "older.params"),
        ({"files": {"other.params": {}}}, "wespe.params"),
        ({"kwargs": dict(SPEC.kwargs), "tiling": "?"}, "wespe.params"),
    ],
)
def test_cards_of_other_files_and_of_the_tables_net_change_nothing(change, name, tmp_path):
    assert zoo.trained_spec(SPEC, put(tmp_path, {**TRAINED, **change}, name)) is SPEC


def test_a_file_without_a_card_is_of_the_tables_net(tmp_path):
    assert zoo.trained_spec(SPEC, tmp_path / "wespe.params") is SPEC


def test_a_file_that_the_card_lists_is_the_cards(tmp_path):
    path = put(tmp_path, {**TRAINED, "files": {"best.params": {}}}, "best.params")
    assert zoo.trained_spec(SPEC, path).kwargs == TRAINED["kwargs"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kwargs": ["norm"]}, "card.json has options"),
        ({"kwargs": {"prefix": "x_"}}, "card.json has options"),
        ({"kwargs": {"norm": {"a": 1}}}, "card.json has options"),
        ({"kwargs": {"norm": None}}, "card.json has options"),
        ({"kwargs": {"num_blocks": 10**9}}, "card.json has options"),
        ({"kwargs": {"tanh_scale": float("nan")}}, "card.json has options"),
        ({"kwargs": {"mean": [0.5] * 1000}}, "card.json has options"),
        ({"kwargs": {"mean": [[0.5]]}}, "card.json has options"),
        ({"tiling": "none"}, "has tiling 'none'"),
        ({"parameters": "many"}, "and parameters 'many'"),
    ],
)
def test_a_card_with_anything_else_is_refused(change, message, tmp_path):
    with pytest.raises(WeightsError, match=message) as caught:
        zoo.trained_spec(SPEC, put(tmp_path, {**TRAINED, **change}))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_shipped_models_name_stands_for_the_net_that_its_card_tells(tmp_path, monkeypatch):
    monkeypatch.setattr("gluon_enhance.weights.store.model_zoo_folder", lambda: tmp_path)
    (tmp_path / "wespe").mkdir()
    put(tmp_path / "wespe", TRAINED)
    assert zoo.known_spec("WESPE").kwargs == TRAINED["kwargs"] != SPEC.kwargs
    assert zoo.known_spec("dped_resnet") is zoo.MODELS["dped_resnet"]
    assert zoo.known_spec(tmp_path / "none.params") is None
    other = put(tmp_path, {**TRAINED, "kwargs": dict(SPEC.kwargs)})
    other.write_bytes(b"weights")
    with pytest.raises(WeightsError, match="wespe and .* are of different architectures"):
        zoo.interpolate("wespe", other, 0.5)


@pytest.mark.parametrize(
    "model, kwargs",
    [
        ("rrdb_x4", {"num_blocks": 400}),
        ("edsr_x2", {"num_blocks": 4096}),
        ("dped_densenet", {"num_blocks": 60, "num_layers": 60}),
    ],
)
def test_a_net_deeper_than_its_weights_is_refused_before_it_is_built(
    model, kwargs, tmp_path, monkeypatch
):
    """Its layers took 12 s and 387 MB, for 184 bytes."""
    card = {**TRAINED, "name": "own", "model": model, "kwargs": kwargs}
    path = put(tmp_path, card, "own.params")
    save_arrays(path, {f"layer.{k}": np.ones(1, np.float32) for k in range(100)})
    monkeypatch.setattr(zoo, "_built", None)
    with pytest.raises(WeightsError, match=f"own.params .* num_blocks {kwargs['num_blocks']}.*100"):
        zoo.get_model(pretrained=path)


@pytest.fixture(params=VARIANTS, ids=str)
def trained(request, tmp_path):
    """A net of other options than the table's, and the weights that a training leaves of it."""
    if not is_mxnet_installed():
        pytest.skip("MXNet is not installed")
    from gluon_enhance.framework import mx
    from gluon_enhance.training.config import TrainingConfig
    from gluon_enhance.training.recipe import save_result
    from gluon_enhance.training.steps import MovingAverage

    name, options = request.param
    net = zoo.get_model(name, **options)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 48, 48)))
    devices = SimpleNamespace(is_first=True)
    step = SimpleNamespace(devices=devices, average=MovingAverage(net), best=None)
    return net, save_result(step, net, TrainingConfig(out=str(tmp_path)), [])


@pytest.mark.parametrize("engine", ["openvino", "mxnet"])
def test_weights_of_a_training_are_run_as_the_net_that_was_trained(trained, engine, rng):
    from gluon_enhance import Enhancer
    from gluon_enhance.framework import mx

    net, path = trained
    batch = rng.random((1, 3, 48, 56), np.float32)
    enhancer = Enhancer(f"{net.spec.name}={path}", engine=engine, precision="fp32")
    assert np.abs(enhancer.run(batch) - net(mx.nd.array(batch)).asnumpy()).max() < 1e-4
    assert enhancer.spec == net.spec == zoo.get_model(net.spec.name, path).spec


@pytest.mark.skipif(not is_mxnet_installed(), reason="MXNet is not installed")
def test_what_was_converted_under_other_options_is_not_taken(tmp_path, rng):
    from gluon_enhance import Enhancer
    from gluon_enhance.framework import mx

    net = zoo.get_model("wespe", tanh_scale=0.5)
    net.initialize(mx.init.Xavier())
    net.save_parameters(str(tmp_path / "wespe.params"))
    batch, model = rng.random((1, 3, 9, 8), np.float32), f"wespe={tmp_path / 'wespe.params'}"
    of_table = Enhancer(model, precision="fp32").run(batch)
    put(tmp_path, {**TRAINED, "kwargs": {"tanh_scale": 0.5}})
    of_card = Enhancer(model, precision="fp32").run(batch)
    assert np.abs((of_card - 0.5) / 0.5 - (of_table - 0.5) / 0.58).max() < 1e-4
    assert np.abs(of_card - net(mx.nd.array(batch)).asnumpy()).max() < 1e-4


def test_converting_refuses_to_lose_the_options(trained, tmp_path):
    net, path = trained
    with pytest.raises(WeightsError, match="which weights alone do not tell"):
        zoo.convert(net.spec.name, path, tmp_path / "out.params")
    assert not (tmp_path / "out.params").exists()


@pytest.mark.skipif(not is_mxnet_installed(), reason="MXNet is not installed")
def test_arguments_replace_the_cards_and_unknown_ones_of_it_are_refused(tmp_path):
    net = zoo.get_model("wespe", norm="layer", **SMALL)
    net.initialize()
    net.save_parameters(str(tmp_path / "wespe.params"))
    put(tmp_path, {**TRAINED, "kwargs": {**TRAINED["kwargs"], **SMALL}})
    loaded = zoo.get_model("wespe", tmp_path / "wespe.params", norm="instance")
    assert loaded.spec.kwargs == {"norm": "instance", "tanh_scale": 0.5, **SMALL}
    for wrong in ({"scale": 2}, {"norm": "group"}):
        put(tmp_path, {**TRAINED, "kwargs": wrong})
        for prefix in ({}, {"prefix": "wespe_"}):  # as the commands name their nets
            with pytest.raises(WeightsError, match="has options that wespe does not take"):
                zoo.get_model("wespe", tmp_path / "wespe.params", **prefix)
