"""Train SRGAN [1]_ on photos, from a trained SRResNet.

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

import json
import logging
from dataclasses import asdict, dataclass
from typing import Optional

from gluon_enhance import zoo
from gluon_enhance.data.degradations import DEGRADATIONS, make_degradation
from gluon_enhance.data.folders import split_photos
from gluon_enhance.data.patches import SuperResolutionPatches, held_out_pairs
from gluon_enhance.framework import mx
from gluon_enhance.losses import FeatureLoss, L2Loss, StandardAdversarial, VGGFeatures
from gluon_enhance.models.discriminators import NEGATIVE_SLOPE, SRGANDiscriminator
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.loop import fit
from gluon_enhance.training.result import save_result
from gluon_enhance.training.schedule import warmup_cosine
from gluon_enhance.training.steps import AdversarialStep, Critic
from gluon_enhance.training.validation import Validation
from gluon_enhance.weights.convert import load_weights
from gluon_enhance.weights.store import find_shipped, given
from gluon_enhance.weights.vgg import load_vgg

VALIDATION_CROP = 192

#: Recipe -> layer of VGG-19, and weights of features and pixels. Ours are mean squares of [0, 1],
#: which are a quarter of theirs of [-1, 1].
RECIPES = {
    "paper": ("relu5_4", 1 / 12.75**2, 0.0),
    "tensorlayer": ("pool4", 2e-6, 4.0),
}
#: Models that the shipped srresnet_x4 fits.
SHIPPED = ("srgan_x4", "srresnet_x4")


@dataclass
class Config(TrainingConfig):
    model: str = option("srgan_x4", "an SRResNet of the zoo")
    init: Optional[str] = option(
        None, "weights of the same net by train_srresnet.py; default: the shipped ones"
    )
    recipe: str = option("paper", "losses and their weights", tuple(RECIPES))
    # The paper's: 1e5 steps at 1e-4 and 1e5 at 1e-5, batch 16 of 96x96; a cosine falls as far.
    iterations: int = option(200_000, "training steps in all")
    patch_size: int = option(24, "side of a low-resolution patch, in pixels", least=4)
    learning_rate: float = option(1e-4, "Adam's step size at the start")
    reductions: tuple = option((1.0, 0.75, 0.5), "sizes at which each photo is used")
    degrade: str = option("bicubic", "how inputs are made of photos", tuple(DEGRADATIONS))
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")
    critic_channels: int = option(64, "channels of the discriminator's first layer")
    adversarial_weight: float = option(1e-3, "weight of the adversarial loss")


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

    # Nets, losses and step
    devices = Devices(config.ctx, config.batch_size, config.kvstore)
    mx.random.seed(config.seed)
    features, step = make_step(net, config, devices)
    distance = FeatureLoss(features)

    def feature_distance(sr, hr):
        return {"feature_distance": distance(sr, hr).mean().asscalar()}

    # Training
    validation = Validation(
        net, pairs, devices.contexts[0], scale, extra=feature_distance, with_start=True
    )
    schedule = warmup_cosine(config.learning_rate, config.iterations, config.warmup)
    history = fit(step, patches.draw, validation, schedule, config, patches.fingerprint)
    print(save_result(step, net, config, history))


def make_step(net, config, devices):
    if not config.init and config.model not in SHIPPED:
        raise ValueError(
            f"--init is needed for {config.model}: weights that train_srresnet.py made"
        )
    init = given(config.init) if config.init else find_shipped("srresnet_x4", ".params")
    load_weights(net, init, devices.contexts)
    net.hybridize(static_alloc=True)
    layer, _, pixel_weight = RECIPES[config.recipe]
    features = load_vgg(VGGFeatures(19, layer), config.vgg, ctx=devices.contexts)
    features.hybridize(static_alloc=True)
    losses = {"features": FeatureLoss(features, weight=feature_weight(config.recipe, features))}
    if pixel_weight:
        losses["pixel"] = L2Loss(weight=pixel_weight)

    critic_net = SRGANDiscriminator(config.patch_size * net.spec.scale, config.critic_channels)
    critic_net.initialize(mx.init.MSRAPrelu(slope=NEGATIVE_SLOPE), devices.contexts)
    critic_net.hybridize(static_alloc=True)
    critic = Critic(critic_net, StandardAdversarial(), config.adversarial_weight)

    trainers = {
        "generator": devices.trainer([net], config.learning_rate),
        "critics": devices.trainer([critic_net], config.learning_rate),
    }
    return features, AdversarialStep(net, {"critic": critic}, losses, trainers, devices)


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
