"""``gluon-enhance score``: PSNR, SSIM and other metrics of images against references."""

from __future__ import annotations

import os
import sys

import click

from gluon_enhance.commands import one_line, printable
from gluon_enhance.commands.inputs import is_raster, source_of
from gluon_enhance.commands.messages import gdal_heard
from gluon_enhance.commands.metrics import metric_options, take_metrics
from gluon_enhance.commands.options import Finite, trust_option
from gluon_enhance.commands.scores import (
    photo_summary,
    print_scores,
    raster_protocol,
    score_pair,
    score_raster,
    summary,
    write_csv,
)
from gluon_enhance.data.folders import find_images
from gluon_enhance.data.pairing import find_truths
from gluon_enhance.errors import GluonEnhanceError
from gluon_enhance.photos import read_image


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
@metric_options
@click.option(
    "--block",
    type=click.IntRange(2),
    default=8,
    show_default=True,
    help="Photos: side of JPEG's blocks, for blockiness: 8 times the scale of the enlargement; an "
    "eighth of it is the period of checkerboard, 2 or more.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def score(
    image,
    reference,
    crop_border,
    y_channel,
    per_band,
    data_range,
    block,
    csv,
    trust,
    as_json,
    **options,
):
    """Score IMAGE against REFERENCE: two files, or two folders with the same paths in them.

    The names of images may be those of the references with x4, _x4, _LR or _bicLRx4 added.

    Rasters are what `enhance` takes for rasters, also URLs and other names that GDAL opens. They
    are of any size, and are scored band by band where both are valid. Exit status: 0 all scored,
    1 some failed, 2 wrong use or nothing was scored.
    """
    click.get_current_context().with_resource(gdal_heard())
    metrics = take_metrics(options)._replace(block=block)
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
        photos = photo_summary(rows, crop_border, metrics)
        print_scores(None, photos, summary(raster_protocol(crop_border), rasters), as_json)
        if csv and (rows or rasters):
            write_csv(csv, rows + rasters)

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
            scores = score_pair(*pixels, crop_border, y_channel, per_band, metrics)
            rows.append({"image": str(path), **scores})
        except Exception as error:  # whatever a file holds, the others are scored
            failed = True
            click.echo(printable(f"error: {path}: {one_line(error)}"), err=True)
    sys.exit(0 if not failed else 1 if rows or rasters else 2)
