"""Train SRResNet, the generator of SRGAN [1]_, on photos.

    python train_scripts/train_srresnet.py --data PHOTOS --out runs/srresnet_x4 \
        --batch-size 8 --learning-rate 1e-3 --iterations 8000

The loss is the mean square of the error. The net starts as an interpolator, which the paper's does
not. The result is also what train_srgan.py starts from.

With --degrade realistic the inputs get the noise and the blur of the photos in --data: for
enlarging photos as they come from such a camera. Interrupt it at will and go on with --resume.

References
----------
.. [1] Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
   Network", CVPR 2017. https://arxiv.org/abs/1609.04802
"""

import json
import logging
from dataclasses import asdict, dataclass

import numpy as np

from gluon_enhance import zoo
from gluon_enhance.data.degradations import DEGRADATIONS, make_degradation
from gluon_enhance.data.folders import split_photos
from gluon_enhance.data.patches import SuperResolutionPatches, held_out_pairs
from gluon_enhance.framework import mx
from gluon_enhance.losses import L1Loss, L2Loss
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.loop import fit
from gluon_enhance.training.result import save_result
from gluon_enhance.training.schedule import warmup_cosine
from gluon_enhance.training.steps import SupervisedStep
from gluon_enhance.training.validation import Validation

VALIDATION_CROP = 192


@dataclass
class Config(TrainingConfig):
    model: str = option("srresnet_x4", "an SRResNet of the zoo")
    # The paper's: 96x96 crops, batch 16, 1e6 steps of Adam at 1e-4; its error is of [-1, 1].
    iterations: int = option(1_000_000, "training steps in all")
    patch_size: int = option(24, "side of a low-resolution patch, in pixels")
    learning_rate: float = option(1e-4, "Adam's step size at the start")
    reductions: tuple = option((1.0, 0.75, 0.5), "sizes at which each photo is used")
    degrade: str = option("bicubic", "how inputs are made of photos", tuple(DEGRADATIONS))
    loss: str = option(
        "l2", "l2, the paper's, or l1, which later nets are trained with", ("l2", "l1")
    )


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
    net.hybridize(static_alloc=True)
    loss = {"l1": L1Loss, "l2": L2Loss}[config.loss]()
    trainer = devices.trainer([net], config.learning_rate)
    step = SupervisedStep(net, {"pixel": loss}, trainer, devices)

    # Training
    validation = Validation(net, pairs, devices.contexts[0], scale)
    schedule = warmup_cosine(config.learning_rate, config.iterations, config.warmup)
    history = fit(step, patches.draw, validation, schedule, config, patches.fingerprint)
    print(save_result(step, net, config, history))


if __name__ == "__main__":
    run_script(main)
