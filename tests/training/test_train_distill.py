"""The distilling script, run as a user runs it, on generated pictures and with shipped teachers."""

import csv
import json

import numpy as np
import pytest

from gluon_enhance import Enhancer, zoo
from gluon_enhance.errors import TrainingError, WeightsError
from gluon_enhance.framework import mx
from gluon_enhance.training import recipe
from gluon_enhance.training.gan import Critic

TAUGHT = ("--teacher", "srcnn_x4", "--samples", 32, "--sample-size", 16, "--reductions", "1.0")


@pytest.fixture
def critic(vgg_file):
    """Options of a run with all losses, and a small VGG and critic."""
    weights = ("--feature-weight", 1, "--adversarial-weight", 0.1, "--critic-channels", 2)
    return (*TAUGHT, *weights, "--vgg", vgg_file(19))


@pytest.mark.parametrize("kind", ["unet", "patch"])
def test_resumed_run_equals_uninterrupted_bit_for_bit(kind, check_resume, critic):
    check_resume("distill", *critic, "--critic", kind, "--compressed", 0.5)


def test_run_by_epochs_with_plain_colors_goes_on_bit_for_bit(check_resume):
    check_resume("distill", *TAUGHT, "--model", "srcnn_x4", "--sampling", "epochs")


def test_run_older_than_plain_colors_goes_on_without_them_or_not_at_all(train, tmp_path):
    options = (*TAUGHT, "--model", "srcnn_x4", "--save-every", 1)
    former = ("--plain-colors", 0, "--color-weight", 0)
    train("distill", tmp_path, *options, *former, "--iterations", 1)
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    state = json.loads((checkpoint / "state.json").read_text())
    del state["config"]["plain_colors"], state["config"]["color_weight"]
    (checkpoint / "state.json").write_text(json.dumps(state))
    with pytest.raises(WeightsError, match="plain_colors was 0.0, is 0.1; color_weight was 0.0"):
        train("distill", tmp_path, *options, "--iterations", 2, "--resume")
    train("distill", tmp_path, *options, *former, "--iterations", 2, "--resume")


def test_all_losses_and_scores_are_logged_and_the_card_says_who_taught(train, critic, tmp_path):
    train("distill", tmp_path, *critic, "--iterations", 1)
    (row,) = csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines())
    assert {"pixel", "features", "critic", "critic_loss", "critic_accuracy"} <= row.keys()
    assert {"psnr_y", "psnr_y_of_start", "feature_distance", "bicubic_distance"} <= row.keys()
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["name"] == "realesrgan_lite_x4" and card["training"]["teacher"] == "srcnn_x4"


def test_features_count_alike_whatever_their_size_is(train, script, critic, tmp_path):
    """Maps a hundred times as large give the same loss."""
    train("distill", tmp_path / "one", *critic, "--iterations", 1, "--adversarial-weight", 0)
    path = critic[-1]
    arrays = dict(np.load(path))
    first = arrays["block1_conv1.kernel"]
    np.savez(path, **{**arrays, "block1_conv1.kernel": 100 * first})
    train("distill", tmp_path / "two", *critic, "--iterations", 1, "--adversarial-weight", 0)
    one, two = (
        next(csv.DictReader((tmp_path / run / "metrics.csv").read_text().splitlines()))
        for run in ("one", "two")
    )
    assert float(one["features"]) == pytest.approx(float(two["features"]), rel=1e-3)


def test_layers_count_as_they_are_weighed(train, critic, tmp_path):
    """One layer alone is the loss of that layer, and all are the mean of the single ones."""
    losses = {}
    for weights in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (2, 2, 2, 2)):
        out = tmp_path / "".join(map(str, weights))
        options = (
            *critic,
            "--iterations",
            1,
            "--adversarial-weight",
            0,
            "--layer-weights",
            *weights,
        )
        train("distill", out, *options)
        (row,) = csv.DictReader((out / "metrics.csv").read_text().splitlines())
        losses[weights] = float(row["features"])
    *single, mean = losses.values()
    assert np.ptp(single) > 0.01 and mean == pytest.approx(np.mean(single), rel=1e-4)
    with pytest.raises(ValueError, match="--layer-weights are .1.0, 2.0.; give 4, of conv2_2"):
        train("distill", tmp_path / "two", *critic, "--iterations", 1, "--layer-weights", 1, 2)


