"""Files that are whole under their name, or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gluon_enhance.framework import mx

AT_ONCE = 45
"""Arrays that MXNet's operators for many can take; more are no error but a crash."""


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a name to write to; the file gets its own when all is written."""
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def save_arrays(path: str | Path, arrays: dict) -> None:
    """Write NDArrays by name, as Gluon's ``.params``.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    try:
        mx.nd.save(str(path), arrays)
        mx.nd.load(str(path))  # MXNet does not notice that the end of a file found no room
    except mx.MXNetError as error:
        raise OSError(f"no room for {path}, or no right to write it") from error


def net_arrays(net) -> dict:
    """A net's arrays on its first context, by structural name."""
    return {name: p.list_data()[0] for name, p in net._collect_params_with_prefix().items()}
