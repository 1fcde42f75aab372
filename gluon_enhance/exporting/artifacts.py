"""The files of an exported model, each loaded again and held against the net."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np

from gluon_enhance.errors import EngineError
from gluon_enhance.exporting import compare, export_onnx, require, run_net, write_pair
from gluon_enhance.exporting.symbol import load_pair
from gluon_enhance.weights.load import load_state
from gluon_enhance.weights.names.published import published_class, published_state
from gluon_enhance.whole_image.split import split_onnx


def write_symbol(net, folder: Path, unit: int, answers: list) -> None:
    """Write ``NAME-symbol.json`` and ``NAME-0000.params``, for MXNet's ``SymbolBlock.imports``."""
    net.hybridize()
    run_net(net, answers[0][0])
    pair = write_pair(net, folder / net.spec.name)
    # It is this net's own, whatever its operators.
    compare(pair[0].name, partial(run_net, load_pair(*pair, trust=True)), answers)


def write_onnx(net, folder: Path, unit: int, answers: list) -> None:
    """Write ``NAME.onnx``, and its parts if the net needs the statistics of the whole image."""
    onnx = export_onnx(net, folder / f"{net.spec.name}.onnx", unit)
    if net.spec.tiling == "global_statistics":
        try:
            split_onnx(onnx, net.spec.unit)
        except EngineError:
            # Another's net may need more of the image than moments: it runs on what is one tile.
            if net.spec.net:
                raise


def write_safetensors(net, folder: Path, unit: int, answers: list) -> None:
    """Write ``NAME.safetensors``, if a PyTorch program has this net and so names its weights."""
    state = published_state(net)
    if state is None:
        return
    safetensors = require("safetensors.numpy")
    path = folder / f"{net.spec.name}.safetensors"
    # Its save_file would leave a file that only its owner can read.
    arrays = {key: np.ascontiguousarray(array) for key, array in state.items()}
    # In one entry: of several, the order would change from run to run, and the file's hash.
    about = {**published_class(net), "scale": net.spec.scale, "licence": net.spec.licence}
    path.write_bytes(safetensors.save(arrays, {"model": json.dumps(about)}))
    again = load_state(type(net)(**net.spec.kwargs), safetensors.load_file(str(path)), path)
    compare(path.name, partial(run_net, again), answers)


#: Format -> what writes its files into a folder: (net, folder, unit, answers).
WRITERS = {"symbol": write_symbol, "onnx": write_onnx, "safetensors": write_safetensors}
