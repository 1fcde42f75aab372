"""How much a server takes from its clients."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request

from gluon_enhance.errors import GluonEnhanceError, ImageError, plural
from gluon_enhance.photos.formats import names
from gluon_enhance.photos.photo import Format
from gluon_enhance.photos.read import HEAD_BYTES, format_of, read_size
from gluon_enhance.serving.jobs import Jobs

OTHER_CHARSET = re.compile(r"charset(?!=\"?utf-8\"?\s*(?:;|$))", re.I)
"""In the Content-Type of a form: it could name any of Python's codecs, of which some are slow."""
LONGEST_WAIT = 600
"""Seconds that a client is told to wait at most before it asks again."""


class TooMuchError(GluonEnhanceError):
    """More than a server takes."""


@dataclass(frozen=True)
class Limits:
    """What a server takes at most.

    Attributes
    ----------
    bytes : int
        Of the files of one job together.
    pixels : int
        Of a picture.
    waiting : int
        Jobs in the queue; one client may have half of it.
    memory : int
        Bytes that the work on a picture may take, by estimate.
    keep : float
        Seconds for which a job that has ended is kept.
    """

    bytes: int = 100_000_000
    pixels: int = 50_000_000
    waiting: int = 200
    memory: int = 4_000_000_000
    keep: float = 86_400

    def bounded(self, request: Request) -> Request:
        """Return a request of which no more is read than a server takes.

        Raises
        ------
        HTTPException
            413, here if the request says how long it is, else while it is read; 415 if its text is
            not in UTF-8.
        """
        if OTHER_CHARSET.search(request.headers.get("content-type", "")):
            raise HTTPException(415, "forms are taken in UTF-8 only; leave the charset out")
        said = request.headers.get("content-length", "")
        if said.isdecimal() and int(said) > self.bytes:
            raise self._too_long()
        read = 0

        async def receive():
            nonlocal read
            message = await request.receive()
            read += len(message.get("body", b""))
            if read > self.bytes:
                raise self._too_long()
            return message

        return Request(request.scope, receive)

    def _too_long(self):
        return HTTPException(413, f"more than {self.bytes:,} bytes are not taken; send less")

    def check_queue(self, jobs: Jobs, client: str) -> None:
        """Refuse a job if too many wait.

        Raises
        ------
        HTTPException
            429, which says when to try again.
        """
        own, share = jobs.count_waiting(client), max(1, self.waiting // 2)
        if own < share and jobs.count_waiting() < self.waiting:
            return
        whose = f"of yours ({share} may)" if own >= share else f"({self.waiting} may)"
        seconds = ceil(min(LONGEST_WAIT, max(1, jobs.seconds_per_job())))
        raise HTTPException(
            429,
            f"too many jobs {whose} wait; try again in {plural(seconds, 'second')}",
            {"Retry-After": str(seconds)},
        )

    def check_picture(self, path: Path, name: str) -> Format:
        """Tell a picture's format from its first bytes.

        Raises
        ------
        HTTPException
            415 if it is no picture that is read, 413 if it has more pixels than are taken.
        """
        with path.open("rb") as file:
            form = format_of(file.read(HEAD_BYTES))
        if form is None:
            raise HTTPException(415, f"{name} is no {names()} file; convert it to one")
        if form.missing_package():
            needs = form.missing_package()
            raise HTTPException(415, f"{name} is {form.name}, for which the server lacks {needs}")
        size = read_size(path)
        if size is None or min(size) < 1:
            raise HTTPException(415, f"{name} has a damaged header; get the file again")
        try:
            form.check_claim(*size, path.stat().st_size)
        except ImageError as error:
            raise HTTPException(413, f"{name} {error}") from error
        if size[0] * size[1] > self.pixels:
            raise HTTPException(
                413,
                f"{name} is {size[0]}x{size[1]}: more than {self.pixels:,} pixels are not taken",
            )
        return form
