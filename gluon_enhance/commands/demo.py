"""``gluon-enhance demo``: a sample photo reduced, enhanced and compared."""

from __future__ import annotations

import click
import numpy as np

from gluon_enhance.commands.options import FilePath, model_option, trust_option
from gluon_enhance.commands.scores import print_table, protocol, score_pair
from gluon_enhance.data.degradations import PhoneLooks
from gluon_enhance.data.distortions import jpeg
from gluon_enhance.imaging.arrays import to_dtype, to_float
from gluon_enhance.imaging.pictures import side_by_side
from gluon_enhance.imaging.resize import resize, resize_rounding_once
from gluon_enhance.inference.enhancer import DEFAULT_MODEL, Enhancer
from gluon_enhance.photos import Photo, read_image, write_image
from gluon_enhance.weights.store import model_zoo_folder

JPEG_QUALITY = 60
"""Of the sample photo, for models that remove a JPEG's traces."""


@click.command()
@click.option(
    "-o",
    "--output",
    default="demo",
    show_default=True,
    type=FilePath(),
    help="Folder for the pictures.",
)
@model_option(default=DEFAULT_MODEL)
@trust_option
def demo(output, model, trust):
    """Enhance a sample photo and compare it with the original.

    The photo is first reduced, and for models of damaged photos compressed as a JPEG, or given a
    phone's look where the model does not enlarge; models of a style get it as it is. The pictures
    before, after and side by side are written.
    """
    enhancer = Enhancer(model, trust=trust)
    pictures, before, rows = comparison(enhancer)
    output.mkdir(parents=True, exist_ok=True)
    files = {"before.png": before, "after.png": pictures[enhancer.spec.name]}
    for name, pixels in {**files, "before_after.png": side_by_side(pictures)}.items():
        write_image(output / name, Photo(pixels))
    if rows:
        print_table(protocol(enhancer.scale), rows)
    click.echo(
        f"\n{output / 'before.png'} became {output / 'after.png'}; "
        f"side by side ({', '.join(pictures)}): {output / 'before_after.png'}"
    )


def comparison(enhancer):
    """Enhance the sample photo: reduced; or with a phone's look; or, for a style, as it is.

    For models of damaged photos what was reduced is compressed, too.

    Returns
    -------
    pictures : dict of str to ndarray
        What to look at side by side, by name.
    before : ndarray
        What was enhanced.
    rows : list of dict
        Scores of the pictures against the original; none for a style.
    """
    name, scale = enhancer.spec.name, enhancer.scale
    photo = read_image(model_zoo_folder() / "sample.png").pixels
    photo = photo[: photo.shape[0] // scale * scale, : photo.shape[1] // scale * scale]
    if enhancer.spec.method == "Style":
        return {"original": photo, name: enhancer(photo)}, photo, []
    if scale > 1:
        before = resize(photo, 1 / scale)
        if enhancer.spec.method == "Real-ESRGAN":
            before = to_dtype(jpeg(to_float(before), JPEG_QUALITY), np.uint8)
        pictures = {"bicubic": resize_rounding_once(before, scale)}
    else:
        look, rng = PhoneLooks(as_it_is=0), np.random.default_rng(0)
        before = to_dtype(look(to_float(photo), rng), np.uint8)
        pictures = {"phone's look": before}
    pictures[name] = enhancer(before)
    rows = [{"image": key, **score_pair(image, photo, scale)} for key, image in pictures.items()]
    return {**pictures, "original": photo}, before, rows
