"""``gluon-enhance demo``: a sample photo reduced, enhanced and compared."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw

from gluon_enhance.cli.options import model_option
from gluon_enhance.cli.scores import print_table, protocol, score_pair
from gluon_enhance.files import Photo, read_image, write_image
from gluon_enhance.imaging.resize import resize, resize_rounding_once
from gluon_enhance.inference import DEFAULT_MODEL, Enhancer
from gluon_enhance.weights.store import model_zoo_folder

LABEL_HEIGHT = 24


@click.command()
@click.option(
    "-o",
    "--output",
    default="demo",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for the pictures.",
)
@model_option(default=DEFAULT_MODEL)
def demo(output, model):
    """Reduce a sample photo, enhance it, and compare both with the original."""
    enhancer = Enhancer(model)
    strip, small, enhanced, rows = comparison(enhancer, model)
    output.mkdir(parents=True, exist_ok=True)
    pictures = {"small.png": small, "enhanced.png": enhanced, "before_after.png": strip}
    for name, pixels in pictures.items():
        write_image(output / name, Photo(pixels))
    print_table(protocol(enhancer.scale), rows)
    click.echo(
        f"\n{output / 'small.png'} became {output / 'enhanced.png'}; side by side with "
        f"bicubic and the original: {output / 'before_after.png'}"
    )


def comparison(enhancer, name):
    """Reduce the sample photo, enlarge it again in two ways, and score both.

    Returns
    -------
    strip, small, enhanced : ndarray
        Bicubic, enhanced and original side by side; the reduced photo; the enhanced one.
    rows : list of dict
        Scores of bicubic and of the model.
    """
    scale = enhancer.scale
    photo = read_image(model_zoo_folder() / "sample.png").pixels
    photo = photo[: photo.shape[0] // scale * scale, : photo.shape[1] // scale * scale]
    small = resize(photo, 1 / scale)
    enlarged = {
        "bicubic": resize_rounding_once(small, scale),
        name: enhancer(small),
    }
    rows = [{"image": key, **score_pair(image, photo, scale)} for key, image in enlarged.items()]
    return _strip({**enlarged, "original": photo}), small, enlarged[name], rows


def _strip(pictures):
    """Put pictures of one size side by side, each under its name."""
    columns = []
    for name, picture in pictures.items():
        label = Image.new("RGB", (picture.shape[1], LABEL_HEIGHT), "white")
        ImageDraw.Draw(label).text((6, 6), name, fill="black")
        columns.append(np.vstack([np.asarray(label), picture]))
    return np.hstack(columns)
