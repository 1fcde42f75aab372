"""Train an RRDB net of the zoo on photos, as ESRGAN [1]_ does.

    python train_scripts/train_esrgan.py --phase psnr --data PHOTOS --out runs/rrdb_lite_x4 \
        --model rrdb_lite_x4 --batch-size 8 --learning-rate 1e-3 --iterations 14500
    python train_scripts/train_esrgan.py --phase gan --data PHOTOS --out runs/esrgan_lite_x4 \
        --model esrgan_lite_x4 --init runs/rrdb_lite_x4/rrdb_lite_x4.params

The PSNR phase minimises L1 between the output and the truth, from --init or a start that
interpolates. The GAN phase goes on from its result, or from the shipped one: L1, features of VGG-19
before the activation, and a relativistic discriminator. --interpolate then mixes the weights of
both. The inputs are MATLAB-bicubic reductions, unless --degrade says otherwise. Interrupt it at
will and go on with --resume. The model's card has the time it took on two cores, and its scores.

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
from gluon_enhance.training.precision import precision_option, set_precision
from gluon_enhance.training.result import save_result
from gluon_enhance.training.schedule import warmup_cosine
from gluon_enhance.training.steps import AdversarialStep, Critic, SupervisedStep
from gluon_enhance.training.validation import Validation
from gluon_enhance.weights.convert import load_weights
from gluon_enhance.weights.store import find_shipped, given
from gluon_enhance.weights.vgg import load_vgg

VALIDATION_CROP = 192
#: Phase -> the paper's learning rate. It halves them in steps; a cosine ends as low.
LEARNING_RATES = {"psnr": 2e-4, "gan": 1e-4}
#: Model -> the shipped net of its architecture that --phase psnr made.
SHIPPED = dict.fromkeys(("esrgan_lite_x4", "rrdb_lite_x4"), "rrdb_lite_x4")


@dataclass
class Config(TrainingConfig):
    phase: str = option("psnr", "psnr: L1; gan: all losses, from --init", ("psnr", "gan"))
    model: str = option("rrdb_x4", "an RRDB net of the zoo with scale 4")
    init: Optional[str] = option(
        None, "weights to start from; default: psnr: none, gan: the shipped ones of psnr"
    )
    iterations: int = option(400_000, "training steps in all; the paper's number for the GAN")
    patch_size: int = option(32, "side of a low-resolution patch, in pixels", least=8)
    learning_rate: float = option(0.0, "Adam's step size at the start; 0: the paper's")
    reductions: tuple = option((1.0, 0.75, 0.5), "sizes at which each photo is used")
    degrade: str = option("bicubic", "how inputs are made of photos", tuple(DEGRADATIONS))
    precision: str = precision_option()
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")
    critic_channels: int = option(64, "channels of the discriminator's first layer")
    pixel_weight: float = option(1e-2, "weight of L1 in the GAN phase")
    feature_weight: float = option(1.0, "weight of the feature loss")
    adversarial_weight: float = option(5e-3, "weight of the adversarial loss")
    interpolate: float = option(1.0, "share of the GAN in the result; the rest: --init", most=1)


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    config.learning_rate = config.learning_rate or LEARNING_RATES[config.phase]

    # Data
    net = zoo.get_model(config.model)
    scale = net.spec.scale
    training, held_out = split_photos(config.data, config.val)
    largest = max(config.patch_size, VALIDATION_CROP // scale)
    degrade = make_degradation(config.degrade, training, scale, largest)
    patches = SuperResolutionPatches(training, scale, config.patch_size, config.reductions, degrade)
    pairs = held_out_pairs(held_out, VALIDATION_CROP, scale, degrade)
    logging.info("%s; %d held out", patches, len(pairs))
    if config.dry_run:
        return print(json.dumps(asdict(config), indent=1))

    # Nets, losses and step
    devices = Devices(config.ctx, config.batch_size, config.kvstore)
    mx.random.seed(config.seed)
    step, extra = STEPS[config.phase](net, config, devices)

    # Training
    validation = Validation(
        net, pairs, devices.contexts[0], scale, extra=extra, with_start=config.phase == "gan"
    )
    schedule = warmup_cosine(config.learning_rate, config.iterations, config.warmup)
    history = fit(step, patches.draw, validation, schedule, config, patches.fingerprint)
    path = save_result(step, net, config, history)
    if config.phase == "gan" and config.interpolate < 1 and devices.is_first:
        arrays = zoo.interpolate(find_init(config), path, config.interpolate)
        step.average.arrays = {name: mx.nd.array(array) for name, array in arrays.items()}
        with step.average.applied():  # the card's scores are of what is kept
            scores, _ = validation()
        history = [{**row, **scores} for row in history[-1:]]
        path = save_result(step, net, config, history)
    print(path)


def psnr_step(net, config, devices):
    if config.interpolate < 1:
        raise ValueError("--interpolate is for --phase gan; leave it out")
    if config.init:
        load_weights(net, given(config.init), devices.contexts)
    else:
        net.initialize_as_interpolator(np.random.default_rng(config.seed), devices.contexts)
    net.hybridize(static_alloc=True)
    set_precision(config.precision, net)
    # Adam's beta2 of 0.99 is BasicSR's.
    trainer = devices.trainer([net], config.learning_rate, beta2=0.99)
    return SupervisedStep(net, {"pixel": L1Loss()}, trainer, devices), None


def gan_step(net, config, devices):
    load_weights(net, find_init(config), devices.contexts)
    net.hybridize(static_alloc=True)
    set_precision(config.precision, net)
    features = load_vgg(VGGFeatures(19, ("conv5_4",)), config.vgg, ctx=devices.contexts)
    features.hybridize(static_alloc=True)
    set_precision(config.precision, features)
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


def find_init(config):
    """Return the file of the net to start from, or raise ValueError."""
    if not config.init and config.model not in SHIPPED:
        raise ValueError(f"--init is needed for {config.model}: weights that --phase psnr made")
    if config.init:
        return given(config.init)
    return find_shipped(SHIPPED[config.model], ".params")


STEPS = {"psnr": psnr_step, "gan": gan_step}

if __name__ == "__main__":
    run_script(main)
