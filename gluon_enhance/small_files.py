"""Files of others that are read as a whole: cards, indexes and weights, but no pipes or devices."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

MAX_BYTES = 64 << 20
"""Of a small one; none is larger by far."""


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Open a file to read it, but no pipe or device, which could go on without end.

    Raises
    ------
    OSError
        If it cannot be opened, or is no regular file.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
    return file


def _without_waiting(path, flags):
    """Open a file; to open a pipe would else take until someone writes into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def is_endless(path: str | os.PathLike) -> bool:
    """Tell whether there is a pipe or device of a name, which to read could go on without end."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def read_regular(path: str | os.PathLike) -> bytes:
    """Read a file of any size, but no pipe or device; raise an `OSError` as `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def read_small(path: str | os.PathLike, limit: int = MAX_BYTES) -> bytes:
    """Read a small file, but no pipe or device.

    Raises
    ------
    OSError
        If it cannot be read, is no regular file, or has more than `limit` bytes.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise OSError(errno.EFBIG, f"it has more than {limit >> 20} MiB", os.fspath(path))
        return file.read()
