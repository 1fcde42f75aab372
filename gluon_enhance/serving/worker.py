"""The one thread that works through the jobs."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Callable, Protocol

from gluon_enhance.errors import GluonEnhanceError
from gluon_enhance.serving.jobs import Job, Jobs, Stopped

logger = logging.getLogger(__name__)

MENDABLE = (GluonEnhanceError, ValueError, OSError, MemoryError)
"""Errors whose messages say by themselves what is wrong."""
PAUSE = 60
"""Seconds between two looks for what is to be removed."""


class Craft(Protocol):
    """What a server can do; `gluon_enhance.commands.serving` has the one that there is."""

    def models(self) -> list[dict[str, Any]]:
        """List the models that clients may name, each with what its card says."""

    def picture_of(self, model: str, name: str) -> Path | None:
        """Return a picture of a model's card, ``sample`` or ``curves``; None if there is none."""

    def fields(self, kind: str) -> dict[str, dict]:
        """Map the options of a kind of job to their JSON schemas."""

    def check(self, kind: str, options: Mapping[str, str], files: list[Path]) -> None:
        """Raise a `ValueError` that says what is wrong with options, or ends with too much.

        Raises
        ------
        ValueError
            If an option is wrong.
        TooMuchError
            If the work would take more memory than there may be.
        """

    def do(self, job: Job, folder: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Do a job, and return its result: ``file``, ``name`` and what else there is to say."""

    def preview(self, path: Path, target: Path) -> None:
        """Write what a picture looks like as a PNG file, for browsers that cannot read it."""


class Worker(threading.Thread):
    """Works through jobs, one at a time.

    Parameters
    ----------
    jobs : Jobs
    craft : Craft
    keep : float
        Seconds after which jobs that have ended are removed.
    """

    def __init__(self, jobs: Jobs, craft: Craft, keep: float):
        super().__init__(name="worker", daemon=True)
        self.jobs, self.craft, self.keep = jobs, craft, keep
        self._news, self._is_closing, self._next_sweep = threading.Event(), False, 0.0
        jobs.listen(self._news.set)

    def run(self) -> None:
        """Work until `close`."""
        job = None
        while not self._is_closing:
            self._news.clear()
            try:
                if job is not None:
                    self.jobs.put_back(job.id)  # what came of it could not be written
                self._sweep()
                job = self.jobs.take()
                if job is None:
                    self._news.wait(PAUSE)
                else:
                    self._attempt(job)
                    job = None
            except sqlite3.Error as error:  # the disk may be full for a while
                logger.error("the table of jobs cannot be written (%s)", error)
                self._news.wait(PAUSE)

    def close(self) -> None:
        """End after the tile that is under way; its job waits for the next start."""
        self._is_closing = True
        self._news.set()
        self.join()

    def _sweep(self):
        """Remove old results now and then, also while the queue is never empty."""
        if time.monotonic() >= self._next_sweep:
            self.jobs.sweep(self.keep)
            self._next_sweep = time.monotonic() + PAUSE

    def _attempt(self, job):
        folder = self.jobs.folder_of(job.id)
        try:
            result = self.craft.do(job, folder, partial(self._note, job))
        except Stopped:
            self.jobs.put_back(job.id)  # unless it was canceled
        except MENDABLE as error:
            text = " ".join(job.told(str(error), folder).split())
            self.jobs.finish(job.id, error=text or type(error).__name__)
        except Exception as error:  # the others go on
            logger.exception("job %s failed", job.id)
            text = job.told(str(error), folder)
            self.jobs.finish(job.id, error=f"{type(error).__name__}: {text:.500}")
        else:
            self.jobs.finish(job.id, result)
        if self.jobs.get(job.id) is None:  # it was removed meanwhile
            self.jobs.clear(job.id)

    def _note(self, job, done, total):
        if self._is_closing:
            raise Stopped
        self.jobs.note(job.id, done, total)
