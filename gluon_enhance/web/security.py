"""Who may ask a server of ours: pages of its own only and, beyond this machine, who has its token.

Pages of other sites cannot use it by way of a visitor's browser: their requests bear another
``Origin`` or say ``cross-site``, and names that they point at this machine ("DNS rebinding") are
none of its ``Host`` names.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import socket
from typing import Optional
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
SHORTEST_TOKEN = 16
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""Of every answer that does not set them itself."""


def check_access(host: str, token: Optional[str]) -> None:
    """Refuse to listen to other machines without a token that is long enough.

    Raises
    ------
    ValueError
    """
    if host not in LOOPBACK and not token:
        raise ValueError(
            f"--host {host} lets other machines in; give --token too, a secret that they must know"
        )
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ValueError(
            "--token has characters that headers do not carry; give letters and digits"
        )
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise ValueError(
            f"--token has {len(token)} characters, which can be guessed; give {SHORTEST_TOKEN} or "
            "more, such as `openssl rand -hex 16` prints"
        )


def cookie_of(request: Request, name: str) -> Optional[str]:
    """Return a cookie of ours, which has nothing to unquote; None if it is not there.

    The reader of `Request.cookies` is Python's, which takes quadratic time to unquote.
    """
    for header in request.headers.getlist("cookie"):
        for pair in header.split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                return value
    return None


class Guard:
    """Middleware that lets in who may ask, and answers others itself.

    Parameters
    ----------
    app : ASGI application
    host : str
        What the server listens to, which decides the names that it answers to: those of this
        machine's own side for a loopback address, else `host` and the machine's names. Addresses
        are always among them: only names can be pointed at another machine.
    token : str, optional
        What clients must bring: as ``Authorization: Bearer TOKEN``, or once as ``?token=TOKEN`` of
        a page, which then comes without it and leaves a cookie.
    """

    def __init__(self, app: ASGIApp, host: str, token: Optional[str] = None):
        self.app, self.token = app, token
        own = {host, socket.gethostname(), socket.getfqdn()} if host not in LOOPBACK else set()
        self.names = LOOPBACK | {name.lower() for name in own}
        digest = hashlib.sha256(f"cookie of {token}".encode()).hexdigest()
        # Servers on other ports share the cookies of this one, so that its name must be its own.
        self._cookie, self._pass = f"gluon_enhance_{digest[:8]}", digest[8:]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._answer(Request(scope)) or self.app
        await answer(scope, receive, guarded)

    def _answer(self, request: Request) -> Optional[ASGIApp]:
        """Return what to say instead of the application; None for those who may ask it."""
        host = request.headers.get("host", "")
        if not self._is_own(host):
            return _refused(421, f"this server is not called {host!r}; ask it by its address")
        origin = request.headers.get("origin")
        if origin is not None and _place(origin) != host.lower():
            return _refused(403, f"pages of {origin!r} may not use this server")
        if _is_of_another_site(request):
            return _refused(403, "pages of another site may not use this server")
        return self._ask_for_token(request) if self.token else None

    def _is_own(self, host):
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self.names or bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _ask_for_token(self, request):
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _is_same(given, self.token):
            return None
        if _is_same(cookie_of(request, self._cookie) or "", self._pass):
            return None
        if request.method == "GET" and _is_same(request.query_params.get("token", ""), self.token):
            answer = RedirectResponse(str(request.url.path), 303)
            answer.set_cookie(
                self._cookie,
                self._pass,
                httponly=True,
                # A strict one would not come along when a link in a mail or on another site leads
                # here; what changes anything is a POST, whose Origin is checked.
                samesite="lax",
                secure=request.url.scheme == "https",
            )
            return answer
        return _refused(
            401,
            "this server asks for its token: open /?token=TOKEN, or send Authorization: Bearer "
            "TOKEN",
            {"WWW-Authenticate": "Bearer"},
        )


def _refused(status, text, headers=None):
    return JSONResponse({"error": text}, status, headers)


def _place(origin):
    """Return host and port of an origin, as a Host header has them; "null" has none."""
    scheme, _, place = origin.partition("://")
    return place.lower() if scheme in ("http", "https") else None


def _is_of_another_site(request):
    """Tell whether a browser says so; links on other sites that lead here are none."""
    followed = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
    return request.headers.get("sec-fetch-site") in ("cross-site", "same-site") and not followed


def _is_same(given, known):
    return secrets.compare_digest(given.encode(), known.encode())
