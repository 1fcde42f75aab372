"""Standard streams that were closed by who has called the command."""

from __future__ import annotations

import contextlib
import os
import sys


def open_closed_streams() -> None:
    """Put nothing in the places of closed streams, so that no file is opened there.

    What is written to standard error is then lost, and not an error. Python has no standard output
    or input then (None), and who needs them says so.
    """
    for number in range(3):
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        with contextlib.suppress(OSError):
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number, this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
