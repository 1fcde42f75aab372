"""The scripts' numbers against the papers' and the codes' that they are taken from."""

import dataclasses

import pytest

from gluon_enhance import zoo
from gluon_enhance.losses.adversarial import KINDS
from gluon_enhance.training.config import parse_config
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.recipe import Run


def defaults(script, *names):
    values = {field.name: field.default for field in dataclasses.fields(script.Config)}
    return tuple(values[name] for name in names)


LENGTH = ("iterations", "batch_size", "patch_size", "learning_rate")


@pytest.mark.parametrize(
    "weights, content, color, texture, variation",
    [
        # The code sums the texture loss over its batch of 50, our losses are means.
        ("code", 10, 0.5, 50 * 1, 2000),
        ("paper", 1, 0.1, 50 * 0.4, 400),
    ],
)
def test_dped_has_the_four_weights_of_its_code_or_paper(
    weights, content, color, texture, variation, script, vgg_file
):
    dped = script("dped")
    config = dped.Config(vgg=str(vgg_file(19)), patch_size=16, batch_size=1, weights=weights)
    step = dped.make_step(Run(config, dped.make_generator(config), Devices("cpu", 1)))
    found = {name: loss._weight for name, loss in step.losses.items()}
    assert found == {"content": content, "color": color, "variation": variation}
    assert {name: critic.weight for name, critic in step.critics.items()} == {"texture": texture}


def test_dped_has_l1_only_where_it_is_given_a_weight(script, vgg_file):
    dped = script("dped")
    options = {"vgg": str(vgg_file(19)), "patch_size": 16, "batch_size": 1, "pixel_weight": 3.0}
    config = dped.Config(**options)
    step = dped.make_step(Run(config, dped.make_generator(config), Devices("cpu", 1)))
    assert step.losses["pixel"]._weight == 3


def test_dped_trains_as_long_as_its_code(script):
    assert defaults(script("dped"), *LENGTH, "weights") == (20_000, 50, 100, 5e-4, "code")


def test_dpeds_cycle_has_the_reports_numbers(script):
    cycle = script("dped_cycle")
    assert defaults(cycle, "iterations", "patch_size", "learning_rate") == (8000, 100, 1e-3)
    # Texture and cycle are sums over the batch there, means here: their ratio is the same.
    assert defaults(cycle, "texture_weight", "cycle_weight") == (1, 0.01)


def test_wespe_has_the_papers_weights(script, vgg_file):
    wespe = script("wespe")
    config = wespe.Config(vgg=str(vgg_file(19)), patch_size=16, batch_size=1)
    net = zoo.get_model("wespe", norm=config.norm)
    step = wespe.make_step(Run(config, net, Devices("cpu", 1)))
    assert {name: critic.weight for name, critic in step.critics.items()} == {
        "color": 5e-3,
        "texture": 5e-3,
    }
    assert step.cycle_losses["content"]._weight == 1
    assert step.image_losses["variation"]._weight == 10
    assert defaults(wespe, *LENGTH) == (20_000, 30, 100, 5e-4)


def test_wespes_balance_has_the_reports_numbers(script):
    names = ("generator_threshold", "balance_window", "balance_ratio", "critic_side")
    assert defaults(script("wespe"), *names) == (0.015, 5, 3, "below")


