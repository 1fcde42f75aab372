"""``gluon-enhance convert``: a checkpoint to Gluon's format."""

from __future__ import annotations

from pathlib import Path

import click

from gluon_enhance import zoo
from gluon_enhance.commands.options import FilePath
from gluon_enhance.weights.readers import SUFFIXES


@click.command(options_metavar="[NAME]")
@click.argument("name", metavar="")
@click.argument("checkpoint", type=FilePath())
@click.argument("out", type=FilePath(), required=False, metavar="OUT")
def convert(name, checkpoint, out):
    """Convert CHECKPOINT, weights of the model NAME, to the .params file OUT.

    CHECKPOINT is a .pth, .pt, .ckpt, .safetensors, .t7, .index, .params or ncnn's .bin file.
    Without NAME the net is read off the weights. Exit status: 0 done, 2 otherwise; OUT is then as
    it was.
    """
    if out is None and Path(name).suffix.lower() not in SUFFIXES:
        raise click.MissingParameter(param_hint="'OUT'", param_type="argument")
    if out is None:
        name, checkpoint, out = None, Path(name), checkpoint
    click.echo(zoo.convert(name, checkpoint, out))
