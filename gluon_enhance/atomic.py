"""Files that are whole under their name, or not there: all that the package writes, it writes here.

A process that is killed leaves at most hidden folders for temporary files, ``.gluon-enhance-*``,
which the next process that works in the same place removes. Their names begin with `PREFIX` and the
machine's; who works in one holds a lock on it, which is gone with the process. Nothing else is
removed.
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
from typing import Any, Optional

fcntl: Any
try:
    import fcntl
except ImportError:  # on Windows, where such folders stay
    fcntl = None

PREFIX = ".gluon-enhance-"


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Give a path to write to; the file there gets its own when it is on the disk.

    Parameters
    ----------
    path : path
        A file that bears the name stays until then, or if anything fails. Its folder is there.

    Yields
    ------
    Path
        Of the same name, in a hidden folder beside it.

    Raises
    ------
    OSError
        If the file cannot be written: there is no room, or no right to. It names the file.
    """
    path = Path(path)
    try:
        with temporary_folder(path.parent) as folder:
            draft = Path(folder, path.name)
            yield draft
            publish(draft, path)
    except OSError as error:
        of_draft = error.filename is None or PREFIX in str(error.filename)
        if error.errno is not None and of_draft:  # else it is one of words alone
            error.filename = str(path)
        raise


def publish(draft: str | os.PathLike, path: str | os.PathLike) -> None:
    """Give a file, which is written and closed, its name, when all of it is on the disk."""
    sync(draft)
    os.replace(draft, path)


def sync(path: str | os.PathLike) -> None:
    """Wait until a file is on the disk; some file systems say only then that they are full."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Write a whole file."""
    with whole_file(path) as draft:
        draft.write_bytes(data)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a whole file, in UTF-8."""
    write_bytes(path, text.encode())


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
