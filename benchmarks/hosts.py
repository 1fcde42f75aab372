"""Export models, run each file in the programs that it is for, and compare with the HybridBlock.

    python benchmarks/hosts.py [MODEL...] [--opencv FOLDER]

Prints a table of Markdown: for each model, by default all that are shipped or in the package of the
extra [realesrgan], the largest difference from the net on an image of noise of 48x64 pixels in
[0, 1], for each runtime that is installed. A word says why there is none: `refused` by the export,
`no file` where no such program has the net, or `fails` where the runtime cannot run the file. ncnn
has float16 weights. --opencv: another OpenCV, that `pip install --no-deps --target FOLDER
opencv-python-headless` has put there.
"""

import argparse
import logging
import os
import runpy
import subprocess
import sys
import tempfile
from functools import partial
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
from gluon_enhance.weights import store

compute_in_caller()
SIZE = (1, 3, 48, 64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--opencv", metavar="FOLDER", help="of another OpenCV")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    runtimes = {name: run for name, (package, *run) in RUNTIMES.items() if find_spec(package)}
    if options.opencv:
        runtimes["another OpenCV"] = "onnx", partial(by_another_opencv, options.opencv)
    print("| model | " + " | ".join(runtimes) + " |")
    print("|---|" + "---|" * len(runtimes))
    batch = np.random.default_rng(0).random(SIZE, np.float32)
    for name in options.models or filter(is_at_hand, zoo.MODELS):
        net = zoo.get_model(name, pretrained=True)
        expected = run_net(net, batch)
        cells = [cell(net, *of, batch, expected) for of in runtimes.values()]
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


def is_at_hand(name):
    """Tell whether a model's weights are shipped, or in the installed package of [realesrgan]."""
    spec = zoo.MODELS[name]
    readers = {store.manifest()[file].reader for file in spec.weights}
    packaged = "ncnn" in readers and find_spec(store.PACKAGES[0]) is not None
    return packaged or spec.weights_kind == "shipped"


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
            print(f"{net.spec.name}, {kind}: {error}", file=sys.stderr)
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
    net = cv2.dnn.readNetFromONNX(np.frombuffer(of_one_size(base, batch), np.uint8))
    net.setInput(batch, "image")
    return net.forward("result")


def of_one_size(base, batch):
    """Return an exported ONNX file for images of one size: OpenCV's importer takes no others."""
    file = onnx.load(f"{base}.onnx")
    for axis, size in zip(file.graph.input[0].type.tensor_type.shape.dim, batch.shape):
        axis.dim_value = size
    return file.SerializeToString()


def by_another_opencv(folder, base, batch):
    place = base.parent
    Path(place, "sized.onnx").write_bytes(of_one_size(base, batch))
    np.save(place / "batch.npy", batch)
    code = """
import cv2, numpy as np
net = cv2.dnn.readNetFromONNX("sized.onnx")
net.setInput(np.load("batch.npy"), "image")
np.save("result.npy", net.forward("result"))
"""
    environment = {**os.environ, "PYTHONPATH": folder}
    subprocess.run([sys.executable, "-c", code], cwd=place, env=environment, check=True)
    return np.load(place / "result.npy")


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
