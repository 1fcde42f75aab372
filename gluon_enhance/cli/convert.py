"""``gluon-enhance convert``: an official checkpoint to Gluon's format."""

from __future__ import annotations

import click

from gluon_enhance import zoo
from gluon_enhance.cli.options import FilePath


@click.command()
@click.argument("name")
@click.argument("checkpoint", type=FilePath())
@click.argument("out", type=FilePath())
def convert(name, checkpoint, out):
    """Convert CHECKPOINT, weights of the model NAME, to the .params file OUT.

    CHECKPOINT is a PyTorch .pth, a Torch7 .t7, a TensorFlow .index or an ncnn .bin file. Exit
    status: 0 done, 2 otherwise; OUT is then as it was.
    """
    click.echo(zoo.convert(name, checkpoint, out))
