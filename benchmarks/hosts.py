"""Export models, run each file in the programs that it is for, and compare with the HybridBlock.

    python benchmarks/hosts.py [MODEL...]

Prints a table of Markdown: for each model, by default all that are shipped, the largest difference
from the net on an image of noise of 48x64 pixels in [0, 1], for each runtime that is installed. A
word says why there is none: `refused` by the export, `no file` where no such program has the net,
or `fails` where the runtime cannot run the file. ncnn has float16 weights.
"""

import argparse
import logging
import runpy
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import onnx

from gluon_enhance import engines, zoo
from gluon_enhance.errors import EngineError
from gluon_enhance.exporting import ncnn, run_net
from gluon_enhance.exporting.folder import export
from gluon_enhance.framework import compute_in_caller, mx

compute_in_caller()
SIZE = (1, 3, 48, 64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    shipped = [name for name, spec in zoo.MODELS.items() if spec.weights_kind == "shipped"]
    runtimes = {name: run for name, (package, *run) in RUNTIMES.items() if find_spec(package)}
    print("| model | " + " | ".join(runtimes) + " |")
    print("|---|" + "---|" * len(runtimes))
    batch = np.random.default_rng(0).random(SIZE, np.float32)
    for name in options.models or shipped:
        net = zoo.get_model(name, pretrained=True)
        expected = run_net(net, batch)
        cells = [cell(net, *of, batch, expected) for of in runtimes.values()]
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


def cell(net, kind, run, batch, expected):
    with tempfile.TemporaryDirectory() as temporary:
        try:
            folder = export(net, Path(temporary, "out"), [kind])
        except EngineError:
            return "refused"
        try:
            result = run(folder / net.spec.name, batch)
        except FileNotFoundError:
            return "no file"
        except Exception as error:  # of whatever program
            print(f"{net.spec.name}, {run.__name__}: {error}", file=sys.stderr)
            return "fails"
        return f"{np.abs(result - expected).max():.0e}"


def by_mxnet(base, batch):
    pair = f"{base}-symbol.json", ["data"], f"{base}-0000.params"
    return mx.gluon.SymbolBlock.imports(*pair)(mx.nd.array(batch)).asnumpy()


def by_onnxruntime(base, batch):
    return engines.load("onnxruntime", f"{base}.onnx", precision="fp32").run(batch)


def by_openvino(base, batch):
    return engines.load("openvino", f"{base}.xml", precision="fp32", trusted=True).run(batch)


def by_opencv(base, batch):
    file = onnx.load(f"{base}.onnx")
    for axis, size in zip(file.graph.input[0].type.tensor_type.shape.dim, batch.shape):
        axis.dim_value = size  # its importer takes files of one size
    net = cv2.dnn.readNetFromONNX(np.frombuffer(file.SerializeToString(), np.uint8))
    net.setInput(batch, "image")
    return net.forward("result")


def by_ncnn(base, batch):
    return ncnn.runner(base.with_name(f"{base.name}.param"))(batch)


def by_torch(base, batch):
    import torch

    with torch.inference_mode():
        return runpy.run_path(f"{base}.py")["load"]()(torch.from_numpy(batch)).numpy()


def by_spandrel(base, batch):
    import torch
    from spandrel import ModelLoader

    with torch.inference_mode():
        net = ModelLoader().load_from_file(f"{base}.safetensors").model
        return net(torch.from_numpy(batch)).numpy()


#: Heading -> package, format, and what runs its file.
RUNTIMES = {
    "MXNet": ("mxnet", "symbol", by_mxnet),
    "ONNX Runtime": ("onnxruntime", "onnx", by_onnxruntime),
    "OpenVINO": ("openvino", "ir", by_openvino),
    f"OpenCV {cv2.__version__}": ("cv2", "onnx", by_opencv),
    "ncnn": ("ncnn", "ncnn", by_ncnn),
    "PyTorch": ("torch", "torch", by_torch),
    "spandrel": ("spandrel", "safetensors", by_spandrel),
}


if __name__ == "__main__":
    main()
