"""Turn a net into an ONNX file that the engines run without MXNet."""

from __future__ import annotations

import importlib
import json
import tempfile
from pathlib import Path
from typing import Callable, Optional

import numpy as np

from gluon_enhance import __version__, engines, framework
from gluon_enhance.atomic import publish
from gluon_enhance.errors import EngineError, WeightsError
from gluon_enhance.exporting.onnx_fixes import mend_pair, plain_crops, put_channels_first
from gluon_enhance.exporting.onnx_names import name_everything
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

    The file has one input ``image`` and one output ``result``, every node has a name, shuffles have
    PyTorch's order of channels (mode CRD), and its metadata say ``model`` (the file's name),
    ``scale``, ``range`` of values and ``version`` of this package.

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
    trusted = getattr(net, "is_trusted", True)  # all are but a `CheckedNet`
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        draft = Path(folder) / path.name
        batch = answers[0][0]
        with in_form(net, EXPORTING):
            run_net(net, batch)
            _export(net, draft, batch.shape)
        _simplify(draft)
        _describe(draft, answers[0][1].shape[2] // batch.shape[2])
        for engine in filter(engines.is_installed, engines.OF_FILES):
            loaded = engines.load(
                engine, draft, precision="fp32", trusted=trusted, shapes=[batch.shape]
            )
            compare(path.name, loaded.run, answers)
        publish(draft, path)
    return path


def trial_unit(spec) -> int:
    """Return the pixels of whose multiples a model's files are tried: enough for its net."""
    return spec.multiple * -(-spec.min_size // (LEAST * spec.multiple))


def require(module: str, packages: str = "'onnx<1.18' safetensors"):
    """Import what exporting needs besides MXNet.

    Parameters
    ----------
    module : str
    packages : str
        What pip installs it from.

    Raises
    ------
    EngineError
        If it is not installed, or not in a version that MXNet can use.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EngineError(
            f"exporting needs {module}, which cannot be imported ({error}); pip install {packages}"
        ) from error


def run_net(net, batch: np.ndarray) -> np.ndarray:
    """Run a batch where the net's weights are, if it has any."""
    mx = framework.mx
    contexts = (weight.list_ctx()[0] for weight in net.collect_params().values())
    return net(mx.nd.array(batch, ctx=next(contexts, mx.cpu()))).asnumpy()


def answers_of(net, multiple: int) -> list:
    """List batches of two sizes, each with what the net makes of it: for `compare`."""
    shapes = [(1, 3, 12 * multiple, 8 * multiple), (2, 3, LEAST * multiple, 10 * multiple)]
    batches = [np.random.default_rng(0).random(shape, np.float32) for shape in shapes]
    return [(batch, run_net(net, batch)) for batch in batches]


def compare(
    name: str,
    run: Callable[[np.ndarray], np.ndarray],
    answers: list,
    tolerance: Optional[float] = None,
) -> None:
    """Refuse a file whose numbers, as `run` gives them, are not the net's.

    Parameters
    ----------
    name : str
        Of the file, for the error.
    run : callable
    answers : list
        As `answers_of` has them.
    tolerance : float, optional
        Default: `TOLERANCE`.

    Raises
    ------
    EngineError
        If they differ by more.
    """
    allowed = TOLERANCE if tolerance is None else tolerance
    for batch, expected in answers:
        difference = np.abs(run(batch) - expected).max()
        if not difference <= allowed:
            raise EngineError(
                f"{name} differs from the net by {difference:.2g} on {batch.shape} "
                f"(allowed {allowed:.2g}); it was not kept"
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
        with plain_crops():
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
    """Have a file be such as every engine reads it.

    ONNX Runtime folds no initializers that are inputs. A PReLU's slopes (C,) would be taken for
    the width's, as broadcasting aligns last axes.
    """
    import onnx

    model = onnx.load(str(draft))
    put_channels_first(model.graph)
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
    onnx.save(model, str(draft))


def _describe(draft, scale):
    """Give names to all parts of a file, and say in its metadata what it is."""
    import onnx

    model = onnx.load(str(draft))
    name_everything(model.graph)
    model.producer_name, model.producer_version = "gluon_enhance", __version__
    about = {"model": draft.stem, "scale": scale, "range": [0, 1], "version": __version__}
    props = {key: v if isinstance(v, str) else json.dumps(v) for key, v in about.items()}
    onnx.helper.set_model_props(model, props)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(draft))
