import json

import numpy as np
import pytest
from official_state import MODEL, random_state
from torch_files import write_zip

from gluon_enhance import get_model, interpolate
from gluon_enhance.errors import WeightsError
from gluon_enhance.framework import is_mxnet_installed
from gluon_enhance.weights.interpolation import interpolate_states
from gluon_enhance.weights.readers.gluon import write_params

needs_mxnet = pytest.mark.skipif(not is_mxnet_installed(), reason="MXNet is not installed")


def some_state(rng):
    return {"head.weight": rng.random((4, 3, 3, 3), np.float32), "head.bias": rng.random(4)}


@pytest.mark.parametrize("alpha", [0, 0.25, 1])
def test_every_array_is_the_weighted_mean(rng, alpha):
    a, b = some_state(rng), some_state(rng)
    result = interpolate_states(a, b, alpha)
    assert result.keys() == a.keys()
    for name, array in result.items():
        expected = a[name] + alpha * (b[name].astype(np.float64) - a[name])
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, expected, rtol=1e-6)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_an_alpha_beyond_the_two_is_refused(rng, alpha):
    state = some_state(rng)
    with pytest.raises(ValueError, match=f"alpha is {alpha}; give a number from 0"):
        interpolate_states(state, state, alpha)


def test_two_architectures_are_refused_with_their_differences(rng):
    a, b = some_state(rng), some_state(rng)
    b["tail.weight"] = b.pop("head.bias")
    b["head.weight"] = b["head.weight"][:2]
    with pytest.raises(WeightsError) as caught:
        interpolate_states(a, b, 0.5)
    for part in ("missing head.bias", "left over tail.weight", "(2, 3, 3, 3) instead of (4, 3, 3"):
        assert part in str(caught.value)


@pytest.mark.parametrize("state, held", [({}, "nothing"), ({"epoch": 3}, "epoch, which is no")])
def test_what_is_no_net_is_refused(state, held):
    with pytest.raises(WeightsError, match=f"the first weights hold {held}"):
        interpolate_states(state, state, 0.5)


@needs_mxnet
def test_official_files_are_interpolated_under_their_names_and_load(tmp_path, rng):
    states = [random_state(rng) for _ in range(2)]
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for path, state in zip(paths, states):
        write_zip(path, {"params": state})
    weights = interpolate(*paths, 0.25)
    middle = {name: 0.75 * array + 0.25 * states[1][name] for name, array in states[0].items()}
    assert weights.keys() == middle.keys()
    write_zip(tmp_path / "middle.pth", middle)
    expected = get_model(MODEL, tmp_path / "middle.pth")
    loaded = get_model(MODEL, pretrained=weights)
    others = expected._collect_params_with_prefix()
    for name, parameter in loaded._collect_params_with_prefix().items():
        np.testing.assert_allclose(
            parameter.data().asnumpy(), others[name].data().asnumpy(), atol=1e-6
        )


@pytest.mark.parametrize(
    "a, b",
    [
        ("dped_resnet", "dped_resnet_bn"),
        ("srgan_voc_x2", "srgan_voc_x4"),
        ("style_candy", "STYLE_la_muse_eccv16"),
        ("dped_iphone", "rrdb_lite_x4"),
    ],
)
def test_models_of_different_architectures_are_refused_before_their_weights_are_looked_for(a, b):
    with pytest.raises(WeightsError, match=f"{a} and {b} are of different architectures"):
        interpolate(a, b, 0.5)


@needs_mxnet
@pytest.mark.parametrize("own", [{"norm": "layer"}, {"tanh_scale": 0.5}])
def test_files_whose_cards_tell_other_options_are_refused_though_names_and_shapes_fit(
    tmp_path, rng, own
):
    paths = []
    for folder, kwargs in (("a", {"norm": "instance"}), ("b", {"norm": "instance", **own})):
        (tmp_path / folder).mkdir()
        paths.append(write_params(tmp_path / folder / "wespe.params", some_state(rng)))
        sizes = {"tiling": "global_statistics", "parameters": 401_475}
        card = {"name": "wespe", "kwargs": kwargs, **sizes}
        (tmp_path / folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="wespe.params are of different architectures, wespe."):
        interpolate(*paths, 0.5)
    with pytest.raises(WeightsError, match="dped_resnet and .* are of different architectures"):
        interpolate("dped_resnet", paths[0], 0.5)
    assert interpolate(paths[0], paths[0], 0.5).keys() == some_state(rng).keys()


@needs_mxnet
def test_a_models_name_stands_for_its_weights(tmp_path, rng):
    net = get_model("rrdb_lite_x4", pretrained=True)
    shipped = net.tail[2].weight.data().asnumpy()
    net.tail[2].weight.set_data(net.tail[2].weight.data() + 1)
    net.save_parameters(str(tmp_path / "other.params"))
    weights = interpolate("RRDB_lite_x4", tmp_path / "other.params", 0.5)
    np.testing.assert_allclose(weights["tail.2.weight"], shipped + 0.5, atol=1e-6)
    write_zip(tmp_path / "other.pth", random_state(rng))
    with pytest.raises(WeightsError, match="missing head.weight"):
        interpolate("rrdb_lite_x4", tmp_path / "other.pth", 0.5)
    with pytest.raises(WeightsError, match="plsr_x8 has no trained weights"):
        interpolate("plsr_x8", tmp_path / "other.pth", 0.5)
    with pytest.raises(WeightsError, match="nowhere.pth is no file"):
        interpolate(tmp_path / "nowhere.pth", "rrdb_lite_x4", 0.5)
