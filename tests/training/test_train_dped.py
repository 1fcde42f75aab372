"""The scripts that train on a phone's photos: train_dped, train_dped_cycle and train_wespe."""

import csv
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from gluon_enhance import zoo
from gluon_enhance.data.degradations import PhoneLook, PhoneLooks
from gluon_enhance.data.held_out_photos import MOST_PATCHES
from gluon_enhance.data.phone_photos import phone_photos, score_input, score_output
from gluon_enhance.framework import mx
from gluon_enhance.imaging.metrics import ms_ssim, psnr
from gluon_enhance.imaging.pictures import HEADING_HEIGHT
from gluon_enhance.training.checkpoint import list_checkpoints

FEW = ("--patch-size", 9, "--iterations", 2, "--log-every", 1)


@pytest.fixture
def scripts(vgg_file):
    """Name of a script -> options that it needs, and the model that it trains."""
    vgg = ("--vgg", vgg_file(19))
    return {
        "dped": (vgg, "dped_resnet"),
        "dped_cycle": (("--content-weight", 0.2, *vgg), "dped_cycle"),
        "wespe": (("--balance", *vgg), "wespe"),
    }


@pytest.fixture
def dped_folder(photos, tmp_path):
    """A small data set laid out as DPED's: the camera's photos are the phone's, darker."""
    root = tmp_path / "dped"
    for part in ("training_data", "test_data/patches"):
        for side, share in (("iphone", 1.0), ("canon", 0.5)):
            folder = root / "iphone" / part / side
            folder.mkdir(parents=True)
            for photo in photos.iterdir():
                image = cv2.imread(str(photo))[:32, :32]
                cv2.imwrite(str(folder / photo.name), np.uint8(image * share))
    return root


