import math

import numpy as np
import pytest
from float64 import State, pixel_shuffle, relu
from torch_files import write_zip

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import zoo  # noqa: E402
from gluon_enhance.errors import WeightsError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.edsr import EDSR  # noqa: E402

CHANNELS = 6
MEAN = np.array([0.4488, 0.4371, 0.4040], np.float32)
FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}
OFFICIAL = {
    "head": "head.0",
    "block": "body.{i}.body.{k}",
    "parts": (0, 2),
    "body_end": "body.2",
    "upsample": ("tail.0.0", "tail.0.2"),
    "tail": "tail.1",
}
BASICSR = {
    "head": "conv_first",
    "block": "body.{i}.conv{k}",
    "parts": (1, 2),
    "body_end": "conv_after_body",
    "upsample": ("upsample.0", "upsample.2"),
    "tail": "conv_last",
}


@pytest.mark.parametrize(
    "name, expected",
    [
        ("edsr_baseline_x2", 1_369_859),
        ("edsr_baseline_x3", 1_554_499),
        ("edsr_baseline_x4", 1_517_571),
        ("edsr_x2", 40_729_603),
        ("edsr_x3", 43_680_003),
        ("edsr_x4", 43_089_923),
    ],
)
def test_nets_have_the_published_number_of_parameters(name, expected):
    parameters = zoo.get_model(name).collect_params().values()
    trained = sum(math.prod(p.shape) for p in parameters if p.grad_req != "null")
    assert trained == expected == zoo.MODELS[name].parameters


def state_of(rng, names, scale):
    state = State(rng)
    state.add_conv(names["head"], CHANNELS, 3)
    for i in range(2):
        for k in names["parts"]:
            state.add_conv(names["block"].format(i=i, k=k), CHANNELS, CHANNELS)
    state.add_conv(names["body_end"], CHANNELS, CHANNELS)
    for name, factor in zip(names["upsample"], FACTORS[scale]):
        state.add_conv(name, CHANNELS * factor**2, CHANNELS)
    state.add_conv(names["tail"], 3, CHANNELS)
    return state


def mean_shifts():
    identity = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    return {
        "sub_mean.weight": identity,
        "sub_mean.bias": -255 * MEAN,
        "add_mean.weight": identity,
        "add_mean.bias": 255 * MEAN,
    }


def numpy_edsr(x, state, names, scale, residual_scale):
    """Colors from 0 to 255 less the mean inside, as in the official code."""
    mean = 255 * MEAN.astype(np.float64)[:, None, None]
    head = features = state.conv(255 * x - mean, names["head"])
    for i in range(2):
        first, second = (names["block"].format(i=i, k=k) for k in names["parts"])
        inner = state.conv(relu(state.conv(features, first)), second)
        features = features + residual_scale * inner
    features = head + state.conv(features, names["body_end"])
    for name, factor in zip(names["upsample"], FACTORS[scale]):
        features = pixel_shuffle(state.conv(features, name), factor)
    return (state.conv(features, names["tail"]) + mean) / 255


@pytest.mark.parametrize("names", [OFFICIAL, BASICSR], ids=["official", "basicsr"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_net_equals_the_equations_of_the_official_code_in_float64(tmp_path, rng, names, scale):
    state = state_of(rng, names, scale)
    shifts = mean_shifts() if names is OFFICIAL else {}
    write_zip(tmp_path / "net.pt", {**state, **shifts})
    net = zoo.get_model(f"edsr_x{scale}", tmp_path / "net.pt", num_blocks=2, channels=CHANNELS)
    x = rng.random((3, 7, 5))
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, 7 * scale, 5 * scale)
    assert np.abs(result - numpy_edsr(x, state, names, scale, 0.1)).max() < 1e-4


@pytest.mark.parametrize("key, value", [("sub_mean.bias", -MEAN), ("add_mean.bias", 3.0)])
def test_weights_for_another_mean_or_range_are_refused(tmp_path, rng, key, value):
    state = {**state_of(rng, OFFICIAL, 2), **mean_shifts(), key: value}
    write_zip(tmp_path / "net.pt", state)
    with pytest.raises(WeightsError, match=f"net.pt has another {key} than the net"):
        zoo.get_model("edsr_x2", tmp_path / "net.pt", num_blocks=2, channels=CHANNELS)


@pytest.mark.parametrize("scale, own", [(2, ()), (3, ("upsample.0",)), (4, ("upsample.1",))])
def test_nets_start_from_all_of_the_x2_net_that_fits(scale, own):
    x2, net = EDSR(2, num_blocks=2, channels=CHANNELS), EDSR(scale, 2, CHANNELS)
    for one in (x2, net):
        one.initialize(mx.init.Normal(1), force_reinit=True)
    before = arrays_of(net)
    net.initialize_from(x2)
    given, after = arrays_of(x2), arrays_of(net)
    for name in (n for n in after if n.endswith(".weight")):
        is_copied = not name.startswith(own or "none")
        np.testing.assert_array_equal(after[name], (given if is_copied else before)[name])
        assert is_copied == (not np.array_equal(after[name], before[name]))


def arrays_of(net):
    return {k: p.data().asnumpy() for k, p in net._collect_params_with_prefix().items()}


@pytest.mark.parametrize(
    "other, size",
    [
        ({"channels": 8}, "2 blocks of 8 channels, scaled 1"),
        ({"num_blocks": 3}, "3 blocks of 6 channels, scaled 1"),
        ({"residual_scale": 0.1}, "2 blocks of 6 channels, scaled 0.1"),
    ],
)
def test_nets_of_another_size_are_no_start(other, size):
    net = EDSR(4, num_blocks=2, channels=CHANNELS)
    x2 = EDSR(2, **{"num_blocks": 2, "channels": CHANNELS, **other})
    for one in (x2, net):
        one.initialize()
    before = arrays_of(net)
    with pytest.raises(ValueError) as caught:
        net.initialize_from(x2)
    assert str(caught.value) == (
        f"head and body are 2 blocks of 6 channels, scaled 1, but {size} in the net given"
    )
    assert all(np.array_equal(array, before[name]) for name, array in arrays_of(net).items())


def test_parameter_names_are_the_file_format():
    """A name that changes here breaks every weight file: change it knowingly."""
    convs = ["head", "body.0.conv1", "body.0.conv2", "body.1", "upsample.0", "upsample.1", "tail"]
    names = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    assert set(EDSR(4, num_blocks=1)._collect_params_with_prefix()) == names | {"mean"}


def test_other_scales_are_refused():
    with pytest.raises(ValueError, match="scale is 5"):
        EDSR(scale=5)
