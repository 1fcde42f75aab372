"""``gluon-enhance match`` and ``rio match``: histogram matching of rasters."""

from __future__ import annotations

import importlib.util
import logging
import sys
from contextlib import contextmanager

import click

from gluon_enhance.atomic import whole_file
from gluon_enhance.commands import Command
from gluon_enhance.commands.messages import gdal_heard
from gluon_enhance.commands.options import FilePath, Finite, cluster_option, trust_option
from gluon_enhance.commands.rasters import parse_creation_options

COLOR_SPACES = ("RGB", "LCH", "Lab", "LUV", "XYZ")
POINTS = 2000
"""Points drawn of a curve, which may have a million."""


def _parse_bands(context, option, text):
    try:
        return [int(part) for part in text.split(",")] if text else None
    except ValueError:
        raise click.BadParameter(f"{text!r} is no list such as 1,2,3") from None


@click.command(cls=Command)
@click.argument("source")
@click.argument("reference")
@click.argument("out", type=FilePath(dir_okay=False))
@click.option(
    "-c",
    "--color-space",
    type=click.Choice(COLOR_SPACES, case_sensitive=False),
    default="RGB",
    show_default=True,
    help="Where channels are matched; RGB takes bands of any kind and number as they are.",
)
@click.option(
    "-b",
    "--bands",
    callback=_parse_bands,
    metavar="N,N...",
    help="Bands, or channels of the color space, to match. Default: all but alpha.",
)
@click.option(
    "-m",
    "--match-proportion",
    type=Finite(0, 1),
    default=1.0,
    show_default=True,
    help="Part of the way from the source to the match.",
)
@click.option(
    "--plot",
    is_flag=True,
    help="Draw the cumulative curves into a picture beside OUT, NAME_plot.png.",
)
@click.option(
    "--co",
    "creation_options",
    multiple=True,
    callback=parse_creation_options,
    metavar="NAME=VALUE",
    help="Creation option of GDAL's GTiff driver. Default: tiling and compression of the source.",
)
@cluster_option
@trust_option
@click.option("-v", "--verbose", is_flag=True, help="Tell what is matched.")
def match(source, reference, out, plot, cluster, verbose, **options):
    """Give the raster SOURCE the histograms of REFERENCE, band by band, and write GeoTIFF OUT.

    The rasters are of any size, dtype and number of bands. What is masked or nodata in them is not
    counted. SOURCE's masked pixels and nodata stay so in OUT, and its georeference, tags, masks and
    other bands are kept.
    """
    if plot and importlib.util.find_spec("matplotlib") is None:
        raise click.UsageError("--plot needs matplotlib: pip install matplotlib")
    if verbose:
        logging.getLogger("gluon_enhance").setLevel(logging.INFO)
    with gdal_heard(), _workers(cluster) as run:
        curves = _match(source, reference, out, run=run, **options)
    if plot:
        _draw(curves, out.with_name(f"{out.stem}_plot.png"))


@contextmanager
def _workers(address):
    """Give what runs functions on workers; without an address None."""
    if not address:
        yield None
        return
    from gluon_enhance.cluster import Cluster

    with Cluster(address) as workers:
        yield workers.run


def _match(source, reference, out, **options):
    from tqdm import tqdm

    from gluon_enhance.rasters.match import match_rasters

    with tqdm(unit="window", delay=0.5, file=sys.stderr, disable=None) as bar:

        def progress(done, total):
            bar.total = total
            bar.update(done - bar.n)

        return match_rasters(source, reference, out, progress=progress, **options)


def _draw(curves, path):
    """Draw for each band the shares of source, reference and result up to each value."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4.5 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    styles = (("source", "-"), ("reference", "-"), ("result", "--"))
    for axes, (name, curve) in zip(panels, curves.items()):
        for (label, style), (values, shares) in zip(styles, curve):
            index = np.unique(np.linspace(0, len(values) - 1, POINTS).astype(int))
            axes.step(values[index], shares[index], style, where="post", label=label)
        axes.set(title=name, xlabel="value", ylabel="share of pixels", ylim=(0, 1.02))
        axes.grid(alpha=0.3)
    panels[0].legend()
    for axes in panels[len(curves) :]:
        axes.remove()
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=100)
