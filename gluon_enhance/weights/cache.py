"""What is converted once and kept in the cache: verified each time, and made again when wrong.

Beside a file ``NAME`` lie its hash, ``NAME.sha256``, and ``NAME.lock``, which who makes it holds.
It is made in the folder ``.NAME.work``; one that a process left that was killed, the next
conversion of any model removes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gluon_enhance.atomic import publish, write_text
from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.manifest import sha256

WORK = ".work"


@contextmanager
def workshop(target: str | os.PathLike) -> Iterator[Path]:
    """Give a folder to make a file or folder of the cache in, to one process at a time.

    Parameters
    ----------
    target : path
        What is to be made; its folder need not be there.

    Yields
    ------
    Path
        An empty folder beside it, which is removed afterwards. What others made meanwhile is there
        now.
    """
    import filelock

    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{target}.lock"):
        _remove_leftovers(target.parent, filelock)
        work = target.with_name(f".{target.name}{WORK}")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _remove_leftovers(folder, filelock):
    """Remove what nobody is at: its lock is free."""
    for work in folder.glob(f".*{WORK}"):
        name = work.name[1 : -len(WORK)]
        with suppress(filelock.Timeout), filelock.FileLock(folder / f"{name}.lock", timeout=0):
            shutil.rmtree(work, ignore_errors=True)


def keep(made: Path, target: Path) -> None:
    """Move a file to its place in the cache, and note its hash."""
    digest = sha256(made)
    publish(made, target)
    write_text(_note(target), digest)


def is_kept(target: Path) -> bool:
    """Tell whether a file is there, and as it was made."""
    with suppress(OSError, ValueError, WeightsError):
        return _note(target).read_text(encoding="ascii") == sha256(target)
    return False


def _note(target):
    return target.with_name(f"{target.name}.sha256")
