r"""Train a net that paints photos in the style of one picture, as Johnson et al. [1]_.

    python train_scripts/train_style.py --style starry_night.jpg --data PHOTOS \
        --out runs/style_starry_night --model style_starry_night

The output shall have the photo's content, relu3_3 of VGG-16, and the style's correlations of four
layers. Defaults and units are those of the authors' code [2]_, which are for the original Caffe
weights of VGG: their pixels go up to 255. Interrupt it at will and go on with --resume.

References
----------
.. [1] Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
   ECCV 2016. https://arxiv.org/abs/1603.08155
.. [2] https://github.com/jcjohnson/fast-neural-style
"""

from dataclasses import dataclass
from functools import partial
from typing import Optional

from gluon_enhance.data.folders import read_photo
from gluon_enhance.data.held_out_photos import Data, held_out_crops, parse_held_out, split_photos
from gluon_enhance.data.patches import PhotoPatches
from gluon_enhance.framework import mx
from gluon_enhance.imaging.arrays import to_nchw
from gluon_enhance.imaging.resize import resize
from gluon_enhance.losses import CachedGramLoss, L2Loss, TotalVariationLoss
from gluon_enhance.training import recipe
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script
from gluon_enhance.training.style_step import StyleStep

VALIDATION_SIZE = 256
#: Sides of reduced crops are multiples of it, and at least that many of them.
UNIT, LEAST_UNITS = 4, 24


@dataclass
class Config(TrainingConfig):
    model: str = option("style_starry_night", "a style net of the zoo: the result's name")
    style: Optional[str] = option(None, "the picture whose style is learned")
    style_size: int = option(256, "pixels of its longer side", least=16)
    # The paper's, but for the rate, which is constant there; a cosine ends lower on any budget.
    iterations: int = option(40_000, "training steps in all")
    batch_size: int = option(4, "patches per step, on all devices together")
    patch_size: int = option(256, "side of a patch, in pixels", least=41)
    learning_rate: float = option(1e-3, "Adam's step size at the start")
    reductions: tuple = option((0.5, 0.25), "sizes at which each photo is used")
    vgg: Optional[str] = option(None, "file with VGG's weights; default: torchvision's")
    vgg_depth: int = option(16, "convolutional and dense layers of VGG", (16, 19))
    content_layer: str = option("relu3_3", "layer of VGG for the content")
    style_layers: tuple = option(
        ("relu1_2", "relu2_2", "relu3_3", "relu4_3"), "layers of VGG for the style"
    )
    content_weight: float = option(1.0, "weight of the mean square of the content's difference")
    style_weight: float = option(5.0, "weight of the square of the Gram matrices' difference")
    style_reduction: str = option(
        "mean", "of that square; relative: layers count alike", ("mean", "relative", "sum")
    )
    # The code sums over its batch of 4.
    variation_weight: float = option(4 * 1e-6, "weight of total variation, for pixels up to 255")


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    if not config.style:
        raise ValueError("--style is needed: the picture whose style is learned")
    net = recipe.build_net(config)
    recipe.check_fits(net.spec, config, enlarging=False)
    data, picture = open_data(config), read_photo(config.style)
    recipe.train_on(config, net, data, partial(learn, picture))


def learn(picture, run):
    style = resize(picture, run.config.style_size / max(picture.shape))
    shown = resize(picture, (VALIDATION_SIZE, VALIDATION_SIZE))
    run.start()
    step = make_step(run, mx.nd.array(to_nchw(style)))

    def score(sets):
        return partial(step.validate, sets[""], shown)

    run.train(step, score=score)


def open_data(config):
    parts = [parse_held_out(texts) for texts in (config.val, config.test)]
    if any(part.named for part in parts):
        raise ValueError("--val and --test are folders of photos here: a style has no truths")
    split = split_photos(config.data, *(part.folders for part in parts))
    patches = PhotoPatches(split.training, config.patch_size, reductions=config.reductions)
    crops = [reduced_crops(paths) for paths in (split.validation, split.test)]
    if not crops[0]:
        raise ValueError(
            f"no held-out photo has {2 * UNIT * LEAST_UNITS} pixels a side; give larger"
        )
    return Data(patches, *({"": part} if part else {} for part in crops))


def reduced_crops(paths):
    crops = held_out_crops(paths, 2 * VALIDATION_SIZE, 2 * UNIT)
    return [resize(crop, 0.5) for crop in crops if len(crop) >= 2 * UNIT * LEAST_UNITS]


def make_step(run, style):
    config = run.config
    variation = 255**2 * config.variation_weight
    losses = {
        "content": L2Loss(weight=config.content_weight),
        "style": CachedGramLoss(config.style_reduction, weight=config.style_weight),
        "variation": TotalVariationLoss("fast_neural_style", weight=variation),
    }
    trainer = run.trainer(run.net)
    content_of = run.features(config.vgg_depth, (config.content_layer,))
    layers = dict.fromkeys((*config.style_layers, config.content_layer))
    features = run.features(config.vgg_depth, layers)
    nets = content_of, features, config.style_layers
    return StyleStep(run.net, style, losses, *nets, trainer, run.devices)


if __name__ == "__main__":
    run_script(main)
