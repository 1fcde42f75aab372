"""Train an EDSR [1]_ on photos.

    python train_scripts/train_edsr.py --data PHOTOS --out runs/edsr_lite_x2 --model edsr_lite_x2 \
        --batch-size 8 --learning-rate 1e-3 --iterations 8000
    python train_scripts/train_edsr.py --data PHOTOS --out runs/edsr_baseline_x4 \
        --model edsr_baseline_x4 --init edsr_baseline_x2=runs/edsr_baseline_x2.params

The loss is L1. The nets for x3 and x4 start from a trained one for x2, as the paper's do (--init):
what does not fit starts as an interpolator, and so does all without. A net of the same scale goes
on from all of it. With --degrade realistic the inputs get the noise and
the blur of the photos in --data. Interrupt it at will and go on with --resume.

References
----------
.. [1] Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution",
   CVPR Workshops 2017. https://arxiv.org/abs/1707.02921
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
from gluon_enhance.losses import L1Loss
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.loop import fit
from gluon_enhance.training.precision import precision_option, set_precision
from gluon_enhance.training.result import save_result
from gluon_enhance.training.schedule import warmup_cosine
from gluon_enhance.training.steps import SupervisedStep
from gluon_enhance.training.validation import Validation

VALIDATION_CROP = 192


@dataclass
class Config(TrainingConfig):
    model: str = option("edsr_baseline_x2", "an EDSR of the zoo")
    init: Optional[str] = option(None, "trained net to start from: NAME=FILE, or a name of the zoo")
    # The paper's: Adam at 1e-4, halved every 200k steps, 300k in all, batch 16, 48x48 patches.
    iterations: int = option(300_000, "training steps in all")
    patch_size: int = option(48, "side of a low-resolution patch, in pixels")
    learning_rate: float = option(1e-4, "Adam's step size at the start")
    reductions: tuple = option((1.0, 0.75, 0.5), "sizes at which each photo is used")
    degrade: str = option("bicubic", "how inputs are made of photos", tuple(DEGRADATIONS))
    precision: str = precision_option()


def main(argv=None):
    config = parse_config(Config, __doc__, argv)

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

    # Net, loss and step
    devices = Devices(config.ctx, config.batch_size, config.kvstore)
    mx.random.seed(config.seed)
    net.initialize_as_interpolator(np.random.default_rng(config.seed), devices.contexts)
    if config.init:
        name, _, file = config.init.partition("=")
        net.initialize_from(zoo.get_model(name, pretrained=file or True))
    net.hybridize(static_alloc=True)
    set_precision(config.precision, net)
    trainer = devices.trainer([net], config.learning_rate)
    step = SupervisedStep(net, {"pixel": L1Loss()}, trainer, devices)

    # Training
    validation = Validation(net, pairs, devices.contexts[0], scale)
    schedule = warmup_cosine(config.learning_rate, config.iterations, config.warmup)
    history = fit(step, patches.draw, validation, schedule, config, patches.fingerprint)
    print(save_result(step, net, config, history))


if __name__ == "__main__":
    run_script(main)
