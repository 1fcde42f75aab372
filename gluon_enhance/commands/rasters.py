"""Rasters in ``gluon-enhance enhance``: their options, and the work on one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Callable, Optional

import click
from tqdm import tqdm

from gluon_enhance.commands import printable
from gluon_enhance.commands.jobs import Job
from gluon_enhance.commands.options import together
from gluon_enhance.commands.pipeline import PhotoOptions, Work
from gluon_enhance.errors import ImageError


def _numbers(kind, count):
    def parse(context, option, text):
        if text is None:
            return None
        try:
            values = tuple(kind(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) != count:
            raise click.BadParameter(f"{text!r} is no list of {count} numbers")
        return values

    return parse


def _parse_ranges(context, option, texts):
    if not texts:
        return None
    from gluon_enhance.rasters.ranges import parse_range

    try:
        return dict(map(parse_range, texts))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def parse_creation_options(context, option, texts):
    """Turn NAME=VALUE texts into a dictionary."""
    for text in texts:
        if not text.partition("=")[2]:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE")
    return dict(text.split("=", 1) for text in texts)


#: The options of rasters' bands; any of them has TIFF files taken for rasters.
band_options = together(
    click.option(
        "--input-range",
        multiple=True,
        callback=_parse_ranges,
        metavar="[BAND=]LOW,HIGH",
        help="Rasters: black and white for the net, in numbers, in percentiles (2%,98%), "
        "in values after scale and offset (scaled:0,0.3), or 'statistics' for the tags'. "
        "Repeat it for bands. Default: 0,255 for uint8, else 2%,98%.",
    ),
    click.option(
        "--unconstrained",
        is_flag=True,
        help="Rasters: leave the net's answer as it is; without this the mean of each "
        "block of the result is made the input's pixel.",
    ),
    click.option(
        "--rgb",
        callback=_numbers(int, 3),
        metavar="N,N,N",
        help="Rasters: bands that are red, green and blue.",
    ),
    click.option(
        "--bands",
        "others",
        type=click.Choice(["resize", "each"]),
        help="Rasters: what becomes of bands that are not red, green or blue: resize them "
        "(default), or run each by itself; without --rgb, all.",
    ),
)


#: All options of rasters; any of them has TIFF files taken for such.
raster_options = together(
    band_options,
    click.option(
        "--co",
        "creation_options",
        multiple=True,
        callback=parse_creation_options,
        metavar="NAME=VALUE",
        help="Rasters: creation option of GDAL's GTiff driver, or COG's with --cog.",
    ),
    click.option(
        "--window",
        callback=_numbers(int, 4),
        metavar="X,Y,W,H",
        help="Rasters: only a part, from column X and row Y on, W x H pixels.",
    ),
    click.option(
        "--bounds",
        callback=_numbers(float, 4),
        metavar="LEFT,BOTTOM,RIGHT,TOP",
        help="Rasters: only a part, in the raster's coordinates.",
    ),
    click.option("--overviews", is_flag=True, help="Rasters: add overviews."),
    click.option("--cog", is_flag=True, help="Rasters: write cloud-optimized GeoTIFF."),
    click.option(
        "--resume",
        is_flag=True,
        help="Rasters: go on with the parts that an interrupted run has left.",
    ),
)


BAND_OPTIONS = ("input_range", "unconstrained", "rgb", "others")
PART_OPTIONS = ("window", "bounds")
RASTER_OPTIONS = (*BAND_OPTIONS, *PART_OPTIONS, "creation_options", "overviews", "cog", "resume")


def of_part(options: Mapping) -> bool:
    """Tell whether options ask for a part of a raster."""
    return any(name in options for name in PART_OPTIONS)


LONG = 60
"""Seconds from which on it is said beforehand how long a raster takes."""


def take_options(options: dict, names: tuple) -> dict:
    """Take options out of a command's; only what was given."""
    taken = {name: options.pop(name) for name in names}
    return {name: value for name, value in taken.items() if value}


class RasterWork(Work):
    """A raster, which is read, enhanced and written part by part.

    Parameters
    ----------
    job : Job
    options : dict
        Those of `raster_options`.
    **shared
        As of `Work`.

    Attributes
    ----------
    run : callable, optional
        What computes the parts, if not the enhancer here; see
        `gluon_enhance.rasters.enhance.enhance_raster`.
    """

    run: Optional[Callable] = None

    def __init__(self, job: Job, options: dict, **shared):
        super().__init__(job, **shared)
        self.options = options

    def goes_whole(self, count):
        """Tell whether it makes no more parts, about, than there are rasters."""
        from gluon_enhance.rasters.plan import PART_SAMPLES, samples_of

        own = {name: self.options.get(name) for name in (*PART_OPTIONS, "trust")}
        with suppress(Exception):  # of a file that cannot be read, as the work will say
            return samples_of(self.job.source, **own) * self.outscale**2 <= count * PART_SAMPLES
        return True

    def compute(self):
        """Do it all."""
        from gluon_enhance.rasters.enhance import enhance_raster
        from gluon_enhance.rasters.io import size_of

        if self.outscale != self.enhancer.scale or self.match_colors:
            raise ImageError(
                "--outscale and --match-colors are for photos, and this is a raster; use GDAL, or "
                "gluon-enhance match, on the result"
            )
        if self.photo_options != PhotoOptions():
            raise ImageError(
                "--flatten, --depth, --quality and --lossless are for photos, and this is a "
                "raster; --co sets its compression"
            )
        with self.watched(self.job.name, unit="part") as progress:
            enhance_raster(
                self.job.source,
                self.job.target,
                self.enhancer,
                run=self.run,
                announce=self._announce,
                progress=progress,
                **self.options,
            )
        width, height = size_of(self.job.target)
        self.report.update(width=width, height=height)

    def _announce(self, estimate):
        """Say before a long run what to expect of it."""
        if estimate.seconds < LONG:
            return
        height, width = estimate.size
        text = (
            f"{self.job.name} becomes {width} x {height} pixels in about "
            f"{_duration(estimate.seconds)}, {estimate.nbytes / 1e9:.1f} GB before compression, "
            "and as much in parts until it is done"
        )
        if self.run:
            text += "; the time is this machine's, and workers divide it"
        if not of_part(self.options):
            text += "; --window tries a part first"
        tqdm.write(printable(text), file=sys.stderr)


def _duration(seconds):
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
