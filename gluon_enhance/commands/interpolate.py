"""``gluon-enhance interpolate``: a net between two others."""

from __future__ import annotations

from dataclasses import asdict

import click

from gluon_enhance import zoo
from gluon_enhance.commands.options import FilePath, Finite
from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.manifest import fingerprint, write_card
from gluon_enhance.weights.readers.gluon import write_params
from gluon_enhance.zoo.cards import card_of


@click.command()
@click.argument("weights_a", metavar="A")
@click.argument("weights_b", metavar="B")
@click.option("--alpha", type=Finite(0, 1), required=True, help="Share of B, from 0 to 1.")
@click.option(
    "-o",
    "--output",
    type=FilePath(),
    required=True,
    help="A .params file to write; -m NAME=FILE uses it.",
)
def interpolate(weights_a, weights_b, alpha, output):
    """Write the weights (1 - alpha) A + alpha B.

    A and B are files of weights of one architecture, or names of models: those of rrdb_x4 and
    esrgan_x4 give a net between faithful and sharp. If the card beside A or B tells other options
    than the zoo's, a card.json is written beside the output too. Exit status: 0 done, 2 otherwise;
    the output is then as it was.
    """
    weights = zoo.interpolate(weights_a, weights_b, alpha)
    spec = _variant(weights_a) or _variant(weights_b)
    if spec and output.with_name("card.json").exists() and not card_of(output):
        raise WeightsError(
            f"{output.with_name('card.json')} speaks of other weights, and {output.name} needs one "
            "of its own: write it into another folder"
        )
    write_params(output, weights)
    if spec:
        write_card(output.parent, {**asdict(spec), "files": {output.name: fingerprint(output)}})
    click.echo(output)


def _variant(weights):
    """Return the spec of a net that was trained with other options than the zoo's, else None."""
    spec = zoo.known_spec(weights)
    return spec if spec and spec != zoo.get_spec(spec.name) else None
