"""Train super-resolution by perceptual loss: Johnson's nets [1]_ or their small Gluon variant.

    python train_scripts/train_plsr.py --data PHOTOS --out runs/plsr_x4
    python train_scripts/train_plsr.py --recipe report --data PHOTOS --out runs/plsr_x2 \
        --shards runs/plsr_shards

The loss is the distance from the truth in relu2_2 of VGG-16; the inputs are blurred and reduced.
Nets start as interpolators; the papers' start is random. With --recipe report, total variation is
added and the net keeps the mean color of the inputs. --shards keeps a fixed number of samples on
the disk, with the features of their truths, so that these are computed once. Interrupt it at will
and go on with --resume.

References
----------
.. [1] Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
   ECCV 2016. https://arxiv.org/abs/1603.08155
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
from gluon_enhance.data.shards import Shards
from gluon_enhance.framework import mx
from gluon_enhance.losses import CachedFeatureLoss, FeatureLoss, TotalVariationLoss, VGGFeatures
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.loop import fit
from gluon_enhance.training.result import save_result
from gluon_enhance.training.schedule import warmup_cosine
from gluon_enhance.training.steps import SupervisedStep
from gluon_enhance.training.validation import Validation, feature_distances
from gluon_enhance.weights.vgg import load_vgg

VALIDATION_CROP = 192
MEAN_SAMPLES = 100

#: The papers': truths are 288x288 for plsr_x4 and plsr_x8, 144x144 for plsr_x2.
PATCH_SIZES = {"plsr_x2": 72, "plsr_x4": 72, "plsr_x8": 36}
#: Recipe -> models, iterations, learning rate and Adam's beta2: the paper's, and the Gluon
#: variant's with 500 epochs of 7 shards. Their rates are constant; a cosine ends lower.
RECIPES = {
    "johnson": (("plsr_x4", "plsr_x8"), 200_000, 1e-3, 0.999),
    "report": (("plsr_x2",), 500 * 7 * 1000 // 4, 1e-5, 0.99),
}


@dataclass
class Config(TrainingConfig):
    recipe: str = option("johnson", "the paper's, or the Gluon variant's", tuple(RECIPES))
    model: Optional[str] = option(None, "johnson: plsr_x4 (default) or plsr_x8; report: plsr_x2")
    iterations: int = option(0, "training steps in all; 0: the recipe's")
    batch_size: int = option(4, "patches per step, on all devices together")
    patch_size: int = option(0, "side of a low-resolution patch, in pixels; 0: the paper's")
    learning_rate: float = option(0.0, "Adam's step size at the start; 0: the recipe's")
    reductions: tuple = option((1.0, 0.75, 0.5), "sizes at which each photo is used")
    degrade: str = option("johnson", "how inputs are made of photos", tuple(DEGRADATIONS))
    vgg: Optional[str] = option(None, "file with VGG-16's weights; default: torchvision's")
    # For features of torchvision's weights; those of Caffe's have another scale.
    variation_weight: float = option(
        -1.0, "weight of total variation; below 0: 0.1 with --recipe report, else none", least=-1
    )
    shards: Optional[str] = option(None, "folder of shards; default: new samples in every step")
    shard_count: int = option(7, "shards")
    shard_samples: int = option(1000, "samples of a shard")


def main(argv=None):
    config = with_recipe(parse_config(Config, __doc__, argv))

    # Data
    scale = zoo.get_spec(config.model).scale
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
    features = load_vgg(VGGFeatures(16, "relu2_2"), config.vgg, ctx=devices.contexts)
    features.hybridize(static_alloc=True)
    samples, feature_loss = patches, FeatureLoss
    if config.shards:
        samples, feature_loss = open_shards(patches, features, config, devices), CachedFeatureLoss
    losses = {"features": feature_loss(features)}
    if config.variation_weight:
        losses["variation"] = TotalVariationLoss("plsr", weight=config.variation_weight)
    net = make_net(samples, config, devices)
    trainer = devices.trainer([net], config.learning_rate, beta2=RECIPES[config.recipe][-1])
    step = SupervisedStep(net, losses, trainer, devices)

    # Training
    extra = feature_distances(FeatureLoss(features), pairs, scale)
    validation = Validation(net, pairs, devices.contexts[0], scale, match_colors=True, extra=extra)
    schedule = warmup_cosine(config.learning_rate, config.iterations, config.warmup)
    history = fit(step, samples.draw, validation, schedule, config, patches.fingerprint)
    print(save_result(step, net, config, history))


def with_recipe(config):
    models, iterations, learning_rate, _ = RECIPES[config.recipe]
    if config.model not in (None, *models):
        raise ValueError(f"--model is {config.model}; --recipe {config.recipe} has {models}")
    config.model = config.model or models[0]
    config.iterations = config.iterations or iterations
    config.learning_rate = config.learning_rate or learning_rate
    if config.variation_weight < 0:
        config.variation_weight = {"johnson": 0.0, "report": 0.1}[config.recipe]
    config.patch_size = config.patch_size or PATCH_SIZES[config.model]
    return config


def open_shards(patches, features, config, devices):
    shards = Shards(config.shards, config.shard_count, config.shard_samples)
    names = ("data", "val", "model", "patch_size", "reductions", "degrade", "vgg")
    made_of = {name: getattr(config, name) for name in names}

    def features_of(truths):
        return features(truths.as_in_context(devices.contexts[0]))[0]

    shards.complete(patches.draw, features_of, config.seed, made_of)
    return shards


def make_net(samples, config, devices):
    rng, options = np.random.default_rng(config.seed), {}
    if config.recipe == "report":
        colors = [samples.draw(rng)[0].mean(axis=(1, 2)) for _ in range(MEAN_SAMPLES)]
        options["mean"] = np.mean(colors, axis=0).tolist()
    net = zoo.get_model(config.model, **options)
    net.initialize_as_interpolator(rng, devices.contexts)
    net.hybridize(static_alloc=True)
    return net


if __name__ == "__main__":
    run_script(main)
