"""``gluon-enhance train``: the training scripts, from an installed package too."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import click

from gluon_enhance.errors import EngineError
from gluon_enhance.framework import INSTALL_HINT, is_mxnet_installed
from gluon_enhance.weights.store import folder_beside

PREFIX = "train_"


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    no_args_is_help=False,
)
@click.argument("method", required=False)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def train(context, method, options):
    """Train a net by METHOD, with that script's OPTIONS; METHOD --help shows them."""
    scripts = training_scripts()
    if method in (None, "-h", "--help"):
        click.echo(_help(context, scripts))
        return
    if method not in scripts:
        raise click.UsageError(f"there is no method {method!r}; choose one of {', '.join(scripts)}")
    if not is_mxnet_installed():
        raise EngineError(INSTALL_HINT)
    from gluon_enhance.training.config import run_script

    script = _load(scripts[method])
    sys.argv = [f"gluon-enhance train {method}", *options]  # what the script reads, and its name
    run_script(script.main)


def training_scripts() -> dict[str, Path]:
    """Return the training scripts by method."""
    paths = sorted(folder_beside("train_scripts").glob(f"{PREFIX}*.py"))
    return {path.stem[len(PREFIX) :]: path for path in paths}


def _load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    script = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _help(context, scripts):
    formatter = context.make_formatter()
    formatter.write_usage(context.command_path, "METHOD [OPTIONS]...")
    with formatter.indentation():
        formatter.write_text(context.command.help)
    with formatter.section("Methods"):
        formatter.write_dl([(method, _summary(path)) for method, path in scripts.items()])
    return formatter.getvalue().rstrip()


def _summary(script):
    """Return the first line of a script's docstring, without its references."""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace(" [1]_", "")
