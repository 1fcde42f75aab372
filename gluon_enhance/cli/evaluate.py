"""``gluon-enhance evaluate``: a benchmark set enhanced and scored."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from tqdm import tqdm

from gluon_enhance.cli import one_line
from gluon_enhance.cli.options import engine_options, model_option
from gluon_enhance.cli.rasters import BAND_OPTIONS, band_options, is_raster, take_options
from gluon_enhance.cli.scores import (
    print_scores,
    protocol,
    raster_protocol,
    score_pair,
    score_raster,
    summary,
)
from gluon_enhance.data.benchmarks import find_pairs, read_pair
from gluon_enhance.errors import GluonEnhanceError, ImageError
from gluon_enhance.imaging.resize import KERNELS, resize_rounding_once
from gluon_enhance.inference import Enhancer


@click.command()
@model_option(default=None)
@click.option(
    "--hr",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of true images.",
)
@click.option(
    "--lr",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of inputs with the same paths in it; names may end in x4, _x4, _LR or _bicLRx4. "
    "Default: MATLAB-bicubic reductions.",
)
@click.option("--scale", type=click.IntRange(1), help="Default: the model's, or from --lr.")
@click.option(
    "--crop-border",
    type=click.IntRange(0),
    help="Pixels left out at each side. Default: the scale.",
)
@click.option("--per-band", is_flag=True, help="Also each band's bias and RMSE, in its numbers.")
@band_options
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def evaluate(model, hr, lr, scale, crop_border, per_band, as_json, **options):
    """Enhance a benchmark set and score it.

    MODEL may also be bicubic, bilinear or nearest: MATLAB's imresize, the usual baseline. Rasters,
    which are told from photos as `enhance` does, need a net and --lr, and are scored band by band.
    """
    bands = take_options(options, BAND_OPTIONS)
    enhancer = None
    if model not in KERNELS:
        enhancer = Enhancer(model, **options)
        if scale not in (None, enhancer.scale):
            raise click.UsageError(f"--scale is {scale}, but {model} has scale {enhancer.scale}")
        scale = enhancer.scale
    pairs = find_pairs(hr, lr)
    rows, rasters, done = [], [], 0

    @click.get_current_context().call_on_close  # what was done, also when interrupted
    def show():
        if done:
            summaries = summary(protocol(border), rows), summary(raster_protocol(border), rasters)
            print_scores(model, *summaries, as_json)

    for pair in tqdm(pairs, unit="image", disable=None):
        try:
            if is_raster(pair.lr or pair.hr, bands):
                border = enhancer.scale if enhancer and crop_border is None else crop_border
                rasters += _evaluate_raster(pair, enhancer, border, bands)
            else:
                low, high, scale = read_pair(pair, scale)
                sr = enhancer(low) if enhancer else resize_rounding_once(low, scale, model)
                border = scale if crop_border is None else crop_border
                scores = score_pair(sr, high, border, per_band=per_band)
                rows.append({"image": pair.name, **scores})
            done += 1
        except (GluonEnhanceError, ValueError, OSError) as error:
            click.echo(f"error: {pair.name}: {one_line(error)}", err=True)
    sys.exit(0 if done == len(pairs) else 1 if done else 2)


def _evaluate_raster(pair, enhancer, border, bands):
    from gluon_enhance.geotiff.enhancing import enhance_raster

    if enhancer is None or pair.lr is None:
        raise ImageError("this is a raster, which needs a net (-m) and its reduction (--lr)")
    with tempfile.TemporaryDirectory() as folder:
        sr = enhance_raster(pair.lr, Path(folder, "sr.tif"), enhancer, **bands)
        yield from score_raster(pair.name, sr, pair.hr, border)
