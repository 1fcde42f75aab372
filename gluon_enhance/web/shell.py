"""The shell of a server of ours: its routes, its files and the common ones behind a guard."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Callable, Optional
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from gluon_enhance.web import SHARED
from gluon_enhance.web.security import Guard

PATIENCE = 3
"""Seconds that open connections have at the end."""


def shell(
    routes: Sequence[BaseRoute],
    pages: Path,
    host: str,
    token: Optional[str] = None,
    lifespan: Optional[Callable[[Starlette], AbstractAsyncContextManager]] = None,
    faults: Optional[Mapping[type[Exception], Callable]] = None,
) -> Starlette:
    """Make an application of routes and a folder of pages.

    Errors are ``{"error": TEXT}``.

    Parameters
    ----------
    routes : sequence of BaseRoute
    pages : path
        A folder of files, ``index.html`` among them; any of them can be asked for.
    host, token
        As of `Guard`.
    lifespan : callable, optional
        As Starlette has it.
    faults : mapping, optional
        What answers for other errors, as Starlette's ``exception_handlers``.

    Returns
    -------
    Starlette
        Functions in the list ``state.endings`` are called when a `Server` of it is to end.
    """
    files = [
        Mount("/shared", StaticFiles(directory=SHARED)),
        Mount("/", StaticFiles(directory=pages, html=True)),
    ]
    app = Starlette(
        routes=[*routes, *files],
        middleware=[Middleware(Guard, host=host, token=token)],
        exception_handlers={HTTPException: _said, Exception: _broken, **(faults or {})},
        lifespan=lifespan,
    )
    app.state.endings = []
    return app


async def _said(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    """Answer for what is a fault of ours; it is logged all the same."""
    return JSONResponse({"error": "the server failed at this; its log says why"}, 500)


def listen(host: str, port: int) -> socket.socket:
    """Take a port, or say why it cannot be had; port 0 is any that is free.

    Raises
    ------
    OSError
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _not_listened(host, port, error) from error
    try:
        if os.name == "posix":  # on Windows it would let two servers have one port
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen()
    except OSError as error:
        taken.close()
        raise _not_listened(host, port, error) from error
    return taken


def _not_listened(host, port, error):
    return OSError(
        f"--host {host} and --port {port} cannot be listened to ({error.strerror or error}); give "
        "another --port, or 0 for any"
    )


def address_of(taken: socket.socket, token: Optional[str] = None) -> str:
    """Return what to open in a browser of this machine."""
    host, port = taken.getsockname()[:2]
    name = {"127.0.0.1": "localhost", "0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")


class Server(uvicorn.Server):
    """A server that calls what is in its application's ``state.endings`` before it ends.

    Parameters
    ----------
    app : Starlette
        One of `shell`.
    """

    def __init__(self, app: Starlette):
        self._endings = app.state.endings
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # addresses may hold the token
            server_header=False,
            timeout_graceful_shutdown=PATIENCE,
            ws="none",
        )
        super().__init__(config)

    async def shutdown(self, sockets: Optional[list[socket.socket]] = None) -> None:
        """End: streams, which go on for ever, first."""
        for end in self._endings:
            end()
        await super().shutdown(sockets)


def serve(app: Starlette, taken: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    Server(app).run(sockets=[taken])
