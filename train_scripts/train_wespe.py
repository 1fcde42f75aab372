"""Train WESPE [1]_: enhance a phone's photos without pairs.

    python train_scripts/train_wespe.py --data PHOTOS --out runs/wespe
    python train_scripts/train_wespe.py --data PHONE --target CAMERA --out runs/wespe
    python train_scripts/train_wespe.py --data dped --phone iphone --out runs/wespe

With neither --target nor --phone the inputs are PHOTOS with the look of a phone; which photo is
whose is not used. Two discriminators, of colors under a blur and of gray texture, tell the
generator what the camera's photos are like; a backward generator must restore the features of what
it was given. --balance holds the discriminators back, as a reproduction of WESPE does. Interrupt it
at will and go on with --resume.

References
----------
.. [1] Ignatov et al., "WESPE: Weakly Supervised Photo Enhancer for Digital Cameras",
   CVPR Workshops 2018. https://arxiv.org/abs/1709.01118
"""

import json
import logging
from dataclasses import asdict, dataclass
from typing import Optional

import numpy as np

from gluon_enhance import zoo
from gluon_enhance.data.phones import PHONES, phone_photos, scores_of_inputs
from gluon_enhance.framework import mx
from gluon_enhance.losses import (
    FeatureLoss,
    GaussianBlur,
    Grayscale,
    StandardAdversarial,
    TotalVariationLoss,
    VGGFeatures,
)
from gluon_enhance.models.dped import NEGATIVE_SLOPE
from gluon_enhance.models.wespe import ColorDiscriminator, TextureDiscriminator
from gluon_enhance.training.balance import DynamicBalance
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.loop import fit
from gluon_enhance.training.result import save_result
from gluon_enhance.training.schedule import warmup_cosine
from gluon_enhance.training.steps import Critic, CycleStep
from gluon_enhance.training.validation import Validation
from gluon_enhance.weights.vgg import load_vgg

NORMS = ("batch", "instance", "layer")


@dataclass
class Config(TrainingConfig):
    phone: Optional[str] = option(None, "of the DPED data set, which --data then is", PHONES)
    target: Optional[str] = option(None, "folder of the camera's photos, whatever their names")
    norm: str = option("instance", "of the generators; the paper's is batch", NORMS)
    critic_norm: str = option("instance", "of the discriminators; the paper's is batch", NORMS)
    tanh_scale: float = option(0.58, "half the range of the generators' output; 0.5 is natural")
    classes: int = option(1, "logits of a discriminator: one, or one for each class", (1, 2))
    iterations: int = option(20_000, "training steps in all")
    batch_size: int = option(30, "patches per step, on all devices together")
    patch_size: int = option(100, "side of a patch, in pixels", least=9)
    learning_rate: float = option(5e-4, "Adam's step size at the start")
    content_weight: float = option(1.0, "weight of the features of restored photos")
    adversarial_weight: float = option(5e-3, "weight of both adversarial losses")
    variation_weight: float = option(10.0, "weight of total variation")
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")
    balance: bool = option(False, "let the discriminators learn in some of the steps only")
    critic_threshold: float = option(0.5, "their loss on whose wrong side they learn in few steps")
    critic_side: str = option("below", "which side is wrong", ("below", "above"))
    generator_threshold: float = option(0.015, "adversarial loss above which they do not learn")
    balance_window: int = option(5, "last losses whose mean is held against a threshold")
    balance_ratio: int = option(3, "steps in one of which they learn when they are held back")


def main(argv=None):
    config = parse_config(Config, __doc__, argv)

    # Data
    patches, pairs = phone_photos(
        config.data, config.patch_size, config.phone, config.target, config.val, paired=False
    )
    logging.info("%s; %d held out", patches, len(pairs))
    if config.dry_run:
        return print(json.dumps(asdict(config), indent=1))

    # Nets, losses and step
    devices = Devices(config.ctx, config.batch_size, config.kvstore)
    mx.random.seed(config.seed)
    net = zoo.get_model("wespe", norm=config.norm, tanh_scale=config.tanh_scale)
    step = make_step(net, config, devices)

    # Training
    extra, backward = scores_of_inputs(pairs), step.nets["backward"]
    validation = Validation(net, pairs, devices.contexts[0], extra=extra, backward=backward)
    schedule = warmup_cosine(config.learning_rate, config.iterations, config.warmup)
    history = fit(step, patches.draw, validation, schedule, config, patches.fingerprint)
    print(save_result(step, net, config, history))


def make_step(net, config, devices):
    options = {"norm": config.norm, "tanh_scale": config.tanh_scale, "prefix": "backward_"}
    generators = net, zoo.get_model("wespe", **options)
    for index, generator in enumerate(generators):
        rng = np.random.default_rng((config.seed, index))
        generator.initialize_as_identity(rng, devices.contexts)
        generator.hybridize(static_alloc=True)
    features = VGGFeatures(19, "relu5_4", pooling="ceil")
    load_vgg(features, config.vgg, ctx=devices.contexts)
    features.hybridize(static_alloc=True)
    blur = GaussianBlur()
    blur.initialize(ctx=devices.contexts)

    critics = {
        "color": make_critic(ColorDiscriminator, blur, config, devices),
        "texture": make_critic(TextureDiscriminator, Grayscale(), config, devices),
    }
    trainers = {
        "generators": devices.trainer(generators, config.learning_rate),
        "critics": devices.trainer([c.net for c in critics.values()], config.learning_rate),
    }
    return CycleStep(
        *generators,
        critics,
        {},
        {"content": FeatureLoss(features, weight=config.content_weight)},
        {"variation": TotalVariationLoss("wespe", weight=config.variation_weight)},
        trainers,
        devices,
        make_balance(config),
    )


def make_critic(discriminator, view, config, devices):
    net = discriminator(config.classes, config.critic_norm, config.patch_size)
    net.initialize(mx.init.MSRAPrelu(slope=NEGATIVE_SLOPE), devices.contexts)
    net.hybridize(static_alloc=True)
    return Critic(net, StandardAdversarial(), config.adversarial_weight, view)


def make_balance(config):
    if not config.balance:
        return None
    thresholds = config.critic_threshold, config.generator_threshold
    window, ratio = config.balance_window, config.balance_ratio
    return DynamicBalance(*thresholds, window, ratio, config.critic_side)


if __name__ == "__main__":
    run_script(main)
