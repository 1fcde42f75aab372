"""A net's arrays, in files that may be anybody's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gluon_enhance.errors import WeightsError
from gluon_enhance.framework import mx
from gluon_enhance.weights.readers import gluon

AT_ONCE = 45
"""Arrays that MXNet's operators for many can take; more are no error but a crash."""


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


def net_arrays(net) -> dict:
    """A net's arrays on its first context, by structural name."""
    return {name: p.list_data()[0] for name, p in net._collect_params_with_prefix().items()}
