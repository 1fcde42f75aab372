"""``gluon-enhance interpolate``: a net between two others."""

from __future__ import annotations

from pathlib import Path

import click

from gluon_enhance import zoo
from gluon_enhance.weights.params import write_params


@click.command()
@click.argument("weights_a", metavar="A")
@click.argument("weights_b", metavar="B")
@click.option("--alpha", type=float, required=True, help="Share of B, from 0 to 1.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="A .params file to write; -m NAME=FILE uses it.",
)
def interpolate(weights_a, weights_b, alpha, output):
    """Write the weights (1 - alpha) A + alpha B.

    A and B are files of weights of one architecture, or names of models: those of rrdb_x4 and
    esrgan_x4 give a net between faithful and sharp. Exit status: 0 done, 2 otherwise; the output
    is then as it was.
    """
    click.echo(write_params(output, zoo.interpolate(weights_a, weights_b, alpha)))
