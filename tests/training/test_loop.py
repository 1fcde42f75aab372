import csv
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import tiny_training
from matplotlib.figure import Figure
from PIL import Image
from test_checkpoint import room_for
from tiny_training import Config, make_step, train

from gluon_enhance.errors import TrainingError, TrainingInterruptedError, WeightsError
from gluon_enhance.framework import mx
from gluon_enhance.imaging.pictures import HEADING_HEIGHT
from gluon_enhance.training import gan, plots
from gluon_enhance.training.checkpoint import list_checkpoints
from gluon_enhance.training.config import run_script
from gluon_enhance.training.devices import Devices


@pytest.fixture
def run(tmp_path):
    """A function: options -> the history of a run, in the test's own folder."""

    def run(validate=lambda: ({"psnr": 20.0}, []), photos="", **options):
        config = Config(out=str(tmp_path), **options)
        step = make_step(config, Devices(config.ctx, config.batch_size))
        return train(config, step, validate, photos)

    return run


def rows(folder):
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def steps(folder):
    return [row["step"] for row in rows(folder)]


def counts(folder):
    return [int(path.name[5:]) for path in list_checkpoints(folder / "checkpoints")]


def test_run_leaves_log_curves_config_samples_and_checkpoints(run, tmp_path):
    row = {"input": np.zeros((8, 24, 3), np.uint8), "output": np.zeros((8, 24, 3), np.uint8)}
    history = run(lambda: ({"psnr": 20.0}, [row, row]))
    assert steps(tmp_path) == ["1", "2", "3", "4"]
    assert [row["psnr"] for row in rows(tmp_path)] == ["", "20.0", "", "20.0"]
    assert [float(row["pixel"]) for row in rows(tmp_path)] == [row["pixel"] for row in history]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "config.json").read_text())["iterations"] == 4
    assert {p.name for p in (tmp_path / "samples").iterdir()} == {
        "step-0000002.png",
        "step-0000004.png",
    }
    with Image.open(tmp_path / "samples" / "step-0000004.png") as sample:
        assert sample.size == (2 * 24, HEADING_HEIGHT + 2 * 8)
    assert counts(tmp_path) == [4, 2]


def test_log_has_the_means_of_the_steps_since_the_row_before(run, tmp_path):
    single = [row["pixel"] for row in run(iterations=6)]
    (tmp_path / "checkpoints").rename(tmp_path / "first")
    rows = run(iterations=6, log_every=3)
    assert [row["step"] for row in rows] == [2, 3, 4, 6]  # validation is every second step
    expected = [np.mean(single[:2]), single[2], single[3], np.mean(single[4:])]
    np.testing.assert_allclose([row["pixel"] for row in rows], expected, rtol=1e-6)


def test_resumed_log_has_every_step_once(run, tmp_path):
    run(iterations=4, save_every=2)
    list_checkpoints(tmp_path / "checkpoints")[0].rename(tmp_path / "lost")
    run(iterations=8, resume=True)
    assert steps(tmp_path) == [str(step) for step in range(1, 9)]


def test_finished_run_can_be_resumed_and_does_nothing(run, tmp_path):
    history = run()
    assert run(resume=True) == history


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_during_validation_saves_before_the_run_ends_as_one_that_it_kills(tmp_path, number):
    options = ("--iterations", "1000", "--save-every", "1000", "--signal", str(int(number)))
    command = [sys.executable, tiny_training.__file__, "--data", "none", "--out", str(tmp_path)]
    result = subprocess.run([*command, *options], capture_output=True, text=True)
    assert result.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number], result.stderr
    assert counts(tmp_path) == [3]  # the step after the validation is done too
    assert result.stderr.splitlines()[-1] == "stopped at step 3 of 1000; go on with --resume"


def stopped_by(number):
    """Validate while a signal comes; a real one, sent to the process of all tests, has ended it."""
    signal.getsignal(number)(number, None)
    return {"psnr": 20.0}, []


def test_a_run_that_a_signal_ends_returns_nothing_to_write_a_result_of(run, tmp_path):
    with pytest.raises(TrainingInterruptedError, match="stopped at step 3 of 9") as caught:
        run(lambda: stopped_by(signal.SIGTERM), iterations=9)
    assert caught.value.signal == signal.SIGTERM
    assert run(iterations=9, resume=True)[-1]["step"] == 9


def test_a_signal_in_the_last_step_ends_no_run(run):
    assert run(lambda: stopped_by(signal.SIGINT), iterations=2)


def test_ctrl_c_before_the_first_step_has_no_traceback():
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_script(main)
    assert caught.value.code == 130


def test_handlers_of_signals_are_put_back_and_a_finished_run_does_not_say_it_was_stopped(
    run, caplog
):
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in numbers]
    run()
    assert [signal.getsignal(number) for number in numbers] == before
    assert "stopped" not in caplog.text


