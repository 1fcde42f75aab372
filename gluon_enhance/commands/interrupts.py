"""Ctrl-C and SIGTERM: what is open is closed, and the exit status tells of the signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

BY_CTRL_C, BY_SIGTERM = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit statuses, as shells have them."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def exit_by_signal(context: click.Context) -> Iterator[None]:
    """Have SIGTERM unwind what it stops as Ctrl-C does, and end with the signal's status."""
    try:
        with _sigterm_raises():
            yield
    except KeyboardInterrupt as error:
        is_terminated = isinstance(error, Terminated)
        click.echo("terminated" if is_terminated else "interrupted", err=True)
        context.exit(BY_SIGTERM if is_terminated else BY_CTRL_C)


@contextmanager
def _sigterm_raises():
    if threading.current_thread() is not threading.main_thread():  # others get no signals
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_):
    raise Terminated
