"""What the training scripts share, so that a script is its paper's story and no more.

A script reads its config, has its data opened here or by `gluon_enhance.data.phones`, puts nets,
losses and a step together, and hands them to `train`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Optional

from gluon_enhance.data.degradations import DEGRADATIONS
from gluon_enhance.data.enlarging import enlarging_photos
from gluon_enhance.data.held_out import Data
from gluon_enhance.data.phones import PHONES, phone_photos
from gluon_enhance.framework import mx
from gluon_enhance.losses import VGGFeatures
from gluon_enhance.training.config import TrainingConfig, option
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.loop import fit
from gluon_enhance.training.precision import set_precision
from gluon_enhance.training.result import save_result
from gluon_enhance.training.start import (
    given_weights,
    has_start,
    load_start,
    start,
    start_critic,
)
from gluon_enhance.training.validation import Validation
from gluon_enhance.weights.vgg import load_vgg

logger = logging.getLogger(__name__)

SCRIPTS = {
    "DPED": "train_dped.py or train_dped_cycle.py",
    "WESPE": "train_wespe.py",
    "Style": "train_style.py",
}
"""Method of a net that does not enlarge -> the scripts that train it."""
ENLARGING = "train_srresnet.py, train_edsr.py, train_esrgan.py or another of super-resolution"


@dataclass
class EnlargingConfig(TrainingConfig):
    """Options of the scripts that train super-resolution nets."""

    reductions: tuple = option((1.0, 0.75, 0.5), "sizes at which each photo is used")
    degrade: str = option("bicubic", "how inputs are made of photos", tuple(DEGRADATIONS))
    lr: Optional[str] = option(None, "folder of the photos' own reductions, which are used as is")

    NOT_COMPARED = (*TrainingConfig.NOT_COMPARED, "lr")


@dataclass
class PhoneConfig(TrainingConfig):
    """Options of the scripts that train on a phone's photos."""

    recipe: str = option(
        "here",
        "here: as our nets are trained; report: start and rate as reported",
        ("here", "report"),
    )
    phone: Optional[str] = option(None, "of the DPED data set, which --data then is", PHONES)


def check_fits(spec, config: TrainingConfig, enlarging: bool = True) -> None:
    """Refuse, before the work, a net, patches or weights to start from that cannot be.

    Parameters
    ----------
    spec : ModelSpec
    config : TrainingConfig
    enlarging : bool
        Whether the script's nets enlarge.

    Raises
    ------
    ValueError
        If the script makes no sense for the net, and the message says which does; or if the net
        cannot take the patch.
    WeightsError
        If a file of ``--init`` is not there.
    """
    if enlarging != (spec.scale > 1):
        does = f"enlarges by {spec.scale}" if spec.scale > 1 else "does not enlarge"
        fitting = ENLARGING if spec.scale > 1 else SCRIPTS.get(spec.method, "a script for photos")
        raise ValueError(f"--model is {spec.name}, which {does}; train it with {fitting}")
    if config.patch_size % spec.multiple:
        raise ValueError(
            f"--patch-size is {config.patch_size}; {spec.name} takes multiples of {spec.multiple}"
        )
    given_weights(config)


def enlarging_data(config: EnlargingConfig, spec, largest: int = 0) -> Data:
    """Open the photos of a super-resolution script, and those that are held out.

    Parameters
    ----------
    config : EnlargingConfig
    spec : ModelSpec
        The net's.
    largest : int
        Side of the low-resolution patches that are drawn, where that is not ``--patch-size``.
    """
    check_fits(spec, config)
    data = enlarging_photos(
        config.data,
        spec.scale,
        largest or config.patch_size,
        config.reductions,
        config.degrade,
        spec.multiple,
        config.lr,
        config.val,
        config.test,
    )
    logger.info("%s", data)
    return data


def phone_data(
    config: PhoneConfig, spec, paired: bool = True, val_target: Optional[str] = None
) -> Data:
    """Open the photos of a script that trains on a phone's; see `phone_photos`."""
    check_fits(spec, config, enlarging=False)
    data = phone_photos(
        config.data,
        config.patch_size,
        config.phone,
        config.target,
        config.val,
        paired,
        val_target,
        config.test,
    )
    logger.info("%s", data)
    return data


def describe(config: TrainingConfig) -> str:
    """Write the options of a run as JSON, for ``--dry-run``."""
    return json.dumps(asdict(config), indent=1)


