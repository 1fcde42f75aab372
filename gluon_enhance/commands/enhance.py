"""``gluon-enhance enhance``: files and folders."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial

import click
from tqdm import tqdm
from tqdm.utils import disp_len

from gluon_enhance.commands import printable
from gluon_enhance.commands.hints import EnhanceCommand
from gluon_enhance.commands.inputs import has_place_beside, is_raster
from gluon_enhance.commands.jobs import plan_jobs
from gluon_enhance.commands.messages import gdal_heard
from gluon_enhance.commands.options import (
    FilePath,
    Finite,
    cluster_option,
    engine_options,
    model_option,
    trust_option,
)
from gluon_enhance.commands.photo_options import photo_options, take_photo_options
from gluon_enhance.commands.pipeline import PhotoWork, run_all, run_on, software_of
from gluon_enhance.commands.pipes import Pipes
from gluon_enhance.commands.rasters import (
    RASTER_OPTIONS,
    RasterWork,
    of_part,
    raster_options,
    take_options,
)
from gluon_enhance.commands.reports import closing_line, left_out, unreadable
from gluon_enhance.inference.enhancer import DEFAULT_MODEL, RASTER_MODEL
from gluon_enhance.inference.kernel import load
from gluon_enhance.photos import usual_suffixes
from gluon_enhance.rasters.names import TIFF
from gluon_enhance.zoo import get_spec

logger = logging.getLogger(__name__)


@click.command(cls=EnhanceCommand)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@model_option(chosen=f"{DEFAULT_MODEL}; of rasters {RASTER_MODEL}")
@trust_option
@click.option(
    "-o",
    "--output",
    type=FilePath(),
    help="File for one input, else a folder; - is standard output. Default: beside each input.",
)
@click.option(
    "--suffix",
    help="Added to each file's name. Default: _x and the scale, _part of --window and --bounds.",
)
@click.option("--ext", metavar="EXT", help=f"{usual_suffixes()}. Default: as the input.")
@click.option(
    "--outscale",
    type=Finite(0, min_open=True),
    help="Resize the result to this multiple of the input (bicubic). Default: the model's scale; "
    "4 for -m bicubic. Rasters: only with -m bicubic, bilinear or nearest, in whole numbers.",
)
@click.option(
    "--match-colors",
    is_flag=True,
    help="Photos: give each channel of the result the histogram of the input's.",
)
@click.option("--recursive", is_flag=True, help="Enter the subfolders of folders.")
@click.option("--skip-existing", is_flag=True, help="Leave out inputs whose output exists.")
@click.option(
    "--strict",
    is_flag=True,
    help="Photos: refuse a JPEG that is cut short and a TIFF that lacks strips or tiles. Without "
    "it what is there comes out, with a warning; of a TIFF only if it is uncompressed, or "
    "compressed by deflate or PackBits, and lacks at most 1%.",
)
@click.option(
    "--no-record",
    is_flag=True,
    help="Photos: do not record model and version (EXIF's software, XMP's history).",
)
@photo_options
@raster_options
@engine_options
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON report of every file.")
def enhance(
    inputs,
    model,
    output,
    suffix,
    ext,
    outscale,
    match_colors,
    recursive,
    skip_existing,
    strict,
    no_record,
    cluster,
    as_json,
    **options,
):
    """Enhance photos and rasters: files, folders, quoted globs, - for standard input, URLs.

    Photos of 8 and 16 bits, gray or color, with or without alpha: what comes in (channels, depth,
    ICC profile, EXIF with its orientation applied, XMP, IPTC, comments) comes out; what the
    output's format has no place for is named in a warning. Rasters are of any size, dtype and
    number of bands, and keep their extent, metadata, nodata and masks. They become GeoTIFF.

    A raster is a TIFF file with what a photo cannot hold: a place on Earth, nodata, a mask, names,
    units or scales of bands, more than four bands, or another dtype than uint8, uint16 and float32.
    Any option whose help begins with "Rasters" has other TIFF files taken for rasters too. And a
    raster is all else that GDAL opens, if it is named itself and not found in a folder:
    VRT, JPEG 2000, IMG, NETCDF:FILE:VARIABLE, /vsizip/, s3:// and other URLs.

    MODEL may also be bicubic, bilinear or nearest: MATLAB's imresize. Results of earlier runs are
    no inputs. A bad file is reported and the others go on. Exit status: 0 all done, 1 some inputs
    failed, 2 wrong use or every input failed, 130 or 143 interrupted by Ctrl-C or SIGTERM.
    """
    rasters, photos = take_options(options, RASTER_OPTIONS), take_photo_options(options)
    pipes = Pipes(inputs, output)
    if pipes.to_stdout and as_json:
        raise click.UsageError("--json and the result both take standard output; give -o FILE")
    with pipes:
        options["scale"] = outscale  # of a kernel; nets have their own
        named = load(model, **options) if model else None
        outscale = outscale or (named or get_spec(DEFAULT_MODEL)).scale
        if suffix is None:  # a part is not to be taken for the whole's result
            suffix = f"_x{outscale:g}{'_part' * of_part(rasters)}"
        plan = plan_jobs(pipes.inputs, pipes.output, suffix, ext, recursive, outscale)
        if pipes.to_stdout and len(plan.jobs) != 1:
            raise click.UsageError("-o - takes one file; give -o FOLDER for several")
        if plan.left_out():
            click.echo(printable(f"left out: {plan.left_out()}"), err=True)
        as_raster = cache(partial(goes_as_raster, rasters, options["trust"]))

        def name_of(job):
            return model or default_model(as_raster(job))

        names = dict.fromkeys(map(name_of, plan.jobs)) or [model or DEFAULT_MODEL]
        enhancers = {name: named or load(name, **options) for name in names}
        shared = {
            "watched": _watched,
            "outscale": outscale,
            "match_colors": match_colors,
            "skip_existing": skip_existing,
            "photo_options": photos,
        }
        begun, reports = [], unreadable(plan)
        for report in reports:
            click.echo(printable(f"error: {report['error']}"), err=True)
        try:

            def make(job):
                used = enhancers[name_of(job)]
                software = None if no_record else software_of(used)
                photo_work = partial(PhotoWork, strict=strict, software=software)
                own = {**shared, "enhancer": None if cluster else used}  # workers have their own
                return work_on(as_raster(job), rasters, options["trust"], photo_work, own, job)

            works = _begin(plan.jobs, make, pipes, begun)
            with _shown(len(plan.jobs)) as show:
                if cluster:
                    works = list(works)
                    for name, one in enhancers.items():  # workers have one model
                        own = [work for work in works if name_of(work.job) == name]
                        _run_on_cluster(cluster, name, options, one, own, show)
                else:
                    for report in run_all(works):
                        show(report)
            if all(work.report["status"] == "done" for work in begun):
                pipes.deliver(plan.jobs[0].target)
        finally:  # an interrupted run, too, says what it has done
            reports += (work.report for work in begun)
            reports += (pipes.named(job.unfinished()) for job in plan.jobs[len(begun) :])
            if as_json:
                used, *others = (one.describe() for one in enhancers.values())
                report = {**used, "files": reports, "left_out": left_out(plan)}
                if others:
                    report["also_used"] = others
                click.echo(json.dumps(report, indent=1))
            if closing_line(reports, output):
                click.echo(printable(closing_line(reports, output)), err=True)
    failed = sum(report["status"] == "failed" for report in reports)
    sys.exit(0 if not failed else 2 if failed == len(reports) else 1)


def _begin(jobs, make, pipes, begun):
    """Yield the work on each job, and note it."""
    for work in map(make, jobs):
        if pipes.are_used:
            pipes.named(work.report)
        begun.append(work)
        yield work


def default_model(as_raster):
    """Return the default of rasters, or of photos."""
    return RASTER_MODEL if as_raster else DEFAULT_MODEL


def goes_as_raster(rasters, trust, job):
    """Tell whether a job's result is to be a raster.

    Parameters
    ----------
    rasters : dict
        Those of `raster_options` that were given; any has TIFF files taken for rasters.
    trust : bool
    job : Job
    """
    return is_raster(job.source, rasters, trust) or (
        job.target.suffix.lower() in TIFF and _has_place_beside(job, trust)
    )


def _has_place_beside(job, trust):
    return not isinstance(job.source, str) and has_place_beside(job.source, trust)


def work_on(as_raster, rasters, trust, photo_work, shared, job):
    """Return the work on a raster or a photo, and say what the photo will lose.

    Parameters
    ----------
    as_raster : bool
        As of `goes_as_raster`.
    rasters : dict
        Those of `raster_options` that were given.
    trust : bool
    photo_work : callable
        Makes a `PhotoWork` of the job and `shared`.
    shared : dict
        For `Work`.
    job : Job

    Returns
    -------
    Work
    """
    if as_raster:
        return RasterWork(job, {**rasters, "trust": trust}, **shared)
    if rasters and of_part(rasters):
        job = replace(job, problem="--window and --bounds are for rasters, and this is a photo")
    work = photo_work(job, **shared)
    if _has_place_beside(job, trust) and work.report["status"] == "unfinished":
        lost = "has a place on Earth, which a photo does not keep"
        logger.warning("%s %s; with --ext tif it becomes a GeoTIFF that does", job.source, lost)
    return work


def _run_on_cluster(address, model, options, enhancer, works, show):
    from gluon_enhance.cluster import ModelCluster

    used = enhancer.describe()  # workers of other processors must not choose otherwise
    options.update({key: used[key] for key in ("engine", "precision", "deep_precision")})
    with ModelCluster(address, model, options) as workers:
        for report in run_on(workers, works, enhancer):
            show(report)


@contextmanager
def _shown(count):
    """Show a bar of files, if there are several, and give what tells of each that is over."""
    with ExitStack() as stack:
        stack.enter_context(gdal_heard())
        bar = stack.enter_context(_bar(total=count, unit="file", hidden=count == 1))

        def show(report):
            if report["status"] == "failed":
                tqdm.write(printable(f"error: {report['error']}"), file=sys.stderr)
            bar.update()

        yield show


@contextmanager
def _watched(name, unit="tile"):
    """Show a bar, and give what moves it."""
    with _bar(unit=unit, desc=_shortened(printable(name)), leave=False) as bar:

        def progress(done, total):
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def _bar(hidden=False, **options):
    # None: only on a terminal.
    return tqdm(file=sys.stderr, disable=True if hidden else None, **options)


def _shortened(name):
    """Leave out the middle of a name that would leave the bar no room."""
    width = max(12, shutil.get_terminal_size().columns // 3)
    if disp_len(name) <= width:
        return name
    start, end = name[: width // 2], name[-(width // 2) :]
    while disp_len(start + end) >= width:  # some letters take two columns
        start, end = start[:-1], end[1:]
    return f"{start}…{end}"
