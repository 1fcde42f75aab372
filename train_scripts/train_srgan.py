r"""Train SRGAN [1]_ on photos, from a trained SRResNet.

    python train_scripts/train_srgan.py --data PHOTOS --out runs/srgan_x4 \
        --init runs/srresnet_x4/srresnet_x4.params

Without --init and --start it starts from the shipped srresnet_x4. --recipe chooses the losses and
their weights: the paper's net, SRGAN-VGG54, its others, SRGAN-VGG22 and SRGAN-MSE, and those of two
libraries, TensorLayer's and leftthomas's, which begins without a trained net: --start xavier, for
example. --critic and --adversarial change the other player. Interrupt it at will and go on with
--resume.

References
----------
.. [1] Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
   Network", CVPR 2017. https://arxiv.org/abs/1609.04802
"""

from dataclasses import dataclass
from typing import NamedTuple, Optional

from gluon_enhance.framework import mx
from gluon_enhance.losses import FeatureLoss, L2Loss, TotalVariationLoss
from gluon_enhance.losses.adversarial import KINDS
from gluon_enhance.models.discriminators import (
    NEGATIVE_SLOPE,
    PooledDiscriminator,
    SRGANDiscriminator,
    TensorLayerDiscriminator,
)
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script


class Recipe(NamedTuple):
    """Depth and layer of VGG, and the weights of features, pixels and total variation.

    Ours are mean squares of [0, 1], which are a quarter of those of [-1, 1]. `of_caffe` says that
    the features' weight is for Caffe's VGG, whose pixels go up to 255; `as_it_is`, that VGG gets
    pixels in [0, 1], which none of its weights are for.
    """

    depth: int = 19
    layer: str = "relu5_4"
    features: float = 0.0
    pixels: float = 0.0
    variation: float = 0.0
    of_caffe: bool = False
    as_it_is: bool = False


#: The paper multiplies maps by 1 / 12.75.
RECIPES = {
    "paper": Recipe(features=1 / 12.75**2),
    "vgg22": Recipe(layer="relu2_2", features=1 / 12.75**2),
    "mse": Recipe(pixels=4.0),
    "tensorlayer": Recipe(layer="pool4", features=2e-6, pixels=4.0, of_caffe=True),
    "leftthomas": Recipe(16, "pool5", features=6e-3, pixels=1.0, variation=4e-8, as_it_is=True),
}
RECIPES["report"] = RECIPES["tensorlayer"]
CRITICS = {
    "paper": SRGANDiscriminator,
    "tensorlayer": TensorLayerDiscriminator,
    "pooled": PooledDiscriminator,
}
#: Model -> the shipped net that fits it.
SHIPPED = dict.fromkeys(("srgan_x4", "srresnet_x4"), "srresnet_x4")


@dataclass
class Config(recipe.EnlargingConfig):
    model: str = option("srgan_x4", "a net of the zoo that enlarges")
    recipe: str = option(
        "paper",
        "losses and their weights; report: tensorlayer's, its critic and schedule too",
        tuple(RECIPES),
    )
    # The paper's: 1e5 steps at 1e-4 and 1e5 at 1e-5, batch 16 of 96x96; a cosine falls as far.
    iterations: int = option(200_000, "training steps in all")
    patch_size: int = option(24, "side of a low-resolution patch, in pixels", least=4)
    learning_rate: float = option(1e-4, "Adam's step size at the start")
    decay: float = option(0.1, "multistep: what the rate is multiplied by at each", most=1)
    vgg: Optional[str] = option(None, "file with VGG's weights; default: torchvision's")
    critic: str = option("paper", "which discriminator", tuple(CRITICS))
    adversarial: str = option("standard", "the losses of the two players", tuple(KINDS))
    critic_channels: int = option(64, "channels of the discriminator's first layer")
    adversarial_weight: float = option(1e-3, "weight of the adversarial loss")

    VARIANTS = {
        "recipe": {
            "report": {"schedule": "multistep", "warmup": 0, "critic": "tensorlayer"},
            "leftthomas": {
                "schedule": "constant",
                "warmup": 0,
                "batch_size": 64,
                "patch_size": 22,
                "learning_rate": 1e-3,
                "critic": "pooled",
                "adversarial": "probability",
            },
        }
    }


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    recipe.from_trained(config, SHIPPED, "train_srresnet.py")
    recipe.train_enlarging(config, learn)


def learn(run):
    step, scores = make_step(run), {}
    if "features" in step.losses:
        distance = FeatureLoss(step.losses["features"].features)
        scores = run.feature_scores(distance, bicubic=False)
    run.train(step, with_start=True, **scores)


def make_step(run):
    config, chosen, losses = run.config, RECIPES[run.config.recipe], {}
    run.start()
    if chosen.features:
        features = load_features(run, chosen)
        losses["features"] = FeatureLoss(features, weight=feature_weight(chosen, features))
    if chosen.pixels:
        losses["pixel"] = L2Loss(weight=chosen.pixels)
    if chosen.variation:
        losses["variation"] = TotalVariationLoss(weight=chosen.variation)
    net = CRITICS[config.critic](config.patch_size * run.net.spec.scale, config.critic_channels)
    adversarial = KINDS[config.adversarial]()
    critic = run.critic(net, NEGATIVE_SLOPE, adversarial, config.adversarial_weight)
    return run.adversarial(losses, {"critic": critic})


def load_features(run, chosen):
    features = run.features(chosen.depth, chosen.layer)
    if chosen.as_it_is:
        features.mean.set_data(mx.nd.zeros(features.mean.shape))
        features.std.set_data(mx.nd.ones(features.std.shape))
    return features


def feature_weight(chosen, features):
    """Return the weight of a recipe for features of these weights of VGG.

    Maps grow with the pixels: those of weights whose pixels are divided by `std`, as torchvision's,
    are as much smaller than those of Caffe's.
    """
    if not chosen.of_caffe:
        return chosen.features
    return chosen.features * float(255 * features.std.list_data()[0].mean().asscalar()) ** 2


if __name__ == "__main__":
    run_script(main)
