r"""Train super-resolution by perceptual loss: Johnson's nets [1]_ or their small Gluon variant.

    python train_scripts/train_plsr.py --data PHOTOS --out runs/plsr_x4
    python train_scripts/train_plsr.py --recipe report --data PHOTOS --out runs/plsr_x2 \
        --shards runs/plsr_shards

The loss is the distance from the truth in relu2_2 of VGG-16; the inputs are blurred and reduced.
Johnson's nets start as interpolators here, the paper's at random. With --recipe report the net
starts as the report's, at a constant rate; total variation is added, and the net keeps the mean
color of the inputs. --shards keeps a fixed number of samples on the disk, with the features of
their truths, so that these are computed once. Interrupt it at will and go on with --resume.

References
----------
.. [1] Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
   ECCV 2016. https://arxiv.org/abs/1603.08155
"""

from dataclasses import dataclass
from typing import Optional

import numpy as np

from gluon_enhance import zoo
from gluon_enhance.data.degradations import DEGRADATIONS
from gluon_enhance.data.shards import Shards
from gluon_enhance.losses import CachedFeatureLoss, FeatureLoss, TotalVariationLoss
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script

MEAN_SAMPLES = 100

#: Side of the true patches: the papers'.
TRUTH_SIZES = {2: 144, 4: 288, 8: 288}


@dataclass
class Config(recipe.EnlargingConfig):
    recipe: str = option("johnson", "the paper's, or the Gluon variant's", ("johnson", "report"))
    model: str = option("plsr_x4", "a net of the zoo that enlarges")
    iterations: int = option(200_000, "training steps in all")
    batch_size: int = option(4, "patches per step, on all devices together")
    patch_size: int = option(0, "side of a low-resolution patch, in pixels; 0: the paper's")
    # The papers' rates are constant; a cosine ends lower.
    learning_rate: float = option(1e-3, "Adam's step size at the start")
    degrade: str = option("johnson", "how inputs are made of photos", tuple(DEGRADATIONS))
    vgg: Optional[str] = option(None, "file with VGG-16's weights; default: torchvision's")
    # For features of torchvision's weights; those of Caffe's have another scale.
    variation_weight: float = option(0.0, "weight of total variation")
    shards: Optional[str] = option(None, "folder of shards; default: new samples in every step")
    shard_count: int = option(7, "shards")
    shard_samples: int = option(1000, "samples of a shard")

    VARIANTS = {
        "recipe": {
            "report": {
                "model": "plsr_x2",
                "iterations": 500 * 7 * 1000 // 4,  # 500 epochs of 7 shards
                "learning_rate": 1e-5,
                "betas": (0.9, 0.99),
                "schedule": "constant",
                "warmup": 0,
                "start": "xavier",
                "sampling": "epochs",
                "variation_weight": 0.1,
            }
        }
    }


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    if config.shards and config.plain_colors:
        raise ValueError("--shards keeps features of photos alone; leave out --plain-colors")
    scale = zoo.get_spec(config.model).scale
    config.patch_size = config.patch_size or TRUTH_SIZES.get(scale, 144) // scale
    recipe.train_enlarging(config, learn)


def learn(run):
    config = run.config
    features = run.features(16, "relu2_2")
    samples, feature_loss = run.data.patches, FeatureLoss
    if config.shards:
        samples, feature_loss = open_shards(run, features), CachedFeatureLoss
    losses = {"features": feature_loss(features)}
    if config.variation_weight:
        losses["variation"] = TotalVariationLoss("plsr", weight=config.variation_weight)
    if config.recipe == "report" and run.net.spec.net == zoo.get_spec("plsr_x2").net:
        run.net = recipe.build_net(config, mean=mean_color(samples, config.seed))
    run.start()
    scores = run.feature_scores(FeatureLoss(features))
    run.train(run.supervised(losses), samples.draw, match_colors=True, **scores)


def open_shards(run, features):
    config = run.config
    shards = Shards(config.shards, config.shard_count, config.shard_samples)
    names = (
        "data",
        "val",
        "model",
        "patch_size",
        "reductions",
        "degrade",
        "degrade_options",
        "sharpen_truth",
        "vgg",
    )
    made_of = {name: getattr(config, name) for name in names}

    def features_of(truths):
        return features(truths.as_in_context(run.devices.contexts[0]))[0]

    shards.complete(run.data.patches.draw, features_of, config.seed, made_of)
    return shards


def mean_color(samples, seed):
    """Return the mean R, G and B of some inputs, which the report's net subtracts."""
    rng = np.random.default_rng(seed)
    colors = [samples.draw(rng)[0].mean(axis=(1, 2)) for _ in range(MEAN_SAMPLES)]
    return np.mean(colors, axis=0).tolist()


if __name__ == "__main__":
    run_script(main)