def rows(out):
    with open(out / "metrics.csv", newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", ["dped", "dped_cycle", "wespe"])
def test_run_leaves_a_model_of_the_zoo_and_says_how_close_input_and_output_are(
    name, scripts, train, tmp_path, capsys
):
    options, model = scripts[name]
    train(name, tmp_path / "run", *options, *FEW, "--learning-rate", 1e-6)
    result = tmp_path / "run" / f"{model}.params"
    assert capsys.readouterr().out.splitlines()[-1] == str(result)
    zoo.get_model(model, pretrained=result)
    last = rows(tmp_path / "run")[-1]
    # The start is nearly the identity.
    assert last["psnr"] == pytest.approx(last["psnr_of_input"], abs=2)
    assert 0 < last["ssim"] < 1 and 0 < last["ssim_of_input"] < 1 and last["spread"] > 0.5


@pytest.mark.parametrize("name", ["dped", "dped_cycle", "wespe"])
def test_resumed_training_equals_uninterrupted_bit_for_bit(name, scripts, check_resume):
    check_resume(name, *scripts[name][0], "--patch-size", 16)


HELD_OUT = {
    "dped": {"content", "color", "variation", "texture", "texture_loss", "texture_accuracy"},
    "dped_cycle": {
        f"{way}{kind}"
        for way in ("", "backward_")
        for kind in ("cycle", "content", "texture", "texture_loss", "texture_accuracy")
    },
    "wespe": {
        *("content", "variation", "color", "texture"),
        *("color_loss", "color_accuracy", "texture_loss", "texture_accuracy"),
    },
}


@pytest.mark.parametrize("name", ["dped", "dped_cycle", "wespe"])
def test_losses_and_critics_are_measured_on_held_out_photos(name, scripts, train, tmp_path):
    options = (*scripts[name][0], *FEW, "--held-out-losses", "--validate-first")
    train(name, tmp_path / "run", *options)
    names = {f"held_out_{loss}" for loss in (*HELD_OUT[name], "total")}
    first, last = rows(tmp_path / "run")
    for row in (first, last):
        assert {key for key in row if key.startswith("held_out_")} == names
        assert row["held_out_total"] == pytest.approx(
            sum(row[key] for key in names if not key.endswith(("_loss", "_accuracy", "_total"))),
            rel=1e-4,
        )
    assert first["held_out_total"] != last["held_out_total"]
    samples = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert samples == ["step-0000001.png", "step-0000002.png"]


def test_measuring_losses_changes_no_training(scripts, train, tmp_path):
    options = (*scripts["wespe"][0], *FEW, "--norm", "batch", "--critic-norm", "batch")
    train("wespe", tmp_path / "without", *options)
    train("wespe", tmp_path / "with", *options, "--held-out-losses", "--validate-first")
    one, other = (tmp_path / run / "wespe.params" for run in ("without", "with"))
    assert one.read_bytes() == other.read_bytes()


def test_without_pairs_some_of_the_cameras_photos_are_held_out_for_the_losses(two_folders):
    phone, camera = two_folders
    data = phone_photos([phone], 16, target=camera, paired=False, losses=True)
    drawn = {data.patches.draw(np.random.default_rng(k))[1].tobytes() for k in range(300)}
    phones, cameras = data.held_out[""]
    assert phones.shape == cameras.shape == (MOST_PATCHES, 3, 16, 16)
    assert cameras.mean() < 0.35 < phones.mean()
    assert not drawn & {patch.tobytes() for patch in cameras}


def test_held_out_photos_smaller_than_a_patch_are_refused(two_folders):
    phone, camera = two_folders
    with pytest.raises(ValueError, match="--held-out-losses needs .* --patch-size, 200 pixels"):
        phone_photos([phone], 200, target=camera, losses=True)


def test_a_fixed_ratio_goes_on_where_it_was(check_resume):
    check_resume("dped_cycle", "--patch-size", 9, "--ratio", "3:1")


def test_a_ratio_beside_the_balance_is_refused(scripts, train, tmp_path):
    with pytest.raises(ValueError, match="--ratio and --balance"):
        train("wespe", tmp_path / "run", *scripts["wespe"][0], *FEW, "--ratio", "3:1")


@pytest.mark.parametrize("name", ["dped", "dped_cycle", "wespe"])
def test_dped_data_set_is_taken_as_it_unpacks(name, scripts, dped_folder, train, tmp_path):
    options, _ = scripts[name]
    train(name, tmp_path / "run", *options, *FEW, "--phone", "iphone", data=dped_folder)
    pairs = phone_photos([dped_folder], 16, "iphone").validation[""]
    expected = np.mean([psnr(image, truth) for image, truth in pairs])
    last = rows(tmp_path / "run")[-1]
    assert last["psnr_of_input"] == pytest.approx(expected)
    expected = np.mean([ms_ssim(image, truth, form="dped") for image, truth in pairs])
    assert last["ms_ssim_dped_of_input"] == pytest.approx(expected)
    assert last["ms_ssim_dped"] == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    "options, model",
    [
        (("--generator", "densenet"), "dped_densenet"),
        (("--generator", "densenet", "--dense", "--norm", "batch"), "dped_densenet"),
        (("--norm", "batch"), "dped_resnet_bn"),
        (("--norm", "batch_stats", "--weights", "paper"), "dped_resnet"),
    ],
)
def test_dped_has_other_generators_norms_and_weights(options, model, scripts, train, tmp_path):
    train("dped", tmp_path / "run", *scripts["dped"][0], *FEW, *options)
    assert (tmp_path / "run" / f"{model}.params").is_file()


def test_dense_wiring_is_refused_for_the_resnet(scripts, train, tmp_path):
    with pytest.raises(ValueError, match="--dense is for --generator densenet"):
        train("dped", tmp_path / "run", *scripts["dped"][0], *FEW, "--dense")


def test_cycles_discriminators_see_gray_or_color(scripts, train, tmp_path):
    for view, channels in (("gray", 1), ("color", 3)):
        out = tmp_path / view
        train("dped_cycle", out, *FEW, "--view", view)
        (newest, *_) = list_checkpoints(out / "checkpoints")
        critic = mx.nd.load(str(newest / "texture.params"))
        assert next(iter(critic.values())).shape[1] == channels


