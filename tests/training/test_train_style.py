"""The training script of style nets, on generated pictures and with random VGG weights."""

import csv

import numpy as np
import pytest
from PIL import Image

from gluon_enhance import zoo
from gluon_enhance.framework import mx
from gluon_enhance.imaging.pictures import HEADING_HEIGHT
from gluon_enhance.losses import FeatureLoss, StyleLoss, VGGFeatures
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.recipe import Run
from gluon_enhance.weights.vgg import load_vgg

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("0", "1"):  # the second one is held out
        coarse = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((520, 512)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def options(vgg_file, tmp_path):
    style = tmp_path / "stripes.png"
    Image.fromarray(np.tile(np.uint8([[[255, 0, 0]], [[0, 0, 255]]]), (30, 80, 1))).save(style)
    tiny = ("--patch-size", 48, "--style-size", 48, "--reductions", 1.0, "--iterations", 2)
    return ("--style", style, "--vgg", vgg_file(16), *tiny)


def test_run_leaves_losses_of_held_out_photos_and_pictures_of_them(
    train, options, tmp_path, capsys
):
    out = tmp_path / "run"
    train("style", out, *options, "--model", "style_wave")
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "style_wave.params")
    (row,) = csv.DictReader((out / "metrics.csv").read_text().splitlines())
    for name in ("content", "style", "variation"):
        assert float(row[name]) > 0 and float(row[f"held_out_{name}"]) > 0
    with Image.open(out / "samples/step-0000002.png") as sample:
        assert sample.size == (3 * 256, HEADING_HEIGHT + 256)
        style = np.asarray(sample)[HEADING_HEIGHT:, 2 * 256 :]
    assert style[..., [0, 2]].mean(axis=(0, 1)) == pytest.approx([127, 127], abs=2)  # the stripes
    assert style[..., 1].max() < 60


def test_resumed_training_equals_uninterrupted_bit_for_bit(check_resume, options):
    check_resume("style", *options)


def test_losses_are_those_of_the_two_perceptual_losses_on_their_own(script, vgg_file):
    style_script, vgg = script("style"), vgg_file(16)
    config = style_script.Config(
        batch_size=1, learning_rate=0.0, vgg=str(vgg), content_weight=2.0, style_weight=3.0
    )
    net = zoo.get_model(config.model)
    net.initialize(mx.init.Xavier())
    devices = Devices("cpu", 1)
    photo, style = (mx.nd.random.uniform(shape=(1, 3, 48, side)) for side in (52, 44))
    step = style_script.make_step(Run(config, net, devices), style)
    expected = net(photo)
    for _ in range(2):  # the style's maps last
        log = step((photo,))
    content = FeatureLoss(load_vgg(VGGFeatures(16, "relu3_3"), vgg), weight=2)
    styles = StyleLoss(load_vgg(VGGFeatures(16, LAYERS), vgg), "mean", weight=3)
    np.testing.assert_allclose(log["content"].asscalar(), content(expected, photo).asscalar(), 1e-4)
    np.testing.assert_allclose(log["style"].asscalar(), styles(expected, style).asscalar(), 1e-4)


def test_a_run_without_a_style_is_refused(train, tmp_path):
    with pytest.raises(ValueError, match="--style is needed"):
        train("style", tmp_path, "--patch-size", 48)


def test_held_out_photos_that_are_too_small_are_an_error(train, options, tmp_path):
    held_out = tmp_path / "held_out"
    held_out.mkdir()
    Image.new("RGB", (300, 190)).save(held_out / "small.png")
    with pytest.raises(ValueError, match="no held-out photo has 192 pixels a side"):
        train("style", tmp_path / "run", *options, "--val", held_out)


def test_metrics_that_need_truths_are_refused(options, train, tmp_path):
    with pytest.raises(ValueError, match="--val-metrics is for scripts with truths"):
        train("style", tmp_path / "run", *options, "--val-metrics", "delta_e")
