"""What the nets trained here must reach, read from their cards."""

import json

import pytest

from gluon_enhance.weights.store import model_zoo_folder


def scores(name):
    """A card's scores, set -> score -> value; not yet of a net that is still to be trained."""
    path = model_zoo_folder() / name / "card.json"
    if not path.is_file():
        pytest.skip(f"{name} is not in model_zoo")
    return json.loads(path.read_text())["scores"]


@pytest.mark.parametrize(
    "name, bar",
    [("rrdb_lite_x4", 31.3), ("edsr_lite_x2", 36.8), ("srresnet_x4", 30.5), ("srcnn_x4", 29.7)],
)
def test_nets_for_psnr_reach_their_bar_on_set5(name, bar):
    assert scores(name)["Set5"]["psnr_y"] >= bar


def test_esrgan_is_closer_in_features_than_its_twin_at_little_loss_of_psnr():
    gan, twin = scores("esrgan_lite_x4"), scores("rrdb_lite_x4")
    assert gan["Set5"]["psnr_y"] >= twin["Set5"]["psnr_y"] - 2.2
    validation = gan["validation"]
    assert validation["feature_distance"] <= 0.85 * validation["feature_distance_of_start"]


def test_plsr_is_closer_in_features_than_bicubic():
    validation = scores("plsr_x2")["validation"]
    assert validation["feature_distance"] <= 0.7 * validation["bicubic_distance"]


@pytest.mark.parametrize(
    "name, gain",
    [
        ("dped_densenet", 3),
        ("dped_cycle", 1.5),
        ("wespe", 1.5),
    ],
)
def test_nets_for_phones_bring_photos_closer_and_do_not_collapse(name, gain):
    validation = scores(name)["validation"]
    assert validation["psnr"] >= validation["psnr_of_input"] + gain
    assert validation["spread"] > 0.5


@pytest.mark.parametrize("name, gain", [("dped_resnet", 1.1), ("dped_resnet_bn", 0.8)])
def test_dped_beats_an_affine_map_of_the_colors_on_the_looks_of_many_phones(name, gain):
    looks = scores(name)["phone looks"]
    assert looks["psnr"] >= looks["psnr_of_affine"] + gain
    assert looks["ssim"] >= looks["ssim_of_affine"] + 0.07
    assert scores(name)["validation"]["spread"] > 0.5
    assert looks["worse"] <= 3 and looks["gray"] <= 4
