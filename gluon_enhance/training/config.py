"""Command lines of the training scripts: one dataclass is the options, their defaults and help."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import math
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Optional

import yaml

from gluon_enhance.errors import (
    GluonEnhanceError,
    PrintableFormatter,
    TrainingInterruptedError,
    printable,
)
from gluon_enhance.framework import compute_in_caller
from gluon_enhance.small_files import read_small
from gluon_enhance.training import distributed
from gluon_enhance.training.initial_weights import STARTS
from gluon_enhance.training.precision import PRECISIONS
from gluon_enhance.training.schedule import SCHEDULES


def option(
    default,
    help: str,
    choices: Optional[tuple] = None,
    least: Optional[int] = None,
    most: float = math.inf,
):
    """A dataclass field with help text; a tuple default takes several values.

    Numbers are within `least` and `most`. By default they begin at 0, and whole ones at 1 unless 0
    is their default.
    """
    if least is None:
        least = int(type(default) is int and default > 0)
    metadata = {"help": help, "choices": choices, "range": (least, most)}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass
class TrainingConfig:
    """Options that every training script has; a script's own class adds the method's."""

    if TYPE_CHECKING:  # options of scripts, each with a default of its own
        model: str = ""
        vgg: Optional[str] = None
        ratio: str = ""

    net: tuple = option((), "options of the net's class, NAME=VALUE: num_blocks=6 channels=48")
    name: Optional[str] = option(None, "of the result, if it is to be another than the model's")
    data: tuple = option((), "folders of training photos")
    out: Optional[str] = option(None, "folder for logs, checkpoints and the result")
    val: tuple = option(
        (),
        "to validate with: folders of photos, or NAME=TRUTHS,INPUTS for sets of whole images; "
        "default: about every 18th of --data, chosen by name",
    )
    test: tuple = option((), "the same, for the scores of the result alone; default: others of it")
    val_metrics: tuple = option(
        (),
        "more scores of the validation and the test, as of the command score: such as lpips dists "
        "delta_e; niqe=FILE for a model of your own",
    )
    init: tuple = option(
        (), "weights to start from: FILE or a shipped model for the generator, NET=FILE for any net"
    )
    init_partial: bool = option(False, "take of --init what fits by name and shape, and list it")
    start: Optional[str] = option(
        None, "how nets begin; default: near what they shall do, if they can", STARTS
    )
    iterations: int = option(0, "training steps in all")
    batch_size: int = option(16, "patches per step, on all devices together")
    patch_size: int = option(32, "side of a low-resolution patch, in pixels")
    sampling: str = option(
        "random",
        "how photos, or samples of shards, are chosen; epochs: each once before any comes again",
        ("random", "epochs"),
    )
    learning_rate: float = option(2e-4, "Adam's step size at the start")
    schedule: str = option("cosine", "how the learning rate falls", SCHEDULES)
    warmup: int = option(200, "steps over which the learning rate rises", least=0)
    milestones: tuple = option(
        (0.5,), "multistep: steps after which the rate falls; below 1: fractions of --iterations"
    )
    decay: float = option(0.5, "multistep: what the rate is multiplied by at each", most=1)
    periods: int = option(4, "restarts: cosines of equal length, one after the other")
    optimizer: str = option(
        "adam", "adamw: the weights' decay is apart from the gradients", ("adam", "adamw")
    )
    betas: tuple = option((0.9, 0.999), "Adam's decays of mean and variance", most=1)
    weight_decay: float = option(0.0, "of the optimizer")
    clip_norm: float = option(0.0, "largest norm of a trainer's gradient; 0: any")
    precision: str = option(
        "fp32",
        "what nets compute in; bf16 needs AVX-512 and is fast where the processor has it; auto: "
        "bf16 there, fp32 elsewhere and on GPUs",
        PRECISIONS,
    )
    accumulate: int = option(1, "pieces that a step's batch is computed in, to save memory")
    ema_decay: float = option(0.999, "of the moving average of the weights", most=1)
    on_nan: str = option(
        "stop", "what a number that is not finite does; skip: at most ten steps", ("stop", "skip")
    )
    seed: int = option(0, "seed of every random number", most=2**31 - 1)  # MXNet's largest
    ctx: str = option("cpu", "devices: cpu, or gpu(0),gpu(1)")
    kvstore: str = option(
        "device",
        "this machine, or all that the DMLC_* variables tell of",
        ("device", "dist_sync"),
    )
    workers: int = option(1, "threads that prepare batches; 0: none of its own", least=0)
    log_every: int = option(100, "steps between rows of metrics.csv")
    validate_every: int = option(1000, "steps between validations")
    validate_first: bool = option(False, "validate after the first step too")
    save_every: int = option(500, "steps between checkpoints")
    keep: int = option(2, "newest checkpoints that are kept")
    best: Optional[str] = option(
        None, "score of the validation by which the result is chosen; default: the last net"
    )
    keep_weights: bool = option(False, "write the weights of each validation, averaged and raw")
    tensorboard: bool = option(False, "write TensorBoard's event files too")
    resume: bool = option(False, "go on from the newest whole checkpoint in --out")
    change: bool = option(False, "with --resume: with other options, which are logged")
    config: Optional[str] = option(
        None, "JSON or YAML with options that are not given here, such as another run's config.json"
    )
    print_config: bool = option(False, "write all options as JSON, and stop")
    dry_run: bool = option(False, "read options and data, say what would be done, and stop")

    #: Options that may differ between a run and its continuation.
    NOT_COMPARED: ClassVar[tuple] = (
        "data",
        "out",
        "val",
        "test",
        "val_metrics",
        "iterations",
        "ctx",
        "kvstore",
        "precision",
        "workers",
        "log_every",
        "validate_every",
        "validate_first",
        "save_every",
        "keep",
        "best",
        "keep_weights",
        "tensorboard",
        "on_nan",
        "resume",
        "change",
        "config",
        "print_config",
        "dry_run",
    )

    #: Option -> what runs did that are older than it, where its default is something else.
    FORMERLY: ClassVar[dict] = {}

    #: Option -> its value -> the defaults of others that go with it.
    VARIANTS: ClassVar[dict] = {}

    #: Models that ``--init`` may name, with or without a file, and that the script starts from.
    START_MODELS: ClassVar[tuple] = ()

    @property
    def folder(self) -> Path:
        """``--out``, without which no run begins."""
        return Path(self.out or "")

    def fixed(self) -> dict:
        """The options that a checkpoint must have been made with."""
        values = json.loads(json.dumps(dataclasses.asdict(self)))
        return {k: v for k, v in values.items() if k not in self.NOT_COMPARED}

    def formerly(self) -> dict:
        """What runs did that are older than an option, for every option."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return json.loads(json.dumps({**defaults, **self.FORMERLY}))


