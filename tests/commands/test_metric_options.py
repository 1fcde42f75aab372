"""``score`` and ``evaluate`` with the other metrics, their tables, intervals and comparisons."""

import csv
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy import stats

from gluon_enhance import losses, metrics
from gluon_enhance.commands import cli, intervals
from gluon_enhance.errors import WeightsError
from gluon_enhance.imaging.resize import resize, resize_rounding_once
from gluon_enhance.weights import store
from gluon_enhance.weights.niqe import read_niqe, write_niqe


def run(*arguments, status=0):
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def photos():
    """Three photos of 200x208 pixels with grain, of 8 bits."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(30, 220, (3, 25, 26, 3)).astype(np.float64)
    images = [resize(image, 8) + rng.normal(0, 8, (200, 208, 1)) for image in coarse]
    return [np.clip(image, 0, 255).astype(np.uint8) for image in images]


@pytest.fixture
def folder(tmp_path, photos):
    (tmp_path / "hr").mkdir()
    for index, photo in enumerate(photos):
        Image.fromarray(photo).save(tmp_path / "hr" / f"{index}.png")
    return tmp_path / "hr"


def test_score_prints_what_the_functions_say_and_how_it_is_made(tmp_path, photos):
    images = photos[0], np.clip(photos[0] + 9.0, 0, 255).astype(np.uint8)
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for path, image in zip(paths, images):
        Image.fromarray(image).save(path)
    names = "ms_ssim,ms_ssim_dped,delta_e,blockiness,checkerboard,ringing"
    options = ("--metrics", names, "--crop-border", 4, "--block", 16)
    report = json.loads(run("score", *paths, *options, "--json").stdout)
    (row,) = report["images"]
    assert row == {
        "image": str(paths[0]),
        "ms_ssim_y": metrics.ms_ssim(*images, crop_border=4, y_channel=True),
        "ms_ssim": metrics.ms_ssim(*images, crop_border=4),
        "ms_ssim_dped": metrics.ms_ssim(*images, crop_border=4, form="dped"),
        "delta_e": metrics.delta_e(*images, crop_border=4),
        "blockiness": metrics.blockiness(images[0], crop_border=4, block=16),
        "checkerboard": metrics.checkerboard(images[0], crop_border=4, period=2),
        "ringing": metrics.ringing(*images, crop_border=4),
    }
    assert "psnr" not in report["protocol"] and "16 pixels apart" in report["protocol"]
    assert "periods of 2 pixels" in report["protocol"]
    assert "interval" not in report
    heading, values = run("score", *paths, *options).stdout.splitlines()[1:3]
    assert heading.split()[1:] == list(row)[1:]
    assert [float(v) for v in values.split()[1:]] == pytest.approx(list(row.values())[1:], abs=6e-4)


def test_names_that_are_no_metric_and_places_for_no_table_are_refused_before_the_work(folder):
    result = run("score", folder, folder, "--metrics", "psnr,vmaf", status=2)
    assert "'vmaf' is no metric; choose some of psnr, ssim, ms_ssim" in result.stderr
    result = run("score", folder, folder, "--csv", folder / "no" / "a.csv", status=2)
    assert "in a folder that is not there" in result.stderr


def test_the_table_has_a_row_an_image_and_the_models_names(tmp_path, folder):
    table = tmp_path / "scores.csv"
    options = ("--metrics", "psnr,delta_e", "--csv", table, "--json")
    result = run(
        "evaluate", "-m", "bicubic", "--against", "nearest", "--hr", folder, "--scale", 2, *options
    )
    report = json.loads(result.stdout)
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["image"]) for row in rows] == [
        (model, f"{k}.png") for model in ("bicubic", "nearest") for k in range(3)
    ]
    expected = [row["delta_e"] for row in report["images"] + report["against"]["images"]]
    assert [float(row["delta_e"]) for row in rows] == expected
    assert list(folder.parent.glob(".*")) == []


def test_where_nothing_was_scored_there_is_no_table(tmp_path, folder):
    table = tmp_path / "scores.csv"
    options = ("--metrics", "niqe", "--niqe", tmp_path / "own.npz", "--csv", table)
    write_niqe(tmp_path / "own.npz", metrics.NIQEModel(np.zeros(36), np.eye(36)))
    Image.new("L", (50, 50)).save(tmp_path / "small.png")
    path = tmp_path / "small.png"
    result = run("score", path, path, *options, status=2)
    assert "niqe needs two blocks of 96x96 pixels" in result.stderr
    assert not table.exists()


def test_two_models_are_compared_image_by_image(folder, photos):
    def psnrs(kernel):
        lows = [resize(photo, 1 / 2) for photo in photos]
        return [
            metrics.psnr(resize_rounding_once(low, 2, kernel), photo, crop_border=2)
            for low, photo in zip(lows, photos)
        ]

    run_it = ("evaluate", "-m", "bicubic", "--against", "nearest", "--hr", folder, "--scale", 2)
    report = json.loads(run(*run_it, "--json").stdout)
    apart = np.subtract(psnrs("bicubic"), psnrs("nearest"))
    found = report["difference"]
    assert found["mean"]["psnr"] == pytest.approx(apart.mean())
    # With three images the extreme resamples are those of one image three times: 1 of 27 each.
    assert found["interval"]["psnr"] == pytest.approx([apart.min(), apart.max()])
    assert report["model"] == "bicubic" and report["against"]["model"] == "nearest"
    assert report["against"]["mean"]["psnr"] == pytest.approx(np.mean(psnrs("nearest")))
    lines = run(*run_it).stdout.splitlines()
    assert lines[0] == "bicubic:" and "nearest:" in lines
    assert lines[-5] == "bicubic less nearest, image by image:"
    assert float(lines[-3].split()[3]) == pytest.approx(apart.mean(), abs=6e-4)


def test_a_model_is_not_compared_with_itself(folder):
    options = ("--hr", folder, "--scale", 2)
    result = run("evaluate", "-m", "bicubic", "--against", "bicubic", *options, status=2)
    assert "--against is bicubic, the model itself" in result.stderr


def test_blocks_and_checks_of_an_evaluated_model_are_as_large_as_its_scale_makes_them(
    folder, photos
):
    options = ("--hr", folder, "--scale", 2, "--metrics", "blockiness,checkerboard", "--json")
    report = json.loads(run("evaluate", "-m", "bicubic", *options).stdout)
    large, row = resize_rounding_once(resize(photos[0], 1 / 2), 2), report["images"][0]
    assert row["blockiness"] == metrics.blockiness(large, block=16, crop_border=2)
    assert row["checkerboard"] == metrics.checkerboard(large, period=2, crop_border=2)
    assert "16 pixels apart" in report["protocol"]


def test_intervals_of_a_normal_sample_are_those_of_the_normal_distribution(rng):
    values = rng.normal(30, 2, 400)
    expected = stats.norm.interval(0.95, values.mean(), values.std() / 20)
    assert intervals.interval(values) == pytest.approx(expected, abs=0.02)
    assert intervals.interval(values) == intervals.interval(list(values))


def test_intervals_cover_the_true_mean_as_often_as_they_say(rng, monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 1000)
    bounds = [intervals.interval(rng.exponential(1, 40)) for _ in range(300)]
    assert 0.88 < np.mean([low < 1 < high for low, high in bounds]) < 0.98


def test_one_image_and_infinite_scores_have_no_interval(folder):
    assert all(math.isnan(bound) for bound in intervals.interval([1.0]))
    report = json.loads(run("score", folder, folder, "--json").stdout)
    assert report["interval"]["psnr"] == [None, None] and report["mean"]["psnr"] is None
    assert report["interval"]["ssim"] == pytest.approx([1, 1])
    assert "10,000 resamples" in report["protocol"]


def test_niqe_is_fitted_on_a_folder_and_scores_by_the_file(tmp_path, rng):
    (tmp_path / "good").mkdir()
    images = rng.integers(0, 256, (2, 480, 480, 3), dtype=np.uint8)
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "good" / f"{index}.png")
    (tmp_path / "good" / "bad.png").write_bytes(b"no image")
    result = run("niqe", "fit", tmp_path / "good", "-o", tmp_path / "own.npz")
    assert "left out" in result.stderr and "bad.png" in result.stderr
    model = metrics.fit_niqe(images)
    np.testing.assert_array_equal(read_niqe(tmp_path / "own.npz").covariance, model.covariance)
    path = tmp_path / "good" / "0.png"
    report = json.loads(run("score", path, path, "--niqe", tmp_path / "own.npz", "--json").stdout)
    assert report["mean"]["niqe"] == metrics.niqe(images[0], model)
    assert "psnr" in report["mean"] and "model of good photos" in report["protocol"]


def test_too_few_photos_make_no_model(folder, tmp_path):
    with pytest.raises(ValueError, match="more than 36: give more photos, or larger ones"):
        run("niqe", "fit", folder, "-o", tmp_path / "own.npz")
    assert not (tmp_path / "own.npz").exists()


def test_niqe_without_a_file_asks_for_the_official_one(folder, monkeypatch):
    from gluon_enhance.weights import niqe as models

    asked = []

    def find(names, root=None):
        asked.extend(names)
        path = folder / "official.npz"
        write_niqe(path, metrics.NIQEModel(np.zeros(36), np.eye(36)))
        return path

    monkeypatch.setattr(models.store, "find", find)
    path = folder / "0.png"
    report = json.loads(run("score", path, path, "--metrics", "niqe", "--json").stdout)
    assert asked == ["niqe_pris_params.npz"] and set(report["mean"]) == {"niqe"}


class Halves:
    """A stand-in for the nets, which are tested where the losses are."""

    def __init__(self, name, ctx):
        self.name, self.ctx = name, ctx

    def __call__(self, image, reference, crop_border):
        assert (self.ctx, crop_border) == ("cpu", 4)
        return np.abs(image / 2 - reference / 2).mean()


def test_nets_score_under_their_names_and_say_which_they_are(tmp_path, photos, monkeypatch):
    monkeypatch.setitem(vars(losses), "LearnedMetric", Halves)
    images = photos[0], photos[0] // 2
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for path, image in zip(paths, images):
        Image.fromarray(image).save(path)
    options = ("--metrics", "lpips,lpips_vgg,dists", "--crop-border", 4)
    report = json.loads(run("score", *paths, *options, "--json").stdout)
    expected = np.abs(images[0] / 2 - images[1] / 2).mean()
    assert report["mean"] == dict.fromkeys(("lpips", "lpips_vgg", "dists"), expected)
    assert "lpips: version 0.1 on AlexNet" in report["protocol"]
    assert "lpips_vgg: version 0.1 on VGG-16" in report["protocol"]
    table = run("score", *paths, *options).stdout.splitlines()
    assert table[2].split()[1:] == [f"{expected:.4f}"] * 3


@pytest.mark.parametrize("command", ["score", "evaluate", "compare"])
def test_weights_that_are_not_there_are_named_before_the_work(command, folder, monkeypatch):
    pytest.importorskip("mxnet", reason="MXNet is not installed")
    monkeypatch.setattr(store, "receive", lambda *_: fail())
    path = folder / "0.png"
    arguments = {
        "score": (path, path),
        "evaluate": ("-m", "bicubic", "--scale", 2, "--hr", folder),
        "compare": (path, path, "--reference", path, "-o", folder / "page.html"),
    }
    with pytest.raises(WeightsError, match="cannot get DISTS_weights-f5e65c96.pt from https"):
        run(command, *arguments[command], "--metrics", "psnr,dists")


def fail():
    raise OSError("no network")
