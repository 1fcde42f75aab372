"""Files for ncnn, as phones and upscayl run nets: converted from ONNX by pnnx, run by ncnn.

References
----------
.. [1] https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from gluon_enhance.errors import EngineError

logger = logging.getLogger(__name__)

BLOBS = {"in0": "data", "out0": "output"}
"""What pnnx calls the net's input and output -> what programs that run Real-ESRGAN look for."""

KINDS = {
    "BatchNorm", "BinaryOp", "Concat", "Convolution", "ConvolutionDepthWise", "Crop",
    "Deconvolution", "DeconvolutionDepthWise", "Input", "InstanceNorm", "Interp", "MemoryData",
    "Padding", "PixelShuffle", "Pooling", "PReLU", "ReLU", "Reorg", "Scale", "Sigmoid", "Slice",
    "Split", "TanH", "UnaryOp",
}  # fmt: skip
"""Layers of ncnn that our nets have; what pnnx cannot convert it leaves under other names."""


def convert(onnx: Path, folder: Path, shapes: Sequence[tuple[int, ...]]) -> Path:
    """Write a net as ``NAME.param`` and ``NAME.bin``, of large weights in float16.

    Parameters
    ----------
    onnx : Path
        ``NAME.onnx``, as `gluon_enhance.exporting.export_onnx` writes it.
    folder : Path
    shapes : sequence of two tuples of int
        Sizes of images, (N, 3, H, W), that tell pnnx which axes are free.

    Returns
    -------
    Path
        The ``.param`` file.

    Raises
    ------
    EngineError
        If pnnx is not installed or fails, or the net has an operator that it does not convert.
    """
    from onnx import load

    program, param = _pnnx(), folder / f"{onnx.stem}.param"
    _refuse_what_comes_out_wrong(load(str(onnx)), onnx.stem)
    sizes = [f"[1,{','.join(map(str, shape[1:]))}]" for shape in shapes]
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pnnx-") as scratch:
        # Beside the file it leaves others, and of its name it drops what no variable may have.
        copy = shutil.copy(onnx, Path(scratch, "net.onnx"))
        command = [program, copy, f"inputshape={sizes[0]}", f"inputshape2={sizes[1]}", "fp16=1"]
        run = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
        text, data = (Path(scratch, f"net.ncnn.{end}") for end in ("param", "bin"))
        if run.returncode or not (text.exists() and data.exists()):
            reason = (run.stderr or run.stdout).strip()[-200:]
            raise EngineError(f"pnnx cannot convert {onnx.name}: {reason}")
        param.write_text(_mended(text.read_text("ascii"), onnx.stem), "ascii")
        shutil.copyfile(data, param.with_suffix(".bin"))
    return param


def runner(param: Path) -> Optional[Callable[[np.ndarray], np.ndarray]]:
    """Return what runs the files on batches; None, and a line that says so, if ncnn is missing."""
    if importlib.util.find_spec("ncnn") is None:
        logger.warning("%s was not run: ncnn is not installed; pip install ncnn", param.name)
        return None
    import ncnn

    net = ncnn.Net()
    net.opt.use_vulkan_compute = net.opt.use_bf16_storage = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.load_param(str(param))
    net.load_model(str(param.with_suffix(".bin")))

    def run_one(image):
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(image).clone())
        status, output = extractor.extract("output")
        if status:
            raise EngineError(f"ncnn cannot run {param.name} on {image.shape} (status {status})")
        return np.array(output)

    return lambda batch: np.stack([run_one(image) for image in batch])


def _pnnx():
    """Return the path of the program: its Python package would import PyTorch to call it."""
    found = importlib.util.find_spec("pnnx")
    if found is None or not found.origin:
        raise EngineError("format ncnn needs pnnx, which is not installed; pip install pnnx")
    return str(Path(found.origin).with_name("pnnx.exe" if os.name == "nt" else "pnnx"))


def _refuse_what_comes_out_wrong(model, name):
    """Refuse what pnnx converts to something else, without a word."""
    for node in model.graph.node:
        reason = _reason_against(node, model.graph)
        if reason:
            raise EngineError(
                f"{name} cannot be written for ncnn: its {node.op_type} {node.name} {reason}; "
                "leave the format ncnn out"
            )


def _reason_against(node, graph):
    """Say what is wrong with a node; None if nothing is."""
    from onnx import numpy_helper

    axis = [attribute.i for attribute in node.attribute if attribute.name == "axis"]
    if node.op_type in ("Concat", "Split") and axis == [0]:
        return "is along the batch, which ncnn does not have"
    if node.op_type == "Slice":
        axes = [one for one in graph.initializer if one.name in node.input[3:4]]
        if not axes or any(numpy_helper.to_array(axes[0]) != 1):
            return "is along height or width, where pnnx drops it"
    return None


def _mended(text, name):
    """Name input and output as other programs have it, and refuse what ncnn does not know."""
    _, _, *layers = text.splitlines()
    unknown = sorted({layer.split()[0] for layer in layers} - KINDS)
    if unknown:
        raise EngineError(
            f"{name} cannot be written for ncnn: pnnx does not convert its {', '.join(unknown)}; "
            "leave the format ncnn out"
        )
    # Of both orders of channels that ncnn folds pixels into, pnnx takes the one that ONNX lacks.
    text = re.sub(r"^(Reorg .* 1=)0$", r"\g<1>1", text, flags=re.MULTILINE)
    return re.sub(r"\b(in0|out0)\b", lambda match: BLOBS[match[0]], text)
