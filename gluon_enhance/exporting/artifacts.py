"""The files of an exported model, each loaded again and held against the net."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Optional

import numpy as np

from gluon_enhance import engines
from gluon_enhance.engines.telemetry import import_openvino
from gluon_enhance.errors import EngineError
from gluon_enhance.exporting import compare, export_onnx, ncnn, require, run_net, write_pair
from gluon_enhance.exporting.eight_bits import MIN_AGREEMENT, quantize_onnx
from gluon_enhance.exporting.openvino_files import save_graph
from gluon_enhance.exporting.pytorch_files import built_in_pytorch, write_architecture
from gluon_enhance.exporting.safetensors import widened, write_state
from gluon_enhance.exporting.symbol import load_pair
from gluon_enhance.imaging.check_pictures import agreement, check_pictures
from gluon_enhance.weights.load import load_state
from gluon_enhance.weights.names.published import published_state, pytorch_state
from gluon_enhance.whole_image.split import split_onnx

HALF_TOLERANCE = 1 / 255
"""Largest difference allowed between the net and a file in float16: 11 bits, rounded each layer."""


@dataclass
class Job:
    """What is exported into which folder, and what its files are held against.

    Attributes
    ----------
    net : HybridBlock
        With its spec.
    folder : Path
        It is there; what is beside it is for drafts.
    unit : int
        As `gluon_enhance.exporting.trial_unit` has it.
    answers : list
        As `gluon_enhance.exporting.answers_of` has them.
    """

    net: Any
    folder: Path
    unit: int
    answers: list

    def path(self, suffix: str) -> Path:
        """Return the path of the file of this suffix."""
        return self.folder / f"{self.net.spec.name}{suffix}"

    @cached_property
    def onnx(self) -> Path:
        """The net as ONNX, beside the folder: what other formats are made of."""
        return export_onnx(self.net, self.folder.with_name(self.path(".onnx").name), self.unit)


def write_symbol(job: Job) -> None:
    """Write ``NAME-symbol.json`` and ``NAME-0000.params``, for MXNet's ``SymbolBlock.imports``."""
    job.net.hybridize()
    run_net(job.net, job.answers[0][0])
    pair = write_pair(job.net, job.path(""))
    # It is this net's own, whatever its operators.
    compare(pair[0].name, partial(run_net, load_pair(*pair, trust=True)), job.answers)


def write_onnx(job: Job) -> None:
    """Write ``NAME.onnx``, and its parts if the net needs the statistics of the whole image."""
    onnx = Path(shutil.copy(job.onnx, job.folder))
    if job.net.spec.tiling == "global_statistics":
        try:
            split_onnx(onnx, job.net.spec.unit)
        except EngineError:
            # Another's net may need more of the image than moments: it runs on what is one tile.
            if job.net.spec.net:
                raise


def write_safetensors(job: Job) -> None:
    """Write ``NAME.safetensors``, if a PyTorch program has this net and so names its weights."""
    net = widened(job.net)
    state = published_state(net)
    if state is None:
        return
    path = write_state(net, state, job.folder)
    arrays = require("safetensors.numpy").load_file(str(path))
    again = load_state(type(net)(**net.spec.kwargs), arrays, path)
    compare(path.name, partial(run_net, again), job.answers)


def write_torch(job: Job) -> None:
    """Write ``NAME.safetensors``, and ``NAME.py``, which loads it, unless spandrel does."""
    net = job.net
    if built_in_pytorch(net):
        write_state(net, pytorch_state(net), job.folder)
        write_architecture(net, job.folder, job.answers)
    elif published_state(net):
        write_safetensors(job)
    else:
        raise EngineError(
            f"{net.spec.name} cannot be written for PyTorch, where no program known here has a "
            f"{type(net).__name__} as this one is built ({dict(net.spec.kwargs)}); take formats "
            "without torch"
        )


def write_ir(job: Job) -> None:
    """Write ``NAME.xml`` and ``NAME.bin`` for OpenVINO."""
    path = job.path(".xml")
    save_graph(import_openvino().Core().read_model(str(job.onnx)), path)
    again = engines.load("openvino", path, precision="fp32", trusted=True)
    compare(path.name, again.run, job.answers)


def write_fp16(job: Job) -> dict:
    """Write ``NAME.fp16.onnx``, which computes in float16, and takes and gives float32."""
    import onnx

    tool = require("onnxconverter_common.float16", "onnxconverter-common")
    path = job.path(".fp16.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that are next to nothing
        half = tool.convert_float_to_float16(
            onnx.load(str(job.onnx)),
            min_positive_val=float(np.finfo(np.float16).smallest_subnormal),
            max_finite_val=float(np.finfo(np.float16).max),
            keep_io_types=True,
        )
    onnx.save(half, str(path))
    for run in _runners(path):
        compare(path.name, run, job.answers, HALF_TOLERANCE)
    return {path.name: _agreements(job, path)}


def write_int8(job: Job) -> dict:
    """Write ``NAME.int8.onnx``, most convolutions of which have 8 bits.

    Raises
    ------
    EngineError
        If it keeps less than `MIN_AGREEMENT` to the net on one of the check pictures.
    """
    path = job.path(".int8.onnx")
    quantize_onnx(job.onnx, path)
    kept = _agreements(job, path)
    worst = min(kept, key=kept.__getitem__)
    if kept[worst] < MIN_AGREEMENT:
        raise EngineError(
            f"{path.name} keeps {kept[worst]} dB to the net on a picture of kind {worst} (at least "
            f"{MIN_AGREEMENT} are needed); it was not kept: leave int8 out"
        )
    return {path.name: kept}


def write_ncnn(job: Job) -> None:
    """Write ``NAME.param`` and ``NAME.bin`` for ncnn, of large weights in float16."""
    param = ncnn.convert(job.onnx, job.folder, [batch.shape for batch, _ in job.answers])
    run = ncnn.runner(param)
    if run:
        compare(param.name, run, job.answers, HALF_TOLERANCE)


def _runners(path):
    """List what the engines that are installed make of a file."""
    names = filter(engines.is_installed, engines.OF_FILES)
    return [engines.load(name, path, precision="fp32", trusted=True).run for name in names]


def _agreements(job, path):
    """Return the least PSNR in dB of a file's answers to the net's in any engine, by picture."""
    runs = _runners(path)
    kept = {}
    for kind, picture in check_pictures().items():
        exact = run_net(job.net, picture[None])
        kept[kind] = round(min(agreement(exact, run(picture[None])) for run in runs), 1)
    return kept


#: Format -> what writes its files and returns {file: its PSNR to the net on each check picture},
#: if it rounds.
WRITERS: dict[str, Callable[[Job], Optional[dict]]] = {
    "symbol": write_symbol,
    "onnx": write_onnx,
    "safetensors": write_safetensors,
    "ir": write_ir,
    "fp16": write_fp16,
    "int8": write_int8,
    "ncnn": write_ncnn,
    "torch": write_torch,
}