def parse_config(config_class, description: str, argv=None):
    """Read a config from the command line.

    Parameters
    ----------
    config_class : type
        A dataclass; every field becomes ``--field-name``.
    description : str
        The script's docstring.
    argv : list of str, optional
        Default: the process's arguments.

    Returns
    -------
    config_class
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for field in dataclasses.fields(config_class):
        _add_option(parser, field)
    argv = sys.argv[1:] if argv is None else list(argv)
    given, _ = parser.parse_known_args(argv)
    if given.config:
        argv = [*_read_config(given.config, config_class), *argv]  # the last one counts
        given, _ = parser.parse_known_args(argv)
    for name, variants in config_class.VARIANTS.items():
        parser.set_defaults(**variants.get(getattr(given, name), {}))
    values = vars(parser.parse_args(argv))
    if values["print_config"]:
        sys.stdout.write(json.dumps({**values, "print_config": False}, indent=1) + "\n")
        parser.exit()
    for name in ("data", "out"):
        if not values[name]:
            parser.error(f"--{name} is needed")
    for field in dataclasses.fields(config_class):
        _check_range(parser, field, values[field.name])
    if len(values["betas"]) != 2:
        parser.error(f"--betas takes two numbers, not {len(values['betas'])}")
    if values["change"] and not values["resume"]:
        parser.error("--change is for --resume; leave it out")
    return config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def _flag(name):
    return "--" + name.replace("_", "-")


def _add_option(parser, field):
    flag = _flag(field.name)
    help, default = field.metadata["help"], field.default
    if isinstance(default, bool):
        parser.add_argument(flag, action="store_true", help=help)
        return
    several = isinstance(default, tuple)
    example = default[0] if several and default else "" if several else default
    parser.add_argument(
        flag,
        nargs="+" if several else None,
        type=str if example is None else type(example),
        default=default,
        choices=field.metadata["choices"],
        help=help if default in (None, ()) else f"{help} (default: {default})",
    )


def _check_range(parser, field, value):
    low, high = field.metadata["range"]
    for number in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(number, (int, float)) and not (low <= number <= high and number < math.inf):
            limit = f"at least {low}" if high == math.inf else f"{low} to {high}"
            parser.error(f"{_flag(field.name)} is {number}; give {limit}")


def _read_config(path, config_class):
    """Read a config file as command-line arguments."""
    try:
        text = read_small(path).decode()
        is_yaml = Path(path).suffix.lower() in (".yaml", ".yml")
        values = dict(yaml.safe_load(text) if is_yaml else json.loads(text))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"--config {path} cannot be read: {error}") from error
    known = {field.name for field in dataclasses.fields(config_class)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"--config {path} has options unknown here: {', '.join(unknown)}")
    for name, value in values.items():
        if value is True:
            yield _flag(name)
        elif value not in (None, False, []):
            yield _flag(name)
            yield from map(str, value if isinstance(value, list) else [value])


def run_script(main) -> None:
    """Run a training script; what a user can mend becomes one line and exit status 1.

    A run that a signal has ended before its last step has the status that shells give those that
    it kills: 130 for Ctrl-C and 143 for SIGTERM.

    Where the environment says ``DMLC_ROLE=server`` or ``scheduler``, be that for the workers
    instead: every process of a run on several machines is started with the same command.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    compute_in_caller()
    try:
        if distributed.role() == "worker":
            main()
        else:
            distributed.serve()
    except TrainingInterruptedError as stop:
        logging.warning("%s", stop)
        sys.exit(128 + stop.signal)
    except KeyboardInterrupt:  # before the first step or after the last one
        sys.exit(128 + signal.SIGINT)
    except (GluonEnhanceError, ValueError, OSError) as error:
        sys.exit(printable(f"error: {error}"))
