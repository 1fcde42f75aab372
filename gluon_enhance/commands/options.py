"""Options that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Callable

import click


class Finite(click.FloatRange):
    """A number within bounds; infinity and NaN, which are within some, are none."""

    def convert(self, value, param, ctx):
        """Return the number, or fail as click does."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


def together(*options: Callable) -> Callable:
    """Make one decorator of several options, which help shows in this order."""

    def add(command):
        for option in reversed(options):
            command = option(command)
        return command

    return add


class FilePath(click.Path):
    """A path; an empty text, which would be the current folder, is none."""

    def __init__(self, **options):
        super().__init__(path_type=Path, **options)

    def convert(self, value, param, ctx):
        """Return the path, or fail as click does."""
        if not str(value):
            self.fail("it is an empty text; name a file or folder", param, ctx)
        return super().convert(value, param, ctx)


cluster_option = click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Divide the work among Dask's workers: local, local:N for N processes here, or the "
    "address of a scheduler, tcp://HOST:PORT. Who can reach a scheduler can run any code where it "
    "and its workers are, and here.",
)

trust_option = click.option(
    "--trust",
    is_flag=True,
    help="Run graphs of any operators and follow rasters' links beyond their folder: only for "
    "files of people you trust.",
)


#: The options that make an `Enhancer`.
engine_options = together(
    click.option(
        "--engine",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="auto, openvino, onnxruntime or mxnet.",
    ),
    click.option(
        "--precision",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="auto, fp32, bf16, tf32 on GPUs, or int8 where a model has such files.",
    ),
    click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="auto, cpu, cuda, or cuda:N for one of several GPUs.",
    ),
    click.option("--threads", type=int, help="Threads that compute. Default: the physical cores."),
    click.option(
        "--tile",
        default="auto",
        show_default=True,
        metavar="N",
        help="Side of the tiles that images are run in, in input pixels.",
    ),
    click.option(
        "--halo",
        default="auto",
        show_default=True,
        metavar="N",
        help="Input pixels read around a tile.",
    ),
    click.option(
        "--self-ensemble",
        is_flag=True,
        help="Give the mean over eight turns and flips: a little better, 8 times slower.",
    ),
    click.option(
        "--denoise",
        type=Finite(0, 1),
        help="Strength for realesr_general_x4: 0 keeps noise, 1 (default) removes it.",
    ),
    click.option(
        "--strength",
        type=Finite(0, 1),
        default=1,
        help="Of styles and others of scale 1: 0 keeps the image, 1 (default) is the model's.",
    ),
)


def model_option(default=None, chosen=None):
    """``-m MODEL``: required without a default, unless the command has `chosen` one by the input.

    Parameters
    ----------
    default : str, optional
    chosen : str, optional
        What the help says of the choice.
    """
    return click.option(
        "-m",
        "--model",
        default=default,
        show_default=chosen or bool(default),
        required=not (default or chosen),
        help="A name (see `gluon-enhance models`), a file of weights or ONNX, NAME=WEIGHTS, an "
        "exported folder, or X-symbol.json of a net that MXNet saved.",
    )


def listening_options(port: int):
    """Return the options of a command that serves pages: --host, --port and --token."""
    return together(
        click.option(
            "--host",
            default="127.0.0.1",
            show_default=True,
            help="What to listen to: 0.0.0.0 lets other machines in, and needs --token.",
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=port,
            show_default=True,
            help="0 is any.",
        ),
        click.option(
            "--token",
            envvar="GLUON_ENHANCE_TOKEN",
            help="A secret of 16 characters or more that clients must know, and that the printed "
            "address has; needed with a --host that other machines can reach. Better given as the "
            "variable GLUON_ENHANCE_TOKEN, which other users of this machine do not see.",
        ),
    )
