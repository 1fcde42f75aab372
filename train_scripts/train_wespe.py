"""Train WESPE [1]_: enhance a phone's photos without pairs.

    python train_scripts/train_wespe.py --data PHOTOS --out runs/wespe
    python train_scripts/train_wespe.py --data PHONE --target CAMERA --out runs/wespe
    python train_scripts/train_wespe.py --data dped --phone iphone --out runs/wespe

With neither --target nor --phone the inputs are PHOTOS with the looks of many phones, or with that
of one (--looks one); which photo is whose is not used. Two discriminators, of colors under a blur
and of gray texture, tell the generator what the camera's photos are like; a backward generator must
restore the features of what it was given. --ratio and --balance hold one side back, as a
reproduction of WESPE did. Interrupt it at will and go on with --resume.

References
----------
.. [1] Ignatov et al., "WESPE: Weakly Supervised Photo Enhancer for Digital Cameras",
   CVPR Workshops 2018. https://arxiv.org/abs/1709.01118
"""

from dataclasses import dataclass

from gluon_enhance.data.phone_photos import SCORES
from gluon_enhance.losses import (
    FeatureLoss,
    GaussianBlur,
    Grayscale,
    StandardAdversarial,
    TotalVariationLoss,
)
from gluon_enhance.models.dped import NEGATIVE_SLOPE
from gluon_enhance.models.wespe import ColorDiscriminator, TextureDiscriminator
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script
from gluon_enhance.training.gan import DynamicBalance

NORMS = ("batch", "instance", "layer")


@dataclass
class Config(recipe.UnpairedConfig):
    model: str = option("wespe", "a net of the zoo that does not enlarge, of both generators")
    norm: str = option("instance", "of the generators; the paper's is batch", NORMS)
    critic_norm: str = option("instance", "of the discriminators; the paper's is batch", NORMS)
    tanh_scale: float = option(0.58, "half the range of the generators' output; 0.5 is natural")
    classes: int = option(1, "logits of a discriminator: one, or one for each class", (1, 2))
    iterations: int = option(20_000, "training steps in all")
    batch_size: int = option(30, "patches per step, on all devices together")
    learning_rate: float = option(5e-4, "Adam's step size at the start")
    content_weight: float = option(1.0, "weight of the features of restored photos; 0: no VGG")
    adversarial_weight: float = option(5e-3, "weight of both adversarial losses")
    variation_weight: float = option(10.0, "weight of total variation")
    balance: bool = option(False, "let the discriminators learn in some of the steps only")
    critic_threshold: float = option(0.5, "their loss on whose wrong side they learn in few steps")
    critic_side: str = option("below", "which side is wrong", ("below", "above"))
    generator_threshold: float = option(0.015, "adversarial loss above which they do not learn")
    balance_window: int = option(5, "last losses whose mean is held against a threshold")
    balance_ratio: int = option(3, "steps in one of which they learn when they are held back")

    VARIANTS = {
        "recipe": {"report": {**recipe.REPORT, "start": "kaiming_uniform", "sampling": "epochs"}}
    }


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    recipe.train_on_phones(config, make_generator(config), learn, paired=False)


def learn(run):
    step = make_step(run)
    backward = step.nets["backward"] if step.cycle_losses else None  # which else learns nothing
    run.train(step, **SCORES, backward=backward)


def make_generator(config, **options):
    if config.model == "wespe":
        options.update(norm=config.norm, tanh_scale=config.tanh_scale)
    return recipe.build_net(config, **options)


def make_step(run):
    config, backward = run.config, make_generator(run.config, prefix="backward_")
    for index, generator in enumerate((run.net, backward)):
        run.start(generator, (index,))
    blur = GaussianBlur()
    blur.initialize(ctx=run.devices.contexts)
    critics = {
        "color": make_critic(run, ColorDiscriminator, blur),
        "texture": make_critic(run, TextureDiscriminator, Grayscale()),
    }
    content, variation = {}, {}
    if config.content_weight:
        features = run.features(19, "relu5_4", pooling="ceil")
        content["content"] = FeatureLoss(features, weight=config.content_weight)
    if config.variation_weight:
        variation["variation"] = TotalVariationLoss("wespe", weight=config.variation_weight)
    return run.cycle(backward, critics, {}, content, variation, make_balance(config))


def make_critic(run, discriminator, view):
    config = run.config
    sizes = {"patch_size": config.patch_size, "channels": config.critic_channels}
    net = discriminator(config.classes, config.critic_norm, **sizes)
    weight = config.adversarial_weight
    return run.critic(net, NEGATIVE_SLOPE, StandardAdversarial(), weight, view=view)


def make_balance(config):
    if not config.balance:
        return None
    thresholds = config.critic_threshold, config.generator_threshold
    window, ratio = config.balance_window, config.balance_ratio
    return DynamicBalance(*thresholds, window, ratio, config.critic_side)


if __name__ == "__main__":
    run_script(main)