def test_loss_that_is_not_finite_stops_the_run_and_names_the_step(run, tmp_path):
    with pytest.raises(TrainingError, match=r"pixel is (nan|inf) at step \d.*--learning-rate"):
        run(learning_rate=1e38)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    """The update may break a net whose loss was still finite."""
    config = Config(out=str(tmp_path), iterations=3, save_every=1)
    step = make_step(config, Devices("cpu", 4))
    update = step.devices.update

    def break_second_update(*arguments):
        done = update(*arguments)
        if step.average.count == 1:
            step.net[0].bias.set_data(mx.nd.full(4, np.nan))
        return done

    step.devices.update = break_second_update
    with pytest.raises(TrainingError, match="a weight of the net is not finite at step 2"):
        train(config, step)
    assert counts(tmp_path) == [1]


def test_full_disk_stops_the_run_with_the_last_checkpoint_whole(run, tmp_path, capsys):
    # capsys keeps the messages in memory: there is no room for them either.
    run(iterations=2)
    with room_for(1000), pytest.raises(TrainingError) as error:
        run(iterations=4, resume=True)
    assert "\n" not in str(error.value)
    assert f"{tmp_path} cannot be written at step 4" in str(error.value)
    assert counts(tmp_path) == [2]
    run(iterations=4, resume=True)
    assert steps(tmp_path) == ["1", "2", "3", "4"]


def test_flat_output_stops_the_run(run, monkeypatch):
    monkeypatch.setattr(gan, "FLAT_STEPS", 3)
    monkeypatch.setattr(gan, "FLAT", 1e9)
    with pytest.raises(TrainingError, match="collapsed to flat colors: up to step 3"):
        run(adversarial=True)


def test_flat_steps_before_a_break_count_after_it(run, monkeypatch):
    monkeypatch.setattr(gan, "FLAT_STEPS", 3)
    monkeypatch.setattr(gan, "FLAT", 1e9)
    run(adversarial=True, iterations=2)
    with pytest.raises(TrainingError, match="collapsed to flat colors: up to step 3"):
        run(adversarial=True, iterations=4, resume=True)


def test_other_photos_after_a_break_are_a_warning(run, caplog):
    run(photos="before")
    run(photos="before", iterations=6, resume=True)
    assert "photos to train on" not in caplog.text
    run(photos="after", iterations=8, resume=True)
    assert "the photos to train on are not those that" in caplog.text


def test_folder_of_another_run_is_not_overwritten(run):
    run()
    with pytest.raises(TrainingError, match="--resume, or give another --out"):
        run()


def test_resume_with_other_options_is_refused_by_name(run):
    run()
    with pytest.raises(WeightsError, match="patch_size was 6, is 8"):
        run(patch_size=8, resume=True)


def test_the_first_step_is_validated_where_that_is_asked_for(run):
    assert [row["step"] for row in run(validate_first=True, log_every=4) if "psnr" in row] == [
        1,
        2,
        4,
    ]


def test_curves_are_drawn_in_panels_by_kind(tmp_path):
    names = ("pixel", "psnr_y", "ssim_y", "psnr_of_input", "texture_accuracy", "texture_loss")
    history = [{"step": 1, "seconds": 1, **dict.fromkeys((*names, "critics_learn"), 0.5)}]
    history.append({"step": 2, "pixel": 0.1, "texture": -3.0})  # DPED's saturating loss
    history[1]["held_out_pixel"] = 0.2
    assert plots.panels(history) == {
        "losses": ["pixel", "held_out_pixel"],
        "losses that may be negative": ["texture"],
        "PSNR in dB": ["psnr_y", "psnr_of_input"],
        "SSIM": ["ssim_y"],
        "accuracy of discriminators": ["texture_accuracy"],
        "loss of discriminators": ["texture_loss"],
        "share of steps in which discriminators learn": ["critics_learn"],
    }
    plots.plot_curves(history, tmp_path / "curves.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_metrics_of_each_kind_have_a_panel():
    row = dict.fromkeys(("step", "ms_ssim_y", "lpips", "dists_Set5", "delta_e", "niqe_of_start"), 1)
    assert plots.panels([row]) == {
        "SSIM": ["ms_ssim_y"],
        "LPIPS and DISTS": ["lpips", "dists_Set5"],
        "color difference, CIEDE2000": ["delta_e"],
        "NIQE": ["niqe_of_start"],
    }


def test_held_out_losses_are_dashed_in_the_color_of_the_losses_themselves():
    axes = Figure().subplots()
    curves = {"held_out_pixel": [(1, 3.0), (2, 2.0)], "other": [(2, 1.0)], "pixel": [(2, 1.0)]}
    plots._draw(axes, "losses", curves)
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert lines["held out pixel"].get_color() == lines["pixel"].get_color()
    assert lines["pixel"].get_color() != lines["other"].get_color()
    styles = {name: line.get_linestyle() for name, line in lines.items()}
    assert styles == {"held out pixel": "--", "other": "-", "pixel": "-"}


def test_share_of_the_waiting_is_logged(run):
    assert all(0 <= row["waiting_for_data"] <= 1 for row in run())
