"""A training script as small as can be, for tests of the engine."""

import os
from dataclasses import dataclass

import numpy as np

from gluon_enhance.framework import mx
from gluon_enhance.losses import L1Loss, LeastSquaresAdversarial
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.gan import Critic
from gluon_enhance.training.loop import fit
from gluon_enhance.training.steps import AdversarialStep, SupervisedStep

nn = mx.gluon.nn


@dataclass
class Config(TrainingConfig):
    iterations: int = option(4, "training steps in all")
    batch_size: int = option(4, "patches per step")
    patch_size: int = option(6, "side of a patch")
    learning_rate: float = option(1e-2, "Adam's step size")
    warmup: int = option(2, "steps over which the learning rate rises")
    log_every: int = option(1, "steps between rows of metrics.csv")
    validate_every: int = option(2, "steps between validations")
    save_every: int = option(2, "steps between checkpoints")
    adversarial: bool = option(False, "with a critic")
    signal: int = option(0, "what every validation sends to its own process")


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    devices = Devices(config.ctx, config.batch_size, config.kvstore)

    def validate():
        if config.signal:
            os.kill(os.getpid(), config.signal)
        return {"psnr": 20.0}, []

    train(config, make_step(config, devices), validate)


def make_step(config, devices):
    # Every machine's own start, to see that the first one's is taken.
    mx.random.seed(config.seed + devices.share[0])
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, padding=1, in_channels=3, activation="relu"))
    net.add(nn.Conv2D(3, 3, padding=1, in_channels=4))
    net.initialize(mx.init.Xavier(), devices.contexts)
    trainer = devices.trainer([net], config.learning_rate)
    if not config.adversarial:
        return SupervisedStep(net, {"pixel": L1Loss()}, trainer, devices)
    critic_net = nn.HybridSequential()
    critic_net.add(nn.Conv2D(2, 3, in_channels=3), nn.GlobalAvgPool2D(), nn.Dense(1, in_units=2))
    critic_net.initialize(mx.init.Xavier(), devices.contexts)
    critics = {"critic": Critic(critic_net, LeastSquaresAdversarial(), 0.1)}
    trainers = {
        "generator": trainer,
        "critics": devices.trainer([critic_net], config.learning_rate),
    }
    return AdversarialStep(net, critics, {"pixel": L1Loss()}, trainers, devices)


def train(config, step, validate=lambda: ({"psnr": 20.0}, []), photos=""):
    def draw(rng):
        hr = rng.random((3, config.patch_size, config.patch_size), np.float32)
        return hr**2, hr

    return fit(step, draw, validate, config, photos)


if __name__ == "__main__":
    run_script(main)
