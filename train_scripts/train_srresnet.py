r"""Train SRResNet, the generator of SRGAN [1]_, on photos.

    python train_scripts/train_srresnet.py --data PHOTOS --out runs/srresnet_x4 \
        --batch-size 8 --learning-rate 1e-3 --iterations 8000

The loss is the mean square of the error; with --loss vgg22 it is that of VGG-19's features and a
little total variation, the paper's SRResNet-VGG22. The net starts as an interpolator, which the
paper's does not. The result is also what train_srgan.py starts from.

With --degrade realistic the inputs get the noise and the blur of the photos in --data: for
enlarging photos as they come from such a camera. Interrupt it at will and go on with --resume.

References
----------
.. [1] Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
   Network", CVPR 2017. https://arxiv.org/abs/1609.04802
"""

from dataclasses import dataclass
from typing import Optional

from gluon_enhance.losses import FeatureLoss, L1Loss, L2Loss, TotalVariationLoss
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script


@dataclass
class Config(recipe.EnlargingConfig):
    model: str = option("srresnet_x4", "a net of the zoo that enlarges")
    # The paper's: 96x96 crops, batch 16, 1e6 steps of Adam at 1e-4; its error is of [-1, 1].
    iterations: int = option(1_000_000, "training steps in all")
    patch_size: int = option(24, "side of a low-resolution patch, in pixels")
    learning_rate: float = option(1e-4, "Adam's step size at the start")
    loss: str = option(
        "l2",
        "l2, the paper's; l1, which later nets are trained with; vgg22: features",
        ("l2", "l1", "vgg22"),
    )
    variation_weight: float = option(0.0, "weight of total variation; of vgg22: 2e-8")
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")

    VARIANTS = {"loss": {"vgg22": {"variation_weight": 2e-8}}}


def main(argv=None):
    recipe.train_enlarging(parse_config(Config, __doc__, argv), learn)


def learn(run):
    run.start()
    losses, scores = make_losses(run), {}
    if "features" in losses:
        scores = run.feature_scores(FeatureLoss(losses["features"].features))
    run.train(run.supervised(losses), **scores)


def make_losses(run):
    config = run.config
    if config.loss == "vgg22":
        losses = {"features": FeatureLoss(run.features(19, "relu2_2"), weight=1 / 12.75**2)}
    else:
        losses = {"pixel": {"l1": L1Loss, "l2": L2Loss}[config.loss]()}
    if config.variation_weight:
        losses["variation"] = TotalVariationLoss(weight=config.variation_weight)
    return losses


if __name__ == "__main__":
    run_script(main)
