"""What the training scripts share, so that a script is its paper's story and no more.

A script is a config, and a function that makes a step of losses and trains it::

    def main(argv=None):
        recipe.train_enlarging(parse_config(Config, __doc__, argv), learn)


    def learn(run):
        run.start()
        run.train(run.supervised({"pixel": L1Loss()}))

Its data are opened by `train_enlarging` or `train_on_phones`, or by itself for `train_on`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Callable, ClassVar, Optional

from gluon_enhance import zoo
from gluon_enhance.atomic import whole_file
from gluon_enhance.data.degradations import DEGRADATIONS
from gluon_enhance.data.held_out_photos import Data
from gluon_enhance.data.phone_photos import LOOKS, PHONES, phone_photos
from gluon_enhance.data.plain_colors import with_plain_colors
from gluon_enhance.data.super_resolution import enlarging_photos
from gluon_enhance.framework import mx
from gluon_enhance.losses import vgg_features
from gluon_enhance.scoring.metrics import load_metrics, named_metrics
from gluon_enhance.training.checkpoint_files import save_arrays
from gluon_enhance.training.config import TrainingConfig, option
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.gan import Critic, FixedRatio
from gluon_enhance.training.initial_weights import (
    given_weights,
    has_start,
    load_start,
    start,
    start_critic,
)
from gluon_enhance.training.loop import fit
from gluon_enhance.training.precision import set_precision
from gluon_enhance.training.steps import AdversarialStep, CycleStep, SupervisedStep
from gluon_enhance.training.validation import Validation, feature_distances, with_losses
from gluon_enhance.weights.manifest import write_card

logger = logging.getLogger(__name__)

SCRIPTS = {
    "DPED": "train_dped.py or train_dped_cycle.py",
    "WESPE": "train_wespe.py",
    "Style": "train_style.py",
}
"""Method of a net that does not enlarge -> the scripts that train it."""
ENLARGING = "train_srresnet.py, train_edsr.py, train_esrgan.py or another of super-resolution"


@dataclass
class PatchesConfig(TrainingConfig):
    """Options of the scripts that train on patches of photos."""

    plain_colors: float = option(
        0.0, "share of samples that are shades of plain colors, which photos lack", most=1
    )


@dataclass
class EnlargingConfig(PatchesConfig):
    """Options of the scripts that train super-resolution nets."""

    reductions: tuple = option((1.0, 0.75, 0.5), "sizes at which each photo is used")
    degrade: str = option("bicubic", "how inputs are made of photos", tuple(DEGRADATIONS))
    degrade_options: Optional[str] = option(
        None, "file of YAML with numbers of Real-ESRGAN's degradation, by their official names"
    )
    sharpen_truth: bool = option(False, "sharpen true patches, as Real-ESRGAN's training does")
    lr: Optional[str] = option(None, "folder of the photos' own reductions, which are used as is")

    NOT_COMPARED: ClassVar[tuple] = (*TrainingConfig.NOT_COMPARED, "lr")


REPORT = {"schedule": "constant", "warmup": 0, "held_out_losses": True, "validate_first": True}
"""Of ``--recipe report``: a constant rate, and the curves and pictures that reports show."""


@dataclass
class PhoneConfig(PatchesConfig):
    """Options of the scripts that train on a phone's photos."""

    # DPED's, which all take.
    patch_size: int = option(100, "side of a patch, in pixels", least=9)
    recipe: str = option(
        "here",
        "here: as our nets are trained; report: start and rate as reported",
        ("here", "report"),
    )
    phone: Optional[str] = option(None, "of the DPED data set, which --data then is", PHONES)
    target: Optional[str] = option(None, "folder of the camera's photos, whatever their names")
    looks: str = option(
        "many", "without --target and --phone: of many phones, or of one", tuple(LOOKS)
    )
    vgg: Optional[str] = option(None, "file with VGG-19's weights; default: torchvision's")

    critic_channels: int = option(
        48, "channels of a discriminator's first layer; the others' are in proportion"
    )
    held_out_losses: bool = option(
        False, "with each validation, measure the losses and the discriminators on its photos too"
    )

    VARIANTS = {"recipe": {"report": {**REPORT, "start": "paper"}}}
    NOT_COMPARED: ClassVar[tuple] = (*TrainingConfig.NOT_COMPARED, "held_out_losses")


