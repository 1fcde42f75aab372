"""The training script of PLSR, on generated pictures and with random VGG weights."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from gluon_enhance.framework import mx
from gluon_enhance.imaging.pictures import HEADING_HEIGHT

TINY = ("--reductions", 1.0, "--iterations", 4)


@pytest.fixture
def options(vgg_file):
    return ("--vgg", vgg_file(16), *TINY)


def last_row(out):
    return list(csv.DictReader((out / "metrics.csv").read_text().splitlines()))[-1]


@pytest.mark.parametrize("model, patch_size", [("plsr_x4", 8), ("plsr_x8", 4)])
def test_johnsons_recipe_compares_with_bicubic_in_features(
    train, options, tmp_path, capsys, model, patch_size
):
    out = tmp_path / "run"
    train("plsr", out, *options, "--model", model, "--patch-size", patch_size)
    assert capsys.readouterr().out.splitlines()[-1] == str(out / f"{model}.params")
    row = last_row(out)
    assert row["step"] == "4" and "variation" not in row
    assert float(row["feature_distance"]) > float(row["bicubic_distance"]) > 0


def test_samples_show_input_output_matched_output_and_truth(train, options, tmp_path):
    train("plsr", tmp_path / "run", *options)
    with Image.open(tmp_path / "run/samples/step-0000004.png") as sample:
        assert sample.size == (4 * 192, HEADING_HEIGHT + 192)


@pytest.mark.parametrize("recipe", ["johnson", "report"])
def test_realistic_inputs_are_made_at_the_patch_size_of_the_paper(
    recipe, train, noisy_photos, vgg_file, tmp_path
):
    options = ("--vgg", vgg_file(16), "--recipe", recipe, "--degrade", "realistic")
    train(
        "plsr",
        tmp_path / "run",
        *(*options, "--reductions", 1.0, "--iterations", 1, "--batch-size", 1, "--patch-size", 0),
        data=noisy_photos,
    )
    assert last_row(tmp_path / "run")["step"] == "1"


@pytest.mark.parametrize(
    "options, patch_size", [((), 72), (("--model", "plsr_x8"), 36), (("--recipe", "report"), 72)]
)
def test_patches_are_as_large_as_the_papers(options, patch_size, train, noisy_photos, capsys):
    train("plsr", "run", *options, "--patch-size", 0, "--dry-run", data=noisy_photos)
    assert json.loads(capsys.readouterr().out)["patch_size"] == patch_size


def test_resumed_training_equals_uninterrupted_bit_for_bit(check_resume, options):
    check_resume("plsr", *options)


def test_resumed_training_from_shards_equals_uninterrupted_bit_for_bit(
    check_resume, options, tmp_path
):
    shards = ("--shards", tmp_path / "shards", "--shard-count", 2, "--shard-samples", 4)
    check_resume("plsr", *options, *shards, "--recipe", "report", "--learning-rate", 1e-3)
    assert len(list((tmp_path / "shards").glob("train[xy]_?.params"))) == 4


def test_plain_colors_have_no_features_in_shards(train, options, tmp_path):
    with pytest.raises(ValueError, match="features of photos alone; leave out --plain-colors"):
        train("plsr", tmp_path, *options, "--shards", tmp_path / "s", "--plain-colors", 0.1)


def test_reports_net_holds_the_mean_color_of_its_inputs(train, options, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(2):
        Image.new("RGB", (200, 200), (200, 100, 50)).save(folder / f"{index}.png")
    train("plsr", tmp_path / "run", *options, "--recipe", "report", data=folder)
    mean = mx.nd.load(str(tmp_path / "run/plsr_x2.params"))["mean"].asnumpy()
    np.testing.assert_allclose(mean.ravel() * 255, [200, 100, 50], atol=0.01)


def test_reports_net_starts_at_random_at_a_constant_rate_or_as_an_interpolator(
    train, options, tmp_path
):
    # At its own rate, 1e-5, the start is what is scored.
    train("plsr", tmp_path / "run", *options, "--recipe", "report")
    row = last_row(tmp_path / "run")
    assert float(row["psnr_y"]) < 20 and float(row["variation"]) > 0
    assert float(row["learning_rate"]) == 1e-5
    train("plsr", tmp_path / "other", *options, "--recipe", "report", "--start", "interpolator")
    assert float(last_row(tmp_path / "other")["psnr_y"]) > 25