@pytest.mark.parametrize("real, index", [("teacher", 1), ("truth", 2)])
def test_the_critic_takes_for_real_what_it_is_told_to(
    real, index, train, critic, monkeypatch, tmp_path
):
    judged, samples = [], []
    loss = Critic.discriminator_loss

    def discriminator_loss(critic, real, fake):
        judged.append(real.asnumpy())
        return loss(critic, real, fake)

    def fit(step, draw, *rest):
        samples.append(draw(np.random.default_rng(0)))
        step(tuple(array[None] for array in samples[0]))
        return []

    monkeypatch.setattr(recipe, "fit", fit)
    monkeypatch.setattr(Critic, "discriminator_loss", discriminator_loss)
    options = ("--batch-size", 1, "--plain-colors", 0, "--critic-real", real)
    train("distill", tmp_path, *critic, *options)
    np.testing.assert_array_equal(judged[0][0], samples[0][index])
    assert not np.array_equal(samples[0][1], samples[0][2])


@pytest.mark.parametrize("name", ["realesrgan_lite_x4", "realesrgan_lite_x2"])
def test_the_student_starts_with_the_trunk_of_the_official_net_for_video(name, train, tmp_path):
    once = ("--iterations", 1, "--learning-rate", 1e-12)
    train("distill", tmp_path, *TAUGHT, *once, "--model", name)
    start = zoo.get_model("realesr_video_x4", pretrained=True)._collect_params_with_prefix()
    trained = mx.nd.load(str(tmp_path / f"{name}.params"))
    trunk = [key for key in start if key.startswith(("head.", "body."))]
    assert len(trunk) == 3 * 17
    for key in trunk:
        np.testing.assert_allclose(trained[key].asnumpy(), start[key].data().asnumpy(), atol=1e-6)


def test_a_student_of_another_method_starts_as_an_interpolator(train, tmp_path):
    train("distill", tmp_path, *TAUGHT, "--model", "srcnn_x4", "--iterations", 1)
    assert (tmp_path / "srcnn_x4.params").is_file()


def test_a_student_of_scale_2_learns_from_a_teacher_of_scale_4(train, tmp_path):
    train("distill", tmp_path, *TAUGHT, "--model", "realesrgan_lite_x2", "--iterations", 1)
    assert np.load(tmp_path / "taught" / "taught_0.npy").shape == (32, 32, 32, 3)


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_the_teacher_computes_in_the_precision_of_the_run(precision, script, arguments, tmp_path):
    module = script("distill")
    asked = []

    def enhancer(teacher, **options):
        asked.append(options)
        return Enhancer(teacher, **options)

    module.Enhancer = enhancer
    options = (*TAUGHT, "--iterations", 1, "--precision", precision)
    module.main(arguments(tmp_path, *options))
    assert asked == [{"precision": precision}]


def test_a_run_goes_on_with_more_samples(train, tmp_path):
    train("distill", tmp_path, *TAUGHT, "--iterations", 1)
    train("distill", tmp_path, *TAUGHT, "--iterations", 2, "--samples", 64, "--resume")
    assert len(list((tmp_path / "taught").glob("lr_*.npy"))) == 2


def test_outputs_of_one_teacher_are_not_taken_for_anothers(train, tmp_path):
    train("distill", tmp_path / "one", *TAUGHT, "--iterations", 1)
    with pytest.raises(TrainingError, match="other options .teacher."):
        options = (*TAUGHT, "--teacher", "srresnet_x4", "--cache", tmp_path / "one" / "taught")
        train("distill", tmp_path / "two", *options, "--iterations", 1)


def test_a_missing_start_and_patches_larger_than_samples_are_refused(train, tmp_path):
    from gluon_enhance.errors import WeightsError

    with pytest.raises(WeightsError, match="nowhere.params"):
        train("distill", tmp_path, *TAUGHT, "--iterations", 1, "--init", "nowhere.params")
    with pytest.raises(ValueError, match="--sample-size is 16; give at least 8 more"):
        train("distill", tmp_path, *TAUGHT, "--iterations", 1, "--patch-size", 9)
    assert not list(tmp_path.rglob("taught_*.npy"))  # refused before the teacher's work
