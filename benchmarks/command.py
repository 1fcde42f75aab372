"""Time and memory of the command: cold start, help, and a 12-megapixel photo.

    python benchmarks/command.py [--skip-large]

Peak memory is the child process's largest resident set, as the kernel counts it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

COMMAND = [sys.executable, "-m", "gluon_enhance"]
MEGABYTE = 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skip-large", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        small = photo_like(folder / "small.png", 96, 96)
        report("--help", best(["--help"]), "at most 0.4 s")
        report("enhance 96x96", best(["enhance", small, "-o", folder / "out.png"]), "at most 2 s")
        if not options.skip_large:
            large = photo_like(folder / "large.png", 3000, 4000)
            usage = run(["enhance", large, "-o", folder / "large_x4.png"])
            output = 16 * 3000 * 4000 * 3 / MEGABYTE
            report(
                "enhance 4000x3000",
                usage,
                f"at most {output:.0f} MB + 1000 MB: "
                f"{usage[1] - output:.0f} MB above the decoded output",
            )


def photo_like(path, height, width):
    """Write smooth noise with some grain: as hard to encode as a photo, without being one."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (max(2, height // 60), max(2, width // 60), 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    image += rng.integers(-4, 5, image.shape, dtype=np.int16)
    cv2.imwrite(str(path), np.clip(image, 0, 255).astype(np.uint8))
    return path


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


def report(name, usage, bound):
    print(f"{name:22}{usage[0]:9.2f} s {usage[1]:9.0f} MB   ({bound})", flush=True)


if __name__ == "__main__":
    main()
