"""Read and write Gluon's ``.params`` files without MXNet.

A file holds a magic number, the count of arrays, the arrays, the count of names and the names.

References
----------
.. [1] https://github.com/apache/mxnet/blob/v1.9.x/src/ndarray/ndarray.cc: NDArray::Load and Save.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gluon_enhance.atomic import whole_file
from gluon_enhance.errors import WeightsError, plural
from gluon_enhance.small_files import read_regular

MAGIC = 0x112
DENSE = {0xF993FAC8: False, 0xF993FAC9: True, 0xF993FACA: True}
"""What an array begins with -> whether a number for dense or sparse follows. In files older than
these, it begins with the number of its axes, which are then numbers of 32 bits."""
START, CPU = 0xF993FAC9, 1
"""What an array that is written begins with, and where it was."""
MAX_AXES = 32
DTYPES = ("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8", "?", "<i2", "<u2", "<u4", "<u8")
"""By MXNet's numbers."""


def read_params(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read a Gluon ``.params`` file.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict of str to ndarray
        Read-only.

    Raises
    ------
    WeightsError
        If the file cannot be read or does not hold named arrays.
    """
    try:
        arrays, names = _ParamsReader(read_regular(path)).read()
        if arrays and not names:
            raise WeightsError(
                f"{path} holds arrays without names; save it with net.save_parameters"
            )
        if len(names) != len(arrays):
            raise ValueError(
                f"it holds {plural(len(arrays), 'array')} and {plural(len(names), 'name')}"
            )
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, struct.error) as error:
        raise WeightsError(
            f"{path} is cut short, damaged or not a .params file ({error!s:.200}); get it again"
        ) from error
    return dict(zip(names, arrays))


class _ParamsReader:
    def __init__(self, data):
        self.data, self.position = data, 0

    def read(self):
        magic, _, count = self._numbers("QQQ")
        if magic != MAGIC:
            raise ValueError("it does not begin as such files do")
        arrays = [self._array() for _ in range(count)]
        (count,) = self._numbers("Q")
        names = [self._bytes(*self._numbers("Q")).decode() for _ in range(count)]
        if self.position != len(self.data):
            raise ValueError("something follows the names")
        return arrays, names

    def _array(self):
        (start,) = self._numbers("I")
        if DENSE.get(start) and self._numbers("i") != (0,):
            raise ValueError("an array is sparse")
        axes = self._numbers("i")[0] if start in DENSE else start
        if not 0 < axes <= MAX_AXES:
            raise ValueError(f"an array has {axes} axes")
        shape = self._numbers(f"{axes}{'q' if start in DENSE else 'I'}")
        _, _, kind = self._numbers("iii")  # where it was: device and its number
        if min(shape) < 0 or not 0 <= kind < len(DTYPES):
            raise ValueError(f"an array has shape {shape} and type {kind}")
        dtype = np.dtype(DTYPES[kind])
        return np.frombuffer(self._bytes(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)

    def _bytes(self, count):
        start, self.position = self.position, self.position + count
        if self.position > len(self.data):
            raise ValueError(f"{count:,} bytes at {start:,} reach beyond the end")
        return self.data[start : self.position]

    def _numbers(self, form):
        return struct.unpack(f"<{form}", self._bytes(struct.calcsize(f"<{form}")))


def write_params(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write a Gluon ``.params`` file; it gets its name only when it is whole.

    Arrays of float16 stay so, all others become float32. MXNet reads such a file by
    ``net.load_parameters(path, cast_dtype=True)``.

    Raises
    ------
    WeightsError
        If the path has another suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".params":
        raise WeightsError(f"{path} does not end in .params, as the files written here do")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft:
            save_arrays(draft, {name: _rounded(array) for name, array in arrays.items()})
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be written ({error.strerror}); check its folder, rights and free space"
        ) from error
    return path


def save_arrays(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as MXNet's ``nd.save`` does, which does not notice that a disk is full.

    Parameters
    ----------
    path : path
    arrays : mapping of str to ndarray
        Of at least one axis, and a dtype that MXNet has.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    with open(path, "wb") as file:
        file.write(struct.pack("<QQQ", MAGIC, 0, len(arrays)))
        for array in arrays.values():
            kind = DTYPES.index(array.dtype.newbyteorder("<").str.lstrip("|").replace("b1", "?"))
            head = (START, 0, array.ndim, *array.shape, CPU, 0, kind)
            file.write(struct.pack(f"<Iii{array.ndim}qiii", *head))
            file.write(np.ascontiguousarray(array, DTYPES[kind]).data)
        file.write(struct.pack("<Q", len(arrays)))
        for name in map(str.encode, arrays):
            file.write(struct.pack("<Q", len(name)) + name)


def _rounded(array):
    array = np.atleast_1d(array)
    return array if array.dtype == np.float16 else array.astype(np.float32)
