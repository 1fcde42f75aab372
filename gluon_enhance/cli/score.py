"""``gluon-enhance score``: PSNR and SSIM of images against references."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gluon_enhance.cli import one_line
from gluon_enhance.cli.scores import print_scores, protocol, score_pair
from gluon_enhance.data.folders import find_images
from gluon_enhance.errors import GluonEnhanceError
from gluon_enhance.files import read_image


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
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def score(image, reference, crop_border, y_channel, as_json):
    """Score IMAGE against REFERENCE: two files, or two folders with the same file names."""
    if image.is_dir() != reference.is_dir():
        raise click.UsageError(f"{image} and {reference} must be two files or two folders")
    if image.is_dir():
        by_name = {path.stem: path for path in find_images(reference)}
        pairs = [(path, by_name.get(path.stem)) for path in find_images(image)]
    else:
        pairs = [(image, reference)]
    rows, failed = [], False
    for path, truth in pairs:
        try:
            if truth is None:
                raise GluonEnhanceError(f"no image of that name in {reference}")
            scores = score_pair(
                read_image(path).pixels, read_image(truth).pixels, crop_border, y_only=y_channel
            )
            rows.append({"image": str(path), **scores})
        except (GluonEnhanceError, ValueError, OSError) as error:
            failed = True
            click.echo(f"error: {path}: {one_line(error)}", err=True)
    print_scores(None, protocol(crop_border), rows, as_json)
    sys.exit(1 if failed else 0)
