"""Options that all scripts have, on a script as small as can be."""

import json
import logging
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from filelock import FileLock
from same_state import assert_same_state
from tiny_training import Config, make_step, train

from gluon_enhance.errors import TrainingError, WeightsError
from gluon_enhance.framework import mx
from gluon_enhance.training import loop
from gluon_enhance.training.checkpoint import list_checkpoints
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.gradients import before_update
from gluon_enhance.training.optimizer_states import moments
from gluon_enhance.training.steps import net_arrays
from gluon_enhance.training.validation import BestNet


@pytest.fixture(autouse=True)
def without_curves(monkeypatch):
    monkeypatch.setattr(loop, "plot_curves", lambda history, path: None)


@pytest.fixture
def run(tmp_path):
    """A function: options -> the step that has been trained, in the test's own folder."""

    def run(validate=lambda: ({"psnr": 20.0}, []), change_step=lambda step: None, **options):
        config = Config(**{"out": str(tmp_path), **options})
        with mx.name.NameManager():  # a trainer sorts its parameters by name
            step = make_step(config, Devices(config.ctx, config.batch_size))
        change_step(step)
        train(config, step, validate)
        return step

    return run


def newest(folder):
    return list_checkpoints(folder / "checkpoints")[0]


def arrays_of(step):
    return {
        f"{net}.{name}": array.asnumpy()
        for net in step.nets
        for name, array in net_arrays(step.nets[net]).items()
    }


def check_close(arrays, others, **tolerance):
    for name, array in arrays.items():
        np.testing.assert_allclose(array, others[name], err_msg=name, **tolerance)


