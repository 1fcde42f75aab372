"""``gluon-enhance score``, ``evaluate``, ``models`` and ``demo``."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gluon_enhance.imaging.resize import resize
from gluon_enhance.inference.enhancer import DEFAULT_MODEL


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "gluon_enhance", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def loaded(path):
    with Image.open(path) as image:
        image.load()
    return image


@pytest.fixture
def pair(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(np.clip(picture.astype(int) + 5, 0, 255).astype(np.uint8)).save(
        tmp_path / "b.png"
    )
    return tmp_path / "a.png", tmp_path / "b.png"


def test_score_prints_the_closed_form_and_its_protocol(pair):
    result = run("score", *pair, "--json", "--crop-border", 4)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["mean"]["psnr"] == pytest.approx(10 * np.log10(255**2 / 25), abs=0.05)
    assert "4 pixels cropped" in report["protocol"] and "BT.601" in report["protocol"]
    assert "4 pixels cropped" in run("score", *pair, "--crop-border", 4).stdout


def test_score_of_equal_images_is_valid_json(pair):
    report = json.loads(run("score", pair[0], pair[0], "--json").stdout)
    assert report["mean"]["psnr"] is None and report["mean"]["ssim"] == 1


def test_score_of_folders_pairs_by_name_and_reports_the_missing(tmp_path, pair):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        for path in pair:
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "y" / "b.png").unlink()
    result = run("score", tmp_path / "x", tmp_path / "y", "--json")
    assert result.returncode == 1 and "b.png" in result.stderr
    assert len(json.loads(result.stdout)["images"]) == 1


def test_equal_pictures_of_one_name_in_two_subfolders_are_equal(tmp_path, picture):
    for folder in ("hr", "lr", "sr"):
        for day, image in (("day1", picture[:60, :44]), ("day2", 255 - picture[:60, :44])):
            path = tmp_path / folder / day / ("ax4.png" if folder == "lr" else "a.png")
            path.parent.mkdir(parents=True)
            Image.fromarray(resize(image, 1 / 4) if folder == "lr" else image).save(path)
    report = json.loads(run("score", tmp_path / "sr", tmp_path / "hr", "--json").stdout)
    assert [row["psnr"] for row in report["images"]] == [None, None]  # infinite
    folders = ("--hr", tmp_path / "hr", "--lr", tmp_path / "lr")
    report = json.loads(run("evaluate", "-m", "bicubic", *folders, "--json").stdout)
    assert [row["image"] for row in report["images"]] == ["day1/a.png", "day2/a.png"]
    assert min(row["psnr"] for row in report["images"]) > 20


def test_a_folder_with_two_images_of_one_reference_is_refused_by_naming_both(tmp_path, pair):
    (tmp_path / "x").mkdir(), (tmp_path / "y").mkdir()
    for name in ("x/a.png", "x/a_x4.png", "y/a.png"):
        (tmp_path / name).write_bytes(pair[0].read_bytes())
    result = run("score", tmp_path / "x", tmp_path / "y")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "x/a.png and" in result.stderr and "x/a_x4.png both belong to" in result.stderr


def test_a_border_below_zero_is_refused(pair):
    result = run("score", *pair, "--crop-border", -3)
    assert result.returncode == 2 and "-3 is not in the range x>=0" in result.stderr


def test_images_of_other_sizes_are_one_line(tmp_path, pair):
    loaded(pair[0]).crop((0, 0, 20, 20)).save(tmp_path / "small.png")
    result = run("score", tmp_path / "small.png", pair[0])
    assert result.returncode == 2
    assert "20x20" in result.stderr and "47x61" in result.stderr
    assert "Traceback" not in result.stderr


def test_evaluate_bicubic_is_resize_in_floating_point(tmp_path, picture):
    (tmp_path / "hr").mkdir()
    hr = picture[:60, :44]
    Image.fromarray(hr).save(tmp_path / "hr" / "one.png")
    result = run("evaluate", "-m", "bicubic", "--hr", tmp_path / "hr", "--scale", 4, "--json")
    assert result.returncode == 0, result.stderr
    sr = np.rint(np.clip(resize(resize(hr, 1 / 4).astype(np.float64), 4), 0, 255))
    error = (sr - hr)[4:-4, 4:-4]
    expected = 10 * np.log10(255**2 / np.mean(error**2))
    assert json.loads(result.stdout)["mean"]["psnr"] == pytest.approx(expected, abs=1e-3)


def test_evaluate_without_a_known_scale_says_what_is_missing(tmp_path, pair):
    result = run("evaluate", "-m", "bicubic", "--hr", tmp_path)
    assert result.returncode == 2 and "scale" in result.stderr


@pytest.mark.reference
@pytest.mark.parametrize("scale, expected", [(4, 28.419), (3, 30.388), (2, 33.645)])
def test_bicubic_on_set5_has_the_published_psnr(reference_data, scale, expected):
    folder = reference_data / f"sets/Set5/x{scale}"
    result = run(
        "evaluate", "-m", "bicubic", "--hr", folder / "hr", "--lr", folder / "lr", "--json"
    )
    report = json.loads(result.stdout)
    assert report["mean"]["psnr_y"] == pytest.approx(expected, abs=1e-3)
    assert len(report["images"]) == 5


@pytest.mark.reference
def test_default_model_keeps_its_promise_on_set5(reference_data):
    folder = reference_data / "sets/Set5/x4"
    result = run(
        "evaluate", "-m", "rrdb_lite_x4", "--hr", folder / "hr", "--lr", folder / "lr", "--json"
    )
    card = next(m for m in json.loads(run("models", "rrdb_lite_x4", "--json").stdout))
    mean = json.loads(result.stdout)["mean"]
    assert mean["psnr_y"] >= 31.0
    assert mean["psnr_y"] == pytest.approx(card["scores"]["Set5"]["psnr_y"], abs=0.02)


def test_models_is_a_table_and_json():
    rows = json.loads(run("models", "--json").stdout)
    by_name = {row["name"]: row for row in rows}
    assert by_name["rrdb_x4"]["parameters"] == 16_697_987
    assert by_name["esrgan_x4"]["weights"] == "official"
    assert by_name["rrdb_lite_x4"]["weights"] == "shipped"
    columns = [
        "name",
        "method",
        "purpose",
        "scale",
        "parameters",
        "weights",
        "checked_by",
        "scores",
    ]
    assert list(rows[0]) == columns and all(row["purpose"] for row in rows)
    assert "rrdb_lite_x4" in run("models", "rrdb_lite*").stdout
    assert "official, prefix" in run("models", "msrresnet_x4").stdout
    assert run("models", "nothing*").returncode == 2


def test_demo_of_a_model_that_keeps_the_size_degrades_its_photo(tmp_path):
    """With noise and other colors; a net can undo the former, and can only guess the latter."""
    result = run("demo", "-o", tmp_path, "-m", "dped_resnet")
    assert result.returncode == 0, result.stderr
    sizes = {loaded(tmp_path / f"{name}.png").size for name in ("before", "after")}
    assert len(sizes) == 1
    lines = [line.split() for line in result.stdout.splitlines()[-4:-2]]
    (psnr_before, ssim_before), (psnr, ssim) = (map(float, line[-2:]) for line in lines)
    assert psnr > psnr_before + 1.5 and ssim > ssim_before + 0.15


@pytest.mark.parametrize(
    "options, model, gain",  # the default is for a JPEG, of which it gives the look, not the pixels
    [((), DEFAULT_MODEL, -0.5), (("-m", "rrdb_lite_x4"), "rrdb_lite_x4", 0.5)],
)
def test_demo_makes_a_picture_and_scores_it_beside_bicubic(options, model, gain, tmp_path):
    result = run("demo", "-o", tmp_path, *options)
    assert result.returncode == 0, result.stderr
    strip = loaded(tmp_path / "before_after.png")
    assert strip.size[0] == 3 * loaded(tmp_path / "after.png").size[0]
    scores = {
        line.split()[0]: [float(value) for value in line.split()[1:3]]
        for line in result.stdout.splitlines()
        if line.startswith(("bicubic", model))
    }
    assert scores[model][0] > scores["bicubic"][0] + gain
    assert scores[model][1] > scores["bicubic"][1] + 0.01


def test_each_bands_bias_and_error_are_in_the_images_numbers(tmp_path):
    truth = np.zeros((20, 20, 3), np.uint8) + np.uint8(100)
    image = truth + np.array([0, 3, 5], np.uint8)
    image[:4] = 0  # outside the border
    for name, pixels in (("image.png", image), ("truth.png", truth)):
        Image.fromarray(pixels).save(tmp_path / name)
    options = ("--per-band", "--crop-border", 4, "--json")
    result = run("score", tmp_path / "image.png", tmp_path / "truth.png", *options)
    (row,) = json.loads(result.stdout)["images"]
    assert [row[f"bias_{k}"] for k in (1, 2, 3)] == [0, 3, 5]
    assert [row[f"rmse_{k}"] for k in (1, 2, 3)] == [0, 3, 5]
