"""Time nets on every engine against PyTorch, in one run.

    python benchmarks/engines.py [CASE...] [--repeats 3] [--memory]

Every contender has the same random weights and input, and its answer is compared with PyTorch's
before it is timed. Contenders, and the matrix product that tells the processor's peak, take turns,
so that a change of the machine's pace meets all; the best of the repeats counts. Our engines run
the whole image at once here, without the Enhancer's tiles. With --memory each runs once more in a
process of its own, for its peak. Leave the machine otherwise idle.
"""

import argparse
import multiprocessing
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np
import torch
import torch_twins as twins
from torch.utils.flop_counter import FlopCounterMode

from gluon_enhance import engines
from gluon_enhance.exporting import export_onnx
from gluon_enhance.framework import mx, physical_cores
from gluon_enhance.models.dped import DPEDResNet
from gluon_enhance.models.edsr import EDSR
from gluon_enhance.models.rrdbnet import RRDBNet
from gluon_enhance.models.srresnet import SRResNet
from gluon_enhance.models.srvgg import SRVGGNetCompact

EAGER, HALF, COMPILED = "PyTorch eager fp32", "PyTorch bf16", "PyTorch bf16 compiled"
PEAK = "matrix product bf16"
AGREEMENT = 40
"""dB that the answers of our engines must keep to PyTorch's in fp32."""
PEAK_SIDE = 4096
"""Side of the square matrices whose product is taken for the processor's peak."""


@dataclass
class Case:
    """A net, its twin in PyTorch, and the sizes it is timed at."""

    net: Callable
    twin: Callable
    sizes: tuple


CASES = {
    "RRDB-23": Case(RRDBNet, twins.RRDBNet, ((128, 128), (256, 256))),
    "DPED": Case(DPEDResNet, twins.DPEDResNet, ((512, 768), (1500, 2000))),
    "EDSR-x2": Case(lambda: EDSR(2), twins.EDSR, ((360, 640),)),
    "SRResNet-x4": Case(lambda: SRResNet(4), twins.SRResNet, ((360, 640),)),
    "SRVGG-x4": Case(lambda: SRVGGNetCompact(4), twins.SRVGGNetCompact, ((360, 640),)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="measure peak memory too")
    options = parser.parse_args()
    torch.set_num_threads(physical_cores())
    print(f"{physical_cores()} cores, best of {options.repeats}; PyTorch {torch.__version__}")
    for name in options.cases or CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.onnx"
            contenders = make_contenders(name, path)
            for size in CASES[name].sizes:
                compare(name, contenders, size, options.repeats)
            if options.memory:
                del contenders
                report_memory(name, path, CASES[name].sizes[-1])


def matrix_product(dtype):
    """Return what multiplies two large matrices, and the operations of that."""
    a, b = (torch.randn(PEAK_SIDE, PEAK_SIDE).to(dtype) for _ in range(2))
    return lambda: a @ b, 2 * PEAK_SIDE**3


def timed(function):
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result


def make_contenders(name, path):
    """Return what runs a batch, by name; the net's ONNX file is written to the path."""
    case = CASES[name]
    mx.random.seed(0)
    net = case.net()
    net.initialize(mx.init.Xavier(magnitude=1))
    if not path.exists():
        export_onnx(net, path)

    def twin():
        return twins.load_twin(case.twin().eval(), twins.arrays_of(net))

    half = twin().to(dtype=torch.bfloat16, memory_format=torch.channels_last)
    return {
        EAGER: in_torch(twin()),
        HALF: in_torch(half),
        COMPILED: in_torch(torch.compile(half, dynamic=False)),
        "openvino auto (default)": engines.load("openvino", path).run,
        "openvino fp32": engines.load("openvino", path, precision="fp32").run,
        "onnxruntime fp32": engines.load("onnxruntime", path).run,
        "mxnet fp32": engines.load("mxnet", net).run,
    }


def in_torch(net):
    parameter = next(net.parameters())
    layout = torch.channels_last if parameter.dtype == torch.bfloat16 else torch.contiguous_format

    @torch.inference_mode()
    def run(batch):
        batch = torch.from_numpy(batch).to(parameter.dtype, memory_format=layout)
        return net(batch).float().contiguous().numpy()

    return run


def compare(name, contenders, size, repeats):
    batch = make_batch(size)
    reference = contenders[EAGER](batch)
    agreement = {key: psnr(run(batch), reference) for key, run in contenders.items()}
    for key, value in agreement.items():
        if value < AGREEMENT and not key.startswith("PyTorch"):
            sys.exit(f"{name}: {key} is {value:.1f} dB from {EAGER}; at least {AGREEMENT} are due")
    product, product_work = matrix_product(torch.bfloat16)
    runs = {key: lambda run=run: run(batch) for key, run in contenders.items()}
    runs[PEAK] = product
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for key, run in runs.items():
            best[key] = min(best[key], timed(run)[0])
    work = operations(CASES[name].twin(), batch)
    peak = product_work / best.pop(PEAK)
    print(
        f"\n{name}, {size[0]}x{size[1]}, {work / 1e9:.0f} GFLOP; {PEAK}: {peak / 1e9:.0f} GFLOP/s\n"
        f"{'':24}  seconds  as fast as fp32  as best bf16  of the peak    agrees"
    )
    best_half = min(best[HALF], best[COMPILED])
    for key, seconds in best.items():
        print(
            f"{key:24}{seconds:9.3f}{best[EAGER] / seconds:16.2f}x{best_half / seconds:13.2f}x"
            f"{work / seconds / peak:13.0%}{agreement[key]:7.1f} dB",
            flush=True,
        )


def make_batch(size):
    return np.random.default_rng(0).random((1, 3, *size), np.float32)


@torch.inference_mode()
def operations(twin, batch):
    """Count the multiplications and additions of convolutions."""
    with FlopCounterMode(display=False) as counter:
        twin.eval()(torch.from_numpy(batch))
    return counter.get_total_flops()


def psnr(result, reference):
    error = np.mean(np.square(result - reference, dtype=np.float64))
    return 10 * np.log10(np.ptp(reference) ** 2 / max(error, 1e-20))


def report_memory(name, path, size):
    """Print what a run adds to the peak of a process that has loaded all and run a small image."""
    print(f"\n{name}, {size[0]}x{size[1]}: peak memory of a run")
    context = multiprocessing.get_context("spawn")
    for key in (EAGER, HALF, "openvino auto (default)", "onnxruntime fp32"):
        with context.Pool(1) as pool:
            print(f"{key:26}{pool.apply(memory, (name, key, path, size)):9.0f} MB", flush=True)


def memory(name, key, path, size):
    torch.set_num_threads(physical_cores())
    run = make_contenders(name, path)[key]
    run(make_batch((64, 64)))
    before = peak_megabytes()
    run(make_batch(size))
    return peak_megabytes() - before


def peak_megabytes():
    """Read this process's peak from the kernel; getrusage's begins at the parent's."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e3


if __name__ == "__main__":
    main()
