"""Time nets on every engine against PyTorch, in one run.

    python benchmarks/engines.py [CASE...] [--repeats 3] [--memory]

Every contender has the same random weights and input, and its answer is compared with PyTorch's
before it is timed. Contenders take turns, so that a change of the machine's pace meets all; the
best of the repeats counts. With --memory each runs once more in a process of its own, for its
peak. Leave the machine otherwise idle.
"""

import argparse
import multiprocessing
import resource
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

EAGER = "PyTorch eager fp32"
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
    print(
        f"{physical_cores()} cores, best of {options.repeats}; PyTorch {torch.__version__}; "
        f"product of {PEAK_SIDE}x{PEAK_SIDE} matrices: {peak(torch.float32):.0f} GFLOP/s in fp32, "
        f"{peak(torch.bfloat16):.0f} in bf16"
    )
    for name in options.cases or CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.onnx"
            contenders = make_contenders(name, path)
            for size in CASES[name].sizes:
                compare(name, contenders, size, options.repeats)
            if options.memory:
                del contenders
                report_memory(name, path, CASES[name].sizes[-1])


def peak(dtype):
    a, b = (torch.randn(PEAK_SIDE, PEAK_SIDE).to(dtype) for _ in range(2))
    seconds = min(timed(lambda: a @ b)[0] for _ in range(10))
    return 2 * PEAK_SIDE**3 / seconds / 1e9


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
        return twins.load_twin(case.twin().eval(), net)

    half = twin().to(dtype=torch.bfloat16, memory_format=torch.channels_last)
    return {
        EAGER: in_torch(twin()),
        "PyTorch bf16": in_torch(half),
        "PyTorch bf16 compiled": in_torch(torch.compile(half)),
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
    noise = {key: psnr(run(batch), reference) for key, run in contenders.items()}
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(repeats):
        for key, run in contenders.items():
            best[key] = min(best[key], timed(lambda run=run: run(batch))[0])
    work = operations(CASES[name].twin(), batch)
    print(f"\n{name}, {size[0]}x{size[1]}, {work / 1e9:.0f} GFLOP")
    print(f"{'':26}{'seconds':>9}{'ratio':>8}{'GFLOP/s':>9}{'agreement':>12}")
    for key, seconds in best.items():
        ratio = best[EAGER] / seconds
        speed = work / seconds / 1e9
        print(f"{key:26}{seconds:9.3f}{ratio:7.2f}x{speed:9.0f}{noise[key]:9.1f} dB", flush=True)


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
    for key in (EAGER, "PyTorch bf16", "openvino auto (default)", "onnxruntime fp32"):
        with context.Pool(1) as pool:
            print(f"{key:26}{pool.apply(memory, (name, key, path, size)):9.0f} MB", flush=True)


def memory(name, key, path, size):
    torch.set_num_threads(physical_cores())
    run = make_contenders(name, path)[key]
    run(make_batch((64, 64)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(make_batch(size))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3


if __name__ == "__main__":
    main()
