"""The work on a batch: while one is enhanced, the next is read and the last is written.

At most two inputs and two outputs are in memory.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Callable, NamedTuple, Optional, TypeVar

import numpy as np

from gluon_enhance import __version__
from gluon_enhance.commands import one_line
from gluon_enhance.commands.jobs import Job
from gluon_enhance.errors import GluonEnhanceError, ImageError
from gluon_enhance.imaging.histogram import match_histograms
from gluon_enhance.imaging.resize import resize_rounding_once
from gluon_enhance.photos import Photo, check_writable, read_image, write_image
from gluon_enhance.photos.colors import flattened
from gluon_enhance.photos.sixteen_bits import with_depth

Item = TypeVar("Item")
Result = TypeVar("Result")


STAGES = ("read", "compute", "write")
MENDABLE = (GluonEnhanceError, ValueError, OSError, MemoryError)
"""Errors whose messages say by themselves what is wrong."""


class PhotoOptions(NamedTuple):
    """What is asked of the files of photos; see `gluon_enhance.photos`.

    Attributes
    ----------
    flatten : tuple of int, optional
        RGB color to put alpha on.
    depth : {8, 16}, optional
        Bits of the result.
    quality : int, optional
        Of lossy formats.
    lossless : bool
    """

    flatten: Optional[tuple[int, int, int]] = None
    depth: Optional[int] = None
    quality: Optional[int] = None
    lossless: bool = False


class Work:
    """One job in three stages, and what to say of it.

    Parameters
    ----------
    job : Job
    enhancer : Enhancer
    watched : callable
        Takes a name, and the unit of what is counted, and gives a context manager of a `progress`
        for the enhancer.
    outscale : float
        Ratio of the output's size to the input's.
    match_colors : bool
        Give the result its input's histograms.
    skip_existing : bool
    photo_options : PhotoOptions, optional

    Attributes
    ----------
    report : dict
        ``input``, ``output`` and ``status``: 'unfinished' until it is 'done', 'skipped' or
        'failed', with its ``error``.
    photo : Photo, optional
        What a stage leaves to the next.
    """

    photo: Optional[Photo] = None

    def __init__(
        self,
        job: Job,
        enhancer,
        watched,
        outscale,
        match_colors,
        skip_existing,
        photo_options=None,
    ):
        self.job, self.enhancer, self.watched = job, enhancer, watched
        self.outscale, self.match_colors = outscale, match_colors
        self.photo_options = photo_options or PhotoOptions()
        self.report = job.unfinished()
        if job.is_done or (skip_existing and job.target.exists() and not job.problem):
            self.report["status"] = "skipped"

    def goes_whole(self, count: int) -> bool:
        """Tell whether it is one worker's on a cluster, where `count` rasters are to be done."""
        return True

    def read(self):
        """Before the computing: in a thread of its own."""

    def compute(self):
        """The computing."""

    def write(self):
        """After it: in a thread of its own."""

    def attempt(self, stage: str) -> Work:
        """Run a stage, unless the job is over; what users can mend becomes its error."""
        if self.report["status"] != "unfinished":
            return self
        began = time.perf_counter()
        try:
            if self.job.problem:
                raise ImageError(self.job.problem)
            getattr(self, stage)()
            if stage == STAGES[-1]:
                self.report["status"] = "done"
        except Exception as error:  # whatever a file holds, the others go on
            message = one_line(error)
            if not isinstance(error, MENDABLE):
                message = f"{type(error).__name__}: {message}"
            for name, path in (("input", self.job.source), ("output", self.job.target)):
                message = message.replace(str(path), self.report[name])  # on a cluster they differ
            if self.report["input"] not in message:
                message = f"{self.report['input']}: {message}"
            self.report.update(status="failed", error=message)
            self.photo = None
        seconds = self.report.get("seconds", 0) + time.perf_counter() - began
        self.report["seconds"] = round(seconds, 3)
        return self


