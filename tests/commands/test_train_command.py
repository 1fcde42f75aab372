"""``gluon-enhance train``: the scripts by their methods."""

import re
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from gluon_enhance.commands.train import training_scripts

pytest.importorskip("mxnet", reason="MXNet is not installed")
COMMAND = [sys.executable, "-c", "from gluon_enhance.commands import main; main()", "train"]


def run(*options):
    return subprocess.run([*COMMAND, *map(str, options)], capture_output=True, text=True)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for k in range(4):
        image = np.random.default_rng(k).integers(0, 256, (96, 96, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "photos" / f"{k}.png"), image)
    return tmp_path / "photos"


def test_methods_are_listed_with_what_they_train():
    listed = run().stdout
    assert listed == run("--help").stdout
    for method, script in training_scripts().items():
        assert re.search(rf"^  {method} +Train", listed, re.MULTILINE)
        assert script.read_text().count("def main(") == 1


def test_an_unknown_method_is_refused_by_name():
    result = run("esgran", "--data", "photos")
    assert result.returncode == 2
    assert "there is no method 'esgran'; choose one of distill, dped" in result.stderr


def test_a_method_has_its_scripts_options_and_errors(tmp_path):
    assert "--init-partial" in run("srcnn", "--help").stdout
    missing = run("srcnn", "--data", tmp_path / "none", "--out", tmp_path / "out")
    assert missing.returncode == 1 and missing.stderr.startswith("error: ")
    nothing = run("srcnn")
    assert nothing.returncode == 2
    assert "gluon-enhance train srcnn: error: --data is needed" in nothing.stderr


def test_a_net_is_trained_and_an_interrupted_run_says_so_by_its_status(photos, tmp_path):
    options = ("--data", photos, "--batch-size", 1, "--patch-size", 8, "--reductions", "1.0")
    result = run("srcnn", *options, "--out", tmp_path / "out", "--iterations", 2)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "srcnn_x4.params").is_file()

    long = [*COMMAND, "srcnn", *map(str, options), "--out", str(tmp_path / "long")]
    process = subprocess.Popen([*long, "--iterations", "100000"], stderr=subprocess.PIPE)
    while not list(tmp_path.glob("long/metrics*")) and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
