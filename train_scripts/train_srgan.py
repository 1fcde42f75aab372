r"""Train SRGAN [1]_ on photos, from a trained SRResNet.

    python train_scripts/train_srgan.py --data PHOTOS --out runs/srgan_x4 \
        --init runs/srresnet_x4/srresnet_x4.params

Without --init it starts from the shipped srresnet_x4. With --recipe paper the loss is features of
VGG-19 (relu5_4) and the adversarial loss; with tensorlayer it is the pixels' mean square, features
after the fourth pooling, and the adversarial loss, weighted as in that library's SRGAN. Interrupt
it at will and go on with --resume.

References
----------
.. [1] Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
   Network", CVPR 2017. https://arxiv.org/abs/1609.04802
"""

from dataclasses import dataclass
from typing import Optional

from gluon_enhance.losses import FeatureLoss, L2Loss, StandardAdversarial
from gluon_enhance.models.discriminators import NEGATIVE_SLOPE, SRGANDiscriminator
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script

#: Recipe -> layer of VGG-19, and weights of features and pixels. Ours are mean squares of [0, 1],
#: which are a quarter of theirs of [-1, 1].
RECIPES = {
    "paper": ("relu5_4", 1 / 12.75**2, 0.0),
    "tensorlayer": ("pool4", 2e-6, 4.0),
}
RECIPES["report"] = RECIPES["tensorlayer"]
#: Model -> the shipped net that fits it.
SHIPPED = dict.fromkeys(("srgan_x4", "srresnet_x4"), "srresnet_x4")


@dataclass
class Config(recipe.EnlargingConfig):
    model: str = option("srgan_x4", "a net of the zoo that enlarges")
    recipe: str = option(
        "paper", "losses and their weights; report: tensorlayer's, its schedule too", tuple(RECIPES)
    )
    # The paper's: 1e5 steps at 1e-4 and 1e5 at 1e-5, batch 16 of 96x96; a cosine falls as far.
    iterations: int = option(200_000, "training steps in all")
    patch_size: int = option(24, "side of a low-resolution patch, in pixels", least=4)
    learning_rate: float = option(1e-4, "Adam's step size at the start")
    decay: float = option(0.1, "multistep: what the rate is multiplied by at each", most=1)
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")
    critic_channels: int = option(64, "channels of the discriminator's first layer")
    adversarial_weight: float = option(1e-3, "weight of the adversarial loss")

    VARIANTS = {"recipe": {"report": {"schedule": "multistep", "warmup": 0}}}


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    recipe.from_trained(config, SHIPPED, "train_srresnet.py")
    recipe.train_enlarging(config, learn)


def learn(run):
    step = make_step(run)
    distance = FeatureLoss(step.losses["features"].features)
    run.train(step, with_start=True, **run.feature_scores(distance, bicubic=False))


def make_step(run):
    config = run.config
    run.start()
    layer, _, pixel_weight = RECIPES[config.recipe]
    features = run.features(19, layer)
    losses = {"features": FeatureLoss(features, weight=feature_weight(config.recipe, features))}
    if pixel_weight:
        losses["pixel"] = L2Loss(weight=pixel_weight)
    net = SRGANDiscriminator(config.patch_size * run.net.spec.scale, config.critic_channels)
    critic = run.critic(net, NEGATIVE_SLOPE, StandardAdversarial(), config.adversarial_weight)
    return run.adversarial(losses, {"critic": critic})


def feature_weight(recipe, features):
    """Return the weight of a recipe for features of these weights of VGG.

    TensorLayer's is for Caffe's weights, whose pixels go up to 255. Maps grow with the pixels:
    those of weights whose pixels are divided by `std`, as torchvision's, are as much smaller.
    """
    weight = RECIPES[recipe][1]
    if recipe == "paper":
        return weight
    return weight * float(255 * features.std.list_data()[0].mean().asscalar()) ** 2


if __name__ == "__main__":
    run_script(main)
