"""The application: what is asked for becomes jobs, and what came of them goes back."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Callable, Optional

from python_multipart.exceptions import FormParserError
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gluon_enhance.errors import STEERING, GluonEnhanceError
from gluon_enhance.photos import IMAGE_SUFFIXES
from gluon_enhance.serving.changes import Changes, happened
from gluon_enhance.serving.jobs import ENDED, Job, Jobs, StoredFile
from gluon_enhance.serving.limits import Limits, TooMuchError
from gluon_enhance.serving.openapi import description
from gluon_enhance.serving.worker import Craft, Worker
from gluon_enhance.serving.zipped import zipped
from gluon_enhance.web.security import cookie_of
from gluon_enhance.web.shell import shell

logger = logging.getLogger(__name__)

PAGES = Path(__file__).parent / "pages"
COOKIE = "gluon_enhance_client"
COOKIE_VALUE = re.compile("[0-9a-f]{32}")
"""What `begin_session` gives out. Anything else could be the name of a client without a cookie."""
ROLES = {"enhance": ("file",), "compare": ("file", "reference")}
"""Fields of files that a kind of job takes."""
MOST_FILES = 7
LONGEST_NAME = 120
SHOWN = ("PNG", "JPEG", "WebP", "AVIF", "GIF", "BMP")
"""Formats that browsers show by themselves; of others there is a preview."""
GONE = 499
"""A status for nobody to read."""
GLANCE = 1
"""Seconds between two looks whether a client is still there."""
OF_COMPARISON = {
    # The page has all in itself; it cannot reach the server, whatever is in it.
    "Content-Security-Policy": (
        "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; frame-ancestors 'self'"
    )
}


def make_app(
    jobs: Jobs,
    craft: Craft,
    limits: Limits,
    host: str = "127.0.0.1",
    token: Optional[str] = None,
) -> Starlette:
    """Make the application; its worker runs while it does.

    Parameters
    ----------
    jobs : Jobs
    craft : Craft
    limits : Limits
    host, token
        As of `gluon_enhance.web.security.Guard`.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        server.begin()
        worker = Worker(jobs, craft, limits.keep)
        worker.start()
        yield
        await run_in_threadpool(worker.close)

    server = _Server(jobs, craft, limits)
    faults = {OSError: _failed, sqlite3.Error: _failed}
    app = shell(server.routes(), PAGES, host, token, lifespan, faults)
    app.state.endings.append(server.changes.end)
    return app


