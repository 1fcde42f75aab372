"""``gluon-enhance evaluate``: a benchmark set enhanced and scored."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from tqdm import tqdm

from gluon_enhance.cli import one_line
from gluon_enhance.cli.options import engine_options, model_option
from gluon_enhance.cli.scores import print_scores, protocol, score_pair
from gluon_enhance.data.benchmarks import find_pairs, read_pair
from gluon_enhance.errors import GluonEnhanceError
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
    help="Folder of inputs with the same names; default: MATLAB-bicubic reductions.",
)
@click.option("--scale", type=click.IntRange(1), help="Default: the model's, or from --lr.")
@click.option(
    "--crop-border",
    type=click.IntRange(0),
    help="Pixels left out at each side. Default: the scale.",
)
@click.option("--per-band", is_flag=True, help="Also each band's bias and RMSE, in its numbers.")
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def evaluate(model, hr, lr, scale, crop_border, per_band, as_json, **options):
    """Enhance a benchmark set and score it.

    MODEL may also be bicubic, bilinear or nearest: MATLAB's imresize, the usual baseline.
    """
    enhancer = None
    if model not in KERNELS:
        enhancer = Enhancer(model, **options)
        if scale not in (None, enhancer.scale):
            raise click.UsageError(f"--scale is {scale}, but {model} has scale {enhancer.scale}")
        scale = enhancer.scale
    pairs = find_pairs(hr, lr)
    rows = []
    for pair in tqdm(pairs, unit="image", disable=None):
        try:
            low, high, scale = read_pair(pair, scale)
            sr = enhancer(low) if enhancer else resize_rounding_once(low, scale, model)
            border = scale if crop_border is None else crop_border
            scores = score_pair(sr, high, border, per_band=per_band)
            rows.append({"image": pair.name, **scores})
        except (GluonEnhanceError, ValueError, OSError) as error:
            click.echo(f"error: {pair.name}: {one_line(error)}", err=True)
    if rows:
        print_scores(model, protocol(border), rows, as_json)
    sys.exit(0 if len(rows) == len(pairs) else 1 if rows else 2)
