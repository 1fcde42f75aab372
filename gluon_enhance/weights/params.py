"""Read and write Gluon's ``.params`` files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gluon_enhance.errors import WeightsError


def read_params(path: str | os.PathLike) -> dict:
    """Read a Gluon ``.params`` file.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    WeightsError
        If the file cannot be read or does not hold named arrays.
    """
    from gluon_enhance.framework import mx

    try:
        arrays = mx.nd.load(str(path))
    except (mx.base.MXNetError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"{path} is cut short, damaged or not a .params file; get it again "
            f"({str(error).strip().splitlines()[-1]})"
        ) from error
    if not isinstance(arrays, dict):
        raise WeightsError(f"{path} holds arrays without names; save it with net.save_parameters")
    return {name: array.asnumpy() for name, array in arrays.items()}


def write_params(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write a Gluon ``.params`` file; it gets its name only when it is whole.

    Arrays of float16 stay so, all others become float32. MXNet reads such a file by
    ``net.load_parameters(path, cast_dtype=True)``.

    Raises
    ------
    WeightsError
        If the path has another suffix, or the file cannot be written.
    """
    from gluon_enhance.framework import mx

    path = Path(path)
    if path.suffix.lower() != ".params":
        raise WeightsError(f"{path} does not end in .params, as the files written here do")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".params-") as folder:
        draft = Path(folder) / path.name
        try:
            mx.nd.save(str(draft), {name: _to_mxnet(array) for name, array in arrays.items()})
        except mx.base.MXNetError as error:
            reason = str(error).strip().splitlines()[-1]
            raise WeightsError(f"{path} cannot be written ({reason}): is the disk full?") from error
        os.replace(draft, path)
    return path


def _to_mxnet(array):
    from gluon_enhance.framework import mx

    dtype = np.float16 if array.dtype == np.float16 else np.float32
    return mx.nd.array(array, dtype=dtype)
