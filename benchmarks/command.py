"""Time and memory of the command: help, cold start, one picture of each size, a folder of photos.

    python benchmarks/command.py start
    python benchmarks/command.py sizes [--model MODEL] [--megapixels 0.1 0.4 1.5 6 24]
    python benchmarks/command.py folder [--model MODEL] [--ext png] [--count 50]

`sizes` shows how time grows with the pixels, and what is held beside the decoded input and output.
`folder` compares the command with the same model called on the same pictures in memory, each the
better of two turns. Peak memory is the child process's largest resident set, as the kernel counts
it. Leave the machine otherwise idle.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from gluon_enhance.zoo import get_spec

COMMAND = [sys.executable, "-m", "gluon_enhance"]
MEGABYTE = 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=MEASURES)
    parser.add_argument("--model", default="esrgan_lite_x4")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.1, 0.4, 1.5, 6, 24])
    parser.add_argument("--ext", default="png")
    parser.add_argument("--count", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        MEASURES[options.what](Path(folder), options)


def measure_start(folder, options):
    picture = photo_like(folder / "small.png", 96, 96)
    enhance = ["enhance", picture, "-m", options.model, "-o", folder / "out.png"]
    os.environ["MXNET_HOME"] = str(folder)  # where compiled models are kept
    report("--help", *best(["--help"]))
    report("96x96, first run", *run(enhance))
    report("96x96, later runs", *best(enhance))


def measure_sizes(folder, options):
    run(["enhance", photo_like(folder / "small.png", 96, 96), "-m", options.model])
    scale = get_spec(options.model).scale
    for megapixels in options.megapixels:
        height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
        width = round(height * 4 / 3)
        picture = aside(photo_like, folder / "photo.png", height, width)
        enhance = ["enhance", picture, "-m", options.model, "-o", folder / "out.png"]
        seconds, peak = best(enhance, repeats=2)  # in the first, tiles of its shape are compiled
        images = 3 * height * width * (1 + scale**2) / MEGABYTE
        report(
            f"{width}x{height}", seconds, peak, f"{1e6 * seconds / height / width:.2f} s per "
            f"megapixel; {peak - images:.0f} MB beside the decoded input and output",
        )  # fmt: skip


def measure_folder(folder, options):
    paths = [
        photo_like(folder / f"{k:02}.{options.ext}", 320, 480, k) for k in range(options.count)
    ]
    arguments = ["enhance", folder, "-m", options.model, "-o", folder / "out"]
    arguments += ["--ext", options.ext]
    turns = [(run(arguments), aside(seconds_of_model, options.model, paths)) for _ in range(2)]
    (seconds, peak), own = map(min, zip(*turns))
    report(
        f"{options.count} photos, {options.ext}", seconds, peak,
        f"{own / seconds:.0%} of the throughput of the model alone, which takes {own:.2f} s",
    )  # fmt: skip


def seconds_of_model(model, paths):
    from gluon_enhance import Enhancer

    enhancer, images = Enhancer(model), [cv2.imread(str(path)) for path in paths]
    enhancer(images[0])
    began = time.perf_counter()
    for image in images:
        enhancer(image)
    return time.perf_counter() - began


MEASURES = {"start": measure_start, "sizes": measure_sizes, "folder": measure_folder}


def photo_like(path, height, width, seed=0):
    """Write smooth noise with some grain: as hard to encode as a photo, without being one."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 60), max(2, width // 60), 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    image += rng.integers(-4, 5, image.shape, dtype=np.int16)
    cv2.imwrite(str(path), np.clip(image, 0, 255).astype(np.uint8))
    return path


def aside(function, *arguments):
    """Call in a process of its own: the peak of this one's children begins at its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def best(arguments, repeats=5):
    return min(run(arguments) for _ in range(repeats))


def run(arguments):
    """Return seconds and peak megabytes of one command."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{arguments} failed with status {status}")
    return time.perf_counter() - began, usage.ru_maxrss * 1024 / MEGABYTE


def report(name, seconds, peak, remark=""):
    print(f"{name:22}{seconds:9.2f} s {peak:9.0f} MB   {remark}", flush=True)


if __name__ == "__main__":
    main()
