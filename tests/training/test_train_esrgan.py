"""The training script, run as a user runs it, on generated pictures."""

import csv
import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.errors import TrainingError, WeightsError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.training.checkpoint import newest_checkpoint  # noqa: E402

SCRIPT = Path(__file__).resolve().parents[2] / "train_scripts" / "train_esrgan.py"
TINY = [
    "--model",
    "rrdb_lite_x4",
    "--patch-size",
    "8",
    "--batch-size",
    "2",
    "--reductions",
    "1.0",
    "--warmup",
    "2",
]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_esrgan", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    import cv2

    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for index in range(3):
        coarse = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(coarse, (240, 208)))
    return folder


def train(script, photos, out, *options):
    script.main(["--data", str(photos), "--out", str(out), *TINY, *options])
    return mx.nd.load(str(out / "rrdb_lite_x4.params"))


def equal(a, b):
    return a.keys() == b.keys() and all(
        np.array_equal(a[name].asnumpy(), b[name].asnumpy()) for name in a
    )


def test_resumed_training_equals_uninterrupted_bit_for_bit(script, photos, tmp_path):
    out = tmp_path / "run"
    whole = train(script, photos, out, "--iterations", "6", "--save-every", "3")
    # As after a kill in the second half: only the checkpoint of step 3 is there.
    shutil.rmtree(out / "checkpoints" / "step-0000006")
    (out / "rrdb_lite_x4.params").unlink()
    resumed = train(script, photos, out, "--iterations", "6", "--save-every", "3", "--resume")
    assert equal(whole, resumed)
    assert not equal(whole, train(script, photos, tmp_path / "other", "--iterations", "5"))


def test_run_leaves_result_log_curves_and_says_where(script, photos, tmp_path, capsys):
    train(script, photos, tmp_path / "run", "--iterations", "4", "--log-every", "2")
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "run" / "rrdb_lite_x4.params")
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert float(rows[-1]["loss"]) > 0 and float(rows[-1]["psnr_y"]) > 0
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_interrupted_run_saves_first_and_a_killed_one_keeps_whole_checkpoints(photos, tmp_path):
    out = tmp_path / "run"
    command = [
        sys.executable,
        str(SCRIPT),
        "--data",
        str(photos),
        "--out",
        str(out),
        *TINY,
        "--iterations",
        "1000000",
        "--save-every",
        "2",
        "--log-every",
        "2",
    ]
    for stop in (signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen([*command, "--resume"], stderr=subprocess.DEVNULL)
        before = newest_checkpoint(out / "checkpoints")
        while newest_checkpoint(out / "checkpoints") == before and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(stop)
        assert process.wait(60) == (0 if stop == signal.SIGTERM else -signal.SIGKILL)
        newest = newest_checkpoint(out / "checkpoints")
        count = json.loads((newest / "state.json").read_text())["count"]
        assert newest.name == f"step-{count:07d}"
        assert {p.name for p in newest.iterdir()} == {
            "net.params",
            "ema.params",
            "trainer.states",
            "state.json",
        }


def test_loss_that_is_not_a_number_stops_the_run_and_names_the_step(script, photos, tmp_path):
    with pytest.raises(TrainingError, match=r"loss is (nan|inf) at step \d.*--learning-rate"):
        train(
            script,
            photos,
            tmp_path / "run",
            "--iterations",
            "4",
            "--log-every",
            "2",
            "--learning-rate",
            "1e30",
        )


def test_checkpoint_of_other_options_is_refused_by_name(script, photos, tmp_path):
    train(script, photos, tmp_path / "run", "--iterations", "2")
    with pytest.raises(WeightsError, match="patch_size was 8, is 12"):
        train(script, photos, tmp_path / "run", "--resume", "--patch-size", "12")


def test_folder_of_another_run_is_not_overwritten(script, photos, tmp_path):
    train(script, photos, tmp_path / "run", "--iterations", "2")
    with pytest.raises(TrainingError, match="--resume, or give another --out"):
        train(script, photos, tmp_path / "run", "--iterations", "2")


def test_errors_are_one_line_and_status_1(tmp_path):
    command = [sys.executable, str(SCRIPT), "--data", str(tmp_path / "none"), "--out", "run"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "none is not a folder" in result.stderr.splitlines()[-1]


def test_unreadable_photo_is_skipped_and_named(script, photos, tmp_path, caplog):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "bad.jpg").write_bytes(b"no image")
    train(script, folder, tmp_path / "run", "--iterations", "2")
    assert "bad.jpg" in caplog.text


def test_empty_folder_is_an_error_that_names_it(script, tmp_path):
    with pytest.raises(ValueError, match=str(tmp_path)):
        train(script, tmp_path, tmp_path / "run", "--iterations", "2")
