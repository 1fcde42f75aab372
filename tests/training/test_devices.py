import numpy as np
import pytest
from tiny_training import Config, make_step

from gluon_enhance.errors import EngineError, TrainingError
from gluon_enhance.framework import mx
from gluon_enhance.training.checkpoint import load_checkpoint, save_checkpoint
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.steps import net_arrays
from gluon_enhance.training.validation import Validation


@pytest.fixture
def batch(rng):
    hr = rng.random((4, 3, 6, 6), np.float32)
    return hr**2, hr


def stepped(batch, ctx, adversarial, steps=3):
    """A step on these contexts, taken a few times; and what it returned."""
    step = make_step(Config(adversarial=adversarial), Devices(ctx, 4))
    for _ in range(steps):
        log = step(batch)
    return step, {name: value.asscalar() for name, value in log.items()}


@pytest.mark.parametrize("adversarial", [False, True])
def test_two_contexts_make_the_update_that_one_makes_with_the_joint_batch(batch, adversarial):
    one, one_log = stepped(batch, "cpu", adversarial)
    two, two_log = stepped(batch, "cpu(0),cpu(1)", adversarial)
    assert [str(ctx) for ctx in two.devices.contexts] == ["cpu(0)", "cpu(1)"]
    for name, net in one.nets.items():
        for key, array in net_arrays(net).items():
            copies = two.nets[name]._collect_params_with_prefix()[key].list_data()
            assert np.array_equal(*(copy.asnumpy() for copy in copies))
            np.testing.assert_allclose(copies[0].asnumpy(), array.asnumpy(), atol=1e-5)
    assert two_log.keys() == one_log.keys()
    for name in one_log.keys() - {"spread"}:  # a ratio of means is not the mean of ratios
        assert two_log[name] == pytest.approx(one_log[name], abs=1e-5)


def test_checkpoint_and_validation_work_on_two_contexts(batch, tmp_path):
    step, _ = stepped(batch, "cpu(0),cpu(1)", True)
    folder = save_checkpoint(tmp_path, step, 3, {}, []).parent
    again, _ = stepped(batch, "cpu(0),cpu(1)", True, steps=1)
    load_checkpoint(folder, again, {})
    assert step(batch)["pixel"].asscalar() == again(batch)["pixel"].asscalar()
    for array, other in zip(
        net_arrays(step.generator).values(), net_arrays(again.generator).values()
    ):
        assert np.array_equal(array.asnumpy(), other.asnumpy())
    pairs = [(np.zeros((16, 16, 3), np.uint8), np.ones((16, 16, 3), np.uint8))]
    with again.average.applied():
        scores, _ = Validation(again.generator, {"": pairs}, again.devices.contexts[0])()
    assert scores["psnr"] > 0


def test_update_is_adams(batch):
    """One step of Adam moves every weight by the learning rate, against its gradient's sign."""
    step = make_step(Config(), Devices("cpu", 4))
    step.learning_rate = 1e-3
    before = {k: v.asnumpy() for k, v in net_arrays(step.net).items()}
    step(batch)
    moved = np.concatenate(
        [(before[k] - v.asnumpy()).ravel() for k, v in net_arrays(step.net).items()]
    )
    moved = moved[np.abs(moved) > 1e-7]  # where there is a gradient
    np.testing.assert_allclose(np.abs(moved), 1e-3, rtol=1e-2)


def test_batch_that_the_devices_cannot_share_equally_is_an_error():
    with pytest.raises(ValueError, match="batch_size is 3; it must be a multiple of the 2 devices"):
        Devices("cpu(0),cpu(1)", 3)


def test_context_that_is_not_there_is_an_error():
    with pytest.raises(EngineError, match="tpu"):
        Devices("cpu,tpu", 4)


def test_several_machines_need_to_know_of_each_other(monkeypatch):
    monkeypatch.delenv("DMLC_PS_ROOT_URI", raising=False)
    with pytest.raises(TrainingError, match="needs .*DMLC_PS_ROOT_URI"):
        Devices("cpu", 4, "dist_sync")


def test_moving_average_is_the_exponential_one(batch):
    step = make_step(Config(), Devices("cpu", 4))
    expected = {k: v.asnumpy().astype(np.float64) for k, v in net_arrays(step.net).items()}
    for count in range(1, 4):
        step(batch)
        decay = min(0.999, (1 + count) / (10 + count))
        for name, array in net_arrays(step.net).items():
            expected[name] = decay * expected[name] + (1 - decay) * array.asnumpy()
    for name, array in step.average.arrays.items():
        np.testing.assert_allclose(array.asnumpy(), expected[name], atol=1e-6)
    last = mx.nd.concat(*(a.reshape(-1) for a in net_arrays(step.net).values()), dim=0).asnumpy()
    with step.average.applied():
        for name, array in net_arrays(step.net).items():
            assert np.array_equal(array.asnumpy(), step.average.arrays[name].asnumpy())
    again = mx.nd.concat(*(a.reshape(-1) for a in net_arrays(step.net).values()), dim=0).asnumpy()
    assert np.array_equal(last, again)
