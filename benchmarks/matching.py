"""Time and memory of ``gluon-enhance match`` on rasters, and of ``rio hist`` where it is installed.

    python benchmarks/matching.py [--size 4000] [--large 20000] [--rio RIO]

Both run as commands on the same files, in turns; the best of the repeats counts. rio-hist must hold
the raster in memory and give 8 bits, so it gets the small one only. Peak memory is the process's
largest resident set, as the kernel counts it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

MATCH = [sys.executable, "-c", "from gluon_enhance.commands.match import match; match()"]
BLOCK = 512


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4000, help="side of the small raster")
    parser.add_argument("--large", type=int, default=0, help="side of a raster to stream")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", default="uint16", choices=["uint8", "uint16", "float32"])
    parser.add_argument("--rio", default=shutil.which("rio"), help="rio command with rio-hist")
    options = parser.parse_args()
    has_rio_hist = options.rio and not subprocess.call(
        [options.rio, "hist", "--help"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("source.tif", "reference.tif", "out.tif")]
        make_raster(files[0], options.size, options.dtype, 0.1, 0.5)
        make_raster(files[1], options.size // 2, options.dtype, 0.02, 0.9)
        for extra in ([], ["-c", "Lab"]):
            contenders = {"gluon-enhance match": [*MATCH, *files, *extra]}
            if has_rio_hist and options.dtype != "float32":
                contenders["rio hist"] = [options.rio, "hist", *files, *extra]
            compare(contenders, options.size, options.repeats, " ".join(extra))
        if options.large:
            make_raster(files[0], options.large, options.dtype, 0.1, 0.5)
            compare({"gluon-enhance match": [*MATCH, *files]}, options.large, 1, "")


def make_raster(path, size, dtype, low, high, count=3, height=None):
    """Write bands of slopes with grain that repeats, so that the file stays small."""
    rows = height or size
    white = np.iinfo(dtype).max if dtype != "float32" else 1
    grain = np.random.default_rng(0).random((count, BLOCK, BLOCK)) * 0.05
    profile = {
        "driver": "GTiff", "width": size, "height": rows, "count": count, "dtype": dtype,
        "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "lzw",
        "transform": rasterio.transform.from_origin(0, 0, 10, 10), "crs": "EPSG:32633",
    }  # fmt: skip
    with rasterio.open(path, "w", bigtiff="if_safer", **profile) as out:
        for top in range(0, rows, BLOCK):
            for left in range(0, size, BLOCK):
                height, width = min(BLOCK, rows - top), min(BLOCK, size - left)
                level = low + (high - low) * (top + left) / (2 * size)
                block = (level + grain[:, :height, :width]) * white
                out.write(block.astype(dtype), window=Window(left, top, width, height))


def compare(contenders, size, repeats, note):
    best = dict.fromkeys(contenders, (float("inf"), 0))
    for _ in range(repeats):
        for name, command in contenders.items():
            best[name] = min(best[name], run(command))
    for name, (seconds, megabytes) in best.items():
        print(
            f"{name:20} {size}x{size} {note:7}{seconds:8.2f} s {seconds / size**2 * 1e9:7.0f} "
            f"ns/pixel {megabytes:7.0f} MB",
            flush=True,
        )


def run(command):
    """Return seconds and peak megabytes of one command."""
    began = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} failed with status {status}")
    return time.perf_counter() - began, usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
