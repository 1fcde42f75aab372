"""Train an RRDB net of the zoo on photos, as ESRGAN [1]_ does.

    python train_scripts/train_esrgan.py --phase psnr --data PHOTOS --out runs/rrdb_lite_x4 \
        --model rrdb_lite_x4 --batch-size 8 --learning-rate 1e-3 --iterations 8400

The PSNR phase minimises L1 between the output and the truth; the inputs are MATLAB-bicubic
reductions. Interrupt it at will and go on with --resume. The command above takes about 80 minutes
on two cores; see the model's card for its scores.

References
----------
.. [1] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
   ECCV Workshops 2018. https://arxiv.org/abs/1809.00219
"""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gluon_enhance import zoo
from gluon_enhance.data.folders import find_images, read_rgb
from gluon_enhance.data.patches import SuperResolutionPatches, held_out_crops
from gluon_enhance.framework import context, mx
from gluon_enhance.imaging.arrays import from_nchw, to_dtype, to_nchw
from gluon_enhance.imaging.metrics import psnr
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script
from gluon_enhance.training.loop import fit
from gluon_enhance.training.schedule import warmup_cosine
from gluon_enhance.training.steps import SupervisedStep

HOLD_OUT_EVERY = 18
VALIDATION_CROP = 192


@dataclass
class Config(TrainingConfig):
    phase: str = option("psnr", "psnr: L1 only, from a start that interpolates")
    model: str = option("rrdb_x4", "an RRDB net of the zoo with scale 4")
    iterations: int = option(1_000_000, "training steps in all; the paper's number")
    reductions: tuple = option((1.0, 0.75, 0.5), "sizes at which each photo is used")
    # The paper halves 2e-4 every 200k steps; a cosine ends as low on any budget.
    warmup: int = option(200, "steps over which the learning rate rises")


def main(argv=None):
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    config = parse_config(Config, __doc__, argv)
    if config.phase != "psnr":
        raise ValueError(f"--phase is {config.phase!r}; this version trains 'psnr'")
    rng = np.random.default_rng(config.seed)
    ctx = context(config.ctx)

    # Net
    net = zoo.get_model(config.model)
    net.initialize_as_interpolator(rng, ctx)
    net.hybridize(static_alloc=True)
    scale = net.spec.scale

    # Data
    photos = find_images(config.data)
    held_out = find_images(config.val) if config.val else photos[::HOLD_OUT_EVERY]
    training = [path for path in photos if path not in set(held_out)]
    patches = SuperResolutionPatches(
        read_rgb(training), scale, config.patch_size, config.reductions
    )
    logging.info(
        "%d training images, %d too small; %d photos held out",
        len(patches),
        patches.too_small,
        len(held_out),
    )
    crops = held_out_crops(read_rgb(held_out), scale, VALIDATION_CROP)

    # Loss and step
    trainer = mx.gluon.Trainer(
        net.collect_params(), "adam", {"learning_rate": config.learning_rate, "beta2": 0.99}
    )
    step = SupervisedStep(net, mx.gluon.loss.L1Loss(), trainer, ctx)

    def validate():
        outputs = [from_nchw(net(mx.nd.array(to_nchw(lr), ctx=ctx)).asnumpy()) for lr, _ in crops]
        scores = [
            psnr(to_dtype(sr, hr.dtype), hr, crop_border=scale, y_channel=True)
            for sr, (_, hr) in zip(outputs, crops)
        ]
        return {"psnr_y": float(np.mean(scores))}

    done = fit(
        step,
        sample=lambda: patches.sample(config.batch_size, rng),
        validate=lambda: step.with_ema(validate),
        rng=rng,
        schedule=warmup_cosine(config.learning_rate, config.iterations, config.warmup),
        config=config,
    )
    result = Path(config.out) / f"{config.model}.params"
    step.with_ema(lambda: net.save_parameters(str(result)))
    logging.info("%d of %d steps done", done, config.iterations)
    print(result)


if __name__ == "__main__":
    run_script(main)