class PhotoWork(Work):
    """A photo, enhanced as a whole.

    Parameters
    ----------
    job : Job
    strict : bool
        Refuse what is cut short.
    software : str, optional
        Recorded in the result as what made it.
    **shared
        As of `Work`.
    """

    def __init__(self, job: Job, strict=False, software: Optional[str] = None, **shared):
        super().__init__(job, **shared)
        self.strict, self.software = strict, software

    def read(self):
        """Read it, and check that its result can be written."""
        photo, options = read_image(self.job.source, strict=self.strict), self.photo_options
        if options.flatten:
            photo = flattened(photo, options.flatten)
        dtype = f"uint{options.depth}" if options.depth else photo.pixels.dtype
        if np.dtype(dtype).itemsize > photo.pixels.itemsize:
            photo = photo.with_pixels(with_depth(photo.pixels, options.depth))
        self.photo, shape = photo, photo.pixels.shape
        height, width = (max(1, round(n * self.outscale)) for n in shape[:2])
        target = self.job.target
        check_writable(target, (height, width, *shape[2:]), dtype, options.lossless)
        self.report.update(width=width, height=height)

    def compute(self):
        """Put the enhanced pixels in place of the photo's."""
        pixels = self.photo.pixels
        size = [self.report["height"], self.report["width"]]
        with self.watched(self.job.source.name) as progress:
            result = self.enhancer(pixels, progress)
        if list(result.shape[:2]) != size:
            result = resize_rounding_once(result, size)
        if self.match_colors:
            result = with_colors_of(pixels, result)
        if self.photo_options.depth:
            result = with_depth(result, self.photo_options.depth)
        self.photo = self.photo.with_pixels(result)

    def write(self):
        """Write the result, whole or not at all."""
        self.job.target.parent.mkdir(parents=True, exist_ok=True)
        options = self.photo_options
        write_image(
            self.job.target,
            self.photo,
            quality=options.quality,
            lossless=options.lossless,
            software=self.software,
        )
        self.photo = None  # the report lives on


def software_of(enhancer) -> str:
    """Name what makes a result, as it is recorded in it."""
    return f"gluon-enhance {__version__} ({enhancer.spec.name})"


def run_all(works: Iterable[Work]) -> Iterator[dict]:
    """Do the work and yield the reports, in order."""
    read = overlapped(lambda work: work.attempt("read"), works)
    computed = (work.attempt("compute") for work in read)
    for work in overlapped(lambda work: work.attempt("write"), computed):
        yield work.report


def run_on(cluster, works: Iterable[Work], enhancer) -> Iterator[dict]:
    """Do the work on a cluster and yield the reports as they come.

    A photo is one worker's, and so is a raster where there are many small ones; others are divided
    among all.
    """
    works = list(works)
    rasters = sum(
        not isinstance(work, PhotoWork) and work.report["status"] == "unfinished" for work in works
    )
    whole: list = []
    divided: list = []
    for work in works:
        (whole if work.goes_whole(rasters) else divided).append(work)
    for work in whole:
        work.job = work.job.absolute()
    for index, report in cluster.run(_do_on_worker, whole):
        whole[index].report = report
        yield report
    for work in divided:
        work.enhancer, work.run = enhancer, cluster.run
        yield attempt_all(work)


def _do_on_worker(work, enhancer):
    work.enhancer, work.watched = enhancer, lambda *_, **__: nullcontext()
    return attempt_all(work)


def attempt_all(work: Work) -> dict:
    """Do all of a work, and return its report."""
    for stage in STAGES:
        work.attempt(stage)
    return work.report


def overlapped(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``function(item)`` of each, in order; a thread of its own is one item ahead."""
    thread = ThreadPoolExecutor(1)
    ahead: deque = deque()
    try:
        for item in items:
            ahead.append(thread.submit(function, item))
            if len(ahead) == 2:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)


def with_colors_of(pixels: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Match a result's histograms to its input's: of all channels but alpha, over what is seen."""
    if pixels.shape[2:] not in ((2,), (4,)):
        return match_histograms(result, pixels)
    seen = [image[..., -1] > 0 for image in (result, pixels)]
    if not all(mask.any() for mask in seen):
        return result
    matched = match_histograms(
        result[..., :-1], pixels[..., :-1], source_mask=seen[0], reference_mask=seen[1]
    )
    return np.concatenate([matched, result[..., -1:]], axis=2)
