"""Memory and time of enhancing rasters, by size: ``gluon-enhance enhance`` and all around the net.

    python benchmarks/rasters.py [--sizes 1000 2000] [--height ROWS] [--model NAME] [--bands N]
        [--cog] [--large 20000] [--scale 4] [--kill SECONDS] [--cluster]

The model runs on the sizes; on the large one, where it would take hours, a net that repeats each
pixel takes its place, so that only reading, filling, converting, writing and putting together are
measured. With --height the sizes are widths. Of more bands than three the others are resized. With
--kill each run is done once more, killed after so many seconds and resumed, and must end in the
same file. With --cluster the sizes run with one thread too, here and on one and two of Dask's local
workers; each row ends with the start of the file's SHA-256. Peak memory is that of the process
itself, without Dask's workers.
"""

import argparse
import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from matching import make_raster, run

ENHANCE = [sys.executable, "-m", "gluon_enhance", "enhance"]
CLUSTER = {
    "here, 1 thread": [],
    "1 worker": ["--cluster", "local:1"],
    "2 workers": ["--cluster", "local:2"],
}
REPEATER = """
import json, sys
from types import SimpleNamespace
from gluon_enhance.rasters.enhance import enhance_raster
source, out, scale, options = sys.argv[1:5]
scale, options = int(scale), json.loads(options)
repeater = SimpleNamespace(
    spec=SimpleNamespace(name="repeater", multiple=1, unit=1, min_size=1, tiling="exact"),
    scale=scale, tile=192, halo=12, describe=lambda: {}, for_dtype=lambda dtype: repeater,
    run=lambda batch: batch.repeat(scale, axis=2).repeat(scale, axis=3),
)
enhance_raster(source, out, repeater, resume="--resume" in sys.argv, **options)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 2000])
    parser.add_argument("--height", type=int, help="of the sizes' rasters; else they are squares")
    parser.add_argument("--model", default="rrdb_lite_x4")
    parser.add_argument("--bands", type=int, default=3, help="of the rasters")
    parser.add_argument("--cog", action="store_true", help="write cloud-optimized GeoTIFF")
    parser.add_argument("--large", type=int, default=0, help="side of a raster for the repeater")
    parser.add_argument("--scale", type=int, default=4, help="of the repeater")
    parser.add_argument("--kill", type=float, metavar="SECONDS", help="kill runs, and resume")
    parser.add_argument("--cluster", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "source.tif"), Path(folder, "out.tif")
        for size in options.sizes:
            make_raster(source, size, "uint16", 0.1, 0.5, options.bands, options.height)
            command = [*ENHANCE, source, "-m", options.model, "-o", out, *_flags(options)]
            shape = size, options.height or size
            measure(options.model, shape, command, out, options.kill)
            for name, extra in CLUSTER.items() if options.cluster else ():
                measure(name, shape, [*command, "--threads", 1, *extra], out, None)
        if options.large:
            make_raster(source, options.large, "uint16", 0.1, 0.5, options.bands)
            keywords = {"cog": options.cog, "rgb": (3, 2, 1) if options.bands > 3 else None}
            command = [sys.executable, "-c", REPEATER, source, out, options.scale]
            name = f"repeater x{options.scale}"
            measure(name, (options.large,) * 2, [*command, json.dumps(keywords)], out, options.kill)


def _flags(options):
    rgb = ["--rgb", "3,2,1"] if options.bands > 3 else []
    return rgb + ["--cog"] * options.cog


def measure(name, size, command, out, kill_after):
    """Report a run, and that it comes to the same when it is killed and resumed."""
    digest = report(name, size, command, out)
    if kill_after is None:
        return
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    time.sleep(kill_after)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        sys.exit(f"{name} was done before {kill_after} s; give --kill less")
    if report("killed, resumed", size, [*command, "--resume"], out) != digest:
        sys.exit(f"{name} came to another file when it was killed and resumed")


def report(name, size, command, out):
    """Print seconds, megapixels of the input a second, megabytes, and return the file's hash."""
    out.unlink(missing_ok=True)
    seconds, megabytes = run(command)
    width, height = size
    rate = width * height / seconds / 1e6
    with open(out, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    print(
        f"{name:16} {width}x{height} {seconds:8.1f} s {rate:8.3f} MP/s {megabytes:7.0f} MB "
        f"{digest.hexdigest()[:12]}",
        flush=True,
    )
    return digest.hexdigest()


if __name__ == "__main__":
    main()
