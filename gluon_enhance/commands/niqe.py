"""``gluon-enhance niqe fit``: a model of good photos, for the metric NIQE."""

from __future__ import annotations

import click
from tqdm import tqdm

from gluon_enhance.commands import one_line, printable
from gluon_enhance.commands.options import FilePath
from gluon_enhance.data.folders import find_images, read_photo
from gluon_enhance.errors import GluonEnhanceError
from gluon_enhance.imaging.niqe import fit_niqe
from gluon_enhance.weights.niqe import write_niqe


@click.group()
def niqe():
    """Work with models of the metric NIQE."""


@niqe.command()
@click.argument("folder")
@click.option(
    "-o", "--output", required=True, type=FilePath(), metavar="FILE", help="The model, an .npz."
)
def fit(folder, output):
    """Fit a model to the sharp parts of the photos in FOLDER and its subfolders.

    `score` and `evaluate` take it by --niqe FILE. Photos should be sharp and free of traces of
    compression; a hundred are a good number. Exit status: 0 done, 2 no model was made; photos that
    cannot be read are left out, and named.
    """
    write_niqe(output, fit_niqe(_photos(find_images(folder))))
    click.echo(f"wrote {output}", err=True)


def _photos(paths):
    for path in tqdm(paths, unit="photo", disable=None):
        try:
            yield read_photo(path)
        except (GluonEnhanceError, ValueError, OSError) as error:
            click.echo(printable(f"left out: {path}: {one_line(error)}"), err=True)
