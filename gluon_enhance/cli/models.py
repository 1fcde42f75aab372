"""``gluon-enhance models``: the zoo as a table."""

from __future__ import annotations

import json

import click

from gluon_enhance import zoo


@click.command()
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def models(pattern, as_json):
    """List the models whose name matches PATTERN, such as 'rrdb*'."""
    rows = [_row(zoo.get_spec(name)) for name in zoo.list_models(pattern)]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        raise click.UsageError(f"no model matches {pattern!r}; see `gluon-enhance models`")
    click.echo(f"{'name':28} {'method':12} scale {'parameters':>11}  {'weights':17}  scores")
    for row in rows:
        # A validation's numbers are of other crops than a test set's, which tell more.
        names = [name for name in row["scores"] if name != "validation"] or row["scores"]
        scores = "; ".join(
            f"{name} {', '.join(f'{k} {v}' for k, v in row['scores'][name].items())}"
            for name in names
        )
        click.echo(
            f"{row['name']:28} {row['method']:12} x{row['scale']:<4} "
            f"{row['parameters']:>11,}  {_weights(row):17}  {scores}"
        )


def _weights(row):
    """Say of weights whose whole SHA-256 is not known by what they are told."""
    is_whole = row["checked_by"] in (None, "SHA-256")
    return row["weights"] + ("" if is_whole else f", {row['checked_by']}")


def _row(spec):
    return {
        "name": spec.name,
        "method": spec.method,
        "scale": spec.scale,
        "parameters": spec.parameters,
        "weights": spec.weights_kind,
        "checked_by": spec.checked_by,
        "scores": spec.scores,
    }
