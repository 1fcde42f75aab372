"""Receive a file from its address: no longer than it is, not for ever, and not without TLS.

A server may send what it likes, as slowly as it likes; what it sent is verified by who calls.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Callable, Optional

SILENT_SECONDS = 30
"""A server that says nothing for so long is given up."""
GRACE_SECONDS, SLOWEST = 60, 1 << 14
"""A download may take so long, and a second more for each so many bytes received."""
LARGEST = 1 << 30
"""Bytes of a file whose size is not known; the largest official one has 574,673,361."""
BLOCK = 1 << 20


class _KeepingTLS(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but from https to https only."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # noqa: N803
        was_safe, is_safe = (_scheme(url) == "https" for url in (req.full_url, newurl))
        if was_safe and not is_safe:
            fp.close()
            raise ConnectionError(f"it leads from https to {newurl:.200}, which is refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def receive(
    url: str, part: Path, size: Optional[int], progress: Callable[[int, Optional[int]], None]
) -> None:
    """Download to a file.

    Parameters
    ----------
    url : str
    part : path
        Left as it is if anything fails.
    size : int, optional
        Bytes that the server may send; None if it is not known.
    progress : callable
        Called with (bytes so far, bytes in all or None).

    Raises
    ------
    OSError, http.client.HTTPException
        If the server cannot be reached, sends more or less than it should, is too slow, or leads
        from https to elsewhere.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "gluon-enhance"})
    began, limit = time.monotonic(), LARGEST if size is None else size
    with _opened(request) as reply, open(part, "wb") as out:
        total = int(reply.headers.get("Content-Length") or 0) or None
        received = 0
        while True:
            if max(received, total or 0) > limit:
                raise ConnectionError(f"it has more than {limit:,} bytes: it is another file")
            if time.monotonic() - began > GRACE_SECONDS + received / SLOWEST:
                raise TimeoutError(f"too slow: {received:,} bytes in {GRACE_SECONDS} s and more")
            block = reply.read1(BLOCK)
            if not block:
                break
            out.write(block)
            received += len(block)
            progress(received, total)
    # http.client takes a connection that breaks off for the end of the file.
    if total is not None and received != total:
        raise ConnectionError(f"the connection broke after {received:,} of {total:,} bytes")


def _opened(request):
    try:
        opener = urllib.request.build_opener(_KeepingTLS)
        return opener.open(request, timeout=SILENT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise


def _scheme(url):
    return urllib.parse.urlsplit(url).scheme.lower()
