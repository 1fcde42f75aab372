"""Train DPED's generator [1]_ without pairs: a cycle of two generators and two discriminators.

    python train_scripts/train_dped_cycle.py --data PHOTOS --out runs/dped_cycle
    python train_scripts/train_dped_cycle.py --data PHONE --target CAMERA --out runs/dped_cycle
    python train_scripts/train_dped_cycle.py --data dped --phone iphone --out runs/dped_cycle

With neither --target nor --phone the inputs are PHOTOS with the look of a phone; which photo is
whose is not used. The samples also show what the way back restores.
One generator goes from the phone's photos to the camera's, one back. Each has a discriminator, and
both together must restore what they were given. Interrupt it at will and go on with --resume.

References
----------
.. [1] Ignatov et al., "DSLR-Quality Photos on Mobile Devices with Deep Convolutional Networks",
   ICCV 2017. https://arxiv.org/abs/1704.02470
"""

from dataclasses import dataclass
from typing import Optional

from gluon_enhance import zoo
from gluon_enhance.data.phones import score_input
from gluon_enhance.losses import CycleLoss, FeatureLoss, Grayscale, StandardAdversarial
from gluon_enhance.models.dped import NEGATIVE_SLOPE, DPEDDiscriminator
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script
from gluon_enhance.training.steps import Critic, CycleStep

#: What discriminators see -> channels of it.
VIEWS = {"gray": 1, "color": 3}


@dataclass
class Config(recipe.PhoneConfig):
    model: str = option("dped_cycle", "a net of the zoo that does not enlarge, of both generators")
    target: Optional[str] = option(None, "folder of the camera's photos, whatever their names")
    # The report's, but for the rate, which is constant there; a cosine ends lower on any budget.
    iterations: int = option(8000, "training steps in all")
    batch_size: int = option(50, "patches per step, on all devices together")
    patch_size: int = option(100, "side of a patch, in pixels", least=9)
    learning_rate: float = option(1e-3, "Adam's step size at the start")
    # The report sums texture and cycle over the batch; our means have the same ratio.
    texture_weight: float = option(1.0, "weight of the adversarial losses")
    cycle_weight: float = option(0.01, "weight of the cycle loss, a sum over the pixels")
    # The report does not say whether DPED's other losses stayed; its color loss did not.
    content_weight: float = option(0.0, "weight of VGG-19's features of restored photos")
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")
    # Gray patches cannot tell how colors should change, and the color loss needs pairs.
    view: str = option(
        "gray", "what the discriminators see: gray, as DPED's, or color", tuple(VIEWS)
    )

    VARIANTS = {"recipe": {"report": {"schedule": "constant", "warmup": 0, "start": "paper"}}}


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    net = zoo.get_model(config.model)
    data = recipe.phone_data(config, net.spec, paired=False)
    if config.dry_run:
        return print(recipe.describe(config))

    devices = recipe.make_devices(config)
    step = make_step(net, config, devices)
    backward = step.nets["backward"]
    print(recipe.train(step, net, data, config, extra=score_input, backward=backward))


def make_step(net, config, devices):
    generators = net, zoo.get_model(config.model, prefix="backward_")
    for index, generator in enumerate(generators):
        recipe.start_net(generator, config, devices, (index,))
    cycle_losses = {"cycle": CycleLoss("sum", weight=config.cycle_weight)}
    if config.content_weight:
        features = recipe.load_features(19, "relu5_4", config, devices, pooling="ceil")
        cycle_losses["content"] = FeatureLoss(features, weight=config.content_weight)

    critics = [make_critic(config, devices) for _ in generators]
    trainers = {
        "generators": recipe.make_trainer(generators, config, devices),
        "critics": recipe.make_trainer([critic.net for critic in critics], config, devices),
    }
    forward, backward = ({f"{name}texture": c} for name, c in zip(("", "backward_"), critics))
    return CycleStep(*generators, forward, backward, cycle_losses, {}, trainers, devices)


def make_critic(config, devices):
    net = DPEDDiscriminator(VIEWS[config.view], patch_size=config.patch_size)
    recipe.make_critic_net(net, NEGATIVE_SLOPE, config, devices)
    view = {"view": Grayscale()} if config.view == "gray" else {}
    return Critic(net, StandardAdversarial(saturating=True), config.texture_weight, **view)


if __name__ == "__main__":
    run_script(main)
