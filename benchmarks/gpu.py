"""Time shipped models on an NVIDIA GPU against PyTorch, in one run; needs no MXNet.

    python benchmarks/gpu.py [MODEL...] [--sizes 512 1024] [--repeats 5]

ONNX Runtime's CUDA and PyTorch have the same weights; both get an image in memory and give one
back. Their answers are compared with ONNX Runtime's on the processor. Contenders take turns, and
the best of the repeats counts. The last line of a model is of the whole `Enhancer`, tiles and all.
"""

import argparse
import time

import numpy as np
import onnxruntime
import torch
import torch_twins as twins

import gluon_enhance as ge
from gluon_enhance import engines
from gluon_enhance.exporting.pytorch import dped
from gluon_enhance.weights import store
from gluon_enhance.weights.readers.gluon import read_params

EAGER, HALF = "PyTorch fp32", "PyTorch bf16"
OURS = "onnxruntime cuda"
TWINS = {
    "rrdb_lite_x4": lambda: twins.RRDBNet(num_blocks=4, channels=32, growth=16),
    "edsr_lite_x2": lambda: twins.EDSR(num_blocks=8, channels=48),
    "srresnet_x4": twins.SRResNet,
    "dped_resnet": dped.DPEDResNet,
}
CHECKED = 256
"""Side of the image that answers are compared on."""
PHOTO = (3000, 4000)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(TWINS))
    parser.add_argument("--sizes", type=int, nargs="*", default=[512, 1024], help="of the images")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(
        f"{torch.cuda.get_device_name()}, best of {options.repeats}; "
        f"ONNX Runtime {onnxruntime.__version__}, PyTorch {torch.__version__}"
    )
    for name in options.models or TWINS:
        contenders = make_contenders(name)
        agreement = compare(name, contenders)
        for size in options.sizes:
            race(name, contenders, size, options.repeats, agreement)
        del contenders
        torch.cuda.empty_cache()
        enhance_photo(name)


def make_contenders(name):
    path = store.find_shipped(name, ".onnx")
    arrays = read_params(store.model_zoo_folder() / name / f"{name}.params")

    def twin():
        return twins.load_twin(TWINS[name]().eval(), arrays).cuda()

    return {
        EAGER: twins.in_torch(twin()),
        HALF: twins.in_torch(twins.halved(twin())),
        OURS: engines.load("onnxruntime", path, device="cuda").run,
    }


def compare(name, contenders):
    """Return by contender the largest difference from the processor's answer."""
    reference = engines.load("onnxruntime", store.find_shipped(name, ".onnx"), device="cpu")
    batch = make_batch(CHECKED)
    expected = reference.run(batch)
    return {key: np.abs(run(batch) - expected).max() for key, run in contenders.items()}


def make_batch(size):
    return np.random.default_rng(0).random((1, 3, size, size), np.float32)


def race(name, contenders, size, repeats, agreement):
    batch = make_batch(size)
    first = {key: timed(run, batch) for key, run in contenders.items()}
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(repeats):
        for key, run in contenders.items():
            best[key] = min(best[key], timed(run, batch))
    print(f"\n{name}, {size}x{size}\n{'':20}first s  best s  as fast as fp32  differs by")
    for key, seconds in best.items():
        print(
            f"{key:18}{first[key]:9.3f}{seconds:8.4f}{best[EAGER] / seconds:16.2f}x"
            f"{agreement[key]:12.1e}",
            flush=True,
        )


def timed(function, *arguments):
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def enhance_photo(name):
    before = torch.cuda.mem_get_info()[0]
    enhancer = ge.Enhancer(name, engine="onnxruntime", device="cuda")
    photo = np.random.default_rng(0).integers(0, 256, (*PHOTO, 3), np.uint8)
    first, second = timed(enhancer, photo), timed(enhancer, photo)
    megapixels = photo[..., 0].size / 1e6
    gigabytes = (before - torch.cuda.mem_get_info()[0]) / 1e9
    print(
        f"{name}, {PHOTO[0]}x{PHOTO[1]} through the Enhancer, tile {enhancer.tile}: "
        f"{first:.2f} s, again {second:.2f} s, {second / megapixels:.3f} s/MP, "
        f"{gigabytes:.1f} GB of the GPU",
        flush=True,
    )


if __name__ == "__main__":
    main()
