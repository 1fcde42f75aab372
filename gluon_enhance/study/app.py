"""The pages by which people rate, and what they ask the server for.

A browser learns of each picture only that it is picture 0 or 1 of the person's item so and so.
Names of methods come when the person has rated all.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional

from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gluon_enhance.study.database import Database
from gluon_enhance.study.design import Item, Study, StudyError, picture_file
from gluon_enhance.web.security import cookie_of
from gluon_enhance.web.shell import shell

logger = logging.getLogger(__name__)
PAGES = Path(__file__).parent / "pages"
MEMORY = 365 * 24 * 3600
"""Seconds that a browser keeps its person's number."""
LARGEST = 1000
"""Bytes of a request."""


class _Count(IntegerConvertor):
    """A number in an address, without the thousands of digits that `int` refuses."""

    regex = "[0-9]{1,9}"


register_url_convertor("count", _Count())


def study_app(
    folder: Path, study: Study, database: Database, host: str, token: Optional[str] = None
) -> Starlette:
    """Make the application that asks people.

    Parameters
    ----------
    folder : Path
        Of the study.
    study : Study
    database : Database
    host, token
        As of `gluon_enhance.web.security.Guard`.
    """
    person = _Person(folder, study, database)
    routes = [
        Route("/api/study", person.study, methods=["GET"]),
        Route("/api/join", person.join, methods=["POST"]),
        Route("/api/leave", person.leave, methods=["POST"]),
        Route("/api/items/{index:count}", person.item, methods=["GET"]),
        Route("/api/items/{index:count}/rating", person.rate, methods=["POST"]),
        Route("/api/items/{index:count}/pictures/{side:count}", person.picture, methods=["GET"]),
    ]
    faults = {DBAPIError: _failed, StudyError: _failed, OSError: _failed}
    return shell(routes, PAGES, host, token, faults=faults)


class _Person:
    """Answers to a person, whom a cookie with their random number tells."""

    def __init__(self, folder: Path, study: Study, database: Database):
        self._folder, self._study, self._database = folder, study, database
        self._sequence = lru_cache(maxsize=1000)(study.sequence)
        # Studies at other ports of the machine share their cookies, be they of one design.
        self._cookie = f"gluon_enhance_study_{database.name}"

    def study(self, request: Request) -> Response:
        """Tell what the study is, and how far the person has come."""
        shown = self._study
        answer = {
            "title": shown.title,
            "question": shown.question,
            "consent": shown.consent,
            "kind": shown.kind,
            "scale": shown.scale,
        }
        place = self._place(request)
        if place is None:
            return JSONResponse({**answer, "person": None, "total": len(self._sequence(0))})
        return JSONResponse({**answer, **self._progress(place)})

    def join(self, request: Request) -> Response:
        """Give a person who has agreed a number; who has one keeps it."""
        place = self._place(request)
        if place is not None:
            return JSONResponse(self._progress(place))
        number = self._database.join()
        answer = JSONResponse(self._progress(self._database.place(number)))
        answer.set_cookie(
            self._cookie,
            number,
            max_age=MEMORY,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    def leave(self, request: Request) -> Response:
        """Forget the person in this browser, for another to begin; their ratings stay."""
        answer = JSONResponse({})
        answer.delete_cookie(self._cookie)
        return answer

    def item(self, request: Request) -> Response:
        """Tell what is asked: how many pictures there are, but not which."""
        place, index, item = self._item(request)
        return JSONResponse(
            {
                "index": index,
                "stage": "training" if item.stage == "training" else "test",
                "pictures": len(item.shown),
                "suggested": item.suggested,
                "rating": self._database.rated(place).get(index),
            }
        )

    async def rate(self, request: Request) -> Response:
        """Store a rating, and tell how far the person has come."""
        value, person = await _rating_in(request)
        return await run_in_threadpool(self._rate, request, value, person)

    def _rate(self, request, value, person):
        place, index, item = self._item(request)
        if person != place:  # who saw other pictures, in a tab that was left open
            raise HTTPException(409, "another person has begun in this browser")
        coming, total = self._next(place), len(self._sequence(place))
        if coming == total:
            raise HTTPException(409, "all is rated, and the names were told; ratings stay now")
        if index > coming:
            raise HTTPException(409, f"item {coming} comes first")
        highest = len(self._study.scale)
        if type(value) is not int or not 1 <= value <= highest:
            raise HTTPException(422, f"rating is {value!r}; give a whole number, 1 to {highest}")
        self._database.rate(place, index, item, value)
        return JSONResponse(self._progress(place))

    def picture(self, request: Request) -> Response:
        """Send a picture of an item."""
        _, _, item = self._item(request)
        side = request.path_params["side"]
        if side >= len(item.shown):
            raise HTTPException(404, "there is no such picture")
        path = picture_file(self._folder, item.shown[side], item.picture)
        # Without the file's name and date, which would tell methods apart; and not to be kept: the
        # address is the same for the next person at the browser, and the picture is not.
        kept = {"Cache-Control": "no-store"}
        return Response(path.read_bytes(), media_type="image/png", headers=kept)

    def _place(self, request: Request) -> Optional[int]:
        number = cookie_of(request, self._cookie)
        return None if number is None else self._database.place(number)

    def _item(self, request: Request) -> tuple[int, int, Item]:
        """Return the person's place, the item that is asked for and its index.

        They can look at items that they have rated, at the next one, and at the one after that,
        whose pictures browsers load early.
        """
        place = self._place(request)
        if place is None:
            raise HTTPException(401, "this browser is not known; it must keep the study's cookie")
        index, items = request.path_params["index"], self._sequence(place)
        if index >= min(len(items), self._next(place) + 2):
            raise HTTPException(404, "there is no such item, or it does not come yet")
        return place, index, items[index]

    def _next(self, place):
        """Return the index of the first item without a rating; they come one after the other."""
        return len(self._database.rated(place))

    def _progress(self, place) -> dict[str, Any]:
        coming, total = self._next(place), len(self._sequence(place))
        names = self._study.methods if coming == total else None
        return {"person": place, "next": coming, "total": total, "methods": names}


async def _failed(request: Request, error: Exception) -> Response:
    """Say that the study's files cannot be used; only the log says more, as it may name methods."""
    logger.error("%s failed: %s", request.url.path, getattr(error, "orig", error))
    return JSONResponse(
        {"error": "the server cannot store or read the study's files; tell who runs the study"}, 507
    )


async def _rating_in(request: Request) -> tuple[Any, Any]:
    """Return what a request says, ``{"rating": N, "person": N}``."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise HTTPException(413, f"a rating has no more than {LARGEST} bytes")
    try:
        said = json.loads(body)
        return said["rating"], said["person"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HTTPException(422, 'send {"rating": N, "person": N}') from error
