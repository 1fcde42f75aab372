"""Files that are whole under their name, or not there: all that the package writes, it writes here.

A process that is killed leaves at most a hidden folder, ``.gluon-enhance-*``, beside the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gluon_enhance.leftovers import PREFIX, temporary_folder


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
