import logging

import numpy as np
import pytest
from tiny_training import Config

from gluon_enhance.errors import WeightsError
from gluon_enhance.framework import mx
from gluon_enhance.models.dped import DPEDResNet
from gluon_enhance.models.srcnn import SRCNN
from gluon_enhance.models.srvgg import SRVGGNetCompact
from gluon_enhance.training.checkpoint_files import save_arrays
from gluon_enhance.training.initial_weights import (
    given_weights,
    has_start,
    load_start,
    start,
    start_critic,
)
from gluon_enhance.training.steps import net_arrays


def small_net():
    return SRVGGNetCompact(scale=2, num_convs=1, channels=16)


def started(net, rule, seed=0):
    mx.random.seed(seed)
    start(net, Config(start=rule, seed=seed), [mx.cpu()])
    return {name: array.asnumpy() for name, array in net_arrays(net).items()}


@pytest.mark.parametrize(
    "rule, fans, deviation, bound",
    [
        # 16 channels of 3x3 from 16. Glorot: +-sqrt(6 / (in + out)); He: +-sqrt(6 / in), or a
        # normal number of variance 2 / in.
        ("xavier", 144 + 144, None, lambda n: np.sqrt(6 / n)),
        ("kaiming_uniform", 144, None, lambda n: np.sqrt(6 / n)),
        ("kaiming_normal", 144, lambda n: np.sqrt(2 / n), None),
    ],
)
def test_random_starts_have_the_papers_spread(rule, fans, deviation, bound):
    weight = started(small_net(), rule)["body.0.weight"]
    if bound:
        assert 0.98 * bound(fans) < np.abs(weight).max() <= bound(fans)
        assert weight.std() == pytest.approx(bound(fans) / np.sqrt(3), rel=0.05)
    else:
        assert weight.std() == pytest.approx(deviation(fans), rel=0.05)
        assert np.abs(weight).max() > 3 * deviation(fans)


def test_a_net_without_a_special_start_gets_gluons():
    weight = started(small_net(), None)["body.0.weight"]
    assert 0.068 < np.abs(weight).max() <= 0.07  # Uniform(0.07)


def test_starts_of_nets_are_their_own_methods_and_follow_the_seed(rng):
    net, own = DPEDResNet(num_blocks=1, channels=16), DPEDResNet(num_blocks=1, channels=16)
    arrays = started(net, "paper", seed=3)
    own.initialize_as_paper(np.random.default_rng(3))
    for name, array in net_arrays(own).items():
        assert np.array_equal(arrays[name], array.asnumpy()), name


def test_a_start_that_a_net_does_not_have_is_refused_with_those_that_it_has():
    message = "--start is identity, which SRCNN does not have; give one of interpolator, xavier"
    with pytest.raises(ValueError, match=message):
        started(SRCNN(), "identity")


@pytest.mark.parametrize("rule, deviation", [(None, None), ("kaiming_normal", np.sqrt(2 / 27))])
def test_random_starts_are_for_critics_too(rule, deviation):
    mx.random.seed(0)
    critic = mx.gluon.nn.Conv2D(400, 3, in_channels=3)
    start_critic(critic, 0.2, Config(start=rule), [mx.cpu()])
    # MSRAPrelu's default: the mean of both fans, and the slope.
    deviation = deviation or np.sqrt(2 / (1 + 0.2**2) / ((27 + 3600) / 2))
    assert critic.weight.data().asnumpy().std() == pytest.approx(deviation, rel=0.05)


@pytest.fixture
def file(tmp_path):
    """A function: arrays by name -> file of them."""

    def write(arrays, name="w.params"):
        save_arrays(tmp_path / name, {k: mx.nd.array(v) for k, v in arrays.items()})
        return tmp_path / name

    return write


def test_all_weights_of_a_file_are_loaded(file):
    other = started(small_net(), "xavier", seed=1)
    net = small_net()
    started(net, "xavier")
    load_start(net, file(other))
    for name, array in net_arrays(net).items():
        assert np.array_equal(array.asnumpy(), other[name]), name


def test_a_part_is_loaded_and_told_only_where_it_is_asked_for(file, caplog):
    net = small_net()
    before, other = started(net, "xavier"), started(small_net(), "xavier", seed=1)
    arrays = {"head.0.weight": other["head.0.weight"], "tail.conv.weight": np.zeros((1, 1, 1, 1))}
    path = file(arrays)
    with pytest.raises(WeightsError):
        load_start(net, path)
    with caplog.at_level(logging.INFO):
        load_start(net, path, partial=True)
    after = {name: array.asnumpy() for name, array in net_arrays(net).items()}
    assert np.array_equal(after["head.0.weight"], other["head.0.weight"])
    assert all(np.array_equal(after[k], before[k]) for k in after if k != "head.0.weight")
    assert "1 array taken: head.0.weight" in caplog.text
    assert "1 array left in the file: tail.conv.weight" in caplog.text
    assert f"{len(after) - 1} arrays as they were" in caplog.text
    with pytest.raises(WeightsError, match="nothing in .*none.params fits SRVGGNetCompact"):
        load_start(net, file({"a": np.zeros(1)}, "none.params"), partial=True)


@pytest.mark.parametrize("partial", [False, True])
def test_a_number_that_is_not_finite_is_told_with_its_file(file, partial):
    net = small_net()
    arrays = started(net, "xavier")
    arrays["head.0.bias"][0] = np.nan
    path = file(arrays)
    with pytest.raises(WeightsError, match=f"{path} cannot be .* head.0.bias has a number that is"):
        load_start(net, path, partial)


def test_files_are_given_to_nets_by_name_and_the_first_is_the_generator(file):
    path = file({"a": np.zeros(1)})
    files = given_weights(Config(init=(str(path), f"critic={path}")), ["generator", "critic"])
    assert files == {"generator": path, "critic": path}
    (shipped,) = given_weights(Config(init=("rrdb_lite_x4",)), ["net"]).values()
    assert shipped.name == "rrdb_lite_x4.params"
    with pytest.raises(ValueError, match="--init is judge=.*; the nets here are generator, critic"):
        given_weights(Config(init=(f"judge={path}",)), ["generator", "critic"])
    assert has_start(Config(init=(str(path),))) and not has_start(Config(init=(f"critic={path}",)))