class _Server:
    def __init__(self, jobs, craft, limits):
        self.jobs, self.craft, self.limits = jobs, craft, limits
        self.changes = Changes(jobs)

    def begin(self):
        """Use the event loop that runs."""
        self.changes.begin()
        self.one_preview = asyncio.Lock()  # more at once would take more memory

    def routes(self):
        def route(method: str, path: str, endpoint: Callable) -> Route:
            return Route(f"/api/{path}", endpoint, methods=[method])

        return [
            route("GET", "openapi.json", self.describe),
            route("GET", "models", self.list_models),
            route("GET", "models/{name}/{picture}.png", self.picture_of_model),
            route("POST", "session", self.begin_session),
            route("POST", "enhance", self.enhance),
            route("POST", "jobs", partial(self.add_job, "enhance")),
            route("POST", "comparisons", partial(self.add_job, "compare")),
            route("GET", "jobs", self.list_jobs),
            route("GET", "events", self.all_events),
            route("GET", "results.zip", self.zip_results),
            route("GET", "jobs/{id}", self.show_job),
            route("DELETE", "jobs/{id}", self.remove_job),
            route("POST", "jobs/{id}/cancel", self.cancel_job),
            route("POST", "jobs/{id}/retry", self.retry_job),
            route("GET", "jobs/{id}/events", self.events_of_job),
            route("GET", "jobs/{id}/result", self.result),
            route("GET", "jobs/{id}/preview/{which}", self.preview),
        ]

    async def describe(self, request: Request) -> Response:
        return JSONResponse(description(self.craft, self.limits))

    async def list_models(self, request: Request) -> Response:
        return JSONResponse(self.craft.models())

    async def picture_of_model(self, request: Request) -> Response:
        path = self.craft.picture_of(request.path_params["name"], request.path_params["picture"])
        if path is None:
            raise HTTPException(404, "there is no such picture")
        return FileResponse(path)

    async def begin_session(self, request: Request) -> Response:
        """Give a browser a name of its own, which its jobs bear."""
        answer = Response(status_code=204)
        if not COOKIE_VALUE.fullmatch(cookie_of(request, COOKIE) or ""):
            answer.set_cookie(COOKIE, secrets.token_hex(16), httponly=True, samesite="strict")
        return answer

    async def add_job(self, kind: str, request: Request) -> Response:
        job = await self._received(kind, request)
        return JSONResponse(self._told(job), 202, {"Location": f"/api/jobs/{job.id}"})

    async def enhance(self, request: Request) -> Response:
        """Enhance a picture while the client waits; if it does not, neither does the job."""
        job = await self._received("enhance", request)
        try:
            while job.status not in ENDED:
                change = self.changes.expect()
                job = self._job(job.id)
                if await request.is_disconnected():
                    raise HTTPException(GONE, "the client is gone")
                await happened(change, 0 if job.status in ENDED else GLANCE)
            if job.status != "done":
                raise HTTPException(422, job.error or "the job was canceled")
        except BaseException:
            self.jobs.remove(job.id)
            raise
        return self._sent(job, BackgroundTask(self.jobs.remove, job.id))

    async def list_jobs(self, request: Request) -> Response:
        return JSONResponse([self._told(job) for job in self.jobs.of_client(_client(request))])

    async def show_job(self, request: Request) -> Response:
        return JSONResponse(self._told(self._asked(request)))

    async def cancel_job(self, request: Request) -> Response:
        self.jobs.cancel(self._asked(request).id)
        return await self.show_job(request)

    async def retry_job(self, request: Request) -> Response:
        job = self._asked(request)
        if job.status in ("failed", "canceled"):
            self.limits.check_queue(self.jobs, job.client)
            self.jobs.retry(job.id)
        return await self.show_job(request)

    async def remove_job(self, request: Request) -> Response:
        await run_in_threadpool(self.jobs.remove, self._asked(request).id)
        return Response(status_code=204)

    async def all_events(self, request: Request) -> Response:
        client = _client(request)
        return _stream(self.changes.stream(lambda: map(self._told, self.jobs.of_client(client))))

    async def events_of_job(self, request: Request) -> Response:
        job_id = self._asked(request).id

        def found():
            job = self.jobs.get(job_id)
            return [self._told(job)] if job else []

        return _stream(self.changes.stream(found, until_ended=True))

    async def result(self, request: Request) -> Response:
        return self._sent(self._done(request))

    async def preview(self, request: Request) -> Response:
        """Show the file of a job, or its result, in a form that browsers know."""
        which, job = request.path_params["which"], self._asked(request)
        names = {"original": job.files[0].stored, "result": job.result.get("file")}
        if not names.get(which) or (which == "result" and job.kind == "compare"):
            raise HTTPException(404, "there is no such picture of this job")
        folder = self.jobs.folder_of(job.id)
        path = folder / names[which]
        form = IMAGE_SUFFIXES[path.suffix.lower()]
        if form.name not in SHOWN:
            path = folder / f"preview_{which}.png"
            async with self.one_preview:
                if not path.exists():
                    await _tried(self._preview, job, folder / names[which], path)
        return _picture(path)

    async def zip_results(self, request: Request) -> Response:
        files = [
            (job.result["name"], self.jobs.folder_of(job.id) / job.result["file"])
            for job in self.jobs.of_client(_client(request))
            if job.status == "done" and job.kind == "enhance"
        ]
        if not files:
            raise HTTPException(404, "no job of yours is done yet")
        name = {"Content-Disposition": 'attachment; filename="enhanced.zip"'}
        return StreamingResponse(zipped(files), 200, name, "application/zip")

    async def _received(self, kind, request) -> Job:
        """Take a form with its files, and make a job of it."""
        client = _client(request)
        self.limits.check_queue(self.jobs, client)
        try:
            form = await self.limits.bounded(request).form(max_files=MOST_FILES, max_fields=50)
        except FormParserError as error:
            raise HTTPException(400, f"the form is damaged: {error}") from error
        except ClientDisconnect as error:
            raise HTTPException(GONE, "the client is gone") from error
        folder = self.jobs.new_folder()
        try:
            uploads = [(role, one) for role, one in form.multi_items() if _is_file(one)]
            texts = [(name, one) for name, one in form.multi_items() if not _is_file(one)]
            options = _options(texts)
            files = [
                await run_in_threadpool(self._stored, folder, number, role, upload, kind)
                for number, (role, upload) in enumerate(uploads)
            ]
            files.sort(key=lambda file: file.role != "file")  # references come last
            if not files or files[0].role != "file":
                raise HTTPException(422, "there is no file; send one as the field 'file'")
            paths = [folder / file.stored for file in files]
            await _tried(self.craft.check, kind, options, paths)
            self.limits.check_queue(self.jobs, client)  # others came while this was read
            return self.jobs.add(folder, client, kind, options, files)
        except BaseException:
            self.jobs.clear(folder.name)
            raise
        finally:
            await form.close()

    def _stored(self, folder, number, role, upload, kind) -> StoredFile:
        if role not in ROLES[kind]:
            fields = " or ".join(map(repr, ROLES[kind]))
            raise HTTPException(422, f"{role[:50]!r} is no file of {kind}; send {fields}")
        name = _plain(upload.filename or "")
        draft = folder / f"upload_{number}"
        with draft.open("wb") as out:
            shutil.copyfileobj(upload.file, out, 1 << 20)
        suffixes = self.limits.check_picture(draft, name).suffixes
        own = PurePath(name).suffix
        stored = f"{role}_{number}{own if own.lower() in suffixes else suffixes[0]}"
        draft.rename(folder / stored)
        return StoredFile(role, name, stored)

    def _preview(self, job, path, target):
        try:
            self.craft.preview(path, target)
        except GluonEnhanceError as error:
            raise GluonEnhanceError(job.told(str(error), path.parent)) from error

    def _job(self, job_id) -> Job:
        job = self.jobs.get(job_id)
        if job is None:
            raise HTTPException(404, "there is no such job; it may have been removed")
        return job

    def _asked(self, request) -> Job:
        return self._job(request.path_params["id"])

    def _done(self, request) -> Job:
        job = self._asked(request)
        if job.status != "done":
            raise HTTPException(409, f"the job is {job.status}; its result is not there")
        return job

    def _sent(self, job, after=None) -> Response:
        path = self.jobs.folder_of(job.id) / job.result["file"]
        if job.kind == "compare":
            return _file(path, headers=OF_COMPARISON, background=after)
        return _picture(path, filename=job.result["name"], background=after)

    def _told(self, job) -> dict[str, Any]:
        """Tell of a job what clients may know."""
        done, total = self.jobs.progress.get(job.id, (0, 0))
        result = {name: value for name, value in job.result.items() if name != "file"}
        return {
            "id": job.id,
            "kind": job.kind,
            "name": ", ".join(file.name for file in job.files),
            "options": job.options,
            "status": job.status,
            "error": job.error,
            "progress": {"done": done, "total": total},
            "result": result or None,
            "created": job.created,
            "ended": job.ended,
        }


