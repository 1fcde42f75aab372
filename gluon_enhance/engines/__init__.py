"""Inference engines behind one small contract, `gluon_enhance.engines.base.Engine`.

An engine is made from a model, says what it is, and runs batches of equal tiles::

    engine = load("openvino", "model.onnx", precision="auto")
    engine.describe()  # {'engine': 'openvino', 'precision': 'bf16', 'device': 'cpu', ...}
    engine.run(batch)  # (N, 3, H, W) float32 -> (N, 3, H * scale, W * scale) float32
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from typing import NamedTuple, Optional

from gluon_enhance.engines.base import Engine
from gluon_enhance.errors import EngineError


class Kind(NamedTuple):
    """An engine as it is chosen; its module here and its framework have the same name.

    Attributes
    ----------
    class_name : str
    package : str
        What pip installs it from.
    precisions : tuple of str
    gpu_package : str, optional
        What it is installed from for CUDA; None of an engine that has none.
    runs_files : bool
        Whether it is made from a file, and has `FileEngine.compute`; else from a HybridBlock.
    """

    class_name: str
    package: str
    precisions: tuple[str, ...]
    gpu_package: Optional[str] = None
    runs_files: bool = True


_MXNET = "'gluon-enhance[cpu]' (Python 3.9 to 3.12)"
#: Engine -> what is known of it, fastest on CPUs first.
ENGINES = {
    "openvino": Kind("OpenVINOEngine", "gluon-enhance", ("auto", "fp32", "bf16", "int8")),
    "onnxruntime": Kind(
        "ONNXRuntimeEngine", "onnxruntime", ("auto", "fp32", "tf32"), "'gluon-enhance[gpu]'"
    ),
    "mxnet": Kind("MXNetEngine", _MXNET, ("auto", "fp32"), _MXNET, runs_files=False),
}
OF_FILES = tuple(name for name, kind in ENGINES.items() if kind.runs_files)
PRECISIONS = ("auto", "fp32", "tf32", "bf16", "int8")
WAY_OUT = "--trust (trust=True) runs it unchecked, if you trust who made it"
"""Of the errors that refuse a graph."""
DEVICES = "auto, cpu, cuda or, of several GPUs, cuda:N"


def is_installed(name: str) -> bool:
    """Tell whether an engine's framework is there, without importing it."""
    return importlib.util.find_spec(name) is not None


def gpu_of(device: str) -> Optional[int]:
    """Return the number of the GPU that a device is; None of 'auto' and 'cpu'.

    Raises
    ------
    EngineError
        If the device is unknown.
    """
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", device)
    if not match:
        raise EngineError(f"device is {device!r}; choose one of {DEVICES}")
    return int(match[1] or 0) if device.startswith("cuda") else None


def cuda_name(gpu: int) -> str:
    """Name a GPU as `describe` does: the first is plain 'cuda'."""
    return f"cuda:{gpu}" if gpu else "cuda"


def checked(model, shapes):
    """Check the graph of a file that is not trusted; see `gluon_enhance.engines.checks.graph`."""
    from gluon_enhance.engines.checks.graph import CheckedGraph

    return CheckedGraph(model, shapes)


def choose(name: str = "auto", device: str = "auto") -> str:
    """Return the engine to use: the one named, or the fastest that is installed.

    Raises
    ------
    EngineError
        If the engine is unknown or not installed, or the device is unknown.
    """
    on_gpu = gpu_of(device) is not None
    if name == "auto":
        # ONNX Runtime comes first on GPUs, as it serves those that MXNet cannot use too.
        candidates = [e for e, kind in ENGINES.items() if kind.gpu_package or not on_gpu]
        name = next((e for e in candidates if is_installed(e)), candidates[0])
    if name not in ENGINES:
        raise EngineError(f"engine is {name!r}; choose one of auto, {', '.join(ENGINES)}")
    if not is_installed(name):
        kind = ENGINES[name]
        package = (on_gpu and kind.gpu_package) or kind.package
        raise EngineError(f"engine {name} is not installed; pip install {package}")
    return name


def load(
    name: str,
    model,
    *,
    precision: str = "auto",
    device: str = "auto",
    threads=None,
    cache=None,
    trusted=False,
    shapes=None,
) -> Engine:
    """Make an engine.

    Parameters
    ----------
    name : {'openvino', 'onnxruntime', 'mxnet'}
    model : path of an ONNX file, or for 'mxnet' a HybridBlock
    precision : {'auto', 'fp32', 'tf32', 'bf16', 'int8'}
        'auto' takes bf16 where the processor has it and the answer stays close to fp32 on each of
        the `gluon_enhance.imaging.check_pictures`, and on GPUs tf32: fp32 whose factors have 10
        bits, from Ampere on. 'int8' is for files that were quantized so, and takes bf16 for the
        rest of them.
    device : {'auto', 'cpu', 'cuda', 'cuda:N'}
    threads : int, optional
        Default: the physical cores.
    cache : Path, optional
        Folder for compiled models, which an engine then need not compile again.
    trusted : bool
        Whether the file was verified or made by this package, or by whom the user trusts. Of others
        only ONNX files are run, of what image nets need: see `gluon_enhance.engines.checks.graph`.
    shapes : sequence of tuple of int, optional
        Of the inputs that will be given first, for which another's file is checked before it is
        loaded; default: those of images.

    Raises
    ------
    EngineError
        If an option is unknown or cannot be served here; the message says what can.
    """
    name = choose(name, device)
    kind = ENGINES[name]
    if precision not in PRECISIONS:
        raise EngineError(f"precision is {precision!r}; choose one of {', '.join(PRECISIONS)}")
    if precision not in kind.precisions:
        able = next(name for name, other in ENGINES.items() if precision in other.precisions)
        raise EngineError(f"engine {name} has no {precision}; that needs --engine {able}")
    if threads is not None and threads < 1:
        raise EngineError(f"threads is {threads}; it must be at least 1")
    module = importlib.import_module(f"gluon_enhance.engines.{name}")
    return getattr(module, kind.class_name)(
        model,
        precision=precision,
        device=device,
        threads=threads,
        cache=cache,
        trusted=trusted,
        shapes=shapes,
    )
