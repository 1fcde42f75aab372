"""The commands of a base install, in processes in which any import of MXNet fails."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gluon_enhance as ge
from gluon_enhance.framework import is_mxnet_installed
from gluon_enhance.inference.enhancer import DEFAULT_MODEL
from gluon_enhance.photos import Photo, read_image, write_image
from gluon_enhance.weights.store import model_zoo_folder

SHIPPED = DEFAULT_MODEL


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run ``gluon-enhance`` where MXNet and GluonCV are mines."""
    mines = tmp_path_factory.mktemp("mines")
    for name in ("mxnet", "gluoncv"):
        (mines / f"{name}.py").write_text(f"raise AssertionError('{name} was imported')")
    checkout = Path(ge.__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (mines, checkout)))}

    def run(*arguments):
        command = [sys.executable, "-m", "gluon_enhance", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    return run


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "net"
    if is_mxnet_installed():
        return ge.export(SHIPPED, folder)
    return shutil.copytree(model_zoo_folder() / SHIPPED, folder)


@pytest.fixture
def photos(tmp_path, picture):
    """A folder of one photo, 32 x 24 pixels."""
    (tmp_path / "hr").mkdir()
    write_image(tmp_path / "hr" / "one.png", Photo(picture[:24, :32]))
    return tmp_path / "hr"


@pytest.fixture(params=["shipped", "exported"])
def model(request, exported):
    return SHIPPED if request.param == "shipped" else exported


def test_enhance_gives_the_models_pixels(run, model, photos):
    result = run("enhance", photos / "one.png", "-m", model)
    assert result.returncode == 0, result.stderr
    expected = ge.enhance(read_image(photos / "one.png").pixels, SHIPPED)
    assert np.array_equal(read_image(photos / "one_x4.png").pixels, expected)


def test_evaluate_scores_the_model(run, model, photos):
    result = run("evaluate", "-m", model, "--hr", photos, "--json")
    assert result.returncode == 0, result.stderr
    assert 10 < json.loads(result.stdout)["mean"]["psnr"] < 60


def test_score_and_match(run, photos, tmp_path):
    photo = photos / "one.png"
    scored = run("score", photo, photo, "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["mean"]["ssim"] == 1
    darker = Photo(read_image(photo).pixels // 2)
    write_image(tmp_path / "dark.png", darker)
    matched = run("match", photo, tmp_path / "dark.png", tmp_path / "out.tif")
    assert matched.returncode == 0, matched.stderr
    assert read_image(tmp_path / "out.tif").pixels.max() <= darker.pixels.max()


def test_an_import_of_mxnet_is_noticed(run, tmp_path):
    """Of the one command here that needs it."""
    result = run("export", SHIPPED, tmp_path / "net")
    assert "mxnet was imported" in result.stderr
