"""The files of an exported model, each loaded again and held against the net."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from gluon_enhance.errors import EngineError
from gluon_enhance.exporting import compare, export_onnx, require, run_net, write_pair
from gluon_enhance.exporting.pytorch_files import built_in_pytorch, write_architecture
from gluon_enhance.exporting.safetensors import widened, write_state
from gluon_enhance.exporting.symbol import load_pair
from gluon_enhance.weights.load import load_state
from gluon_enhance.weights.names.published import published_state, pytorch_state
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
    path = write_state(net, state, folder)
    arrays = require("safetensors.numpy").load_file(str(path))
    again = load_state(type(net)(**net.spec.kwargs), arrays, path)
    compare(path.name, partial(run_net, again), answers)


def write_torch(net, folder: Path, unit: int, answers: list) -> None:
    """Write ``NAME.safetensors``, and ``NAME.py``, which loads it, unless spandrel does."""
    if built_in_pytorch(net):
        write_state(net, pytorch_state(net), folder)
        write_architecture(net, folder, answers)
    elif published_state(net):
        write_safetensors(widened(net), folder, unit, answers)
    else:
        raise EngineError(
            f"{net.spec.name} cannot be written for PyTorch, where no program known here has a "
            f"{type(net).__name__} as this one is built ({dict(net.spec.kwargs)}); take formats "
            "without torch"
        )


#: Format -> what writes its files into a folder: (net, folder, unit, answers).
WRITERS = {
    "symbol": write_symbol,
    "onnx": write_onnx,
    "safetensors": write_safetensors,
    "torch": write_torch,
}
