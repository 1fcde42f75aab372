"""``gluon-enhance score``: PSNR and SSIM of images against references."""

from __future__ import annotations

import os
import sys

import click

from gluon_enhance.cli import one_line, printable
from gluon_enhance.cli.kinds import is_raster, source_of
from gluon_enhance.cli.messages import gdal_heard
from gluon_enhance.cli.options import Finite, trust_option
from gluon_enhance.cli.scores import (
    print_scores,
    protocol,
    raster_protocol,
    score_pair,
    score_raster,
    summary,
)
from gluon_enhance.data.folders import find_images
from gluon_enhance.data.pairing import find_truths
from gluon_enhance.errors import GluonEnhanceError
from gluon_enhance.files import read_image


@click.command()
@click.argument("image")
@click.argument("reference")
@click.option(
    "--crop-border",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Pixels left out at each side; tables of super-resolution leave out the scale.",
)
@click.option("--y-channel", is_flag=True, help="Photos: score Y of BT.601 only.")
@click.option(
    "--per-band",
    is_flag=True,
    help="Photos: also each band's bias and RMSE, in its numbers; rasters always have them.",
)
@click.option(
    "--data-range",
    type=Finite(0, min_open=True),
    help="Rasters: peak for PSNR. Default: the integer dtype's span, or of the reference's values.",
)
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def score(image, reference, crop_border, y_channel, per_band, data_range, trust, as_json):
    """Score IMAGE against REFERENCE: two files, or two folders with the same paths in them.

    IMAGE's names may end in x4, _x4, _LR or _bicLRx4 after the reference's.

    Rasters, of any size, are scored band by band where both are valid: what `enhance` takes for
    such, as URLs and other names that GDAL opens.
    """
    click.get_current_context().with_resource(gdal_heard())
    image, reference = source_of(image), source_of(reference)
    are_folders = [os.path.isdir(source) for source in (image, reference)]
    if any(are_folders) != all(are_folders):
        raise click.UsageError(f"{image} and {reference} must be two files or two folders")
    if all(are_folders):
        images = find_images(image)
        truths = find_truths(images, [image], reference)
        pairs = [(path, truths.get(path)) for path in images]
    else:
        pairs = [(image, reference)]
    rows, rasters, failed = [], [], False

    @click.get_current_context().call_on_close  # what was done, also when interrupted
    def show():
        summaries = (
            summary(protocol(crop_border), rows),
            summary(raster_protocol(crop_border), rasters),
        )
        print_scores(None, *summaries, as_json)

    for path, truth in pairs:
        try:
            if truth is None:
                raise GluonEnhanceError(f"no image of that path in {reference}")
            if is_raster(truth, trust=trust) or is_raster(path, trust=trust):
                if y_channel:
                    raise ValueError("--y-channel is for photos, and this is a raster")
                rasters += score_raster(str(path), path, truth, crop_border, data_range, trust)
                continue
            pixels = (read_image(name, strict=True).pixels for name in (path, truth))
            scores = score_pair(*pixels, crop_border, y_only=y_channel, per_band=per_band)
            rows.append({"image": str(path), **scores})
        except Exception as error:  # whatever a file holds, the others are scored
            failed = True
            click.echo(printable(f"error: {path}: {one_line(error)}"), err=True)
    sys.exit(0 if not failed else 1 if rows or rasters else 2)
