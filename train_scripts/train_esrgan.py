r"""Train an RRDB net of the zoo on photos, as ESRGAN [1]_ does.

    python train_scripts/train_esrgan.py --phase psnr --data PHOTOS --out runs/rrdb_lite_x4 \
        --model rrdb_lite_x4 --batch-size 8 --learning-rate 1e-3 --iterations 14500
    python train_scripts/train_esrgan.py --phase gan --data PHOTOS --out runs/esrgan_lite_x4 \
        --model esrgan_lite_x4 --init runs/rrdb_lite_x4/rrdb_lite_x4.params

The PSNR phase minimizes L1 between the output and the truth, from --init or a start that
interpolates. The GAN phase goes on from its result, or from the shipped one: L1, features of VGG-19
before the activation, and a relativistic discriminator: the paper's, or with --critic unet that of
Real-ESRGAN [2]_, which judges every pixel and has spectral norms, so that it does not win so soon.
--interpolate then mixes the weights of both. The inputs are MATLAB-bicubic reductions, unless
--degrade says otherwise. Interrupt it at will and go on with --resume. The model's card has the
time it took on two cores, and its scores.

References
----------
.. [1] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
   ECCV Workshops 2018. https://arxiv.org/abs/1809.00219
.. [2] Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
   Data", ICCV Workshops 2021. https://arxiv.org/abs/2107.10833
"""

from dataclasses import dataclass
from functools import partial
from typing import Optional

from gluon_enhance import zoo
from gluon_enhance.losses import FeatureLoss, L1Loss, RelativisticAverageAdversarial
from gluon_enhance.models.discriminators import NEGATIVE_SLOPE, VGG128
from gluon_enhance.models.unet_discriminator import UNetDiscriminator
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script
from gluon_enhance.training.initial_weights import given_weights, has_start
from gluon_enhance.training.steps import net_arrays
from gluon_enhance.weights.interpolation import interpolate_states

#: Phase -> the paper's learning rate, and the steps at which it is halved; a cosine ends as low.
LEARNING_RATES = {"psnr": 2e-4, "gan": 1e-4}
MILESTONES = {"psnr": (2e5, 4e5, 6e5, 8e5), "gan": (5e4, 1e5, 2e5, 3e5)}
CRITICS = {"vgg": VGG128, "unet": lambda size, channels: UNetDiscriminator(channels)}
#: Model -> the shipped net of its architecture that --phase psnr made.
SHIPPED = dict.fromkeys(("esrgan_lite_x4", "rrdb_lite_x4"), "rrdb_lite_x4")


@dataclass
class Config(recipe.EnlargingConfig):
    phase: str = option("psnr", "psnr: L1; gan: all losses, from --init", ("psnr", "gan"))
    model: str = option("rrdb_x4", "a net of the zoo that enlarges")
    iterations: int = option(400_000, "training steps in all; the paper's number for the GAN")
    patch_size: int = option(32, "side of a low-resolution patch, in pixels", least=8)
    learning_rate: float = option(LEARNING_RATES["psnr"], "Adam's step size at the start")
    betas: tuple = option((0.9, 0.99), "Adam's decays of mean and variance, BasicSR's", most=1)
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")
    critic: str = option("vgg", "the paper's discriminator, or Real-ESRGAN's", tuple(CRITICS))
    critic_channels: int = option(64, "channels of the discriminator's first layer")
    pixel_weight: float = option(1e-2, "weight of L1 in the GAN phase")
    feature_weight: float = option(1.0, "weight of the feature loss")
    adversarial_weight: float = option(5e-3, "weight of the adversarial loss")
    interpolate: float = option(1.0, "what the GAN counts in the result; the rest: --init", most=1)

    VARIANTS = {
        "phase": {
            phase: {"learning_rate": rate, "milestones": MILESTONES[phase]}
            for phase, rate in LEARNING_RATES.items()
        }
    }


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    if config.phase == "gan":
        recipe.from_trained(config, SHIPPED, "--phase psnr")
    if config.interpolate < 1 and not (config.phase == "gan" and has_start(config)):
        raise ValueError("--interpolate is for --phase gan that starts from weights; leave it out")
    recipe.train_enlarging(config, {"psnr": learn_psnr, "gan": learn_gan}[config.phase])


def learn_psnr(run):
    run.start()
    run.train(run.supervised({"pixel": L1Loss()}))


def learn_gan(run):
    step = make_gan_step(run)
    mix = partial(mixed_with_start, run.config, step) if run.config.interpolate < 1 else None
    distance = FeatureLoss(step.losses["features"].features, "l1")
    scores = run.feature_scores(distance, bicubic=False)
    run.train(step, mix=mix, with_start=True, **scores)


def make_gan_step(run):
    config = run.config
    run.start()
    features = run.features(19, ("conv5_4",))
    losses = {
        "pixel": L1Loss(weight=config.pixel_weight),
        "features": FeatureLoss(features, "l1", weight=config.feature_weight),
    }
    net = CRITICS[config.critic](config.patch_size * run.net.spec.scale, config.critic_channels)
    adversarial = RelativisticAverageAdversarial()
    critic = run.critic(net, NEGATIVE_SLOPE, adversarial, config.adversarial_weight)
    return run.adversarial(losses, {"critic": critic})


def mixed_with_start(config, step, arrays):
    """Mix the result's arrays with those that the run started from."""
    file = given_weights(config, list(step.nets))["generator"]
    start = net_arrays(zoo.get_model(config.model, pretrained=file))
    start = {name: array.asnumpy() for name, array in start.items()}
    return interpolate_states(start, arrays, config.interpolate)


if __name__ == "__main__":
    run_script(main)
