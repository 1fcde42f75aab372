"""``gluon-enhance enhance``: files and folders."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import click
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from gluon_enhance.baseline import load
from gluon_enhance.cli import Command
from gluon_enhance.cli.batch import plan_jobs
from gluon_enhance.cli.kinds import TIFF, has_place_beside, is_raster
from gluon_enhance.cli.options import cluster_option, engine_options, model_option
from gluon_enhance.cli.pipeline import PhotoWork, run_all, run_on
from gluon_enhance.cli.rasters import (
    PART_OPTIONS,
    RASTER_OPTIONS,
    RasterWork,
    raster_options,
    take_options,
)
from gluon_enhance.inference import DEFAULT_MODEL

logger = logging.getLogger(__name__)


@click.command(cls=Command)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@model_option(default=DEFAULT_MODEL)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File for one input, else a folder. Default: beside each input.",
)
@click.option("--suffix", help="Added to each file's name. Default: _x and the scale.")
@click.option("--ext", metavar="EXT", help="png, jpg, tif or webp. Default: as the input.")
@click.option(
    "--outscale",
    type=click.FloatRange(0, min_open=True),
    help="Resize the result to this multiple of the input (bicubic). Default: the model's scale; "
    "4 for -m bicubic.",
)
@click.option(
    "--match-colors",
    is_flag=True,
    help="Give each channel of the result the histogram of the input's.",
)
@click.option("--recursive", is_flag=True, help="Enter the subfolders of folders.")
@click.option("--skip-existing", is_flag=True, help="Leave out inputs whose output exists.")
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
    cluster,
    as_json,
    **options,
):
    """Enhance photos and rasters: files, folders, quoted globs, or what else GDAL opens.

    8- and 16-bit, gray or color, with or without alpha; what comes in (channels, depth, ICC
    profile, EXIF with its orientation applied) comes out. Rasters are of any size, dtype and number
    of bands, and keep their extent, metadata, nodata and masks: TIFF files with a georeference,
    nodata, a mask or names of bands, or with an option of rasters; and of what is named itself
    (not found in a folder) all that GDAL opens: VRT, JPEG 2000, IMG, NETCDF:FILE:VARIABLE,
    /vsizip/, s3:// and other URLs. They become GeoTIFF. MODEL may also be bicubic, bilinear or
    nearest: MATLAB's imresize. A bad file is reported and the others go on. Exit status: 0 all
    done, 1 some inputs failed, 2 wrong use or nothing could be done.
    """
    rasters = take_options(options, RASTER_OPTIONS)
    options["scale"] = outscale  # of a kernel; nets have their own
    enhancer = load(model, **options)
    outscale = outscale or enhancer.scale
    suffix = f"_x{outscale:g}" if suffix is None else suffix
    jobs = plan_jobs(inputs, output, suffix, ext, recursive)
    shared = {
        "enhancer": None if cluster else enhancer,  # workers have their own
        "watched": _watched,
        "outscale": outscale,
        "match_colors": match_colors,
        "skip_existing": skip_existing,
    }
    works = (_work(job, rasters, shared) for job in jobs)
    reports = []
    with ExitStack() as stack:
        stack.enter_context(logging_redirect_tqdm([logging.getLogger("gluon_enhance")]))
        files = stack.enter_context(_bar(total=len(jobs), unit="file", disable=len(jobs) == 1))
        if cluster:
            from gluon_enhance.cluster import ModelCluster

            used = enhancer.describe()  # workers of other processors must not choose otherwise
            options.update(engine=used["engine"], precision=used["precision"])
            workers = stack.enter_context(ModelCluster(cluster, model, options))
            done = run_on(workers, works, enhancer)
        else:
            done = run_all(works)
        for report in done:
            if report["status"] == "failed":
                tqdm.write(f"error: {report['error']}", file=sys.stderr)
            reports.append(report)
            files.update()
    if as_json:
        click.echo(json.dumps({**enhancer.describe(), "files": reports}, indent=1))
    failed = sum(report["status"] == "failed" for report in reports)
    sys.exit(0 if not failed else 2 if failed == len(reports) else 1)


def _work(job, rasters, shared):
    """Return the work on a raster or a photo, and say what the photo will lose."""
    has_place = not isinstance(job.source, str) and has_place_beside(job.source)
    if is_raster(job.source, rasters) or (has_place and job.target.suffix.lower() in TIFF):
        return RasterWork(job, rasters, **shared)
    if any(name in rasters for name in PART_OPTIONS):
        job = replace(job, problem="--window and --bounds are for rasters, and this is a photo")
    work = PhotoWork(job, **shared)
    if has_place and work.report["status"] == "done":
        lost = "has a place on Earth, which a photo does not keep"
        logger.warning("%s %s; with --ext tif it becomes a GeoTIFF that does", job.source, lost)
    return work


@contextmanager
def _watched(name, unit="tile"):
    """Show a bar, and give what moves it."""
    with _bar(unit=unit, desc=name, leave=False) as bar:

        def progress(done, total):
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def _bar(**options):
    return tqdm(file=sys.stderr, **options)
