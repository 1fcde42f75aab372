import math

import numpy as np
import pytest
from float64 import State, pixel_shuffle
from torch_files import write_zip

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import zoo  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.srvgg import SRVGGNetCompact  # noqa: E402
from gluon_enhance.weights.readers.torch import read_torch  # noqa: E402

CHANNELS = 6


@pytest.mark.parametrize("num_convs, expected", [(16, 621_424), (32, 1_213_296)])
def test_net_has_the_published_number_of_parameters(num_convs, expected):
    net = SRVGGNetCompact(num_convs=num_convs)
    assert sum(math.prod(p.shape) for p in net.collect_params().values()) == expected


def official_state(rng, num_convs):
    state = State(rng)
    for k in range(num_convs + 1):
        state.add_conv(f"body.{2 * k}", CHANNELS, CHANNELS if k else 3)
        state.add_prelu(f"body.{2 * k + 1}", CHANNELS)
    state.add_conv(f"body.{2 * num_convs + 2}", 48, CHANNELS)
    return state


def numpy_srvgg(x, state, num_convs):
    features = x
    for k in range(num_convs + 1):
        features = state.prelu(state.conv(features, f"body.{2 * k}"), f"body.{2 * k + 1}")
    detail = pixel_shuffle(state.conv(features, f"body.{2 * num_convs + 2}"), 4)
    return detail + x.repeat(4, 1).repeat(4, 2)


@pytest.mark.parametrize("name, num_convs", [("realesr_video_x4", 16), ("realesr_general_x4", 32)])
def test_net_equals_the_equations_of_the_official_code_in_float64(tmp_path, rng, name, num_convs):
    state = official_state(rng, num_convs)
    write_zip(tmp_path / "net.pth", {"params": dict(state)})
    net = zoo.get_model(name, tmp_path / "net.pth", channels=CHANNELS)
    x = rng.random((3, 7, 5))
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, 28, 20)
    assert np.abs(result - numpy_srvgg(x, state, num_convs)).max() < 1e-4


@pytest.mark.reference
def test_official_weights_give_the_numbers_of_the_equations(reference_data, rng):
    path = reference_data / "weights" / "realesr-animevideov3.rezipped.pth"
    state = State(rng)
    state.update(read_torch(path)["params"])
    x = rng.random((3, 12, 10))
    result = zoo.get_model("realesr_video_x4", path)(mx.nd.array(x[None]))[0].asnumpy()
    assert np.abs(result - numpy_srvgg(x, state, 16)).max() < 1e-4


def test_own_files_of_the_deep_net_are_not_taken_for_official_ones_of_the_shallow(tmp_path, rng):
    net = zoo.get_model("realesr_general_x4", channels=CHANNELS)
    net.initialize(mx.init.Xavier())
    net.save_parameters(str(tmp_path / "net.params"))
    again = zoo.get_model("realesr_general_x4", tmp_path / "net.params", channels=CHANNELS)
    x = mx.nd.array(rng.random((1, 3, 4, 4)))
    assert np.array_equal(net(x).asnumpy(), again(x).asnumpy())


def test_parameter_names_are_the_file_format():
    """A name that changes here breaks every weight file: change it knowingly."""
    names = {
        f"{conv}.{kind}" for conv in ("head.0", "body.0", "tail") for kind in ("weight", "bias")
    }
    names |= {"head.1.alpha", "body.1.alpha"}
    assert set(SRVGGNetCompact(num_convs=1)._collect_params_with_prefix()) == names