@dataclass
class UnpairedConfig(PhoneConfig):
    """Options of the scripts that train on a phone's photos without pairs."""

    ratio: str = option(
        "1:1", "updates of the generators to those of the discriminators, such as 3:1 or 1:5"
    )


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
        If the script makes no sense for the net, and the message says which does; if the net
        cannot take the patch; or if ``--val-metrics`` names what is no metric.
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
    named_metrics(config.val_metrics)
    given_weights(config)


def train_enlarging(config: EnlargingConfig, learn: Callable, largest: int = 0) -> None:
    """Train a super-resolution net as a script says: open its data, and call `learn`.

    Parameters
    ----------
    config : EnlargingConfig
        Its `model` is the net's name.
    learn : callable
        Takes the `Run`; see the head of this module.
    largest : int
        Side of the low-resolution patches that are drawn, where that is not ``--patch-size``.
    """
    net = build_net(config)
    check_fits(net.spec, config)
    data = enlarging_photos(
        config.data,
        net.spec.scale,
        largest or config.patch_size,
        config.reductions,
        config.degrade,
        net.spec.multiple,
        config.lr,
        config.val,
        config.test,
        config.degrade_options,
        config.sharpen_truth,
    )
    train_on(config, net, data, learn)


def build_net(config: TrainingConfig, model: Optional[str] = None, **kwargs):
    """Build the net of a run: the model, with the options and the name of ``--net`` and ``--name``.

    Parameters
    ----------
    config : TrainingConfig
    model : str, optional
        Default: the config's.
    **kwargs
        For the net's class, where ``--net`` does not say otherwise.

    Returns
    -------
    HybridBlock
        Of `gluon_enhance.get_model`; its spec has the name, and `zoo_model` the model's.

    Raises
    ------
    ValueError
        If an option has no value or is none of the net, or the name is no name of a file or a
        model of the zoo has it.
    """
    for text in config.net:
        option_name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--net has {text!r}; give NAME=VALUE, such as num_blocks=6")
        try:
            kwargs[option_name] = json.loads(value)
        except ValueError:  # a word, such as the kind of a norm
            kwargs[option_name] = value
    try:
        net = zoo.get_model(model or config.model, **kwargs)
    except TypeError as error:  # of an option that the net does not have
        raise ValueError(f"--net: {error}") from error
    net.zoo_model = net.spec.name
    if config.name:
        if config.name in zoo.MODELS or zoo.model_name(f"{config.name}.params") != config.name:
            raise ValueError(
                f"--name is {config.name!r}; give letters, digits, dashes and underscores that are "
                "no model of the zoo"
            )
        net.spec = replace(net.spec, name=config.name)
    return net


def train_on_phones(
    config: PhoneConfig,
    net,
    learn: Callable,
    paired: bool = True,
    val_target: Optional[str] = None,
) -> None:
    """Train a net on a phone's photos as a script says: open them, and call `learn`.

    Parameters
    ----------
    config : PhoneConfig
    net : HybridBlock
        From `build_net`.
    learn : callable
        Takes the `Run`; see the head of this module.
    paired, val_target
        As in `gluon_enhance.data.phone_photos.phone_photos`.
    """
    check_fits(net.spec, config, enlarging=False)
    data = phone_photos(
        config.data,
        config.patch_size,
        config.phone,
        config.target,
        config.val,
        paired,
        val_target,
        config.test,
        config.held_out_losses,
        config.looks,
    )
    train_on(config, net, data, learn)


def train_on(config: TrainingConfig, net, data: Data, learn: Callable) -> None:
    """Have `learn` train a net on data; with ``--dry-run`` write the options as JSON instead."""
    logger.info("%s", data)
    if config.dry_run:
        sys.stdout.write(json.dumps(asdict(config), indent=1) + "\n")
        return
    devices = Devices(config.ctx, config.batch_size, config.kvstore)
    mx.random.seed(config.seed)
    learn(Run(config, net, devices, data))


