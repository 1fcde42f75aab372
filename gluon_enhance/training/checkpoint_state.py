"""The numbers and texts of a checkpoint, which may be anybody's: read, and checked."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from gluon_enhance.errors import WeightsError
from gluon_enhance.small_files import read_small

STATE = "state.json"
MOST = 2**53
"""What a count may be; none comes near it."""


def checksum(path: Path) -> int:
    """Compute a file's CRC-32.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe or a device.
    """
    return zlib.crc32(_read(path))


def read_state(path: Path) -> dict:
    """Read the ``state.json`` of a checkpoint's folder.

    Raises
    ------
    WeightsError
        If it is an earlier version's.
    OSError, ValueError, TypeError, KeyError, RecursionError
        If it is not there, not JSON, or not what a run saves.
    """
    state = json.loads(read_small(path / STATE))
    if "updates" not in state:
        raise WeightsError(
            f"{path} is of an earlier version, whose optimizers are pickles; these could run any "
            "code and are not read: start again with another --out, or finish it with that version"
        )
    for key, is_right in FORMS.items():
        if not is_right(state.get(key) if key in NEWER else state[key]):
            raise ValueError(f"{key!r} is not what is saved there")
    return state


def _read(path):
    """Read a file; a pipe or a device in its place would never end."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name!r:.100} is not there, or not a file")
    return path.read_bytes()


def _is_count(value):
    return type(value) is int and 0 <= value < MOST


def _are_counts(value):
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _are_checksums(value):
    return _are_counts(value) and all(name == Path(name).name for name in value)


def _is_history(value):
    return isinstance(value, list) and all(map(_is_row, value))


def _is_row(value):
    return (
        isinstance(value, dict)
        and {"step", "seconds"} <= value.keys()
        and all(map(str.isprintable, value))
        and all(isinstance(n, float) or _is_count(n) for n in value.values())
    )


def _is_best(value):
    return (
        isinstance(value, dict)
        and isinstance(value.get("score"), str)
        and isinstance(value.get("value"), float)
        and _is_count(value.get("step"))
    )


FORMS = {
    "count": _is_count,
    "averaged": _is_count,
    "updates": _are_counts,
    "collapse": _are_counts,
    "skipped": lambda value: value is None or _is_count(value),
    "best": lambda value: not value or _is_best(value),
    "photos": lambda value: isinstance(value, str),
    "config": lambda value: isinstance(value, dict),
    "history": _is_history,
    "checksums": _are_checksums,
}
"""What of ``state.json`` a run relies on."""

NEWER = ("skipped", "best")
"""What checkpoints may be older than."""
