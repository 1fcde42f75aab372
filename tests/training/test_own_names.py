"""Nets of sizes and names of one's own: trained, found again, shipped."""

import json

import numpy as np
import pytest

import gluon_enhance as ge
from gluon_enhance.errors import WeightsError
from gluon_enhance.zoo import get_model

STEPS = ("--iterations", 1, "--reductions", "1.0")
NET = ("--net", "num_blocks=1", "channels=16", "growth_channels=16")


def train_mine(train, out, *options):
    train("esrgan", out, *STEPS, "--phase", "psnr", "--model", "rrdb_lite_x4", *NET, *options)


def test_a_net_of_own_size_and_name_is_trained_and_used_by_its_name(train, tmp_path, rng):
    train_mine(train, tmp_path / "run", "--name", "mine")
    file = tmp_path / "run" / "mine.params"
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert (card["name"], card["model"], card["scale"]) == ("mine", "rrdb_lite_x4", 4)
    assert {key: card["kwargs"][key] for key in ("num_blocks", "channels")} == {
        "num_blocks": 1,
        "channels": 16,
    }
    net = get_model(pretrained=file)
    assert net.spec.name == "mine" and net.spec.parameters == card["parameters"]

    image = rng.integers(0, 256, (16, 20, 3), np.uint8)
    by_name = ge.Enhancer(f"mine={file}", threads=1)
    assert by_name.spec.name == "mine"
    assert np.array_equal(by_name(image), ge.Enhancer(file, threads=1)(image))


def test_options_that_weights_do_not_tell_come_from_the_card(train, tmp_path):
    options = ("--net", "num_blocks=1", "channels=16", "residual_scale=0.5", "--name", "scaled")
    train("edsr", tmp_path / "run", *STEPS, "--model", "edsr_lite_x2", *options)
    net = get_model(pretrained=tmp_path / "run" / "scaled.params")
    assert net.spec.kwargs["residual_scale"] == 0.5
    (tmp_path / "run" / "card.json").unlink()
    with pytest.raises(WeightsError, match="by what its residuals of 16 channels are multiplied"):
        get_model(pretrained=tmp_path / "run" / "scaled.params")


SMALL = ("--net", "num_blocks=1", "channels=8", "--name", "mine", "--iterations", 1)


@pytest.mark.parametrize(
    ("name", "options", "model"),
    [
        ("dped", ("--norm", "batch_stats"), "dped_resnet"),
        ("dped_cycle", (), "dped_cycle"),
        ("wespe", ("--content-weight", 0, "--tanh-scale", 0.5), "wespe"),
        ("style", ("--patch-size", 48, "--reductions", 1.0), "style_wave"),
    ],
)
def test_nets_that_do_not_enlarge_have_own_sizes_and_names_too(
    name, options, model, train, vgg_file, photos, tmp_path
):
    options += ("--vgg", vgg_file(16 if name == "style" else 19))
    if name == "style":
        options += ("--style", next(photos.iterdir()), "--model", model)
    else:
        options += ("--patch-size", 9, "--critic-channels", 6)
    train(name, tmp_path / "run", *SMALL, *options)
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert (card["name"], card["model"]) == ("mine", model)
    net = get_model(pretrained=tmp_path / "run" / "mine.params")
    assert net.spec.name == "mine" and net.spec.kwargs == card["kwargs"]
    assert (net.spec.kwargs["channels"], net.spec.kwargs["num_blocks"]) == (8, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--name", "esrgan_lite_x4"), "--name is 'esrgan_lite_x4'; give letters"),
        (("--name", "a/b"), "--name is 'a/b'; give letters"),
        (("--net", "num_blocks"), "--net has 'num_blocks'; give NAME=VALUE"),
        (("--net", "blocks=6"), "--net: .* has no option blocks; RRDBNet takes scale"),
    ],
)
def test_what_cannot_be_a_net_or_a_name_is_refused(train, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train_mine(train, tmp_path / "run", *options)


def test_a_name_that_no_card_knows_is_refused(train, tmp_path):
    train_mine(train, tmp_path / "run", "--name", "mine")
    with pytest.raises((ge.errors.UnknownModelError, WeightsError), match="yours"):
        ge.Enhancer(f"yours={tmp_path / 'run' / 'mine.params'}", threads=1)


def test_a_net_of_own_name_is_shipped_into_a_folder_of_ones_own(train, script, tmp_path, rng):
    train_mine(train, tmp_path / "run", "--name", "mine")
    options = ("--run", tmp_path / "run", "--command", "train", "--data", "photos")
    script("ship_model").main(["mine", "--out", str(tmp_path / "own"), *map(str, options)])
    card = json.loads((tmp_path / "own" / "mine" / "card.json").read_text())
    assert card["name"] == "mine" and card["kwargs"]["num_blocks"] == 1
    image = rng.integers(0, 256, (16, 20, 3), np.uint8)
    shipped = ge.Enhancer(tmp_path / "own" / "mine", precision="fp32", threads=1)(image)
    trained = ge.Enhancer(tmp_path / "run" / "mine.params", precision="fp32", threads=1)(image)
    assert np.abs(shipped.astype(int) - trained).max() <= 1  # weights in float16


def test_a_net_of_own_name_that_needs_the_whole_image_is_shipped_too(train, script, tmp_path, rng):
    options = ("--content-weight", 0, "--patch-size", 9, "--critic-channels", 6)
    train("wespe", tmp_path / "run", *SMALL, *options)
    options = ("--run", tmp_path / "run", "--command", "train", "--data", "photos")
    script("ship_model").main(["mine", "--out", str(tmp_path / "own"), *map(str, options)])
    assert (tmp_path / "own" / "mine" / "mine.segments.zip").is_file()
    image = rng.integers(0, 256, (24, 20, 3), np.uint8)
    shipped = ge.Enhancer(tmp_path / "own" / "mine", precision="fp32", threads=1)(image)
    trained = ge.Enhancer(tmp_path / "run" / "mine.params", precision="fp32", threads=1)(image)
    assert np.abs(shipped.astype(int) - trained).max() <= 1  # weights in float16
