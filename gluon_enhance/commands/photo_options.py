"""Options of photos in ``gluon-enhance enhance``: of what their files hold."""

from __future__ import annotations

import click

from gluon_enhance.commands.options import together
from gluon_enhance.commands.pipeline import PhotoOptions


def _color(context, option, text):
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(text)[:3] if text is not None else None
    except ValueError:
        raise click.BadParameter(f"{text!r} is no color such as white or #ffffff") from None


#: The options that `take_photo_options` takes.
photo_options = together(
    click.option(
        "--flatten",
        metavar="COLOR",
        callback=_color,
        help="Photos: put alpha on a color, such as white or #ffffff.",
    ),
    click.option("--depth", type=click.Choice(["8", "16"]), help="Photos: bits of the result."),
    click.option(
        "--quality",
        type=click.IntRange(1, 100),
        help="Photos: of JPEG, WebP and AVIF. Default: 95; lossless WebP stays so.",
    ),
    click.option("--lossless", is_flag=True, help="Photos: lose nothing; for WebP."),
)


def take_photo_options(options: dict) -> PhotoOptions:
    """Take the options of photos out of a command's."""
    taken = PhotoOptions(**{name: options.pop(name) for name in PhotoOptions._fields})
    if taken.lossless and taken.quality:
        raise click.UsageError("--lossless and --quality exclude each other")
    return taken._replace(depth=int(taken.depth) if taken.depth else None)