def test_the_cycle_has_other_generators_norms_and_losses(train, tmp_path):
    options = ("--generator", "densenet", "--norm", "batch", "--variation-weight", 2)
    train("dped_cycle", tmp_path / "run", *FEW, *options, "--critic-channels", 6)
    assert {"variation", "backward_variation"} <= rows(tmp_path / "run")[-1].keys()
    net = zoo.get_model(pretrained=tmp_path / "run" / "dped_densenet.params")
    assert net.spec.kwargs["norm"] == "batch" and net.spec.tiling == "exact"
    (newest, *_) = list_checkpoints(tmp_path / "run" / "checkpoints")
    critic = mx.nd.load(str(newest / "backward_texture.params"))
    assert critic["body.0.conv.weight"].shape[0] == 6
    assert any(name.endswith("running_mean") for name in critic)


def test_wespes_other_losses_can_be_left_out_and_need_no_vgg(train, tmp_path):
    options = ("--content-weight", 0, "--variation-weight", 0, "--critic-channels", 12)
    train("wespe", tmp_path / "run", *FEW, *options, "--vgg", tmp_path / "none")
    row = rows(tmp_path / "run")[-1]
    assert {"color", "texture"} <= row.keys() and not {"content", "variation"} & row.keys()
    (newest, *_) = list_checkpoints(tmp_path / "run" / "checkpoints")
    assert mx.nd.load(str(newest / "color.params"))["body.2.conv.weight"].shape[:2] == (32, 12)


def test_folders_of_patches_are_taken_as_they_are(dped_folder):
    phone, camera = (dped_folder / "iphone/training_data" / side for side in ("iphone", "canon"))
    for paired in (True, False):
        data = phone_photos([phone], 32, target=camera, paired=paired)
        assert data.validation[""][0][0].shape == (32, 32, 3)
        assert data.patches.draw(np.random.default_rng(0))[1].shape == (3, 32, 32)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_wespe_has_other_norms_heads_and_factors(norm, scripts, train, tmp_path):
    options = ("--norm", norm, "--critic-norm", norm, "--classes", 2, "--tanh-scale", 0.5)
    train("wespe", tmp_path / "run", *scripts["wespe"][0], *FEW, *options)
    assert rows(tmp_path / "run")[-1]["critics_learn"] == 1


def test_wespes_balance_stops_the_critics_while_the_generators_loss_is_high(
    scripts, train, tmp_path
):
    options = ("--generator-threshold", 1e-6, "--iterations", 7)
    train("wespe", tmp_path / "run", *scripts["wespe"][0], *FEW, *options)
    assert [row["critics_learn"] for row in rows(tmp_path / "run")] == [1] * 4 + [0] * 3


def test_wespes_critics_learn_in_every_step_at_the_balances_defaults(scripts, train, tmp_path):
    train("wespe", tmp_path / "run", *scripts["wespe"][0], *FEW, "--iterations", 8)
    assert [row["critics_learn"] for row in rows(tmp_path / "run")] == [1] * 8


def test_wespes_balance_has_another_window_and_ratio(scripts, train, tmp_path):
    options = ("--critic-threshold", 1e6, "--balance-window", 2, "--balance-ratio", 4)
    train("wespe", tmp_path / "run", *scripts["wespe"][0], *FEW, *options, "--iterations", 7)
    learned = [row["critics_learn"] for row in rows(tmp_path / "run")]
    assert learned == [1, 1, 0, 0, 0, 1, 0]


# Some of many phones leave a photo as it is, so that no difference is too small.
@pytest.mark.parametrize("looks, most", [("one", 40), ("many", np.inf)])
def test_photos_without_a_phone_are_paired_with_the_looks_of_phones(photos, rng, looks, most):
    data = phone_photos([photos], 16, looks=looks)
    image, truth = data.patches.draw(rng)
    assert image.shape == truth.shape == (3, 16, 16)
    assert 12 < psnr(image.transpose(1, 2, 0), truth.transpose(1, 2, 0)) <= most
    (image, truth) = data.validation[""][0]
    look = PhoneLook() if looks == "one" else PhoneLooks(as_it_is=0)
    look = look((truth / 255).astype(np.float32), np.random.default_rng(0))
    assert np.abs(image - look * 255).max() <= 0.5


@pytest.mark.parametrize("name", ["dped", "wespe"])
def test_shades_of_plain_colors_are_to_stay_as_they_are(
    name, scripts, first_sample, train, tmp_path
):
    train(name, tmp_path, *scripts[name][0], *FEW, "--plain-colors", 1)
    ((phone, camera),) = first_sample
    np.testing.assert_allclose(phone, camera, atol=0.5 / 255 + 1e-6)
    assert np.median(np.abs(np.diff(camera, 2))) < 1e-6