class Run:
    """A run of a script: options, net, devices and data, and what steps are made of.

    Parameters
    ----------
    config : TrainingConfig
    net : HybridBlock
        The net that is trained, from `build_net`: its spec names the result.
    devices : Devices
    data : Data, optional
        What it learns from and is scored on; a step can be made without.
    """

    def __init__(self, config: TrainingConfig, net, devices: Devices, data: Data | None = None):
        self.config = config
        self.net = net
        self.devices = devices
        self.data = data

    def start(self, net=None, key=()) -> None:
        """Initialize and compile a generator, by default the run's; `key` as for `start`."""
        net = net or self.net
        start(net, self.config, self.devices.contexts, key)
        set_precision(self.config.precision, net)

    def features(self, depth: int, layers, pooling: str = "floor"):
        """Load VGG for losses; `layers` and `pooling` as in `gluon_enhance.losses.vgg_features`."""
        options = {"pooling": pooling, "ctx": self.devices.contexts}
        features = vgg_features(depth, layers, self.config.vgg, **options)
        set_precision(self.config.precision, features)
        return features

    def critic(self, net, negative_slope: float, adversarial, weight: float, **view) -> Critic:
        """Make a critic of a net, which is initialized for rectifiers of such a slope.

        `adversarial`, `weight` and `view` are those of `gluon_enhance.training.gan.Critic`.
        """
        start_critic(net, negative_slope, self.config, self.devices.contexts)
        net.hybridize(static_alloc=True)
        set_precision(self.config.precision, net)
        return Critic(net, adversarial, weight, **view)

    def trainer(self, *nets):
        """Make the trainer of some nets, with the run's options."""
        config = self.config
        decay = config.weight_decay if config.optimizer == "adam" else 0.0
        return self.devices.trainer(nets, config.learning_rate, *config.betas, decay)

    def supervised(self, losses: Mapping) -> SupervisedStep:
        """Make the step of the net that descends these losses."""
        return SupervisedStep(self.net, losses, self.trainer(self.net), self.devices)

    def adversarial(
        self, losses: Mapping, critics: Mapping[str, Critic], real: int = -1
    ) -> AdversarialStep:
        """Make the step of the net that descends these losses, and plays against critics.

        `real` is the index of the label that the critics take for real.
        """
        trainers = {
            "generator": self.trainer(self.net),
            "critics": self.trainer(*(critic.net for critic in critics.values())),
        }
        return AdversarialStep(self.net, critics, losses, trainers, self.devices, real)

    def cycle(
        self, backward, critics, backward_critics, cycle_losses, image_losses, balance=None
    ) -> CycleStep:
        """Make the step of the net and of one that goes back; all else as in `CycleStep`.

        Without a balance ``--ratio`` tells who learns.
        """
        if self.config.ratio != "1:1":
            if balance:
                raise ValueError("--ratio and --balance each tell who learns; give one of them")
            balance = FixedRatio(self.config.ratio)
        generators, players = (self.net, backward), [*critics.values(), *backward_critics.values()]
        learning = generators if cycle_losses or backward_critics else generators[:1]
        trainers = {
            "generators": self.trainer(*learning),
            "critics": self.trainer(*(critic.net for critic in players)),
        }
        sides, losses = (critics, backward_critics), (cycle_losses, image_losses)
        return CycleStep(*generators, *sides, *losses, trainers, self.devices, balance)

    def feature_scores(self, distance, bicubic: bool = True) -> dict:
        """Return the options of `train` by which distances of features are scored.

        Parameters
        ----------
        distance : gluon.loss.Loss
            Of two batches of images.
        bicubic : bool
            Whether the input's bicubic enlargement is scored too.
        """
        output, of_input = feature_distances(
            distance, self.net.spec.scale, self.devices.contexts[0]
        )
        return {"extra": output, **({"of_input": of_input} if bicubic else {})}

    def train(
        self,
        step,
        draw: Callable | None = None,
        mix: Callable | None = None,
        score: Callable | None = None,
        with_start: bool = False,
        **scoring,
    ) -> None:
        """Train until the config's iterations are done, score and save the net, and say where.

        Parameters
        ----------
        step : Step
            Its generator is the run's net.
        draw : callable, optional
            Draws one sample of training; default: that of the data.
        mix : callable, optional
            Takes the averaged arrays of the result, {name: ndarray}, and returns what to ship
            instead.
        score : callable, optional
            Makes of `Data`'s sets what `fit` validates with; default: a `Validation`.
        with_start, **scoring
            For that.
        """
        config, data = self.config, self.data
        if data is None:
            raise ValueError("this run has no data to learn from; give it some")
        for name, path in given_weights(config, list(step.nets)).items():
            load_start(step.nets[name], path, config.init_partial)
        step.average.restart()
        ctx, scale = step.devices.contexts[0], self.net.spec.scale
        if config.val_metrics:
            scoring["metrics"] = load_metrics(*named_metrics(config.val_metrics), ctx)

        def scorer(sets, **more):
            if score:
                return score(sets)
            return Validation(self.net, sets, ctx, scale, **scoring, **more)

        validate = scorer(data.validation, with_start=with_start)
        # Made before the training, so that images which are too small for a metric are refused now.
        validate_test = scorer(data.test) if data.test and step.devices.is_first else None
        if data.held_out:
            at_once = config.batch_size // config.accumulate
            validate = with_losses(validate, step, data.held_out, at_once)
        draw = draw or data.patches.draw
        if isinstance(config, PatchesConfig):
            draw = with_plain_colors(draw, config.plain_colors)
        history = fit(step, draw, validate, config, data.patches.fingerprint)
        if step.best and step.best.arrays:
            step.average.arrays = step.best.arrays
            history = [row for row in history if row["step"] == step.best.state["step"]]
        if mix and step.devices.is_first:
            _mix(step.average, mix)
            with step.average.applied():  # the card's scores are of what is kept
                history = [{**row, **validate()[0]} for row in history[-1:]]
        test = _test(step, validate_test) if validate_test else {}
        path = save_result(step, self.net, config, history, test)
        sys.stdout.write(f"{path}\n")