@pytest.mark.parametrize(
    "recipe, layer, weights",
    [
        # Ours are mean squares of [0, 1], a quarter of those of [-1, 1].
        ("paper", "relu5_4", {"features": 1 / 12.75**2}),
        ("vgg22", "relu2_2", {"features": 1 / 12.75**2}),
        ("mse", None, {"pixel": 4}),
        ("tensorlayer", "pool4", {"features": 2e-6, "pixel": 4}),
        # Its total variation is twice the sum of the two means of squares.
        ("leftthomas", "pool5", {"features": 6e-3, "pixel": 1, "variation": 2 * 2e-8}),
    ],
)
def test_srgan_has_the_losses_of_the_paper_or_of_a_library(
    recipe, layer, weights, script, vgg_file
):
    srgan = script("srgan")
    depth = 16 if recipe == "leftthomas" else 19
    options = {"vgg": str(vgg_file(depth)), "patch_size": 8, "batch_size": 1, "critic_channels": 2}
    config = srgan.Config(recipe=recipe, **options)
    step = srgan.make_step(Run(config, zoo.get_model("srgan_x4"), Devices("cpu", 1)))
    found = {name: loss._weight for name, loss in step.losses.items()}
    assert found == pytest.approx(weights, rel=1e-5)
    assert step.critics["critic"].weight == 1e-3
    if layer:
        features = step.losses["features"].features
        assert (features.depth, features.layers) == (depth, (layer,))
        standardized = features.std.data().asnumpy().ravel().tolist() != [1, 1, 1]
        assert standardized == (recipe != "leftthomas")


@pytest.mark.parametrize("adversarial", KINDS)
def test_srgan_has_each_kind_of_players(adversarial, script):
    srgan = script("srgan")
    options = {"recipe": "mse", "patch_size": 16, "critic_channels": 2, "adversarial": adversarial}
    for critic in srgan.CRITICS:
        config = srgan.Config(critic=critic, **options)
        step = srgan.make_step(Run(config, zoo.get_model("srgan_x4"), Devices("cpu", 1)))
        assert type(step.critics["critic"].adversarial) is KINDS[adversarial]
        assert type(step.critics["critic"].net) is srgan.CRITICS[critic]


def test_leftthomass_recipe_has_its_options(script):
    argv = ["--data", "x", "--out", "y", "--recipe", "leftthomas"]
    config = parse_config(script("srgan").Config, "", argv)
    assert 4 * config.patch_size == 88
    assert (config.batch_size, config.learning_rate, config.schedule) == (64, 1e-3, "constant")
    assert (config.critic, config.adversarial) == ("pooled", "probability")


def test_srresnet_vgg22_has_the_papers_losses(script, vgg_file):
    srresnet = script("srresnet")
    argv = ["--data", "x", "--out", "y", "--loss", "vgg22", "--vgg", str(vgg_file(19))]
    config = parse_config(srresnet.Config, "", argv)
    losses = srresnet.make_losses(Run(config, zoo.get_model("srresnet_x4"), Devices("cpu", 1)))
    found = {name: loss._weight for name, loss in losses.items()}
    assert found == pytest.approx({"features": 1 / 12.75**2, "variation": 2e-8})
    assert losses["features"].features.layers == ("relu2_2",)


def test_srgan_trains_as_long_as_the_paper(script):
    assert defaults(script("srgan"), *LENGTH) == (200_000, 16, 96 // 4, 1e-4)
    srresnet = script("srresnet")
    assert defaults(srresnet, *LENGTH, "loss") == (1_000_000, 16, 96 // 4, 1e-4, "l2")


def test_edsr_trains_as_long_as_the_paper(script):
    assert defaults(script("edsr"), *LENGTH) == (300_000, 16, 48, 1e-4)


def test_esrgan_has_the_papers_losses_and_rates(script, vgg_file):
    esrgan = script("esrgan")
    options = {"vgg": str(vgg_file(19)), "patch_size": 8, "batch_size": 1, "critic_channels": 2}
    config = esrgan.Config(model="esrgan_lite_x4", **options)
    net = zoo.get_model(config.model)
    step = esrgan.make_gan_step(Run(config, net, Devices("cpu", 1)))
    assert {name: loss._weight for name, loss in step.losses.items()} == {
        "pixel": 1e-2,
        "features": 1,
    }
    assert step.losses["features"].features.layers == ("conv5_4",)  # before its activation
    assert step.critics["critic"].weight == 5e-3
    assert esrgan.LEARNING_RATES == {"psnr": 2e-4, "gan": 1e-4}
    assert defaults(esrgan, "iterations", "batch_size", "patch_size") == (400_000, 16, 128 // 4)