def test_inputs_that_validate_always_have_a_look(photos):
    pairs = [pair for _ in range(2) for pair in phone_photos([photos], 16).validation[""]]
    assert all(np.isfinite(psnr(*pair)) for pair in pairs)


@pytest.fixture
def two_folders(photos, tmp_path):
    """Folders of a phone's photos and of a camera's, which are darker, of the same names."""
    folders = tmp_path / "phone", tmp_path / "camera"
    for folder, share in zip(folders, (1.0, 0.5)):
        folder.mkdir()
        for photo in photos.iterdir():
            cv2.imwrite(str(folder / photo.name), np.uint8(cv2.imread(str(photo)) * share))
    return folders


def test_two_folders_are_paired_by_path(two_folders, scripts, train, tmp_path):
    phone, camera = two_folders
    options = scripts["dped"][0]
    train("dped", tmp_path / "run", *options, *FEW, "--target", camera, data=phone)
    data = phone_photos([phone], 16, target=camera)
    ((image, truth),) = data.validation[""]
    assert rows(tmp_path / "run")[-1]["psnr_of_input"] == pytest.approx(psnr(image, truth))
    image, truth = data.patches.draw(np.random.default_rng(0))
    np.testing.assert_allclose(truth, image / 2, atol=0.6 / 255)


@pytest.mark.parametrize("name", ["dped_cycle", "wespe"])
def test_two_folders_need_no_pairs(name, two_folders, scripts, train, tmp_path):
    phone, camera = two_folders
    for index, photo in enumerate(camera.iterdir()):
        photo.rename(camera / f"other{index}.png")
    options = (*scripts[name][0], *FEW, "--learning-rate", 1e-6)
    train(name, tmp_path / "run", *options, "--target", camera, data=phone)
    last = rows(tmp_path / "run")[-1]
    # There is no truth to compare with; the start is nearly the identity.
    assert last["psnr_to_input"] > 25 and "psnr_of_input" not in last
    with Image.open(tmp_path / "run/samples/step-0000002.png") as sample:
        assert sample.size == (3 * 192, HEADING_HEIGHT + 192)  # input, output, restored


def test_patches_of_two_folders_are_of_both(two_folders, rng):
    phone, camera = two_folders
    data = phone_photos([phone], 16, target=camera, paired=False)
    samples = [data.patches.draw(rng) for _ in range(20)]
    bright, dark = (np.mean([sample[k] for sample in samples]) for k in (0, 1))
    assert 0.4 < bright < 0.6 and 0.2 < dark < 0.3
    assert [truth for _, truth in data.validation[""]] == [None]
    assert score_input(None, None) == score_output(None, None, None) == {}


def test_photo_without_a_partner_is_an_error(two_folders):
    phone, camera = two_folders
    for photo in camera.iterdir():
        photo.rename(photo.with_name(f"other{photo.name}"))
    with pytest.raises(ValueError, match="no image for 1 of 1 photo, .*.png first"):
        phone_photos([phone], 16, target=camera)


@pytest.mark.parametrize("norm, kinds", [("instance", set()), ("batch", {"running_mean"})])
def test_the_discriminator_of_dped_has_the_norm_too(norm, kinds, scripts, train, tmp_path):
    train("dped", tmp_path / "run", *scripts["dped"][0], *FEW, "--norm", norm)
    (newest, *_) = list_checkpoints(tmp_path / "run" / "checkpoints")
    names = {name.rpartition(".")[2] for name in mx.nd.load(str(newest / "texture.params"))}
    assert names & {"running_mean"} == kinds


def test_several_folders_are_refused_for_a_phone(dped_folder):
    with pytest.raises(ValueError, match="--phone takes the one folder"):
        phone_photos([dped_folder, dped_folder], 16, "iphone")


def test_phone_that_is_not_there_is_named(dped_folder):
    shutil.rmtree(dped_folder / "iphone" / "test_data")
    with pytest.raises(ValueError, match="test_data"):
        phone_photos([dped_folder], 16, "iphone")
