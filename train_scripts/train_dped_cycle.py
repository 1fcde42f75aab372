"""Train DPED's generator [1]_ without pairs: a cycle of two generators and two discriminators.

    python train_scripts/train_dped_cycle.py --data PHOTOS --out runs/dped_cycle
    python train_scripts/train_dped_cycle.py --data PHONE --target CAMERA --out runs/dped_cycle
    python train_scripts/train_dped_cycle.py --data dped --phone iphone --out runs/dped_cycle

With neither --target nor --phone the inputs are PHOTOS with the looks of many phones, or with that
of one (--looks one); which photo is whose is not used. The samples also show what the way back
restores. One generator goes from the phone's photos to the camera's, one back. Each has a
discriminator, and both together must restore what they were given. --content-weight and
--variation-weight add DPED's other losses, which the report does not tell of. Interrupt it at will
and go on with --resume.

References
----------
.. [1] Ignatov et al., "DSLR-Quality Photos on Mobile Devices with Deep Convolutional Networks",
   ICCV 2017. https://arxiv.org/abs/1704.02470
"""

from dataclasses import dataclass

from gluon_enhance.data.phone_photos import SCORES
from gluon_enhance.losses import (
    CycleLoss,
    FeatureLoss,
    Grayscale,
    StandardAdversarial,
    TotalVariationLoss,
)
from gluon_enhance.models.dped import NEGATIVE_SLOPE, DPEDDiscriminator
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script

#: What discriminators see -> channels of it.
VIEWS = {"gray": 1, "color": 3}


@dataclass
class Config(recipe.UnpairedConfig):
    model: str = option("dped_cycle", "a net of the zoo that does not enlarge, of both generators")
    generator: str = option(
        "resnet", "--model, or dped_densenet with dense blocks", ("resnet", "densenet")
    )
    norm: str = option(
        "instance", "of generators and discriminators of DPED", ("instance", "batch", "batch_stats")
    )
    # The report's, but for the rate, which is constant there; a cosine ends lower on any budget.
    iterations: int = option(8000, "training steps in all")
    batch_size: int = option(50, "patches per step, on all devices together")
    learning_rate: float = option(1e-3, "Adam's step size at the start")
    # The report sums texture and cycle over the batch; our means have the same ratio.
    texture_weight: float = option(1.0, "weight of the adversarial losses")
    cycle_weight: float = option(0.01, "weight of the cycle loss, a sum over the pixels")
    # The report does not say whether these losses of DPED stayed; its color loss did not.
    content_weight: float = option(0.0, "weight of VGG-19's features of restored photos")
    variation_weight: float = option(0.0, "weight of total variation; DPED's code has 2000")
    # Gray patches cannot tell how colors should change, and the color loss needs pairs.
    view: str = option(
        "gray", "what the discriminators see: gray, as DPED's, or color", tuple(VIEWS)
    )


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    recipe.train_on_phones(config, make_generator(config), learn, paired=False)


def learn(run):
    step = make_step(run)
    run.train(step, **SCORES, backward=step.nets["backward"])


def make_generator(config, **options):
    model = config.model
    if config.generator == "densenet":
        if model != "dped_cycle":
            raise ValueError(f"--generator densenet is dped_densenet, --model {model}; give one")
        model = "dped_densenet"
    if model in ("dped_cycle", "dped_densenet"):
        options["norm"] = config.norm
    return recipe.build_net(config, model, **options)


def make_step(run):
    config, backward = run.config, make_generator(run.config, prefix="backward_")
    for index, generator in enumerate((run.net, backward)):
        run.start(generator, (index,))
    cycle_losses = {"cycle": CycleLoss("sum", weight=config.cycle_weight)}
    if config.content_weight:
        features = run.features(19, "relu5_4", pooling="ceil")
        cycle_losses["content"] = FeatureLoss(features, weight=config.content_weight)
    image_losses = {}
    if config.variation_weight:
        variation = TotalVariationLoss("dped", weight=config.variation_weight)
        image_losses["variation"] = variation
    critics, backward_critics = ({f"{side}texture": make_critic(run)} for side in ("", "backward_"))
    return run.cycle(backward, critics, backward_critics, cycle_losses, image_losses)


def make_critic(run):
    config = run.config
    sizes = {"patch_size": config.patch_size, "channels": config.critic_channels}
    net = DPEDDiscriminator(VIEWS[config.view], norm=config.norm, **sizes)
    view = {"view": Grayscale()} if config.view == "gray" else {}
    adversarial = StandardAdversarial(saturating=True)
    return run.critic(net, NEGATIVE_SLOPE, adversarial, config.texture_weight, **view)


if __name__ == "__main__":
    run_script(main)
