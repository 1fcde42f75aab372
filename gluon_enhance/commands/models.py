"""``gluon-enhance models``: the zoo and the user's own models as a table."""

from __future__ import annotations

import json

import click

from gluon_enhance import zoo
from gluon_enhance.commands import printable
from gluon_enhance.commands.options import FilePath

HEADING = (
    f"{'name':28} {'method':12} scale {'parameters':>11}  {'weights':17}  {'made for':32}  scores"
)


class _Models(click.Group):
    """A group whose command is ``list`` where none is named."""

    def parse_args(self, context, args):
        if not args or args[0] not in (*self.commands, "--help", "-h"):
            args = ["list", *args]
        return super().parse_args(context, args)


@click.group(cls=_Models)
def models():
    """List the models whose name matches a pattern, or add a file: models 'rrdb*', models add FILE.

    Files of the folder in GLUON_ENHANCE_MODELS are models, by their names without suffix; without
    that variable it is the folder `community` in the cache.
    """


@models.command("list")
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_models(pattern, as_json):
    """List the models whose name matches PATTERN, such as 'rrdb*'.

    Weights are shipped with this package, official (searched for on this machine, else
    downloaded), or none: such a model is there to be trained. Scores are those of its card.
    """
    rows = [row_of(zoo.get_spec(name)) for name in zoo.list_models(pattern)]
    rows += [own_row(one) for one in zoo.community_rows(pattern)]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        raise click.UsageError(f"no model matches {pattern!r}; see `gluon-enhance models`")
    click.echo(HEADING)
    for row in rows:
        # Of crops of held-out photos: what a benchmark gives tells more.
        held_out = ("validation", "test")
        names = [name for name in row["scores"] if name.split()[0] not in held_out]
        names = names or list(row["scores"])
        scores = "; ".join(
            f"{name} {', '.join(f'{k} {v}' for k, v in row['scores'][name].items())}"
            for name in names
        )
        scale = "" if row["scale"] is None else f"x{row['scale']}"
        parameters = "" if row["parameters"] is None else f"{row['parameters']:,}"
        line = (
            f"{row['name']:28} {row['method']:12} {scale:5} {parameters:>11}  "
            f"{_weights(row):17}  {row['purpose']:32}  {row.get('fault', scores)}"
        )
        click.echo(printable(line))


@models.command()
@click.argument("file", type=FilePath())
@click.option("--name", help="What -m calls it; default: the file's own name.")
def add(file, name):
    """Copy FILE, with what lies beside it, to the user's own models."""
    click.echo(zoo.add_model(file, name))


def _weights(row):
    """Say of weights whose whole SHA-256 is not known by what they are told."""
    is_whole = row["checked_by"] in (None, "SHA-256")
    return row["weights"] + ("" if is_whole else f", {row['checked_by']}")


def row_of(spec: zoo.ModelSpec) -> dict:
    """Return what is told of a model of the zoo."""
    return {
        "name": spec.name,
        "method": spec.method,
        "purpose": spec.purpose,
        "scale": spec.scale,
        "parameters": spec.parameters,
        "weights": spec.weights_kind,
        "checked_by": spec.checked_by,
        "scores": spec.scores,
    }


def own_row(row) -> dict:
    """Return what is told of one of the user's own models."""
    known = {"name": row.name, "method": row.method, "purpose": "", "scale": row.scale}
    rest = {"parameters": row.parameters, "weights": "file", "checked_by": None, "scores": {}}
    return {**known, **rest, **({"fault": row.fault} if row.fault else {})}
