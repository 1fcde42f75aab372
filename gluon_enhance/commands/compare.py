"""``gluon-enhance compare``: pictures side by side, as a page or a sheet."""

from __future__ import annotations

import click

from gluon_enhance.atomic import whole_file
from gluon_enhance.commands import printable
from gluon_enhance.commands.comparison_page import comparison_page
from gluon_enhance.commands.metrics import metric_options, take_metrics, writable
from gluon_enhance.commands.options import FilePath, engine_options, trust_option
from gluon_enhance.commands.scores import print_table, protocol, score_pair, write_csv
from gluon_enhance.data.folders import read_photo
from gluon_enhance.errors import plural
from gluon_enhance.imaging.pictures import comparison_sheet
from gluon_enhance.imaging.resize import KERNELS, resize_rounding_once
from gluon_enhance.inference.enhancer import Enhancer
from gluon_enhance.inference.kernel import Baseline
from gluon_enhance.photos import Photo, write_image

FEWEST, MOST = 2, 6
PAGES, SHEETS = (".html", ".htm"), (".png", ".jpg", ".jpeg", ".webp")


def _by_its_name(context, option, path):
    if path.suffix.lower() not in PAGES + SHEETS:
        known = ", ".join(PAGES + SHEETS)
        raise click.BadParameter(f"{path.name!r} has none of the endings {known}")
    return writable(context, option, path)


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=FilePath())
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="What enhances the picture, as of `enhance`; or bicubic, bilinear or nearest. May be "
    "given several times.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=FilePath(),
    callback=_by_its_name,
    help="A page, .html, or a sheet, .png, .jpg or .webp.",
)
@click.option("--reference", type=FilePath(), metavar="FILE", help="The truth, to score against.")
@click.option(
    "--crop-border",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Pixels that scores leave out at each side.",
)
@click.option(
    "--parts",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Sheets: how many parts, in which the pictures differ most, are magnified.",
)
@metric_options
@trust_option
@engine_options
def compare(pictures, models, output, reference, crop_border, parts, csv, **options):
    """Put 2 to 6 PICTURES of one subject side by side: files, or what models make of a file.

    With -m there is one PICTURE, which is shown too. Smaller pictures are enlarged to the size of
    the largest, by the bicubic kernel. A page has all in one file, and asks no other host for
    anything: its pictures are moved and magnified together, two of them with a slider between them
    or by their difference. A sheet has a column for each picture, and magnifies the parts in which
    they differ most. With --reference, that is shown too, and the others are scored. Pictures are
    shown and scored in RGB of 8 bits. Exit status: 0 done, 2 nothing was written.
    """
    metrics = take_metrics(options)
    if models and len(pictures) > 1:
        raise click.UsageError(f"with -m give one picture, not {len(pictures)}")
    if len(set(models)) < len(models):
        raise click.UsageError("a model is named twice")
    count = len(pictures) + len(models)
    if not FEWEST <= count <= MOST:
        raise click.UsageError(
            f"{plural(count, 'picture')} cannot be compared; give {FEWEST} to {MOST}"
        )
    shown = _read(pictures)
    if models:
        (source,) = shown.values()
        shown.update(_made(source, models, options))
    if reference:
        shown[f"reference: {reference.name}"] = read_photo(reference)
    shown = _of_one_size(shown)
    rows, how = [], protocol(crop_border, metrics)
    if reference:
        *others, truth = shown
        for name in others:
            scores = score_pair(shown[name], shown[truth], crop_border, metrics=metrics)
            rows.append({"image": name, **scores})
        print_table(how, rows)
        if csv:
            write_csv(csv, rows)
    if output.suffix.lower() in SHEETS:
        write_image(output, Photo(comparison_sheet(shown, parts)))
    else:
        page = comparison_page(shown, rows, how)
        with whole_file(output) as draft:
            draft.write_text(page, encoding="utf-8")
    click.echo(printable(f"wrote {output}"), err=True)


def _read(paths):
    """Read pictures; their names are as short as tells them apart."""
    depth = 1
    while True:
        names = ["/".join(path.resolve().parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            break
        if depth > max(len(path.resolve().parts) for path in paths):
            raise click.UsageError("a picture is named twice")
        depth += 1
    return {name: read_photo(path) for name, path in zip(names, paths)}


def _made(source, models, options):
    """Enhance a picture by each model; kernels enlarge it as much as the models do, or 4 times."""
    enhancers = {name: Enhancer(name, **options) for name in models if name not in KERNELS}
    scale = max((enhancer.scale for enhancer in enhancers.values()), default=4)
    return {name: (enhancers.get(name) or Baseline(name, scale))(source) for name in models}


def _of_one_size(pictures):
    """Enlarge pictures to the size of the largest, and say so in their names."""
    width, height = largest = max(image.shape[1::-1] for image in pictures.values())
    alike = {}
    for name, image in pictures.items():
        rows, columns = image.shape[:2]
        scale = width // columns
        if (columns * scale, rows * scale) != largest:
            raise click.UsageError(
                f"{name} has {columns}x{rows} pixels, and the largest {width}x{height}, which is "
                "no whole number of times as much; give pictures of one subject and shape"
            )
        if scale > 1:
            image = resize_rounding_once(image, scale)
            name = f"{name} ({columns}x{rows}, bicubic)"
        alike[name] = image
    return alike
