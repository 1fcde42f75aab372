"""Train SRCNN [1]_ on photos.

    python train_scripts/train_srcnn.py --data PHOTOS --out runs/srcnn_x4

The loss is the mean square of the error. The net is the paper's: it works on the luma of the
bicubic enlargement, and R, G and B all move by what it changes the luma by. Unlike the paper's it
starts as that enlargement and keeps the size, and all of its layers learn at one rate.

With --degrade realistic the inputs get the noise and the blur of the photos in --data: for
enlarging photos as they come from such a camera. Interrupt it at will and go on with --resume.

References
----------
.. [1] Dong et al., "Image Super-Resolution Using Deep Convolutional Networks", IEEE TPAMI 38(2),
   2016. https://arxiv.org/abs/1501.00092
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
from gluon_enhance.losses import L2Loss
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
    model: str = option("srcnn_x4", "an SRCNN of the zoo")
    # The paper takes 8e8 backpropagations of SGD; Adam needs a fraction of them.
    iterations: int = option(100_000, "training steps in all")
    learning_rate: float = option(1e-3, "Adam's step size at the start")
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
    net.hybridize(static_alloc=True)
    set_precision(config.precision, net)
    trainer = devices.trainer([net], config.learning_rate)
    step = SupervisedStep(net, {"pixel": L2Loss()}, trainer, devices)

    # Training
    validation = Validation(net, pairs, devices.contexts[0], scale)
    schedule = warmup_cosine(config.learning_rate, config.iterations, config.warmup)
    history = fit(step, patches.draw, validation, schedule, config, patches.fingerprint)
    print(save_result(step, net, config, history))


if __name__ == "__main__":
    run_script(main)
