"""Small files of others, such as cards and indexes, which are read as a whole."""

from __future__ import annotations

import errno
import os
import stat

MAX_BYTES = 64 << 20
"""None of them is larger by far."""


def read_small(path: str | os.PathLike, limit: int = MAX_BYTES) -> bytes:
    """Read a file, but no pipe or device, which could go on without end.

    Raises
    ------
    OSError
        If it cannot be read, is no regular file, or has more than `limit` bytes.
    """
    # Without waiting: to open a pipe would take until someone writes into it.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
        if status.st_size > limit:
            raise OSError(errno.EFBIG, f"it has more than {limit >> 20} MiB", os.fspath(path))
        return file.read()
