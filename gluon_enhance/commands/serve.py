"""``gluon-enhance serve``: a page on this machine."""

from __future__ import annotations

import re
from contextlib import closing

import click

from gluon_enhance.commands import Command, printable
from gluon_enhance.commands.options import FilePath, Finite, listening_options
from gluon_enhance.errors import EngineError
from gluon_enhance.weights import store

UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
HOUR = 3600


class Size(click.ParamType):
    """A number of bytes, such as 500MB or 4GB."""

    name = "SIZE"

    def convert(self, value, param, ctx):
        """Return the number, or fail as click does."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?b?)", value.strip(), re.IGNORECASE)
        unit = match and match[2].lower()
        if not match or (unit and not unit.endswith("b")):
            self.fail(f"{value!r} is no size such as 500MB or 4GB", param, ctx)
        size = int(float(match[1]) * UNITS["" if unit == "b" else unit])
        if size < 1:
            self.fail(f"{value!r} is no size such as 500MB or 4GB", param, ctx)
        return size


@click.command(cls=Command)
@listening_options(8000)
@click.option(
    "--folder",
    type=FilePath(),
    help="Where jobs and results are kept; default: the folder serving in the cache.",
)
@click.option(
    "--keep",
    type=Finite(0, min_open=True),
    default=24,
    show_default=True,
    help="Hours after which results are deleted.",
)
@click.option(
    "--memory",
    type=Size(),
    default="4GB",
    show_default=True,
    help="Pictures whose work would take more, by estimate, are refused.",
)
@click.option("--max-bytes", type=Size(), default="100MB", show_default=True, help="Of one upload.")
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=50_000_000,
    show_default=True,
    help="Of one picture.",
)
@click.option(
    "--max-jobs",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="That wait; one client may have half of them.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Threads that compute. Default: the physical cores.",
)
def serve(port, host, token, folder, keep, memory, max_bytes, max_pixels, max_jobs, threads):
    """Serve a page that enhances and compares pictures, and an API that does the same.

    Only this machine can reach it, unless --host and --token say otherwise. Pictures stay on the
    machine that serves, and the page asks no other host for anything. Jobs are worked through one
    by one, by turns of the clients, with one model in memory; jobs and results are still there
    after a restart. Ctrl-C ends it.
    """
    try:
        from gluon_enhance.serving.app import make_app
        from gluon_enhance.serving.jobs import Jobs
        from gluon_enhance.serving.limits import Limits
        from gluon_enhance.web.security import check_access
        from gluon_enhance.web.shell import address_of, listen
        from gluon_enhance.web.shell import serve as serve_until_stopped
    except ImportError as error:
        raise EngineError(
            f"{error.name} is not installed; pip install 'gluon-enhance[web]'"
        ) from error
    from gluon_enhance.commands.craft import CommandCraft

    check_access(host, token)
    limits = Limits(max_bytes, max_pixels, max_jobs, memory, keep * HOUR)
    folder = folder or store.cache_folder() / "serving"
    with listen(host, port) as taken, closing(Jobs(folder)) as jobs:
        craft = CommandCraft(folder, memory, threads=threads)
        app = make_app(jobs, craft, limits, host, token)
        click.echo(printable(f"{address_of(taken, token)} serves {folder}; Ctrl-C ends it"))
        serve_until_stopped(app, taken)
