r"""Train a small net to do what a large one does: distilling [1]_, mostly for real photos.

    python train_scripts/train_distill.py --teacher realesrgan_x4 --model realesrgan_lite_x4 \
        --data PHOTOS --out runs/pixels --iterations 20000
    python train_scripts/train_distill.py --teacher realesrgan_x4 --model realesrgan_lite_x4 \
        --data PHOTOS --out runs/realesrgan_lite_x4 --cache runs/pixels/taught \
        --init runs/pixels/realesrgan_lite_x4.params --feature-weight 1 --adversarial-weight 0.01

The teacher is any model that `gluon_enhance.Enhancer` takes. What it makes of --samples degraded
patches is kept on the disk (--cache); making it goes on where it was interrupted, and may go on
with more samples later. The student learns from the teacher's output and from the true photo: L1
and mean colors, with --feature-weight features of VGG-19, with --adversarial-weight a critic. By
--critic-real this tells the student's output from photos, or from the teacher's outputs. With
--compressed some inputs are kept as JPEG after the teacher has seen them, so that the student
learns to make of them what the teacher makes of better ones. Shades of plain colors are mixed in.
Interrupt it at will and go on with --resume.

The students named realesrgan_lite start with the trunk of realesr_video_x4, whose weights the extra
[realesrgan] brings; --start interpolator does without.

References
----------
.. [1] Hinton et al., "Distilling the Knowledge in a Neural Network", 2015.
   https://arxiv.org/abs/1503.02531
.. [2] Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
   Data", ICCV Workshops 2021. https://arxiv.org/abs/2107.10833
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from gluon_enhance import Enhancer, zoo
from gluon_enhance.data.degradations import DEGRADATIONS
from gluon_enhance.data.teacher_patches import MARGIN, TeacherPatches, taught_by
from gluon_enhance.framework import mx
from gluon_enhance.losses import (
    DistillationLoss,
    FeatureLoss,
    HingeAdversarial,
    L1Loss,
    MeanColorLoss,
)
from gluon_enhance.models.discriminators import NEGATIVE_SLOPE, PatchDiscriminator
from gluon_enhance.models.unet_discriminator import UNetDiscriminator
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script
from gluon_enhance.training.initial_weights import has_start

CRITICS = {"unet": UNetDiscriminator, "patch": PatchDiscriminator}
LABELS = ("teacher", "truth")  # of a sample, in their order
LAYERS = ("conv2_2", "conv3_4", "conv4_4", "conv5_4")
#: Model -> the trained net whose trunk it starts with.
STARTS = dict.fromkeys(("realesrgan_lite_x4", "realesrgan_lite_x2"), "realesr_video_x4")


@dataclass
class Config(recipe.EnlargingConfig):
    teacher: str = option("realesrgan_x4", "a zoo name, a folder or NAME=weights")
    model: str = option("realesrgan_lite_x4", "the student: a super-resolution net of the zoo")
    iterations: int = option(100_000, "training steps in all")
    batch_size: int = option(6, "patches per step, on all devices together")
    patch_size: int = option(40, "side of the part of a sample that a step takes, in pixels")
    cache: Optional[str] = option(None, "folder of the teacher's outputs; default: OUT/taught")
    samples: int = option(4000, "patches that the teacher enlarges")
    sample_size: int = option(64, "side of the low-resolution patches that it gets, in pixels")
    degrade: str = option("mixed", "how inputs are made of photos", tuple(DEGRADATIONS))
    betas: tuple = option((0.9, 0.99), "Adam's decays of mean and variance", most=1)
    compressed: float = option(0.0, "share of inputs kept as JPEG after the teacher", most=1)
    plain_colors: float = option(0.1, "share of samples that are shades of plain colors", most=1)
    truth_weight: float = option(0.3, "what the photo counts; the rest: the teacher", most=1)
    pixel_weight: float = option(1.0, "weight of L1")
    color_weight: float = option(1.0, "weight of the mean colors of cells, against the photo's")
    feature_weight: float = option(0.0, "weight of the features of VGG-19, of mean size 1 each")
    layer_weights: tuple = option((1.0, 1.0, 1.0, 1.0), f"of {', '.join(LAYERS)}, one each")
    adversarial_weight: float = option(0.0, "weight of a critic's loss; 0: no critic")
    critic: str = option(
        "unet", "Real-ESRGAN's critic, or pix2pix's, which is cheaper", tuple(CRITICS)
    )
    critic_real: str = option("truth", "what the critic tells the output from", LABELS)
    critic_channels: int = option(16, "channels of the critic's first layer")
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")

    #: More samples may be made when a run goes on.
    NOT_COMPARED = (*recipe.EnlargingConfig.NOT_COMPARED, "samples", "cache", "vgg")
    FORMERLY = {"plain_colors": 0.0, "color_weight": 0.0}


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    if config.sample_size < config.patch_size + 2 * MARGIN:
        raise ValueError(
            f"--sample-size is {config.sample_size}; give at least {2 * MARGIN} more than "
            f"--patch-size, {config.patch_size}"
        )
    if len(config.layer_weights) != len(LAYERS):
        raise ValueError(
            f"--layer-weights are {config.layer_weights}; give {len(LAYERS)}, of "
            + ", ".join(LAYERS)
        )
    recipe.train_enlarging(config, learn, config.sample_size)


def learn(run):
    config, scores = run.config, {}
    patches = open_patches(run)
    run.start()
    starts = has_start(config)
    if not (starts or config.start) and config.model in STARTS:
        run.net.initialize_from(zoo.get_model(STARTS[config.model], pretrained=True))
        starts = True
    losses = {"pixel": DistillationLoss(L1Loss(), config.truth_weight, weight=config.pixel_weight)}
    if config.color_weight:
        losses["color"] = DistillationLoss(MeanColorLoss(), 1.0, weight=config.color_weight)
    if config.feature_weight:
        features = run.features(19, LAYERS)
        layers = features, layer_weights(config, features, patches)
        losses["features"] = DistillationLoss(
            L1Loss(), config.truth_weight, *layers, weight=config.feature_weight
        )
        scores = run.feature_scores(FeatureLoss(features, "l1", layers[1]))
    run.train(make_step(run, losses), patches.draw, with_start=starts, **scores)


def open_patches(run):
    """Open the patches with the teacher's outputs, and have it make those that are missing."""
    config, scale, photos = run.config, run.net.spec.scale, run.data.patches
    folder = Path(config.cache or Path(config.out, "taught"))
    patches = TeacherPatches(folder, config.samples, config.patch_size, scale, config.compressed)
    teacher = Enhancer(config.teacher, precision=config.precision)
    names = ("teacher", "sample_size", "reductions", "degrade", "degrade_options", "sharpen_truth")
    made_of = {name: getattr(config, name) for name in names}
    made_of.update(scale=scale, photos=photos.fingerprint)
    patches.complete(photos.draw, taught_by(teacher, scale), config.seed, made_of)
    return patches


def layer_weights(config, features, patches):
    """Divide the options' weights by the mean sizes of the layers' maps, which differ much."""
    truths = np.stack([patches.draw(np.random.default_rng(k))[2] for k in range(8)])
    ctx = features.mean.list_ctx()[0]
    sizes = [float(m.abs().mean().asscalar()) for m in features(mx.nd.array(truths, ctx=ctx))]
    total = sum(config.layer_weights)
    return [weight / (total * size) for weight, size in zip(config.layer_weights, sizes)]


def make_step(run, losses):
    weight = run.config.adversarial_weight
    if not weight:
        return run.supervised(losses)
    net = CRITICS[run.config.critic](run.config.critic_channels)
    critic = run.critic(net, NEGATIVE_SLOPE, HingeAdversarial(), weight)
    return run.adversarial(losses, {"critic": critic}, LABELS.index(run.config.critic_real))


if __name__ == "__main__":
    run_script(main)
