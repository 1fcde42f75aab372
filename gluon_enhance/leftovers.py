"""Folders for temporary files: those that a killed process has left are removed by the next.

Their names begin with `PREFIX` and the machine's; who works in one holds a lock on it, which is
gone with the process. Nothing else is removed.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Optional

try:
    import fcntl
except ImportError:  # on Windows, where such folders stay
    fcntl = None

PREFIX = ".gluon-enhance-"


@contextmanager
def temporary_folder(parent: Optional[str | os.PathLike] = None) -> Iterator[Path]:
    """Make a folder, by default among the system's temporary files, which vanishes at the end.

    It does even while others still make files there.
    """
    parent = Path(parent or tempfile.gettempdir()).resolve()
    clear_once(parent)
    folder, lock = _locked_folder(parent)
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder = folder.rename(f"{folder}.gone")
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def clear_leftovers(parent: Path) -> None:
    """Remove the folders in another one that processes of this machine made which are no more."""
    if fcntl is None:
        return
    own = re.compile(rf"{re.escape(_prefix())}[a-z0-9_]{{8}}(\.gone)?")
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if own.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                lock = _lock(entry.path)
                if lock is not None:
                    shutil.rmtree(entry.path, ignore_errors=True)
                    os.close(lock)


@lru_cache(maxsize=64)
def clear_once(parent: Path) -> None:
    """Do `clear_leftovers` if this process has not yet."""
    clear_leftovers(parent)


def _prefix():
    return f"{PREFIX}{re.sub(r'[^A-Za-z0-9]', '', platform.node())}-"


def _locked_folder(parent):
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(), dir=parent))
        lock = _lock(folder)
        if folder.exists():  # else another process took it for a leftover before it was locked
            return folder, lock
        if lock is not None:
            os.close(lock)


def _lock(folder):
    """Lock a folder, if no other process has; None if one has, or the file system has no locks."""
    if fcntl is None:
        return None
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