def _client(request) -> str:
    """Name who asks: a browser by its cookie, a program by its address."""
    cookie = cookie_of(request, COOKIE) or ""
    if COOKIE_VALUE.fullmatch(cookie):
        return cookie
    return f"at {request.client.host if request.client else 'unknown'}"


def _is_file(value):
    return isinstance(value, UploadFile)


def _file(path, **options) -> Response:
    if not path.is_file():
        raise HTTPException(404, "this file is no more on the server")
    return FileResponse(path, **options)


def _picture(path, **options) -> Response:
    """Send a picture as what it is, whatever the machine's table of suffixes knows."""
    form = IMAGE_SUFFIXES[path.suffix.lower()]
    return _file(path, media_type=f"image/{form.name.lower()}", **options)


def _options(texts) -> dict[str, list[str]]:
    """Gather the values of each option; empty ones stand for the default."""
    options: dict[str, list[str]] = {}
    for name, text in texts:
        if text:
            options.setdefault(name, []).append(text)
    return options


def _plain(name) -> str:
    """Return a name without folders, of bounded length, which steers nothing."""
    name = STEERING.sub("", name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem, suffix = PurePath(name).stem, PurePath(name).suffix[:20]
    return stem[: LONGEST_NAME - len(suffix)] + suffix or "picture"


async def _tried(function, *arguments):
    """Call a function in another thread; what is wrong with its arguments is the client's fault."""
    try:
        return await run_in_threadpool(function, *arguments)
    except TooMuchError as error:
        raise HTTPException(413, str(error)) from error
    except (GluonEnhanceError, ValueError) as error:
        raise HTTPException(422, " ".join(str(error).split())) from error


async def _failed(request: Request, error: Exception) -> Response:
    """Say that the folder of jobs cannot be used, as when its disk is full."""
    said = getattr(error, "strerror", None) or str(error)  # without the names of files
    logger.error("%s failed: %s", request.url.path, error)
    return JSONResponse({"error": f"the server cannot store or read its files ({said})"}, 507)


def _stream(events) -> Response:
    return StreamingResponse(events, 200, {"Cache-Control": "no-store"}, "text/event-stream")
