"""``gluon-enhance study``: people rate pictures without knowing what made them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import click
from tqdm import tqdm

from gluon_enhance.commands import printable
from gluon_enhance.commands.metrics import writable
from gluon_enhance.commands.options import FilePath, engine_options, listening_options, trust_option
from gluon_enhance.errors import plural

PLOTS = (".png", ".svg")


@click.group()
def study():
    """Ask people what they think of pictures: mean opinion scores, or choices of two.

    A study is a folder, which `new` makes of what models make of pictures, or of files. `serve`
    asks people in their browsers, and `results` computes scores with intervals.
    """


NEEDED = ("choix", "sqlalchemy", "starlette", "tomllib" if sys.version_info >= (3, 11) else "tomli")


def _check_installed():
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise click.UsageError(
            f"studies need {', '.join(missing)}: pip install 'gluon-enhance[study]'"
        )


def _pairs(separator_of, convert):
    """Return a callback that makes a dict of options like NAME=VALUE."""

    def take(context, option, texts):
        pairs = {}
        for text in texts:
            name, equals, value = text.partition("=")
            if not (name and equals and value) or name in pairs:
                raise click.BadParameter(f"{text!r}: give {separator_of}, each name once")
            try:
                pairs[name] = convert(value)
            except ValueError as error:
                raise click.BadParameter(f"{text!r}: give {separator_of}") from error
        return pairs

    return take


database_option = click.option(
    "--database",
    metavar="URL",
    help="postgresql://USER:PASSWORD@HOST/NAME, or another of SQLAlchemy's for PostgreSQL or "
    "SQLite. Default: ratings.sqlite in FOLDER.",
)


@study.command()
@click.argument("folder", type=FilePath())
@click.argument("pictures", nargs=-1, type=FilePath())
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="What enhances the pictures, as of `enhance`; or bicubic, bilinear or nearest. May be "
    "given several times.",
)
@click.option(
    "--shrink",
    is_flag=True,
    help="The pictures are originals: the models get them reduced by as much as they enlarge, and "
    "they are the reference.",
)
@click.option(
    "--files",
    multiple=True,
    metavar="NAME=FOLDER",
    callback=_pairs("NAME=FOLDER", Path),
    help="Pictures that something else has made, under the same names. May be given several times.",
)
@click.option(
    "--reference", metavar="NAME", help="Which of the files are the originals. With --shrink: they."
)
@click.option(
    "--kind",
    type=click.Choice(["acr", "dcr", "pairs"]),
    default="acr",
    show_default=True,
    help="acr: categories from bad to excellent (MOS); dcr: how impaired, beside the original "
    "(DMOS); pairs: which of two is better.",
)
@click.option("--title", default="Picture quality", show_default=True)
@click.option("--question", default="", help="Default: one that fits the kind.")
@click.option(
    "--ratings",
    type=click.IntRange(1),
    help="So many a person gives at most, besides training and repeats. Default: of all pictures.",
)
@click.option(
    "--training",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="So many of the pictures, the first, are for practice alone.",
)
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="NAME=RATING",
    callback=_pairs("NAME=RATING, a whole number", int),
    help="Training says what rating a method's pictures have, such as nearest=1. May be given "
    "several times.",
)
@click.option(
    "--repeats",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="So many ratings are asked for twice, to see how consistent raters are.",
)
@click.option(
    "--crop",
    type=click.IntRange(16),
    metavar="N",
    help="Show N by N pixels of the middle: pictures should fit the raters' screens.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn by lot.")
@trust_option
@engine_options
def new(
    folder, pictures, models, shrink, files, reference, kind, title, question, ratings, training,
    anchors, repeats, crop, seed, **options,
):  # fmt: skip
    """Make a study in FOLDER, a new one, of PICTURES or of --files.

    PICTURES are files and folders. All methods must show a picture in one size. The names of
    methods and pictures do not reach raters. study.toml in FOLDER may be edited until somebody
    has joined. Exit status: 0 done, 2 nothing was made.
    """
    _check_installed()
    from gluon_enhance.study import make
    from gluon_enhance.study.design import Study

    named = make.by_name(one for path in pictures for one in _files(path))
    names, paths = list(named), list(named.values())
    if bool(paths) != bool(models):
        raise click.UsageError("give PICTURES and -m MODEL together, or --files alone")
    if shrink and not models:
        raise click.UsageError("--shrink is for PICTURES and -m MODEL")
    methods = [*map(make.method_of, models), *([make.ORIGINAL] if shrink else []), *files]
    if not names and files:
        names = list(make.by_name(_files(next(iter(files.values())))))
    if 0 < len(names) <= training:
        raise click.UsageError(
            f"{plural(len(names), 'picture')} and --training {training} leave none to rate; give "
            "more pictures, or --training 0"
        )
    shown = Study(
        title=title,
        kind=kind,
        question=question,
        methods=tuple(methods),
        pictures=tuple(names[training:]),
        training=tuple(names[:training]),
        reference=reference or (make.ORIGINAL if shrink else None),
        anchors=tuple(anchors.items()),
        ratings=ratings,
        repeats=repeats,
        seed=seed,
    )
    found = make.found_in_folders(names, files)
    made = (
        make.made_by_models(paths, models, shrink, **options)
        if paths
        else ((name, {}) for name in names)
    )
    both = ((name, {**one, **other}) for (name, one), (_, other) in zip(made, found))
    make.make_study(folder, shown, tqdm(both, total=len(names), unit="picture", disable=None), crop)
    click.echo(
        printable(
            f"made {folder}: {plural(len(shown.methods), 'method')}, "
            f"{plural(len(shown.pictures), 'picture')} and {len(shown.training)} for training, "
            f"{plural(len(shown.sequence(0)), 'rating')} a person"
        ),
        err=True,
    )


def _files(path):
    from gluon_enhance.data.folders import find_images

    if not path.exists():
        raise click.UsageError(f"{path} is not there; give pictures, or folders of them")
    return find_images(path) if path.is_dir() else [path]


def _plot(context, option, path):
    if path is None:
        return None
    if path.suffix.lower() not in PLOTS:
        raise click.BadParameter(f"{path.name!r} has none of the endings {', '.join(PLOTS)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise click.UsageError("--plot needs matplotlib: pip install matplotlib")
    return writable(context, option, path)


@study.command()
@click.argument("folder", type=FilePath())
@click.option("--json", "as_json", is_flag=True, help="Print all results as JSON.")
@click.option(
    "--csv",
    type=FilePath(),
    metavar="FILE",
    callback=writable,
    help="Write the results of methods and pictures to a file.",
)
@click.option(
    "--ratings",
    type=FilePath(),
    metavar="FILE",
    callback=writable,
    help="Write each rating to a CSV file, for other programs.",
)
@click.option(
    "--plot",
    type=FilePath(),
    metavar="FILE",
    callback=_plot,
    help="Draw methods with their intervals, as .png or .svg.",
)
@database_option
def results(folder, as_json, csv, ratings, plot, database):
    """Compute the results of the study in FOLDER, while it runs or after.

    Scores come with 95% intervals and with how they are made. The table has the methods; the CSV
    file and JSON have each picture too, and JSON the raters with their checks. Exit status: 0 done,
    2 there is no rating yet, or no such study.
    """
    _check_installed()
    outputs = [path.resolve() for path in (csv, ratings, plot) if path]
    if len(set(outputs)) < len(outputs):
        raise click.UsageError("--csv, --ratings and --plot name one file twice; give each its own")
    from gluon_enhance.study import results as tables
    from gluon_enhance.study.design import read_study

    shown = read_study(folder)
    with _opened(folder, database, shown, writes=False) as store:
        given, joined = store.ratings(), store.joined()
    report = tables.results_of(shown, given, joined)
    if csv:
        tables.write_results(csv, report)
    if ratings:
        tables.write_ratings(ratings, given)
    if plot:
        tables.plot_results(plot, report)
    if as_json:
        click.echo(json.dumps(report, indent=1))
        return
    _print(report)


def _opened(folder, url, shown, writes=True):
    from contextlib import closing

    from gluon_enhance.study.database import Database, file_url

    return closing(Database(url or file_url(folder), shown, writes))


def _print(report):
    people = report["people"]
    click.echo(printable(f"{report['title']}: {report['question']}"))
    click.echo(
        f"{people['joined']} joined, {people['rated']} rated, {people['finished']} finished"
        + (f"; alpha {_number(report['alpha'])}" if "alpha" in report else "")
    )
    rejected = [str(row["rater"]) for row in report["raters"] if row.get("rejected")]
    if rejected:
        click.echo(f"screened out after BT.500: rater {', '.join(rejected)}")
    click.echo(report["protocol"])
    names = [name for name in report["methods"][0] if name != "method"]
    wide = max(len(row["method"]) for row in report["methods"]) + 2
    click.echo(f"{'method':{wide}}" + "".join(f"{name:>15}" for name in names))
    for row in report["methods"]:
        cells = "".join(f"{_number(row[name]):>15}" for name in names)
        click.echo(printable(f"{row['method']:{wide}}") + cells)


def _number(value):
    return "-" if value is None else f"{value:.2f}"


@study.command()
@click.argument("folder", type=FilePath())
@listening_options(8001)
@database_option
def serve(folder, host, port, token, database):
    """Ask people, who open the link that is printed, until Ctrl-C.

    They read what they agree to, rate, and can leave and come back; each rating is saved at once.
    Who has several servers for one study gives them one PostgreSQL --database. Exit status: 2
    could not begin, 130 or 143 ended by Ctrl-C or SIGTERM.
    """
    _check_installed()
    from gluon_enhance.study.app import study_app
    from gluon_enhance.study.design import read_study
    from gluon_enhance.study.make import check_files
    from gluon_enhance.web import shell
    from gluon_enhance.web.security import check_access

    check_access(host, token)
    shown = read_study(folder)
    check_files(folder, shown)
    with _opened(folder, database, shown) as store, shell.listen(host, port) as taken:
        click.echo(printable(f"{shown.title}: {shell.address_of(taken, token)}"), err=True)
        shell.serve(study_app(folder, shown, store, host, token), taken)
