"""Weights in half the room: float16 in files, float32 in nets and engines."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

LARGE = 1024
"""Numbers in an array from which on half their room is worth it; norms keep their precision."""


def rounded(arrays: Mapping[str, np.ndarray]) -> dict:
    """Round large arrays to float16, as `.params` files of this package keep them."""
    return {k: a.astype(np.float16) if a.size >= LARGE else a for k, a in arrays.items()}


def halve_onnx(path: str | os.PathLike) -> None:
    """Keep large weights of an ONNX file as float16 where that changes none, cast to float32.

    Engines do the casts once, when they load the file.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    casts = []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        half = array.astype(np.float16)
        if array.dtype == np.float32 and array.size >= LARGE and np.array_equal(array, half):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            casts.append(
                helper.make_node("Cast", [tensor.name], [name], name, to=TensorProto.FLOAT)
            )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
