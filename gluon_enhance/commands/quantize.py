"""``gluon-enhance quantize``: a model as a folder that runs in 8 bits."""

from __future__ import annotations

import json
from functools import partial

import click

from gluon_enhance.commands import printable
from gluon_enhance.commands.options import FilePath, Finite, trust_option
from gluon_enhance.exporting.quantize import DRAWINGS_AT_LEAST, PHOTOS_AT_LEAST, said
from gluon_enhance.inference import quantize as quantizing


@click.command()
@click.argument("model")
@click.argument("directory", metavar="DIR", type=FilePath())
@click.option(
    "--calibrate",
    type=FilePath(),
    metavar="PHOTOS",
    help="Folder of photos like those that MODEL is for. Default: the built-in one, as a JPEG.",
)
@click.option(
    "--at-least",
    type=Finite(0),
    metavar="DB",
    help="PSNR to fp32 that each kind of pictures must keep. Default: "
    f"{PHOTOS_AT_LEAST:.0f} of photos, a sky and grays, {DRAWINGS_AT_LEAST:.0f} of lines and dots.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@trust_option
def quantize(model, directory, calibrate, at_least, as_json, trust):
    """Write MODEL as the folder DIR, which `-m DIR` runs in 8 bits on OpenVINO.

    MODEL is what `enhance -m` takes. The layers that hurt most keep the usual precision, until
    pieces of the photos and six check pictures are near enough to fp32. Nothing is kept where that
    cannot be had at 1.3 times the speed of the usual precision, as on processors without VNNI or
    AMX. On another computer `-m DIR` needs --trust. Exit status: 0 done, 2 otherwise; what was in
    DIR then stays.
    """
    made = quantizing.quantize(
        model, directory, calibrate, at_least, trust, tell=partial(click.echo, err=True)
    )
    if as_json:
        click.echo(json.dumps(made, indent=1))
        return
    click.echo(
        f"{made['model']}: {made['rounded']} of {made['convolutions']} convolutions in 8 bits, "
        f"{made['gain']:.2f} times as fast as {made['usual_precision']} here"
    )
    click.echo(f"dB of PSNR to fp32: {said(made['agreement_db'])}")
    click.echo(printable(made["folder"]))
