"""Train an RRDB net of the zoo on photos, as ESRGAN [1]_ does.

    python train_scripts/train_esrgan.py --phase psnr --data PHOTOS --out runs/rrdb_lite_x4 \
        --model rrdb_lite_x4 --batch-size 8 --learning-rate 1e-3 --iterations 14500
    python train_scripts/train_esrgan.py --phase gan --data PHOTOS --out runs/esrgan_lite_x4 \
        --model esrgan_lite_x4 --init runs/rrdb_lite_x4/rrdb_lite_x4.params

The PSNR phase minimises L1 between the output and the truth, from a start that interpolates. The
GAN phase goes on from its result: L1, features of VGG-19 before the activation, and a
relativistic discriminator. --interpolate then mixes the weights of both. The inputs are
MATLAB-bicubic reductions. Interrupt it at will and go on with
--resume. The model's card has the time it took on two cores, and its scores.

References
----------
.. [1] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
   ECCV Workshops 2018. https://arxiv.org/abs/1809.00219
"""

import json
import logging
from dataclasses import asdict, dataclass
from typing import Optional

import numpy as np

from gluon_enhance import zoo
from gluon_enhance.data.degradations import DEGRADATIONS, make_degradation
from gluon_enhance.data.folders import split_photos
from gluon_enhance.data.patches import SuperResolutionPatches, held_out_pairs
from gluon_enhance.framework import mx
from gluon_enhance.losses import FeatureLoss, L1Loss, RelativisticAverageAdversarial, VGGFeatures
from gluon_enhance.models.discriminators import NEGATIVE_SLOPE, VGG128
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.loop import fit
from gluon_enhance.training.result import save_result
from gluon_enhance.training.schedule import warmup_cosine
from gluon_enhance.training.steps import AdversarialStep, Critic, SupervisedStep
from gluon_enhance.training.validation import Validation
from gluon_enhance.weights.convert import load_weights
from gluon_enhance.weights.params import write_params
from gluon_enhance.weights.vgg import load_vgg

VALIDATION_CROP = 192


@dataclass
class Config(TrainingConfig):
    phase: str = option(
        "psnr", "psnr: L1 only; gan: all losses, from the net of --init", ("psnr", "gan")
    )
    model: str = option("rrdb_x4", "an RRDB net of the zoo with scale 4")
    init: Optional[str] = option(None, "weights of the PSNR phase, for the GAN phase")
    iterations: int = option(400_000, "training steps in all; the paper's number for the GAN")
    # The paper halves its rate every 200k steps; a cosine ends as low on any budget.
    warmup: int = option(200, "steps over which the learning rate rises")
    reductions: tuple = option((1.0, 0.75, 0.5), "sizes at which each photo is used")
    degrade: str = option("bicubic", "how inputs are made of photos", tuple(DEGRADATIONS))
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")
    critic_channels: int = option(64, "channels of the discriminator's first layer")
    pixel_weight: float = option(1e-2, "weight of L1 in the GAN phase")
    feature_weight: float = option(1.0, "weight of the feature loss")
    adversarial_weight: float = option(5e-3, "weight of the adversarial loss")
    interpolate: float = option(1.0, "share of the GAN's weights in the result; the rest: --init")


def main(argv=None):
    config = parse_config(Config, __doc__, argv)

    # Data
    net = zoo.get_model(config.model)
    scale = net.spec.scale
    training, held_out = split_photos(config.data, config.val)
    degrade = make_degradation(config.degrade, training, scale)
    patches = SuperResolutionPatches(training, scale, config.patch_size, config.reductions, degrade)
    pairs = held_out_pairs(held_out, VALIDATION_CROP, scale, degrade)
    logging.info(
        "%d photos, %d too small; %d held out", len(patches), patches.too_small, len(pairs)
    )
    if config.dry_run:
        return print(json.dumps(asdict(config), indent=1))

    # Nets, losses and step
    devices = Devices(config.ctx, config.batch_size, config.kvstore)
    mx.random.seed(config.seed)
    make_step = psnr_step if config.phase == "psnr" else gan_step
    step, extra = make_step(net, config, devices)

    # Training
    validation = Validation(
        net, pairs, devices.contexts[0], scale, extra=extra, with_start=config.phase == "gan"
    )
    schedule = warmup_cosine(config.learning_rate, config.iterations, config.warmup)
    history = fit(step, patches.draw, validation, schedule, config)
    path = save_result(step, net, config, history)
    if config.phase == "gan" and config.interpolate < 1 and devices.is_first:
        write_params(path, zoo.interpolate(config.init, path, config.interpolate))
    print(path)


def psnr_step(net, config, devices):
    net.initialize_as_interpolator(np.random.default_rng(config.seed), devices.contexts)
    net.hybridize(static_alloc=True)
    # Adam's beta2 of 0.99 is BasicSR's.
    trainer = devices.trainer([net], config.learning_rate, beta2=0.99)
    return SupervisedStep(net, {"pixel": L1Loss()}, trainer, devices), None


def gan_step(net, config, devices):
    if not config.init:
        raise ValueError("--init is needed for --phase gan: the weights that --phase psnr made")
    load_weights(net, config.init, devices.contexts)
    net.hybridize(static_alloc=True)
    features = VGGFeatures(19, ("conv5_4",))
    load_vgg(features, config.vgg, ctx=devices.contexts)
    features.hybridize(static_alloc=True)
    losses = {
        "pixel": L1Loss(weight=config.pixel_weight),
        "features": FeatureLoss(features, "l1", weight=config.feature_weight),
    }

    critic_net = VGG128(config.patch_size * net.spec.scale, config.critic_channels)
    critic_net.initialize(mx.init.MSRAPrelu(slope=NEGATIVE_SLOPE), devices.contexts)
    critic_net.hybridize(static_alloc=True)
    critic = Critic(critic_net, RelativisticAverageAdversarial(), config.adversarial_weight)

    trainers = {
        "generator": devices.trainer([net], config.learning_rate, beta2=0.99),
        "critics": devices.trainer([critic_net], config.learning_rate, beta2=0.99),
    }
    step = AdversarialStep(net, {"critic": critic}, losses, trainers, devices)
    distance = FeatureLoss(features, "l1")
    return step, lambda sr, hr: {"feature_distance": distance(sr, hr).mean().asscalar()}


if __name__ == "__main__":
    run_script(main)
