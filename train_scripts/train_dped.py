"""Train a generator of DPED [1]_ on pairs of a phone's photo and a camera's.

    python train_scripts/train_dped.py --data PHOTOS --out runs/dped_resnet
    python train_scripts/train_dped.py --data PHONE --target CAMERA --out runs/dped_resnet
    python train_scripts/train_dped.py --data dped --phone iphone --out runs/dped_iphone

With --target, photos at the same paths in both folders are pairs; with neither this nor --phone the
inputs are PHOTOS with the looks of many phones, or of one with --looks one. Four losses are
minimized: content (features of VGG-19), color (under a blur), texture (a discriminator of gray
patches) and total variation. --pixel-weight adds L1, which DPED has not: it keeps what is right as
it is. --generator, --norm and --dense choose among the paper's net and a reproduction's variants;
the norm is that of the discriminator too. Interrupt it at will and go on with --resume.

Unlike the authors' code: the generator starts as the identity, not from small random weights; the
discriminator sees both images of a pair, and those that the generator has just seen, not one or the
other of a batch of its own; patches are flipped and turned.

References
----------
.. [1] Ignatov et al., "DSLR-Quality Photos on Mobile Devices with Deep Convolutional Networks",
   ICCV 2017. https://arxiv.org/abs/1704.02470
"""

from dataclasses import dataclass
from typing import Optional

from gluon_enhance.data.phone_photos import SCORES
from gluon_enhance.losses import (
    ColorLoss,
    FeatureLoss,
    Grayscale,
    L1Loss,
    StandardAdversarial,
    TotalVariationLoss,
)
from gluon_enhance.models.dped import NEGATIVE_SLOPE, DPEDDiscriminator
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script

#: Whose -> weights of content, color, texture and total variation. All our losses are means over
#: the batch; DPED's code sums texture over its batch of 50, so it has 50 times the weight here.
WEIGHTS = {"code": (10.0, 0.5, 50 * 1.0, 2000.0), "paper": (1.0, 0.1, 50 * 0.4, 400.0)}


@dataclass
class Config(recipe.PhoneConfig):
    target: Optional[str] = option(None, "folder of the camera's photos, of the names of --data's")
    val_target: Optional[str] = option(None, "the same of --val's, if --val is not within --data")
    model: Optional[str] = option(
        None, "a net of the zoo that does not enlarge; default: by the next"
    )
    generator: str = option("resnet", "the paper's, or with dense blocks", ("resnet", "densenet"))
    norm: str = option(
        "instance", "instance: the code's; batch: the paper's", ("instance", "batch", "batch_stats")
    )
    dense: bool = option(False, "densenet: a convolution sees all before it, not the last one")
    # The paper's, but for the rate, which is constant there; a cosine ends lower on any budget.
    iterations: int = option(20_000, "training steps in all")
    batch_size: int = option(50, "patches per step, on all devices together")
    learning_rate: float = option(5e-4, "Adam's step size at the start")
    weights: str = option(
        "code", "the losses' weights: of DPED's code, or the paper", ("code", "paper")
    )
    pixel_weight: float = option(0.0, "weight of L1, which DPED has not; 0: none")
    vgg: Optional[str] = option(
        None, "file with VGG-19's weights, DPED's are Caffe's; default: torchvision's"
    )

    NOT_COMPARED = (*recipe.PhoneConfig.NOT_COMPARED, "val_target")


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    net = make_generator(config)
    recipe.train_on_phones(config, net, learn, val_target=config.val_target)


def learn(run):
    run.train(make_step(run), **SCORES)


def make_generator(config):
    if config.model:
        return recipe.build_net(config)
    if config.generator == "densenet":
        return recipe.build_net(config, "dped_densenet", norm=config.norm, dense=config.dense)
    if config.dense:
        raise ValueError("--dense is for --generator densenet; leave it out")
    name = "dped_resnet_bn" if config.norm == "batch" else "dped_resnet"
    return recipe.build_net(config, name, norm=config.norm)


def make_step(run):
    config = run.config
    run.start()
    features = run.features(19, "relu5_4", pooling="ceil")
    content, color, texture, variation = WEIGHTS[config.weights]
    losses = {
        "content": FeatureLoss(features, weight=content),
        "color": ColorLoss(weight=color),
        "variation": TotalVariationLoss("dped", weight=variation),
    }
    losses["color"].initialize(ctx=run.devices.contexts)
    if config.pixel_weight:
        losses["pixel"] = L1Loss(weight=config.pixel_weight)
    sizes = {"patch_size": config.patch_size, "channels": config.critic_channels}
    net = DPEDDiscriminator(norm=config.norm, **sizes)
    adversarial = StandardAdversarial(saturating=True)
    critic = run.critic(net, NEGATIVE_SLOPE, adversarial, texture, view=Grayscale())
    return run.adversarial(losses, {"texture": critic})


if __name__ == "__main__":
    run_script(main)