def _mix(average, mix):
    arrays = mix({name: array.asnumpy() for name, array in average.arrays.items()})
    average.arrays = {
        name: mx.nd.array(arrays[name], ctx=own.context) for name, own in average.arrays.items()
    }


def _test(step, score):
    """Score the averaged net on the test's images, which nothing was chosen by."""
    with step.average.applied():
        scores, _ = score()
    logger.info("test: %s", ", ".join(f"{name} {v:.4g}" for name, v in scores.items()))
    return scores


def from_trained(config: TrainingConfig, shipped: Mapping[str, str], script: str) -> None:
    """Have a generator start from a shipped net's weights, without ``--init`` and ``--start``.

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
    if has_start(config) or config.start:
        return
    if config.model not in shipped:
        raise ValueError(
            f"--init is needed for {config.model}: weights that {script} made; or --start"
        )
    config.init = (shipped[config.model], *config.init)


def save_result(
    step, net, config: TrainingConfig, history: list, test: Mapping[str, float] | None = None
) -> Path:
    """Write the averaged net as ``NAME.params`` with a ``card.json`` beside it.

    Of several machines only the first writes.

    Parameters
    ----------
    step : Step
    net : HybridBlock
        The step's generator, from `build_net`: its spec names it.
    config : TrainingConfig
    history : list of dict
        Rows of the log; the card gets the last.
    test : mapping of str to float, optional
        Scores of the test, for the card, as ``test_NAME``.

    Returns
    -------
    Path
        Of the weights; ``-m NAME=PATH`` uses them.
    """
    path = config.folder / f"{net.spec.name}.params"
    if not step.devices.is_first:
        return path
    with whole_file(path) as part:
        save_arrays(part, step.average.arrays)
    card = {**asdict(net.spec), "training": asdict(config), "log": history[-1:]}
    if net.spec.name not in zoo.MODELS:
        card["model"] = net.zoo_model
    if step.best and step.best.state:
        card["best"] = step.best.state
    if test:
        card["test"] = {f"test_{name}": value for name, value in test.items()}
    write_card(path.parent, card)
    return path
