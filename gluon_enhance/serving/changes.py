"""Streams of what changes in the jobs, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, Callable, Optional
from weakref import WeakSet

from gluon_enhance.serving.jobs import ENDED, Jobs

BREATH = 0.1
"""Seconds between two messages of a stream."""
SILENCE = 15
"""Seconds after which a stream says that it is still there."""


class Changes:
    """Carries the news of threads into an event loop.

    Parameters
    ----------
    jobs : Jobs
    """

    def __init__(self, jobs: Jobs):
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._expected: WeakSet[asyncio.Event] = WeakSet()
        self._is_over = False
        jobs.listen(self._tell)

    def begin(self) -> None:
        """Use the event loop that runs."""
        self._loop = asyncio.get_running_loop()

    def end(self) -> None:
        """End all streams; called in the event loop."""
        self._is_over = True
        self._wake()

    def expect(self) -> asyncio.Event:
        """Return what the next change sets; look after this, lest one be missed."""
        event = asyncio.Event()
        self._expected.add(event)
        return event

    async def stream(
        self, look: Callable[[], Iterable[dict[str, Any]]], until_ended: bool = False
    ) -> AsyncIterator[str]:
        """Yield an event ``job`` for each that is new or changed, and ``gone`` for one that is not.

        The first event is ``begin``: what was told before, by another stream, counts no more.

        Parameters
        ----------
        look : callable
            Gives the jobs as they are to be told.
        until_ended : bool
            Stop when none of them goes on.
        """
        told: dict[str, dict] = {}
        yield _event("begin", {})
        while True:
            change = self.expect()
            now = {job["id"]: job for job in look()}
            for job in now.values():
                if told.get(job["id"]) != job:
                    yield _event("job", job)
            for job_id in told.keys() - now.keys():
                yield _event("gone", {"id": job_id})
            told = now
            has_ended = until_ended and all(job["status"] in ENDED for job in now.values())
            if has_ended or self._is_over:
                return
            if await happened(change, SILENCE):
                await asyncio.sleep(BREATH)
            else:
                yield ": still here\n\n"

    def _tell(self):
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: the server ends
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self):
        for event in self._expected:
            event.set()


async def happened(change: asyncio.Event, seconds: float) -> bool:
    """Wait for a change; tell whether there was one within so many seconds."""
    try:
        await asyncio.wait_for(change.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True


def _event(kind, data):
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"
