"""Train a small net to do what a large one does: distilling [1]_, mostly for real photos.

    python train_scripts/train_distill.py --teacher realesrgan_x4 --model realesrgan_lite_x4 \
        --data PHOTOS --out runs/pixels --iterations 20000
    python train_scripts/train_distill.py --teacher realesrgan_x4 --model realesrgan_lite_x4 \
        --data PHOTOS --out runs/realesrgan_lite_x4 --cache runs/pixels/taught \
        --init runs/pixels/realesrgan_lite_x4.params --feature-weight 1 --adversarial-weight 0.01

The teacher is any model that `gluon_enhance.Enhancer` takes. What it makes of --samples degraded
patches is kept on the disk (--cache); making it goes on where it was interrupted, and may go on
with more samples later. The student learns from the teacher's output and from the true photo: L1,
with --feature-weight features of VGG-19, with --adversarial-weight a critic of photos. Interrupt it
at will and go on with --resume.

References
----------
.. [1] Hinton et al., "Distilling the Knowledge in a Neural Network", 2015.
   https://arxiv.org/abs/1503.02531
.. [2] Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
   Data", ICCV Workshops 2021. https://arxiv.org/abs/2107.10833
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from gluon_enhance import Enhancer, zoo
from gluon_enhance.data.degradations import DEGRADATIONS, make_degradation
from gluon_enhance.data.folders import split_photos
from gluon_enhance.data.patches import SuperResolutionPatches, held_out_pairs
from gluon_enhance.data.taught import MARGIN, TaughtPatches, taught_by
from gluon_enhance.framework import mx
from gluon_enhance.losses import (
    DistillationLoss,
    FeatureLoss,
    HingeAdversarial,
    L1Loss,
    VGGFeatures,
)
from gluon_enhance.models.unet_discriminator import NEGATIVE_SLOPE, UNetDiscriminator
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.loop import fit
from gluon_enhance.training.precision import precision_option, set_precision
from gluon_enhance.training.result import save_result
from gluon_enhance.training.schedule import warmup_cosine
from gluon_enhance.training.steps import AdversarialStep, Critic, SupervisedStep
from gluon_enhance.training.validation import Validation, feature_distances
from gluon_enhance.weights.convert import load_weights
from gluon_enhance.weights.store import given
from gluon_enhance.weights.vgg import load_vgg

VALIDATION_CROP = 192
LAYERS = ("conv2_2", "conv3_4", "conv4_4", "conv5_4")
#: Model -> the shipped net that it starts from, of its architecture, or at scale 2 of scale 4.
STARTS = dict.fromkeys(("realesrgan_lite_x4", "realesrgan_lite_x2"), "rrdb_lite_x4")


@dataclass
class Config(TrainingConfig):
    teacher: str = option("realesrgan_x4", "a zoo name, a folder or NAME=weights")
    model: str = option("realesrgan_lite_x4", "the student: a super-resolution net of the zoo")
    init: Optional[str] = option(
        None, "weights of the student; default: a shipped net like it, if there is one"
    )
    iterations: int = option(100_000, "training steps in all")
    batch_size: int = option(6, "patches per step, on all devices together")
    patch_size: int = option(40, "side of the part of a sample that a step takes, in pixels")
    cache: Optional[str] = option(None, "folder of the teacher's outputs; default: OUT/taught")
    samples: int = option(4000, "patches that the teacher enlarges")
    sample_size: int = option(64, "side of the low-resolution patches that it gets, in pixels")
    reductions: tuple = option((1.0, 0.75, 0.5), "sizes at which each photo is used")
    degrade: str = option("mixed", "how inputs are made of photos", tuple(DEGRADATIONS))
    precision: str = precision_option()
    truth_share: float = option(0.3, "what the photo counts; the rest: the teacher", most=1)
    pixel_weight: float = option(1.0, "weight of L1")
    feature_weight: float = option(0.0, "weight of the features of VGG-19, of mean size 1 each")
    adversarial_weight: float = option(0.0, "weight of a critic's loss; 0: no critic")
    critic_channels: int = option(16, "channels of the critic's first layer")
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")

    #: More samples may be made when a run goes on.
    NOT_COMPARED = (*TrainingConfig.NOT_COMPARED, "samples", "cache", "vgg")


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    if config.sample_size < config.patch_size + 2 * MARGIN:
        raise ValueError(
            f"--sample-size is {config.sample_size}; give at least {2 * MARGIN} more than "
            f"--patch-size, {config.patch_size}"
        )

    # Data
    net = zoo.get_model(config.model)
    scale = net.spec.scale
    init = config.init and given(config.init)  # before the teacher's work
    starts = bool(init or config.model in STARTS)
    if not (starts or hasattr(net, "initialize_as_interpolator")):
        raise ValueError(f"--init is needed for {config.model}, which has no start of its own")
    training, held_out = split_photos(config.data, config.val)
    largest = max(config.sample_size, VALIDATION_CROP // scale)
    degrade = make_degradation(config.degrade, training, scale, largest)
    photos = SuperResolutionPatches(training, scale, config.sample_size, config.reductions, degrade)
    pairs = held_out_pairs(held_out, VALIDATION_CROP, scale, degrade)
    logging.info("%s; %d held out", photos, len(pairs))
    if config.dry_run:
        return print(json.dumps(asdict(config), indent=1))
    patches = taught_patches(photos, scale, config)

    # Nets, losses and step
    devices = Devices(config.ctx, config.batch_size, config.kvstore)
    mx.random.seed(config.seed)
    initialize(net, init, config, devices)
    net.hybridize(static_alloc=True)
    set_precision(config.precision, net)
    features = make_features(config, devices)
    weights = features and layer_weights(features, patches)
    losses = make_losses(features, weights, config)
    trainer = devices.trainer([net], config.learning_rate, beta2=0.99)
    if config.adversarial_weight:
        step = adversarial_step(net, losses, trainer, config, devices)
    else:
        step = SupervisedStep(net, losses, trainer, devices)

    # Training
    distance = features and FeatureLoss(features, "l1", weights)
    extra = features and feature_distances(distance, pairs, scale)
    validation = Validation(net, pairs, devices.contexts[0], scale, extra=extra, with_start=starts)
    schedule = warmup_cosine(config.learning_rate, config.iterations, config.warmup)
    history = fit(step, patches.draw, validation, schedule, config, photos.fingerprint)
    print(save_result(step, net, config, history))


def taught_patches(photos, scale, config):
    folder = Path(config.cache or Path(config.out, "taught"))
    patches = TaughtPatches(folder, config.samples, config.patch_size, scale)
    teacher = Enhancer(config.teacher)
    names = ("teacher", "sample_size", "reductions", "degrade")
    made_of = {name: getattr(config, name) for name in names}
    made_of.update(scale=scale, photos=photos.fingerprint)
    patches.complete(photos.draw, taught_by(teacher, scale), config.seed, made_of)
    return patches


def initialize(net, init, config, devices):
    if init:
        load_weights(net, init, devices.contexts)
    elif config.model in STARTS:
        net.initialize(ctx=devices.contexts)
        net.initialize_from(zoo.get_model(STARTS[config.model], pretrained=True))
    else:
        net.initialize_as_interpolator(np.random.default_rng(config.seed), devices.contexts)


def make_features(config, devices):
    if not config.feature_weight:
        return None
    features = load_vgg(VGGFeatures(19, LAYERS), config.vgg, ctx=devices.contexts)
    features.hybridize(static_alloc=True)
    set_precision(config.precision, features)
    return features


def layer_weights(features, patches):
    """Weigh the layers by the mean sizes of their maps, so that all count as much."""
    truths = np.stack([patches.draw(np.random.default_rng(k))[2] for k in range(8)])
    ctx = features.mean.list_ctx()[0]
    sizes = [float(m.abs().mean().asscalar()) for m in features(mx.nd.array(truths, ctx=ctx))]
    return [1 / (len(LAYERS) * size) for size in sizes]


def make_losses(features, weights, config):
    losses = {"pixel": DistillationLoss(L1Loss(), config.truth_share, weight=config.pixel_weight)}
    if features:
        losses["features"] = DistillationLoss(
            L1Loss(), config.truth_share, features, weights, weight=config.feature_weight
        )
    return losses


def adversarial_step(net, losses, trainer, config, devices):
    critic_net = UNetDiscriminator(config.critic_channels)
    critic_net.initialize(mx.init.MSRAPrelu(slope=NEGATIVE_SLOPE), devices.contexts)
    critic_net.hybridize(static_alloc=True)
    critic = Critic(critic_net, HingeAdversarial(), config.adversarial_weight)
    critics = devices.trainer([critic_net], config.learning_rate, beta2=0.99)
    trainers = {"generator": trainer, "critics": critics}
    return AdversarialStep(net, {"critic": critic}, losses, trainers, devices)


if __name__ == "__main__":
    run_script(main)
