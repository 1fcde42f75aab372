"""Time nets on every engine against PyTorch, in one run.

    python benchmarks/engines.py [CASE...] [--repeats 2]

Every contender has the same random weights and input, and its answer is compared with PyTorch's.
Contenders, and the matrix product that tells the processor's peak, take turns, so that a change of
the machine's pace meets all; the best of the repeats counts. Each turn is a process of its own, so
that one contender at a time holds memory. Its first run compiles, and is not timed; what that adds
to the peak of a process that has loaded the net is the memory. Our engines run the whole image at
once here, without the Enhancer's tiles. Leave the machine otherwise idle.
"""

import argparse
import re
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Callable

import numpy as np
import torch
import torch_twins as twins
from torch.utils.flop_counter import FlopCounterMode

from gluon_enhance import engines
from gluon_enhance.exporting import export_onnx
from gluon_enhance.exporting.pytorch import dped
from gluon_enhance.framework import compute_in_caller, mx, physical_cores
from gluon_enhance.models.dped import DPEDResNet
from gluon_enhance.models.edsr import EDSR
from gluon_enhance.models.rrdbnet import RRDBNet
from gluon_enhance.models.srresnet import SRResNet
from gluon_enhance.models.srvgg import SRVGGNetCompact

compute_in_caller()  # as the command does, here and in the processes that are spawned

EAGER, HALF, COMPILED = "PyTorch eager fp32", "PyTorch bf16", "PyTorch bf16 compiled"
PEAK = "matrix product bf16"
AGREEMENT = 40
"""dB that the answers of our engines must keep to PyTorch's in fp32."""
PEAK_SIDE = 4096
"""Side of the square matrices whose product is taken for the processor's peak."""
TURN = 3.0
"""Seconds for which runs are timed in a turn, one at least: OpenVINO's first two are slower."""


@dataclass
class Case:
    """A net, its twin in PyTorch, and the sizes it is timed at."""

    net: Callable
    twin: Callable
    sizes: tuple


CASES = {
    "RRDB-23": Case(RRDBNet, twins.RRDBNet, ((128, 128), (256, 256))),
    "DPED": Case(DPEDResNet, dped.DPEDResNet, ((512, 768), (1500, 2000))),
    "EDSR-x2": Case(lambda: EDSR(2), twins.EDSR, ((360, 640),)),
    "SRResNet-x4": Case(lambda: SRResNet(4), twins.SRResNet, ((360, 640),)),
    "SRVGG-x4": Case(lambda: SRVGGNetCompact(4), twins.SRVGGNetCompact, ((360, 640),)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(physical_cores())
    print(f"{physical_cores()} cores, best of {options.repeats}; PyTorch {torch.__version__}")
    for name in options.cases or CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.onnx"
            export_onnx(make_net(name), path)
            for size in CASES[name].sizes:
                compare(name, path, size, options.repeats)


def make_net(name):
    mx.random.seed(0)
    net = CASES[name].net()
    net.initialize(mx.init.Xavier(magnitude=1))
    return net


def make_twin(name):
    return twins.load_twin(CASES[name].twin().eval(), twins.arrays_of(make_net(name)))


def make_half(name):
    return twins.halved(make_twin(name))


CONTENDERS = {
    EAGER: lambda name, path: twins.in_torch(make_twin(name)),
    HALF: lambda name, path: twins.in_torch(make_half(name)),
    COMPILED: lambda name, path: twins.in_torch(torch.compile(make_half(name), dynamic=False)),
    "openvino auto (default)": lambda name, path: engines.load("openvino", path).run,
    "openvino fp32": lambda name, path: engines.load("openvino", path, precision="fp32").run,
    "onnxruntime fp32": lambda name, path: engines.load("onnxruntime", path).run,
    "mxnet fp32": lambda name, path: engines.load("mxnet", make_net(name)).run,
}
"""Each gives, for a case and its ONNX file, what runs a batch."""


def compare(name, path, size, repeats):
    """Let the contenders take turns, and print a table of their best."""
    best = dict.fromkeys([*CONTENDERS, PEAK], float("inf"))
    memory, agreement = {}, {}
    product, product_work = matrix_product(torch.bfloat16)
    for _ in range(repeats):
        for key in CONTENDERS:
            seconds, memory[key], answer = aside(take_turn, key, name, path, size)
            best[key] = min(best[key], seconds)
            if key == EAGER:
                reference = answer
            agreement[key] = check(name, key, answer, reference)
        best[PEAK] = min(best[PEAK], best_time(product))
    work = operations(name, size)
    peak = product_work / best.pop(PEAK)
    print(
        f"\n{name}, {size[0]}x{size[1]}, {work / 1e9:.0f} GFLOP; {PEAK}: {peak / 1e9:.0f} GFLOP/s\n"
        f"{'':24}  seconds  as fast as fp32  as best bf16  of the peak    agrees    memory"
    )
    best_half = min(best[HALF], best[COMPILED])
    for key, seconds in best.items():
        print(
            f"{key:24}{seconds:9.3f}{best[EAGER] / seconds:16.2f}x{best_half / seconds:13.2f}x"
            f"{work / seconds / peak:13.0%}{agreement[key]:7.1f} dB{memory[key]:7.0f} MB",
            flush=True,
        )


def aside(function, *arguments):
    """Call in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def take_turn(key, name, path, size):
    """Return a contender's best time, the memory of its first run, and its answer."""
    torch.set_num_threads(physical_cores())
    run = CONTENDERS[key](name, path)
    batch = np.random.default_rng(0).random((1, 3, *size), np.float32)
    before = peak_megabytes()
    answer = run(batch)
    memory = peak_megabytes() - before
    return best_time(lambda: run(batch)), memory, answer


def best_time(function):
    times = []
    while sum(times) < TURN:
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def peak_megabytes():
    """Read this process's peak from the kernel; getrusage's begins at the parent's."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e3


def check(name, key, answer, reference):
    """Return the PSNR in dB of an answer, and end if ours is not PyTorch's."""
    error = np.mean(np.square(answer - reference, dtype=np.float64))
    value = 10 * np.log10(np.ptp(reference) ** 2 / max(error, 1e-20))
    if value < AGREEMENT and not key.startswith("PyTorch"):
        sys.exit(f"{name}: {key} is {value:.1f} dB from {EAGER}; at least {AGREEMENT} are due")
    return value


def matrix_product(dtype):
    """Return what multiplies two large matrices, and the operations of that."""
    a, b = (torch.randn(PEAK_SIDE, PEAK_SIDE).to(dtype) for _ in range(2))
    return lambda: a @ b, 2 * PEAK_SIDE**3


def operations(name, size):
    """Count the multiplications and additions of convolutions."""
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        CASES[name].twin().eval()(torch.empty(1, 3, *size))
    return counter.get_total_flops()


if __name__ == "__main__":
    main()
