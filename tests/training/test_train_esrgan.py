"""The training script, run as a user runs it, on generated pictures."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gluon_enhance.errors import TrainingError
from gluon_enhance.framework import mx
from gluon_enhance.training.checkpoint import list_checkpoints
from gluon_enhance.weights.store import find_shipped

PSNR = ("--model", "rrdb_lite_x4", "--reductions", "1.0")
GAN = ("--model", "esrgan_lite_x4", "--reductions", "1.0", "--phase", "gan", "--critic-channels", 2)


@pytest.fixture
def gan(train, vgg_file, tmp_path):
    """Options of the GAN phase: with the result of a PSNR phase, and a small VGG."""
    train("esrgan", tmp_path / "psnr", *PSNR, "--iterations", 1)
    return (*GAN, "--init", tmp_path / "psnr" / "rrdb_lite_x4.params", "--vgg", vgg_file(19))


def test_resumed_psnr_phase_equals_uninterrupted_bit_for_bit(check_resume):
    check_resume("esrgan", *PSNR)


def test_resumed_gan_phase_equals_uninterrupted_bit_for_bit(check_resume, gan):
    check_resume("esrgan", *gan)


def test_run_says_where_its_result_is_last(train, tmp_path, capsys):
    train("esrgan", tmp_path, *PSNR, "--iterations", 2, "--log-every", 1)
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "rrdb_lite_x4.params")
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert float(rows[-1]["pixel"]) > 0 and float(rows[-1]["psnr_y"]) > 20
    assert json.loads((tmp_path / "card.json").read_text())["training"]["iterations"] == 2


def test_psnr_phase_goes_on_from_the_weights_given(train, tmp_path):
    start = find_shipped("rrdb_lite_x4", ".params")
    options = (*PSNR, "--init", start, "--iterations", 1, "--learning-rate", 1e-9)
    train("esrgan", tmp_path, *options)
    start = mx.nd.load(str(start))
    for name, array in mx.nd.load(str(tmp_path / "rrdb_lite_x4.params")).items():
        np.testing.assert_allclose(array.asnumpy(), start[name].asnumpy(), atol=1e-6, err_msg=name)


def test_psnr_phase_refuses_to_mix_with_its_start(train, tmp_path):
    with pytest.raises(ValueError, match="--interpolate is for --phase gan"):
        train("esrgan", tmp_path, *PSNR, "--interpolate", 0.5)


def test_gan_phase_without_weights_to_start_from_refuses_to_mix_with_them(train, tmp_path):
    options = (*GAN, "--start", "xavier", "--interpolate", 0.5)
    with pytest.raises(ValueError, match="gan that starts from weights; leave it out"):
        train("esrgan", tmp_path, *options)


def test_gan_phase_logs_all_losses_and_mixes_with_the_start(train, gan, tmp_path):
    train("esrgan", tmp_path / "gan", *gan, "--iterations", 1, "--interpolate", 0)
    (row,) = csv.DictReader((tmp_path / "gan" / "metrics.csv").read_text().splitlines())
    assert {"pixel", "features", "critic", "critic_loss", "critic_accuracy"} <= row.keys()
    assert float(row["feature_distance"]) > 0
    start, mixed = (
        mx.nd.load(str(tmp_path / name))
        for name in ("psnr/rrdb_lite_x4.params", "gan/esrgan_lite_x4.params")
    )
    assert all(np.array_equal(mixed[k].asnumpy(), v.asnumpy()) for k, v in start.items())


def test_gan_phase_with_the_u_net_resumes_bit_for_bit(check_resume, gan):
    check_resume("esrgan", *gan, "--critic", "unet")


def test_u_net_judges_every_pixel(train, gan, tmp_path):
    train("esrgan", tmp_path / "gan", *gan, "--iterations", 1, "--critic", "unet")
    (row,) = csv.DictReader((tmp_path / "gan" / "metrics.csv").read_text().splitlines())
    # Of 2 patches of 32 x 32 pixels, real and made: no multiple of a quarter, as 2 + 2 votes are.
    assert (float(row["critic_accuracy"]) * 4) % 1 != 0


def test_gan_phase_needs_the_psnr_phase(train, tmp_path):
    with pytest.raises(ValueError, match="--init is needed for rrdb_x4"):
        train("esrgan", tmp_path, *GAN, "--model", "rrdb_x4")


def test_gan_phase_starts_from_the_shipped_net_and_the_card_has_the_mixtures_scores(
    train, vgg_file, tmp_path
):
    options = ("--vgg", vgg_file(19), "--iterations", 1, "--interpolate", 0, "--learning-rate", 0.1)
    train("esrgan", tmp_path, *GAN, *options)
    start = mx.nd.load(str(find_shipped("rrdb_lite_x4", ".params")))
    mixed = mx.nd.load(str(tmp_path / "esrgan_lite_x4.params"))
    for key, array in start.items():
        np.testing.assert_array_equal(mixed[key].asnumpy(), array.asnumpy().astype(np.float32))
    (row,) = json.loads((tmp_path / "card.json").read_text())["log"]
    assert row["psnr_y"] == row["psnr_y_of_start"]
    (logged,) = csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines())
    assert float(logged["psnr_y"]) < row["psnr_y"] - 0.5  # of the GAN's net itself


@pytest.mark.parametrize("phase, rate", [("psnr", 2e-4), ("gan", 1e-4)])
def test_learning_rate_is_the_papers_of_the_phase(phase, rate, train, tmp_path, capsys):
    options = ("--model", "rrdb_lite_x4", "--phase", phase, "--dry-run")
    train("esrgan", tmp_path, *options)
    assert json.loads(capsys.readouterr().out)["learning_rate"] == rate


@pytest.mark.slow
def test_interrupted_run_saves_first_and_a_killed_one_leaves_whole_checkpoints(
    script, arguments, tmp_path
):
    options = ("--iterations", 1_000_000, "--save-every", 1, "--log-every", 1, "--resume")
    command = [sys.executable, script("esrgan").__file__, *arguments(tmp_path, *PSNR, *options)]
    (tmp_path / "config.json").write_text("{}")  # of a run that was killed at once
    for stop in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        before = list_checkpoints(tmp_path / "checkpoints")[:1]
        while list_checkpoints(tmp_path / "checkpoints")[:1] == before and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(stop)
        assert process.wait(60) == (143 if stop == signal.SIGTERM else -signal.SIGKILL)
        assert not list(tmp_path.glob("*.params")) and not (tmp_path / "card.json").exists()
        newest = list_checkpoints(tmp_path / "checkpoints")[0]
        assert newest.name == f"step-{json.loads((newest / 'state.json').read_text())['count']:07d}"
        assert {path.name for path in newest.iterdir()} == {
            "net.params",
            "average.params",
            "net.states",
            "state.json",
        }


def test_folder_of_another_run_is_not_overwritten(train, tmp_path):
    train("esrgan", tmp_path, *PSNR, "--iterations", 1)
    with pytest.raises(TrainingError, match="--resume, or give another --out"):
        train("esrgan", tmp_path, *PSNR, "--iterations", 1)


def test_errors_are_one_line_and_status_1(script, arguments, tmp_path):
    options = arguments(tmp_path / "run", data=tmp_path / "none")
    command = [sys.executable, script("esrgan").__file__, *options]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "none is not a folder" in result.stderr.splitlines()[-1]


def test_unreadable_photo_is_left_out_and_named(train, photos, tmp_path, caplog):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "bad.jpg").write_bytes(b"no image")
    train("esrgan", tmp_path / "run", *PSNR, "--iterations", 1, data=folder)
    assert "bad.jpg" in caplog.text


def test_empty_folder_is_an_error_that_names_it(train, tmp_path):
    with pytest.raises(ValueError, match=str(tmp_path)):
        train("esrgan", tmp_path / "run", *PSNR, data=tmp_path)


def test_photos_smaller_than_a_patch_are_an_error_that_says_so(train, tmp_path):
    with pytest.raises(ValueError, match="no photo is as large as a patch"):
        train("esrgan", tmp_path, *PSNR, "--patch-size", 80)


def test_dry_run_says_what_would_be_done_and_writes_nothing(train, tmp_path, capsys):
    train("esrgan", tmp_path / "run", *PSNR, "--dry-run")
    assert json.loads(capsys.readouterr().out)["model"] == "rrdb_lite_x4"
    assert not (tmp_path / "run").exists()
