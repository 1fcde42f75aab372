"""The ``gluon-enhance`` command: one file per sub-command, each imported when it is called."""

from __future__ import annotations

import importlib
import sys

import click

from gluon_enhance.commands.interrupts import exit_by_signal
from gluon_enhance.commands.streams import open_closed_streams
from gluon_enhance.errors import GluonEnhanceError, printable
from gluon_enhance.framework import compute_in_caller

#: Sub-command -> what ``--help`` says of it; its function lives in the module of its name.
COMMANDS = {
    "demo": "Enhance a sample photo and compare it with the original.",
    "models": "List the models.",
    "enhance": "Enhance files and folders.",
    "match": "Match the histograms of a raster to another's.",
    "score": "Score images against references.",
    "evaluate": "Enhance a benchmark set and score it.",
    "compare": "Put pictures, or what models make of one, side by side.",
    "study": "Ask people what they think of pictures.",
    "serve": "Serve a page, and an API, that enhance and compare pictures.",
    "niqe": "Fit the model of a metric without reference.",
    "train": "Train a net on photos.",
    "convert": "Convert an official checkpoint to a .params file.",
    "export": "Write a model as a folder that runs without MXNet.",
    "quantize": "Write a model as a folder that runs in 8 bits.",
    "interpolate": "Mix the weights of two nets of one architecture.",
}


class _Commands(click.Group):
    """Sub-commands imported on use, so that ``--help`` does not load NumPy."""

    def list_commands(self, context):
        return list(COMMANDS)

    def get_command(self, context, name):
        if name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"gluon_enhance.commands.{name}"), name)

    def invoke(self, context):
        with exit_by_signal(context):
            return super().invoke(context)

    def format_commands(self, context, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


class Command(click.Command):
    """A command that is one of rasterio's ``rio`` too, where `main` does not report its errors."""

    def invoke(self, context):
        """Run the command; what goes wrong becomes one line and exit status 2."""
        try:
            with exit_by_signal(context):
                return super().invoke(context)
        except (GluonEnhanceError, OSError, ValueError) as error:
            click.echo(f"error: {one_line(error)}", err=True)
            context.exit(2)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gluon-enhance")
def cli():
    """Enhance photos and enlarge them with neural networks."""


def main(argv=None):
    """Run the command; the errors that users can mend become one line and exit status 2."""
    if argv is None:  # the process is this command's own
        open_closed_streams()
        compute_in_caller()
    try:
        cli.main(argv, prog_name="gluon-enhance", standalone_mode=True)
    except (GluonEnhanceError, OSError, ValueError) as error:
        click.echo(f"error: {one_line(error)}", err=True)
        sys.exit(2)


def one_line(error: Exception) -> str:
    """Join an error's message to one line."""
    return printable(" ".join(str(error).split())) or type(error).__name__