OPTIONS = {
    "schedule": {"schedule": "restarts", "periods": 2},
    "multistep": {"schedule": "multistep", "milestones": (0.5,)},
    "accumulate": {"accumulate": 2},
    "clip": {"clip_norm": 0.01, "on_nan": "skip"},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1, "ema_decay": 0.5},
    "best": {"best": "psnr", "keep": 3, "keep_weights": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_resumed_equals_uninterrupted_bit_for_bit(run, tmp_path, options):
    options = {**options, "adversarial": True}
    scores = iter([30.0, 20.0, 20.0])  # of steps 2 and 4, and of 4 again
    run(lambda: ({"psnr": next(scores)}, []), **options)
    whole = newest(tmp_path).rename(tmp_path / "whole")
    run(lambda: ({"psnr": next(scores)}, []), resume=True, **options)
    assert_same_state(whole, newest(tmp_path))


def test_pieces_of_a_batch_make_the_update_of_the_whole(run, tmp_path):
    steps = [run(out=str(tmp_path / str(n)), accumulate=n, adversarial=True) for n in (1, 2, 4)]
    for step in steps[1:]:
        check_close(arrays_of(step), arrays_of(steps[0]), rtol=1e-4, atol=1e-6)


def test_a_batch_that_is_no_number_of_pieces_is_refused(run):
    with pytest.raises(ValueError, match="--batch-size is 4; with --accumulate 3"):
        run(accumulate=3)


@pytest.fixture
def net_and_trainer():
    """A net of one number with a gradient of 3, of a batch of 4."""
    net = mx.gluon.nn.Dense(1, in_units=2, use_bias=False)
    net.initialize(mx.init.One())
    trainer = Devices("cpu", 4).trainer([net], 0.5)
    with mx.autograd.record():
        net(mx.nd.array([[3 * 4, 4 * 4]])).backward()
    return net, trainer


@pytest.mark.parametrize("limit, length", [(1.0, 1.0), (10.0, 5.0)])
def test_the_norm_of_the_batchs_mean_gradient_is_clipped(net_and_trainer, limit, length):
    net, trainer = net_and_trainer
    assert before_update(Config(batch_size=4, clip_norm=limit))(trainer)
    found = net.weight.grad().asnumpy() / 4
    np.testing.assert_allclose(found, [[0.6 * length, 0.8 * length]], rtol=1e-5)


def test_adamws_decay_is_apart_from_adam(net_and_trainer):
    net, trainer = net_and_trainer
    assert before_update(Config(optimizer="adamw", weight_decay=0.1))(trainer)
    trainer.update(4)
    # 1 - 0.5 * 0.1, and then Adam's first step, of the learning rate's length.
    np.testing.assert_allclose(net.weight.data().asnumpy(), [[0.45, 0.45]], rtol=1e-5)
    np.testing.assert_allclose(
        moments(trainer, {"net": net})["net.weight.mean"].asnumpy(), [[0.3, 0.4]], rtol=1e-5
    )


def test_adams_decay_is_in_the_gradient():
    net = mx.gluon.nn.Dense(1, in_units=1, use_bias=False)
    net.initialize(mx.init.One())
    trainer = Devices("cpu", 1).trainer([net], 0.5, weight_decay=0.1)
    with mx.autograd.record():
        net(mx.nd.array([[3]])).backward()
    trainer.update(1)
    mean = moments(trainer, {"net": net})["net.weight.mean"].asscalar()
    assert mean == pytest.approx(0.1 * (3 + 0.1 * 1))


def test_gradients_pass_by_where_nothing_is_asked_of_them():
    assert before_update(Config()) is None
    assert before_update(Config(optimizer="adam", weight_decay=0.1)) is None


def test_the_average_has_the_decay_of_the_option(run):
    step = run(ema_decay=0.0)
    for name, array in net_arrays(step.net).items():
        assert np.array_equal(step.average.arrays[name].asnumpy(), array.asnumpy())


def spoiled(*numbers):
    """Return what makes a step's losses NaN in the batches of some steps."""

    def change(step):
        original, calls = step._terms, []

        def terms(lr, *labels):
            calls.append(1)
            factor = math.nan if len(calls) in numbers else 1
            return original(lr, *(label * factor for label in labels))

        step._terms = terms

    return change


def test_steps_that_are_not_finite_are_left_out_on_request(run, caplog):
    step = run(change_step=spoiled(2, 3), on_nan="skip", iterations=5)
    assert step.skipped == 2 and step.average.count == 3
    assert all(np.isfinite(array).all() for array in arrays_of(step).values())
    assert "pixel is nan at step 2, which is left out: 1 of at most 10" in caplog.text


def test_a_step_left_out_changes_nothing(run, tmp_path):
    """Neither weights nor Adam's moments; only the count goes on."""
    run(iterations=2, schedule="constant", warmup=0, save_every=1)
    before = {p.name: mx.nd.load(str(p)) for p in newest(tmp_path).glob("net.*")}
    options = {"iterations": 3, "schedule": "constant", "warmup": 0, "resume": True}
    run(change_step=spoiled(1), on_nan="skip", **options)
    after = {p.name: mx.nd.load(str(p)) for p in newest(tmp_path).glob("net.*")}
    assert newest(tmp_path).name == "step-0000003" and len(before) == 2
    for file, arrays in before.items():
        for name, array in arrays.items():
            assert np.array_equal(array.asnumpy(), after[file][name].asnumpy()), name


def test_no_more_than_ten_steps_are_left_out(run):
    with pytest.raises(TrainingError, match="pixel is nan at step 11, after 10 steps left out"):
        run(change_step=spoiled(*range(1, 20)), on_nan="skip", iterations=20, save_every=100)


def test_a_run_that_has_saved_nothing_is_not_told_to_resume(run, tmp_path):
    with pytest.raises(TrainingError, match="at step 1; nothing had been saved yet: start again"):
        run(change_step=spoiled(1))
    with pytest.raises(
        TrainingError, match="at step 3; the last checkpoint stays: go on with --re"
    ):
        run(change_step=spoiled(3))


def test_checkpoints_are_kept_as_many_as_asked_for(run, tmp_path):
    run(keep=3, save_every=1, iterations=5)
    assert [path.name[-1] for path in list_checkpoints(tmp_path / "checkpoints")] == ["5", "4", "3"]


def test_weights_of_validations_are_written_averaged_and_raw(run, tmp_path):
    step = run(keep_weights=True)
    assert {path.name for path in (tmp_path / "weights").iterdir()} == {
        f"step-000000{count}{suffix}" for count in (2, 4) for suffix in (".params", ".raw.params")
    }
    average, raw = (
        mx.nd.load(str(tmp_path / "weights" / f"step-0000004{suffix}"))
        for suffix in (".params", ".raw.params")
    )
    for name, array in net_arrays(step.net).items():
        assert np.array_equal(raw[name].asnumpy(), array.asnumpy())
        assert np.array_equal(average[name].asnumpy(), step.average.arrays[name].asnumpy())
        assert not np.array_equal(average[name].asnumpy(), raw[name].asnumpy())


@pytest.mark.parametrize(
    "score, step",
    [
        *(("psnr", 4), ("feature_distance", 2), ("held_out_style", 2), ("ssim_Set5", 4)),
        ("held_out_color_accuracy", 4),
        *(("lpips", 2), ("lpips_vgg_Set5", 2), ("dists", 2), ("delta_e", 2), ("ms_ssim_y", 4)),
        *(("blockiness", 2), ("checkerboard", 2), ("ringing", 2)),
        *(("niqe_Set5", 2), ("psnr_y_lossless", 4)),
    ],
)
def test_the_best_net_has_the_highest_score_or_the_lowest_distance(score, step):
    best = BestNet(score)
    for count, value in ((2, 1.0), (4, 3.0), (6, 2.0)):
        best.offer({score: value}, count, {"w": mx.nd.array([count])})
    assert best.state == {"score": score, "value": {2: 1.0, 4: 3.0}[step], "step": step}
    assert best.arrays["w"].asscalar() == step


def test_a_number_is_better_than_nan_and_nan_never_better():
    best = BestNet("psnr")
    for count, value in enumerate((math.nan, 1.0, math.nan, 0.5)):
        best.offer({"psnr": value}, count, {})
    assert best.state == {"score": "psnr", "value": 1.0, "step": 1}


def test_a_score_that_there_is_not_is_refused_with_those_that_there_are(run):
    with pytest.raises(TrainingError, match="--best is lpips, which is no score here; give one of"):
        run(best="lpips")  # without --val-metrics lpips


def test_options_may_change_on_request_and_are_logged(run, caplog):
    run()
    options = {"batch_size": 8, "learning_rate": 1e-3, "iterations": 6, "resume": True}
    with pytest.raises(WeightsError, match="batch_size was 4, is 8; learning_rate was 0.01, is"):
        run(**options)
    with caplog.at_level(logging.INFO):
        step = run(change=True, **options)
    assert "changed at step 4: batch_size was 4, is 8" in caplog.text
    assert "changed at step 4: learning_rate was 0.01, is 0.001" in caplog.text
    assert step.trainers["net"].optimizer.num_update == 6


def test_a_longer_run_says_what_becomes_of_the_rate(run, caplog):
    run()
    run(iterations=8, resume=True)
    # Half way through the cosine of steps 2 to 7, where the first run had its final rate.
    assert "--iterations was 4 and is 8: the learning rate goes on at 0.00" in caplog.text
    assert "where it was 1e-05" in caplog.text


def test_a_longer_run_at_a_constant_rate_says_nothing(run, caplog):
    run(schedule="constant")
    run(schedule="constant", iterations=8, resume=True)
    assert "--iterations was" not in caplog.text


def test_a_length_that_is_over_already_is_refused(run):
    run(iterations=4)
    with pytest.raises(TrainingError, match="is at step 4 already, and --iterations is 3; give mo"):
        run(iterations=3, resume=True)


def test_going_on_where_there_is_no_run_is_refused_and_makes_no_folder(run, tmp_path):
    with pytest.raises(TrainingError, match="mistyped holds no run to go on from; correct --out"):
        run(out=str(tmp_path / "mistyped"), resume=True)
    assert not (tmp_path / "mistyped").exists()


def test_a_run_that_was_killed_before_its_first_checkpoint_goes_on(run, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({}))
    run(resume=True)
    assert newest(tmp_path).name == "step-0000004"


def test_two_runs_do_not_write_to_one_folder(run, tmp_path):
    with FileLock(tmp_path / ".lock"), pytest.raises(TrainingError, match="another run is writing"):
        run()
    run()


def test_event_files_have_the_numbers_of_the_log_and_the_samples(run, tmp_path):
    pytest.importorskip("tensorboardX")
    picture = {"output": np.full((8, 24, 3), 200, np.uint8)}
    run(lambda: ({"psnr": 20.0}, [picture]), tensorboard=True)
    (path,) = (tmp_path / "tensorboard").iterdir()
    events = list(read_events(path))
    rows = [(e.step, v.tag, v.simple_value) for e in events for v in e.summary.value]
    assert [row for row in rows if row[1] == "psnr"] == [(2, "psnr", 20.0), (4, "psnr", 20.0)]
    assert [step for step, tag, _ in rows if tag == "pixel"] == [1, 2, 3, 4]
    assert [step for step, tag, _ in rows if tag == "samples"] == [2, 4]


def read_events(path):
    """Read a file of records: length, its checksum, data, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data = path.read_bytes()
    while data:
        length = int.from_bytes(data[:8], "little")
        yield Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]


def test_event_files_without_their_package_are_refused(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(TrainingError, match="tensorboardX is not installed; pip install"):
        run(tensorboard=True)


def test_options_that_change_what_is_learned_are_compared_and_others_are_not():
    fixed = Config().fixed()
    for name, value in (("schedule", "constant"), ("accumulate", 2), ("clip_norm", 1.0)):
        assert replace(Config(), **{name: value}).fixed() != fixed
    for name, value in (("keep", 5), ("best", "psnr"), ("tensorboard", True), ("on_nan", "skip")):
        assert replace(Config(), **{name: value}).fixed() == fixed
