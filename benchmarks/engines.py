"""Time RRDB with 23 blocks on every engine against PyTorch eager, in one run.

    python benchmarks/engines.py [--sizes 64 192] [--repeats 5]

Every contender has the same random weights and input, and its answer is compared with PyTorch's
before it is timed. Contenders take turns, so that a change of the machine's pace meets all;
the best of the repeats counts. Leave the machine otherwise idle.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from gluon_enhance import engines
from gluon_enhance.export import export_onnx
from gluon_enhance.framework import mx, physical_cores
from gluon_enhance.models.rrdbnet import RRDBNet


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 192])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    mx.random.seed(0)
    net = RRDBNet()
    net.initialize(mx.init.Xavier(magnitude=1))
    torch_net = make_torch_net(net)
    with tempfile.TemporaryDirectory() as folder:
        onnx = export_onnx(net, Path(folder) / "rrdb.onnx")
        contenders = {
            "PyTorch eager fp32": torch_net,
            "openvino auto (default)": engines.load("openvino", onnx),
            "openvino fp32": engines.load("openvino", onnx, precision="fp32"),
            "onnxruntime fp32": engines.load("onnxruntime", onnx),
            "mxnet fp32": engines.load("mxnet", net),
        }
    print(
        f"RRDB-23, {physical_cores()} cores, best of {options.repeats}; "
        f"default engine: {contenders['openvino auto (default)'].describe()}"
    )
    for size in options.sizes:
        compare(contenders, size, options.repeats)


def make_torch_net(net):
    import torch
    from torch_twins import RRDBNet as TorchRRDBNet
    from torch_twins import load_twin

    torch.set_num_threads(physical_cores())
    torch_net = load_twin(TorchRRDBNet().eval(), net)

    class Eager:
        @torch.inference_mode()
        def run(self, batch):
            return torch_net(torch.from_numpy(batch)).numpy()

    return Eager()


def compare(contenders, size, repeats):
    batch = np.random.default_rng(0).random((1, 3, size, size), np.float32)
    reference = contenders["PyTorch eager fp32"].run(batch)
    noise = {name: psnr(c.run(batch), reference) for name, c in contenders.items()}
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(repeats):
        for name, contender in contenders.items():
            began = time.perf_counter()
            contender.run(batch)
            best[name] = min(best[name], time.perf_counter() - began)
    print(f"\n{size}x{size} input\n{'':26}{'seconds':>9}{'ratio':>8}{'agreement':>12}")
    for name, seconds in best.items():
        ratio = best["PyTorch eager fp32"] / seconds
        print(f"{name:26}{seconds:9.3f}{ratio:7.2f}x{noise[name]:9.1f} dB")


def psnr(result, reference):
    error = np.mean(np.square(result - reference, dtype=np.float64))
    return 10 * np.log10(np.ptp(reference) ** 2 / max(error, 1e-20))


if __name__ == "__main__":
    main()
