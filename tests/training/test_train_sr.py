"""What the scripts of super-resolution nets have in common, but train_esrgan, which has its own."""

import csv
import json

import numpy as np
import pytest

from gluon_enhance import zoo
from gluon_enhance.errors import WeightsError
from gluon_enhance.framework import mx
from gluon_enhance.losses import VGGFeatures
from gluon_enhance.training.checkpoint import list_checkpoints
from gluon_enhance.weights.store import find_shipped
from gluon_enhance.weights.vgg import load_vgg


@pytest.fixture
def scripts(vgg_file, tmp_path):
    """Name of a script -> options that it needs, and the model that it trains."""
    start = zoo.get_model("srgan_x4")
    start.initialize(mx.init.Xavier())
    start.save_parameters(str(tmp_path / "start.params"))
    srgan = ("--init", tmp_path / "start.params", "--vgg", vgg_file(19), "--critic-channels", 2)
    return {
        "srcnn": (("--patch-size", 18), "srcnn_x4"),
        "srresnet": ((), "srresnet_x4"),
        "srgan": (srgan, "srgan_x4"),
        "edsr": (("--model", "edsr_lite_x2"), "edsr_lite_x2"),
    }


@pytest.mark.parametrize("name", ["srcnn", "srresnet", "srgan", "edsr"])
def test_run_leaves_a_model_of_the_zoo_and_says_where_last(name, scripts, train, tmp_path, capsys):
    options, model = scripts[name]
    train(name, tmp_path / "run", *options, "--iterations", 1)
    result = tmp_path / "run" / f"{model}.params"
    assert capsys.readouterr().out.splitlines()[-1] == str(result)
    zoo.get_model(model, pretrained=result)


@pytest.mark.parametrize(
    "name, patch_size",
    [("esrgan", 7), ("srgan", 3), ("dped", 8), ("dped_cycle", 8), ("wespe", 8), ("style", 40)],
)
def test_patch_of_which_vgg_or_a_net_leaves_nothing_is_refused(
    name, patch_size, train, tmp_path, capsys
):
    with pytest.raises(SystemExit):
        train(name, tmp_path, "--patch-size", patch_size)
    assert (
        f"--patch-size is {patch_size}; give at least {patch_size + 1}" in capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["srcnn", "srresnet", "srgan", "edsr"])
def test_resumed_training_equals_uninterrupted_bit_for_bit(name, scripts, check_resume):
    check_resume(name, *scripts[name][0])


@pytest.mark.parametrize("name", ["srcnn", "srresnet", "edsr"])
def test_inputs_can_have_the_noise_and_blur_of_the_photos(
    name, scripts, train, noisy_photos, tmp_path
):
    options, model = scripts[name]
    out = tmp_path / "run"
    train(name, out, *options, "--iterations", 1, "--degrade", "realistic", data=noisy_photos)
    assert (out / f"{model}.params").is_file()


@pytest.mark.parametrize("share", [0, 1])
def test_shades_of_plain_colors_are_learned_from_if_asked_for(share, first_sample, train, tmp_path):
    options = ("--model", "edsr_lite_x2", "--iterations", 1, "--plain-colors", share)
    train("edsr", tmp_path, *options)
    ((_, truth),) = first_sample
    is_shade = np.median(np.abs(np.diff(truth, 2))) < 1e-6
    assert is_shade == bool(share)


def test_more_metrics_are_logged_drawn_and_kept_in_the_card(scripts, train, tmp_path):
    out, options = tmp_path / "run", scripts["srcnn"][0]
    names = ("--val-metrics", "delta_e", "ringing", "--best", "delta_e")
    train("srcnn", out, *options, *names, "--iterations", 2, "--validate-every", 1)
    with open(out / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["delta_e"]) > 0 and float(row["ringing"]) > 0 for row in rows)
    card = json.loads((out / "card.json").read_text())
    best = min(rows, key=lambda row: float(row["delta_e"]))
    assert card["best"] == {
        "score": "delta_e",
        "value": float(best["delta_e"]),
        "step": int(best["step"]),
    }
    assert {"test_psnr_y", "test_delta_e", "test_ringing"} <= set(card["test"])


@pytest.mark.parametrize(
    "name, metric, message",
    [
        ("srcnn", "vmaf", "'vmaf' is no metric; choose some of psnr, ssim"),
        ("srcnn", "lpips=own.pth", "'lpips=own.pth' is no metric"),
        ("srcnn", "niqe=none.npz", "none.npz is no file"),
    ],
)
def test_metrics_that_there_are_not_are_refused(name, metric, message, train, tmp_path):
    with pytest.raises((ValueError, WeightsError), match=message):
        train(name, tmp_path / "run", "--val-metrics", metric, "--iterations", 1)


