import numpy as np
import pytest
from tiny_training import Config, make_step

from gluon_enhance.framework import mx
from gluon_enhance.training.checkpoint import load_checkpoint, save_checkpoint
from gluon_enhance.training.devices import Devices


@pytest.fixture
def batch(rng):
    hr = rng.random((4, 3, 6, 6), np.float32)
    return hr**2, hr


def new_step(ctx="cpu", before=0):
    """Make a step, after some other layers of the same process."""
    with mx.name.NameManager():
        for _ in range(before):
            mx.gluon.nn.Conv2D(1, 1)
        return make_step(Config(adversarial=True), Devices(ctx, 4))


def weights(step):
    """All copies of all weights, one on each context."""
    return [
        copy.asnumpy()
        for net in step.nets.values()
        for parameter in net._collect_params_with_prefix().values()
        for copy in parameter.list_data()
    ]


def test_moments_after_one_update_are_those_of_adams_equations(batch, tmp_path):
    """With g for the gradient they are 0.1 g and 0.001 g**2."""
    step = new_step()
    step(batch)
    arrays = mx.nd.load(str(save_checkpoint(tmp_path, step, 1, {}, []) / "generator.states"))
    parameters = step.generator._collect_params_with_prefix()
    assert len(arrays) == 2 * len(parameters) == 8
    for name, parameter in parameters.items():
        gradient = parameter.grad().asnumpy().astype(np.float64) / 4  # of the sum over 4 samples
        mean, variance = (arrays[f"generator.{name}.{m}"].asnumpy() for m in ("mean", "variance"))
        assert np.abs(mean).max() > 0
        np.testing.assert_allclose(mean, 0.1 * gradient, rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(variance, 0.001 * gradient**2, rtol=1e-4, atol=1e-15)


@pytest.mark.parametrize("ctx", ["cpu", "cpu(0),cpu(1)"])
@pytest.mark.parametrize("taken", [0, 1, 5])
def test_run_goes_on_bit_for_bit_on_every_context(batch, tmp_path, ctx, taken):
    step, again = new_step(ctx), new_step(ctx)
    for _ in range(3):
        step(batch)
    for _ in range(taken):
        again(batch)
    save_checkpoint(tmp_path, step, 3, {}, [])
    load_checkpoint(tmp_path, again, {})
    for _ in range(2):
        step(batch), again(batch)
    for trainer in again.trainers.values():
        assert trainer.optimizer.num_update == 5
    ours, theirs = weights(step), weights(again)
    assert len(ours) == len(theirs) == 8 * len(ctx.split(","))
    assert all(map(np.array_equal, ours, theirs))


def test_trainer_that_has_not_yet_learned_starts_anew(batch, tmp_path):
    step, again = new_step(), new_step()
    save_checkpoint(tmp_path, step, 0, {}, [])
    again(batch)
    load_checkpoint(tmp_path, again, {})
    step(batch), again(batch)
    assert all(map(np.array_equal, weights(step), weights(again)))


def test_moments_find_their_parameters_under_other_names(batch, tmp_path):
    """A trainer sorts parameters by name, and conv10 comes before conv9."""
    step, again = new_step(), new_step(before=9)
    orders = [[p.shape for p in s.trainers["generator"]._params] for s in (step, again)]
    assert orders[0] != orders[1]
    step(batch)
    save_checkpoint(tmp_path, step, 1, {}, [])
    load_checkpoint(tmp_path, again, {})
    step(batch), again(batch)
    assert all(map(np.array_equal, weights(step), weights(again)))
