"""Command lines of the training scripts: one dataclass is the options, their defaults and help."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from dataclasses import dataclass
from typing import Optional

from gluon_enhance.errors import GluonEnhanceError


def option(default, help: str):
    """A dataclass field with help text; a tuple default takes several values."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass
class TrainingConfig:
    """Options that every training script has; a script's own class adds the method's."""

    data: Optional[str] = option(None, "folder of training photos")
    out: Optional[str] = option(None, "folder for logs, checkpoints and the result")
    val: Optional[str] = option(None, "folder of validation photos; default: every 18th of --data")
    iterations: int = option(0, "training steps in all")
    batch_size: int = option(16, "patches per step")
    patch_size: int = option(32, "side of a low-resolution patch, in pixels")
    learning_rate: float = option(2e-4, "Adam's step size at the start")
    seed: int = option(0, "seed of every random number")
    ctx: str = option("cpu", "device: cpu or gpu(0)")
    log_every: int = option(100, "steps between rows of metrics.csv")
    validate_every: int = option(1000, "steps between validations")
    save_every: int = option(500, "steps between checkpoints")
    resume: bool = option(False, "go on from the newest whole checkpoint in --out")

    #: Options that may differ between a run and its continuation.
    NOT_COMPARED = (
        "data",
        "out",
        "val",
        "iterations",
        "learning_rate",
        "ctx",
        "log_every",
        "validate_every",
        "save_every",
        "resume",
    )

    def fixed(self) -> dict:
        """The options that a checkpoint must have been made with."""
        values = json.loads(json.dumps(dataclasses.asdict(self)))
        return {k: v for k, v in values.items() if k not in self.NOT_COMPARED}


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
        text = f"{field.metadata['help']} (default: {field.default})"
        flag = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            parser.add_argument(flag, action="store_true", help=field.metadata["help"])
        elif isinstance(field.default, tuple):
            parser.add_argument(
                flag, nargs="+", type=type(field.default[0]), help=text, default=field.default
            )
        else:
            kind = str if field.default is None else type(field.default)
            parser.add_argument(
                flag,
                type=kind,
                default=field.default,
                help=text,
                required=field.name in ("data", "out"),
            )
    values = vars(parser.parse_args(argv))
    return config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def run_script(main) -> None:
    """Run a training script; what a user can mend becomes one line and exit status 1."""
    try:
        main()
    except (GluonEnhanceError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