def test_srgan_starts_from_the_shipped_srresnet(scripts, train, tmp_path):
    options = scripts["srgan"][0][2:]
    train("srgan", tmp_path / "run", *options, "--iterations", 1, "--learning-rate", 1e-9)
    start = zoo.get_model("srresnet_x4", pretrained=True).head[0].weight.data().asnumpy()
    result = zoo.get_model("srgan_x4", pretrained=tmp_path / "run" / "srgan_x4.params")
    np.testing.assert_allclose(result.head[0].weight.data().asnumpy(), start, atol=1e-6)


def test_edsr_of_x4_starts_from_a_file_of_x2(train, tmp_path):
    start, file = zoo.get_model("edsr_baseline_x2"), tmp_path / "x2.params"
    start.initialize(mx.init.Xavier())
    start.save_parameters(str(file))
    options = ("--model", "edsr_baseline_x4", "--init", f"edsr_baseline_x2={file}")
    train("edsr", tmp_path, *options, "--learning-rate", 1e-9, "--iterations", 1)
    trained = mx.nd.load(str(tmp_path / "edsr_baseline_x4.params"))
    body = [name for name in trained if name.startswith("body.")]
    for name in body:
        begun = mx.nd.load(str(file))[name].asnumpy()
        np.testing.assert_allclose(trained[name].asnumpy(), begun, atol=1e-6)
    assert len(body) > 30


def test_edsr_of_the_same_scale_goes_on_from_all_of_the_net_given(train, tmp_path):
    options = ("--model", "edsr_lite_x2", "--init", "edsr_lite_x2", "--learning-rate", 1e-9)
    train("edsr", tmp_path / "run", *options, "--iterations", 1)
    start = mx.nd.load(str(find_shipped("edsr_lite_x2", ".params")))
    for name, array in mx.nd.load(str(tmp_path / "run" / "edsr_lite_x2.params")).items():
        np.testing.assert_allclose(array.asnumpy(), start[name].asnumpy(), atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "name, options",
    [
        ("edsr", ("--model", "edsr_lite_x2", "--init", "edsr_lite_x2=none.params")),
        ("esrgan", ("--model", "rrdb_lite_x4", "--init", "none.params")),
        ("esrgan", ("--model", "rrdb_lite_x4", "--phase", "gan", "--init", "none.params")),
        ("srgan", ("--init", "none.params")),
    ],
)
def test_a_start_that_is_not_there_is_refused(name, options, train, tmp_path):
    with pytest.raises(WeightsError, match="none.params is no file"):
        train(name, tmp_path / "run", *options, "--iterations", 1)


def test_srgan_of_a_net_that_is_not_shipped_needs_a_start(scripts, train, tmp_path):
    options = scripts["srgan"][0][2:]
    with pytest.raises(ValueError, match="--init is needed for msrresnet_x4"):
        train("srgan", tmp_path / "run", *options, "--model", "msrresnet_x4")


def test_srgan_without_a_trained_net_begins_as_start_says(scripts, train, tmp_path):
    options = (*scripts["srgan"][0][2:], "--model", "msrresnet_x4", "--start", "xavier")
    train("srgan", tmp_path / "run", *options, "--iterations", 1)
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert (card["training"]["init"], card["training"]["start"]) == ([], "xavier")


def test_tensorlayers_recipe_has_its_losses(scripts, train, tmp_path):
    options = (*scripts["srgan"][0], "--recipe", "tensorlayer", "--log-every", 1)
    train("srgan", tmp_path / "run", *options, "--iterations", 2)
    (newest, _) = list_checkpoints(tmp_path / "run" / "checkpoints") * 2
    assert newest.name == "step-0000002"
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"features", "pixel", "critic"} <= set(header)


def test_tensorlayers_weight_of_features_is_for_pixels_up_to_255(script, vgg_file):
    train_srgan = script("srgan")
    recipes, weight = train_srgan.RECIPES, train_srgan.feature_weight
    caffe = load_vgg(VGGFeatures(19, "relu1_1"), vgg_file(19))
    assert weight(recipes["tensorlayer"], caffe) == pytest.approx(2e-6, rel=1e-5)
    torch = VGGFeatures(19, "relu1_1")
    torch.initialize()
    # About the 0.006 that other SRGANs give torchvision's features.
    assert weight(recipes["tensorlayer"], torch) == pytest.approx(
        2e-6 * (255 * 0.226) ** 2, rel=1e-2
    )
    assert weight(recipes["paper"], caffe) == weight(recipes["paper"], torch) == 1 / 12.75**2
