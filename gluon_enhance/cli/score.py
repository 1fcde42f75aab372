"""``gluon-enhance score``: PSNR and SSIM of images against references."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gluon_enhance.cli import one_line
from gluon_enhance.cli.rasters import is_raster
from gluon_enhance.cli.scores import print_scores, protocol, score_pair
from gluon_enhance.data.folders import find_images
from gluon_enhance.errors import GluonEnhanceError
from gluon_enhance.files import read_image

RASTER_PROTOCOL = (
    "{} pixels cropped at each side; valid: share of pixels valid in both, which count; bias: mean "
    "of image - reference; bias and rmse in the rasters' numbers"
)


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.argument("reference", type=click.Path(path_type=Path))
@click.option(
    "--crop-border",
    type=int,
    default=0,
    show_default=True,
    help="Pixels left out at each side; tables of super-resolution leave out the scale.",
)
@click.option("--y-channel", is_flag=True, help="Score Y of BT.601 only.")
@click.option("--per-band", is_flag=True, help="Also each band's bias and RMSE, in its numbers.")
@click.option(
    "--data-range",
    type=click.FloatRange(0, min_open=True),
    help="Rasters: peak for PSNR. Default: the integer dtype's span, or of the reference's values.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def score(image, reference, crop_border, y_channel, per_band, data_range, as_json):
    """Score IMAGE against REFERENCE: two files, or two folders with the same file names.

    Georeferenced TIFF files, of any size, are scored band by band where both are valid.
    """
    if image.is_dir() != reference.is_dir():
        raise click.UsageError(f"{image} and {reference} must be two files or two folders")
    if image.is_dir():
        by_name = {path.stem: path for path in find_images(reference)}
        pairs = [(path, by_name.get(path.stem)) for path in find_images(image)]
    else:
        pairs = [(image, reference)]
    rows, rasters, failed = [], [], False
    for path, truth in pairs:
        try:
            if truth is None:
                raise GluonEnhanceError(f"no image of that name in {reference}")
            if is_raster(truth):
                rasters += _score_raster(path, truth, crop_border, data_range)
                continue
            pixels = (read_image(name).pixels for name in (path, truth))
            scores = score_pair(*pixels, crop_border, y_only=y_channel, per_band=per_band)
            rows.append({"image": str(path), **scores})
        except (GluonEnhanceError, ValueError, OSError) as error:
            failed = True
            click.echo(f"error: {path}: {one_line(error)}", err=True)
    if rows or not rasters:
        print_scores(None, protocol(crop_border), rows, as_json)
    if rasters:
        print_scores(None, RASTER_PROTOCOL.format(crop_border), rasters, as_json)
    sys.exit(1 if failed else 0)


def _score_raster(path, truth, crop_border, data_range):
    from gluon_enhance.geotiff.scoring import score_rasters

    for row in score_rasters(path, truth, crop_border, data_range):
        yield {"image": f"{path} band {row.pop('band')}", **row}
