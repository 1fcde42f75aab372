"""``gluon-enhance evaluate``: a benchmark set enhanced and scored."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from tqdm import tqdm

from gluon_enhance.atomic import temporary_folder
from gluon_enhance.commands import one_line, printable
from gluon_enhance.commands.inputs import is_raster, source_of
from gluon_enhance.commands.intervals import difference
from gluon_enhance.commands.messages import gdal_heard
from gluon_enhance.commands.metrics import metric_options, take_metrics
from gluon_enhance.commands.options import engine_options, model_option, trust_option
from gluon_enhance.commands.pipeline import with_colors_of
from gluon_enhance.commands.rasters import BAND_OPTIONS, band_options, take_options
from gluon_enhance.commands.scores import (
    photo_summary,
    print_comparison,
    print_scores,
    raster_protocol,
    score_pair,
    score_raster,
    summary,
    write_csv,
)
from gluon_enhance.data.benchmarks import Pair, find_pairs, read_pair
from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.resize import KERNELS
from gluon_enhance.inference.enhancer import Enhancer
from gluon_enhance.inference.kernel import Baseline

BLOCK = 8
"""Side of JPEG's blocks."""


@click.command()
@model_option()
@trust_option
@click.option(
    "--against",
    metavar="MODEL",
    help="Also score this model, and compare the two image by image.",
)
@click.option(
    "--hr",
    required=True,
    metavar="PATH",
    help="Folder of true images, or one image or raster.",
)
@click.option(
    "--lr",
    metavar="PATH",
    help="Folder of inputs with the same paths in it, or one input; names may end in x4, _x4, _LR "
    "or _bicLRx4. Default: MATLAB-bicubic reductions.",
)
@click.option("--scale", type=click.IntRange(1), help="Default: the model's, or from --lr.")
@click.option(
    "--crop-border",
    type=click.IntRange(0),
    help="Pixels left out at each side. Default: the scale.",
)
@click.option(
    "--per-band",
    is_flag=True,
    help="Also each band's bias and RMSE, in its numbers; rasters always have them.",
)
@click.option(
    "--match-colors",
    is_flag=True,
    help="Photos: score results whose channels have the histograms of the inputs'.",
)
@metric_options
@band_options
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def evaluate(
    model, against, hr, lr, scale, crop_border, per_band, match_colors, csv, as_json, **options
):
    """Enhance the images of a benchmark set and score the results against the true images.

    MODEL may also be bicubic, bilinear or nearest: MATLAB's imresize, the usual baseline. Rasters,
    which are told from photos as `enhance` does, need --lr, and are scored band by band. Exit
    status: 0 all scored, 1 some failed, 2 wrong use or nothing was scored.
    """
    click.get_current_context().with_resource(gdal_heard())
    bands, metrics = take_options(options, BAND_OPTIONS), take_metrics(options)
    models = [model] if against is None else [model, against]
    if against == model:
        raise click.UsageError(f"--against is {against}, the model itself; name another")
    enhancers = {}
    for name in models:
        enhancers[name], scale = _load(name, scale, options)
    trust = options["trust"]
    pairs = _find_pairs(hr, lr)
    rows, rasters = ({name: [] for name in models} for _ in range(2))
    done = 0

    @click.get_current_context().call_on_close  # what was done, also when interrupted
    def show():
        if done:
            matched = "colors matched to the inputs'; " if match_colors else ""
            _show(models, rows, rasters, border, metrics, as_json, matched)
            if csv:
                found = ((name, row) for name in models for row in rows[name] + rasters[name])
                write_csv(csv, [{"model": name, **row} for name, row in found])

    for pair in tqdm(pairs, unit="image", disable=None):
        try:
            found = {}
            if any(is_raster(source, bands, trust) for source in (pair.lr, pair.hr) if source):
                _check_raster(pair, match_colors)
                ratio = scale or _ratio(pair, trust)
                for name in models:
                    net = enhancers[name] or Baseline(name, ratio)
                    border = net.scale if crop_border is None else crop_border
                    found[name] = list(_evaluate_raster(pair, net, border, bands, trust))
                into = rasters
            else:
                low, high, scale = read_pair(pair, scale)
                border = scale if crop_border is None else crop_border
                metrics = metrics._replace(block=BLOCK * scale)
                for name in models:
                    sr = (enhancers[name] or Baseline(name, scale))(low)
                    sr = with_colors_of(low, sr) if match_colors else sr
                    scores = score_pair(sr, high, border, per_band=per_band, metrics=metrics)
                    found[name] = [{"image": pair.name, **scores}]
                into = rows
            for name in models:
                into[name] += found[name]
            done += 1
        except Exception as error:  # whatever a file holds, the others are scored
            click.echo(printable(f"error: {pair.name}: {one_line(error)}"), err=True)
    sys.exit(0 if done == len(pairs) else 1 if done else 2)


def _show(models, rows, rasters, border, metrics, as_json, matched):
    reports = []
    for name in models:
        photos = photo_summary(rows[name], border, metrics)
        photos["protocol"] = matched + photos["protocol"]
        reports.append((name, photos, summary(raster_protocol(border), rasters[name])))
    if len(models) == 1:
        print_scores(*reports[0], as_json)
    else:
        print_comparison(*reports, difference(*(rows[name] for name in models)), as_json)


def _load(model, scale, options):
    """Return the enhancer of a model, or None for a kernel, and the scale that is now known."""
    if model in KERNELS:
        return None, scale
    enhancer = Enhancer(model, **options)
    if scale not in (None, enhancer.scale):
        raise click.UsageError(f"the scale is {scale}, but {model} has scale {enhancer.scale}")
    return enhancer, enhancer.scale


def _find_pairs(hr, lr):
    """Return the pairs of two folders, or of two images."""
    sources = [source_of(text) for text in (hr, lr) if text is not None]
    are_folders = [os.path.isdir(source) for source in sources]
    if any(are_folders) != all(are_folders):
        raise click.UsageError(f"{hr} and {lr} must be two files or two folders")
    if all(are_folders):
        return find_pairs(*sources)
    return [Pair(os.path.basename(hr), sources[0], sources[1] if lr else None)]


def _ratio(pair, trust):
    """Return the scale that the sizes of a pair of rasters say."""
    from gluon_enhance.rasters.io import size_of

    (width, _), (reduced, _) = size_of(pair.hr, trust), size_of(pair.lr, trust)
    return max(1, round(width / reduced))


def _check_raster(pair, match_colors):
    if pair.lr is None:
        raise ImageError("this is a raster, which needs its reduction (--lr)")
    if match_colors:
        raise ImageError("--match-colors is for photos, and this is a raster; use `match`")


def _evaluate_raster(pair, enhancer, border, bands, trust):
    from gluon_enhance.rasters.enhance import enhance_raster

    with temporary_folder() as folder:
        sr = enhance_raster(pair.lr, Path(folder, "sr.tif"), enhancer, trust=trust, **bands)
        yield from score_raster(pair.name, sr, pair.hr, border, trust=trust)
