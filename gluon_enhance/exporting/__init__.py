"""Turn a net into an ONNX file that the engines run without MXNet."""

from __future__ import annotations

import importlib
import json
import tempfile
from pathlib import Path
from typing import Callable

import numpy as np

from gluon_enhance import engines, framework
from gluon_enhance.atomic import publish
from gluon_enhance.errors import EngineError, WeightsError
from gluon_enhance.exporting.onnx_fixes import mend_pair, restore_order
from gluon_enhance.forms import EXPORTING, in_form
from gluon_enhance.weights.readers.gluon import read_params

OPSET = 13
"""The newest that MXNet's translators are written for; every engine of today reads it."""

TOLERANCE = 1e-4
"""Largest difference allowed between a file and the HybridBlock, for outputs about 1."""

LEAST = 7
"""Files are tried on images from as many times `multiple` pixels a side."""


def export_onnx(net, path: str | Path, multiple: int = 1) -> Path:
    """Write a net as ONNX with dynamic batch, height and width, and check it before it is final.

    Parameters
    ----------
    net : HybridBlock
        Initialized; takes (N, 3, H, W) float32 and gives (N, 3, H * scale, W * scale).
    path : path
        File to write; an existing one stays if anything fails.
    multiple : int
        Heights and widths that the file is tried on are multiples of it; see `trial_unit`.

    Returns
    -------
    Path

    Raises
    ------
    EngineError
        If an operator cannot be exported, the file's numbers differ from the net's by more than
        `TOLERANCE`, or onnx is not installed.
    """
    require("onnx.mapping")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    net.hybridize()
    answers = answers_of(net, multiple)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        draft = Path(folder) / path.name
        batch = answers[0][0]
        with in_form(net, EXPORTING):
            run_net(net, batch)
            _export(net, draft, batch.shape)
        _simplify(draft)
        for engine in filter(engines.is_installed, engines.OF_FILES):
            loaded = engines.load(engine, draft, precision="fp32", trusted=True)
            compare(path.name, loaded.run, answers)
        publish(draft, path)
    return path


def trial_unit(spec) -> int:
    """Return the pixels of whose multiples a model's files are tried: enough for its net."""
    return spec.multiple * -(-spec.min_size // (LEAST * spec.multiple))


def require(module: str):
    """Import what exporting needs besides MXNet.

    Raises
    ------
    EngineError
        If it is not installed, or not in a version that MXNet can use.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EngineError(
            f"exporting needs {module}, which cannot be imported ({error}); "
            "pip install 'onnx<1.18' safetensors"
        ) from error


def run_net(net, batch: np.ndarray) -> np.ndarray:
    """Run a batch where the net's weights are."""
    context = next(iter(net.collect_params().values())).list_ctx()[0]
    return net(framework.mx.nd.array(batch, ctx=context)).asnumpy()


def answers_of(net, multiple: int) -> list:
    """List batches of two sizes, each with what the net makes of it: for `compare`."""
    shapes = [(1, 3, 12 * multiple, 8 * multiple), (2, 3, LEAST * multiple, 10 * multiple)]
    batches = [np.random.default_rng(0).random(shape, np.float32) for shape in shapes]
    return [(batch, run_net(net, batch)) for batch in batches]


def compare(name: str, run: Callable[[np.ndarray], np.ndarray], answers: list) -> None:
    """Refuse a file whose numbers, as `run` gives them, are not the net's.

    Raises
    ------
    EngineError
        If they differ by more than `TOLERANCE`.
    """
    for batch, expected in answers:
        difference = np.abs(run(batch) - expected).max()
        if not difference <= TOLERANCE:
            raise EngineError(
                f"{name} differs from the net by {difference:.2g} on {batch.shape} "
                f"(allowed {TOLERANCE:g}); it was not kept"
            )


def write_pair(net, base: Path) -> tuple[Path, Path]:
    """Write the symbol and params files of a net that has run hybridized.

    Raises
    ------
    EngineError
        If they cannot be written; MXNet does not notice that the end of one found no room.
    """
    pair = Path(f"{base}-symbol.json"), Path(f"{base}-0000.params")
    try:
        net.export(str(base))
        json.loads(pair[0].read_text(encoding="utf-8"))
        read_params(pair[1])
    except (framework.mx.base.MXNetError, WeightsError, ValueError) as error:
        raise EngineError(f"{base.name} cannot be written: is the disk full?") from error
    return pair


def _export(net, draft, shape):
    import onnx

    pair = write_pair(net, draft.with_suffix(""))
    mend_pair(*pair)
    # MXNet writes nodes of opset 13, and has onnx check them as nodes of the newest that it knows.
    context = onnx.checker.DEFAULT_CONTEXT
    newest, context.opset_imports = context.opset_imports, {"": OPSET}
    try:
        framework.mx.onnx.export_model(
            *map(str, pair),
            [shape],
            np.float32,
            str(draft),
            dynamic=True,
            dynamic_input_shapes=[(None, 3, None, None)],
        )
    except (AttributeError, ValueError, NotImplementedError, onnx.checker.ValidationError) as error:
        raise EngineError(f"{draft.stem} cannot be exported to ONNX: {error}") from error
    finally:
        context.opset_imports = newest


def _simplify(draft):
    """Name the axes, take the initializers out of the inputs, give slopes the shape of channels.

    ONNX Runtime folds no initializers that are inputs. A PReLU's slopes (C,) would be taken for
    the width's, as broadcasting aligns last axes.
    """
    import onnx

    model = onnx.load(str(draft))
    restore_order(model)
    model.opset_import[0].version = OPSET
    model.ir_version = 8
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initializers]
    slopes = {node.input[1] for node in model.graph.node if node.op_type == "PRelu"}
    for tensor in model.graph.initializer:
        if tensor.name in slopes:
            tensor.dims.extend((1, 1))
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    del model.graph.value_info[:]
    _name_axes(model.graph.input[0], ("batch", None, "height", "width"))
    _name_axes(model.graph.output[0], ("batch", None, "out_height", "out_width"))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(draft))


def _name_axes(value, names):
    for dim, name in zip(value.type.tensor_type.shape.dim, names):
        if name:
            dim.dim_param = name
        else:
            dim.dim_value = 3
