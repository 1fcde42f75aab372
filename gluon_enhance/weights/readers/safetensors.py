"""Read ``.safetensors`` files, bfloat16 among them, which NumPy lacks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.readers import METADATA
from gluon_enhance.weights.readers.torch import widened_bfloat16

DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


def read_safetensors(path: str | os.PathLike) -> dict:
    """Read the arrays of a file.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        Read-only arrays by name, bfloat16 as float32; ``__metadata__`` is the dict of the file's
        texts, if it has such.

    Raises
    ------
    WeightsError
        If the file is not one, is cut short or damaged, or the package safetensors is missing.
    """
    path = Path(path)
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError as error:
        raise WeightsError(f"{path} needs the package safetensors: pip install it") from error
    try:
        data = path.read_bytes()
        arrays = {name: _array(**about) for name, about in deserialize(data)}
        texts = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get(METADATA)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{path} is cut short, damaged or no .safetensors file ({error!s:.200}); get it again"
        ) from error
    return {**arrays, METADATA: texts} if texts else arrays


def _array(shape, dtype, data):
    if dtype not in DTYPES:
        raise ValueError(f"it holds numbers of type {dtype}")
    values = np.frombuffer(data, DTYPES[dtype])
    if dtype == "BF16":
        values = widened_bfloat16(values)
    return values.reshape(shape)