def make_devices(config: TrainingConfig) -> Devices:
    """Open the devices of a run, and seed what is drawn by MXNet."""
    devices = Devices(config.ctx, config.batch_size, config.kvstore)
    mx.random.seed(config.seed)
    return devices


def make_trainer(nets, config: TrainingConfig, devices: Devices):
    """Make the trainer of some nets, with the run's options."""
    decay = config.weight_decay if config.optimizer == "adam" else 0.0
    return devices.trainer(nets, config.learning_rate, *config.betas, decay)


def load_features(
    depth: int, layers, config: TrainingConfig, devices: Devices, pooling: str = "floor"
):
    """Load VGG for losses; `layers` and `pooling` as in `gluon_enhance.losses.VGGFeatures`."""
    features = VGGFeatures(depth, layers, pooling=pooling)
    load_vgg(features, config.vgg, ctx=devices.contexts)
    features.hybridize(static_alloc=True)
    set_precision(getattr(config, "precision", "fp32"), features)
    return features


def start_net(net, config: TrainingConfig, devices: Devices, key=()) -> None:
    """Initialize and compile a generator, in the run's precision; `key` as for `start`."""
    start(net, config, devices.contexts, key)
    set_precision(getattr(config, "precision", "fp32"), net)


def make_critic_net(net, negative_slope: float, config: TrainingConfig, devices: Devices):
    """Initialize and compile a discriminator whose rectifiers have such a slope."""
    start_critic(net, negative_slope, config, devices.contexts)
    net.hybridize(static_alloc=True)
    return net


def from_trained(config: TrainingConfig, shipped: Mapping[str, str], script: str) -> None:
    """Have a generator start from a shipped net's weights, where ``--init`` gives it none.

    Parameters
    ----------
    config : TrainingConfig
    shipped : mapping of str to str
        Model -> the shipped net of its architecture.
    script : str
        What makes such weights.

    Raises
    ------
    ValueError
        If no shipped net fits.
    """
    if has_start(config):
        return
    if config.model not in shipped:
        raise ValueError(f"--init is needed for {config.model}: weights that {script} made")
    config.init = (shipped[config.model], *config.init)


def train(
    step,
    net,
    data: Data,
    config: TrainingConfig,
    draw: Callable | None = None,
    mix: Callable | None = None,
    score: Callable | None = None,
    **scoring,
) -> Path:
    """Train a net until the config's iterations are done, score it and save it.

    Parameters
    ----------
    step : Step
    net : HybridBlock
        The step's generator, from `gluon_enhance.get_model`.
    data : Data
    config : TrainingConfig
    draw : callable, optional
        Draws one sample of training; default: that of the data.
    mix : callable, optional
        Takes the averaged arrays of the result, by name, and returns what to ship instead.
    score : callable, optional
        Makes of `Data`'s sets what `fit` validates with; default: a `Validation`.
    **scoring
        For that.

    Returns
    -------
    Path
        Of the weights.
    """
    for name, path in given_weights(config, list(step.nets)).items():
        load_start(step.nets[name], path, config.init_partial)
    step.average.restart()

    def scores_of(sets):
        return Validation(net, sets, step.devices.contexts[0], net.spec.scale, **scoring)

    score = score or scores_of
    validate = score(data.validation)
    fingerprint = data.patches.fingerprint
    history = fit(step, draw or data.patches.draw, validate, config, fingerprint)
    if step.best and step.best.arrays:
        step.average.arrays = step.best.arrays
        history = [row for row in history if row["step"] == step.best.state["step"]]
    if mix and step.devices.is_first:
        step.average.arrays = mix(step.average.arrays)
        with step.average.applied():  # the card's scores are of what is kept
            history = [{**row, **validate()[0]} for row in history[-1:]]
    return finish(step, net, config, history, data.test and score(data.test))


def finish(step, net, config: TrainingConfig, history: list, test=None) -> Path:
    """Score the averaged net on the test's images, which nothing was chosen by, and save it.

    Parameters
    ----------
    step, net, config, history
        As for `save_result`.
    test : callable, optional
        As `validate` of `fit`.

    Returns
    -------
    Path
        Of the weights.
    """
    scores = {}
    if test and step.devices.is_first:
        with step.average.applied():
            scores, _ = test()
        logger.info("test: %s", ", ".join(f"{name} {v:.4g}" for name, v in scores.items()))
    return save_result(step, net, config, history, scores)
