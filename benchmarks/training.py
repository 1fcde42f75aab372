"""Time training steps against PyTorch, in one run, and the wait for data.

    python benchmarks/training.py [CASE...] [--precision fp32] [--repeats 5] [--data PHOTOS]

A step is forward, losses, backward, Adam, the moving average of the weights, and reading the
losses: that of the training script, where it has more than one loss. PyTorch takes it eagerly as
it comes, in fp32; then as its manual tells to make it fast, with channels last, and compiled, both
in bfloat16 where --precision says so (auto: where the processor has it). Where a script has no
bfloat16, our side stays in fp32. All sides have the same weights and batch, and outputs are
compared first. They take turns, so that a change of the machine's pace meets all, each in a process
of its own, since waiting threads of one library slow the other; the best of the repeats counts.
inf: it could not be compiled. Then as many steps and more are done with patches of photos; the exit
status is 1 if one waits for these for over 5% of the time. Leave the machine otherwise idle.
"""

import argparse
import math
import multiprocessing
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch_twins as twins
from torch_steps import TUNING
from training_cases import CASES

from gluon_enhance.data.folders import find_images
from gluon_enhance.framework import compute_in_caller, mx, physical_cores
from gluon_enhance.losses import VGGFeatures
from gluon_enhance.training.devices import batches
from gluon_enhance.training.precision import PRECISIONS, choose_precision

compute_in_caller()  # as the scripts do, here and in the processes that are spawned

LAST_LAYERS = {16: "relu4_3", 19: "relu5_4"}
"""Depth of VGG -> what the deepest loss needs."""
MAX_WAITING = 0.05
SIDES = ("MXNet", "eager", "channels last", "compiled")
"""Ours, and PyTorch's."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", help="folder of photos for the wait; default: generated ones")
    options = parser.parse_args()
    precision = choose_precision(options.precision)
    print(f"{physical_cores()} cores, {precision}, best of {options.repeats}\n")
    heads = "".join(f"{side:>15}" for side in SIDES)
    print(f"{'':12}{'batch':>12}{heads}{'of eager':>10}{'of best':>9}{'waiting':>9}")
    with tempfile.TemporaryDirectory() as folder:
        vgg = write_vgg(Path(folder))
        photos = find_images(options.data or write_photos(Path(folder)))
        waiting = {
            name: run(name, precision, vgg, photos, options.repeats)
            for name in options.cases or CASES
        }
    slow = [name for name, share in waiting.items() if share > MAX_WAITING]
    if slow:
        sys.exit(f"\nover {MAX_WAITING:.0%} of the time is waited for data: {', '.join(slow)}")


def run(name, precision, vgg, photos, repeats):
    """Print a row of the table; return the share of the time that is waited for data."""
    case = CASES[name]
    ours, *peers = compare(name, precision, vgg, repeats)
    step = make_step(name, "MXNet", precision, vgg)
    share = measure_waiting(case, step, case.patches(case, photos), 10 * repeats)
    size = f"{case.batch_size}x{case.patch_size}x{case.patch_size}"
    times = "".join(f"{seconds:13.3f} s" for seconds in (ours, *peers))
    ratios = f"{peers[0] / ours:9.2f}x{min(peers) / ours:8.2f}x"
    print(f"{name:12}{size:>12}{times}{ratios}{share:9.1%}", flush=True)
    return share


def make_step(name, side, precision, vgg):
    """Return a side's step, a function of a batch."""
    case = CASES[name]
    mx.random.seed(0)
    net = case.net()
    step = case.ours(case, net, vgg, precision if side == "MXNet" else "fp32")
    net.hybridize(static_alloc=True)
    if side == "MXNet":
        return partial(finish, step)
    twin = twins.load_twin(case.twin(), twins.arrays_of(net))
    check(name, net, twin, case.batch()[0])
    TUNING.channels_last = side != "eager"
    TUNING.compiled = side == "compiled"
    TUNING.bf16 = precision == "bf16" and side != "eager"
    return case.theirs(case, twin, step)


def check(name, net, twin, lr):
    ours = net(mx.nd.array(lr)).asnumpy()
    theirs = twin.eval()(torch.from_numpy(lr)).detach().numpy()
    twin.train()
    if np.abs(ours - theirs).max() > 1e-4:
        raise ValueError(f"{name} and its twin differ by {np.abs(ours - theirs).max()}")


def compare(name, precision, vgg, repeats):
    """Return the best time of each side, taken in turns."""
    sides = [Side(name, side, precision, vgg) for side in SIDES]
    times = [[side.time() for side in sides] for _ in range(repeats + 1)]
    for side in sides:
        side.end()
    return np.min(times[1:], axis=0)  # the first ones compile


class Side:
    """A process that takes steps of one side when it is told to."""

    def __init__(self, *what):
        spawn = multiprocessing.get_context("spawn")
        self._connection, other = spawn.Pipe()
        self._process = spawn.Process(target=take_steps, args=(other, *what))
        self._process.start()
        other.close()

    def time(self):
        """Return the seconds of a step; infinity when the process has ended, with its error."""
        try:
            self._connection.send("step")
            return self._connection.recv()
        except (EOFError, OSError):
            return math.inf

    def end(self):
        self._connection.close()
        self._process.join()


def take_steps(connection, name, *what):
    torch.set_num_threads(physical_cores())
    step = make_step(name, *what)
    batch = CASES[name].batch()
    try:
        while connection.recv():
            began = time.perf_counter()
            step(batch)
            connection.send(time.perf_counter() - began)
    except EOFError:
        pass


def finish(step, batch):
    """Take a step and wait for all that MXNet does in the background."""
    for value in step(batch).values():
        value.asscalar()
    mx.nd.waitall()


def measure_waiting(case, step, patches, count):
    """Return the share of the time of `count` steps that they wait; photos are unread at first."""
    source = batches(patches.draw, case.batch_size, 0, 0, count)
    waited, began = 0.0, time.perf_counter()
    for _ in range(count):
        asked = time.perf_counter()
        batch = next(source)
        waited += time.perf_counter() - asked
        step(batch)
    return waited / (time.perf_counter() - began)


def write_vgg(folder):
    """Write random weights of both VGGs; return depth -> file."""
    files = {}
    for depth, layer in LAST_LAYERS.items():
        features = VGGFeatures(depth, layer)
        features.initialize(mx.init.Normal(0.05))
        files[depth] = folder / f"vgg{depth}.params"
        features.save_parameters(str(files[depth]))
    return files


def write_photos(folder):
    """Write eight photo-like pictures: smooth noise with some grain."""
    rng = np.random.default_rng(0)
    for index in range(8):
        coarse = rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (1200, 900), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        image += rng.integers(-4, 5, image.shape, dtype=np.int16)
        cv2.imwrite(str(folder / f"{index}.jpg"), np.clip(image, 0, 255).astype(np.uint8))
    return folder


if __name__ == "__main__":
    main()
