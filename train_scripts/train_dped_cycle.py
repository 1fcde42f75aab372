"""Train DPED's generator [1]_ without pairs: a cycle of two generators and two discriminators.

    python train_scripts/train_dped_cycle.py --data PHOTOS --out runs/dped_cycle
    python train_scripts/train_dped_cycle.py --data PHONE --target CAMERA --out runs/dped_cycle
    python train_scripts/train_dped_cycle.py --data dped --phone iphone --out runs/dped_cycle

With neither --target nor --phone the inputs are PHOTOS with the look of a phone; which photo is
whose is not used. The samples also show what the way back restores.
One generator goes from the phone's photos to the camera's, one back. Each has a discriminator, and
both together must restore what they were given. Interrupt it at will and go on with --resume.

References
----------
.. [1] Ignatov et al., "DSLR-Quality Photos on Mobile Devices with Deep Convolutional Networks",
   ICCV 2017. https://arxiv.org/abs/1704.02470
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
    CycleLoss,
    FeatureLoss,
    Grayscale,
    StandardAdversarial,
    VGGFeatures,
)
from gluon_enhance.models.dped import NEGATIVE_SLOPE, DPEDDiscriminator
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.loop import fit
from gluon_enhance.training.result import save_result
from gluon_enhance.training.schedule import warmup_cosine
from gluon_enhance.training.steps import Critic, CycleStep
from gluon_enhance.training.validation import Validation
from gluon_enhance.weights.vgg import load_vgg

#: What discriminators see -> channels of it.
VIEWS = {"gray": 1, "color": 3}


@dataclass
class Config(TrainingConfig):
    phone: Optional[str] = option(None, "of the DPED data set, which --data then is", PHONES)
    target: Optional[str] = option(None, "folder of the camera's photos, whatever their names")
    # The report's, but for the rate, which is constant there; a cosine ends lower on any budget.
    iterations: int = option(8000, "training steps in all")
    batch_size: int = option(50, "patches per step, on all devices together")
    patch_size: int = option(100, "side of a patch, in pixels", least=9)
    learning_rate: float = option(1e-3, "Adam's step size at the start")
    # The report sums texture and cycle over the batch; our means have the same ratio.
    texture_weight: float = option(1.0, "weight of the adversarial losses")
    cycle_weight: float = option(0.01, "weight of the cycle loss, a sum over the pixels")
    # The report does not say whether DPED's other losses stayed; its color loss did not.
    content_weight: float = option(0.0, "weight of VGG-19's features of restored photos")
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")
    # Gray patches cannot tell how colors should change, and the color loss needs pairs.
    view: str = option(
        "gray", "what the discriminators see: gray, as DPED's, or color", tuple(VIEWS)
    )


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
    net = zoo.get_model("dped_cycle")
    step = make_step(net, config, devices)

    # Training
    extra, backward = scores_of_inputs(pairs), step.nets["backward"]
    validation = Validation(net, pairs, devices.contexts[0], extra=extra, backward=backward)
    schedule = warmup_cosine(config.learning_rate, config.iterations, config.warmup)
    history = fit(step, patches.draw, validation, schedule, config, patches.fingerprint)
    print(save_result(step, net, config, history))


def make_step(net, config, devices):
    generators = net, zoo.get_model("dped_cycle", prefix="backward_")
    for index, generator in enumerate(generators):
        rng = np.random.default_rng((config.seed, index))
        generator.initialize_as_identity(rng, devices.contexts)
        generator.hybridize(static_alloc=True)
    cycle_losses = {"cycle": CycleLoss("sum", weight=config.cycle_weight)}
    if config.content_weight:
        features = VGGFeatures(19, "relu5_4", pooling="ceil")
        load_vgg(features, config.vgg, ctx=devices.contexts)
        features.hybridize(static_alloc=True)
        cycle_losses["content"] = FeatureLoss(features, weight=config.content_weight)

    critics = [make_critic(config, devices) for _ in generators]
    trainers = {
        "generators": devices.trainer(generators, config.learning_rate),
        "critics": devices.trainer([critic.net for critic in critics], config.learning_rate),
    }
    forward, backward = ({f"{name}texture": c} for name, c in zip(("", "backward_"), critics))
    return CycleStep(*generators, forward, backward, cycle_losses, {}, trainers, devices)


def make_critic(config, devices):
    net = DPEDDiscriminator(VIEWS[config.view], patch_size=config.patch_size)
    net.initialize(mx.init.MSRAPrelu(slope=NEGATIVE_SLOPE), devices.contexts)
    net.hybridize(static_alloc=True)
    view = {"view": Grayscale()} if config.view == "gray" else {}
    return Critic(net, StandardAdversarial(saturating=True), config.texture_weight, **view)


if __name__ == "__main__":
    run_script(main)
