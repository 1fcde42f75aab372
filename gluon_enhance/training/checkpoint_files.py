"""The files of a checkpoint, which may be anybody's: arrays, numbers and texts, all checked."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

from gluon_enhance.errors import WeightsError
from gluon_enhance.framework import mx
from gluon_enhance.small_files import read_small
from gluon_enhance.weights.readers import gluon

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


def save_arrays(path: str | Path, arrays: Mapping) -> None:
    """Write NDArrays by name, as Gluon's ``.params``.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    try:
        gluon.save_arrays(path, {name: array.asnumpy() for name, array in arrays.items()})
    except OSError as error:
        reason = f"no room for {path}, or no right to write it ({error.strerror})"
        raise OSError(reason) from error


def load_arrays(path: str | Path, shapes: Mapping[str, tuple]) -> dict:
    """Read what `save_arrays` wrote; whatever else the file holds, it is an error and no more.

    MXNet's own reader trusts a file: it writes where the indices of a sparse array say.

    Parameters
    ----------
    path : path
    shapes : mapping of str to tuple
        Of every array that must be there, by name. All are float32.

    Returns
    -------
    dict of str to NDArray

    Raises
    ------
    WeightsError
        If the file cannot be read or holds other arrays.
    """
    arrays = gluon.read_params(path)
    wanted = {name: f"float32 of {tuple(shape)}" for name, shape in shapes.items()}
    found = {name: f"{array.dtype} of {array.shape}" for name, array in arrays.items()}
    for name in {**wanted, **found}:
        if found.get(name) != wanted.get(name):
            raise WeightsError(
                f"{path} does not fit this run: {name!r:.100} is {found.get(name, 'missing')} in "
                f"it, here {wanted.get(name, 'unknown')}; start again with another --out"
            )
    return {name: mx.nd.array(array) for name, array in arrays.items()}


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
