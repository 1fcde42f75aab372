"""``gluon-enhance export``: a model as a folder that runs without MXNet."""

from __future__ import annotations

import click

from gluon_enhance.commands.options import FilePath, trust_option
from gluon_enhance.exporting import folder


@click.command()
@click.argument("model")
@click.argument("directory", metavar="DIR", type=FilePath())
@click.option(
    "--formats",
    default="symbol,onnx,safetensors",
    show_default=True,
    metavar="LIST",
    help="Files to write; safetensors only for nets that PyTorch programs have too. For other "
    "hosts there are ir (OpenVINO), fp16 and int8 (ONNX), ncnn, and torch (NAME.safetensors, and "
    "unless spandrel loads it, NAME.py, which does).",
)
@trust_option
def export(model, directory, formats, trust):
    """Write MODEL as the folder DIR, which `-m DIR` runs on any Python without MXNet.

    MODEL is a name of the zoo or of `models add`, a file of weights, NAME=WEIGHTS, or X-symbol.json
    with X-0000.params beside it, of any RGB net from image to image; X-symbol.json=0,255 if its
    values are not within 0 and 1. Every file is run at two sizes and compared with the net before
    DIR appears. Exit status: 0 done, 2 otherwise; what was in DIR then stays.
    """
    click.echo(folder.export(model, directory, formats.split(","), trust))
