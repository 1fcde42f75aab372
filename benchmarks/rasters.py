"""Memory and time of enhancing rasters, by size: ``gluon-enhance enhance`` and all around the net.

    python benchmarks/rasters.py [--sizes 1000 2000] [--model NAME] [--large 20000] [--cluster]

The model runs on the sizes; on the large one, where it would take hours, a net that repeats each
pixel takes its place, so that only reading, filling, converting, writing and putting together are
measured. With --cluster the first size runs on one and on two of Dask's local workers too.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from matching import make_raster, run

ENHANCE = [sys.executable, "-m", "gluon_enhance", "enhance"]
REPEATER = """
import sys
from types import SimpleNamespace
from gluon_enhance.geotiff.enhancing import enhance_raster
repeater = SimpleNamespace(
    spec=SimpleNamespace(name="repeater", multiple=1, min_size=1, tiling="exact"), scale=1,
    tile=192, halo=12, describe=lambda: {}, run=lambda batch: batch,
)
enhance_raster(sys.argv[1], sys.argv[2], repeater)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 2000])
    parser.add_argument("--model", default="rrdb_lite_x4")
    parser.add_argument("--large", type=int, default=0, help="side of a raster for the repeater")
    parser.add_argument("--cluster", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "source.tif"), Path(folder, "out.tif")
        for k, size in enumerate(options.sizes):
            make_raster(source, size, "uint16", 0.1, 0.5)
            command = [*ENHANCE, source, "-m", options.model, "-o", out]
            report(options.model, size, command)
            for workers in (1, 2) if options.cluster and k == 0 else ():
                note = f"{workers} worker{'s' * (workers > 1)}"
                report(note, size, [*command, "--threads", 1, "--cluster", f"local:{workers}"])
        if options.large:
            make_raster(source, options.large, "uint16", 0.1, 0.5)
            report("repeater", options.large, [sys.executable, "-c", REPEATER, source, out])


def report(name, size, command):
    seconds, megabytes = run(command)
    rate = size**2 / seconds / 1e6
    print(
        f"{name:16} {size}x{size} {seconds:8.1f} s {rate:8.3f} MP/s {megabytes:7.0f} MB", flush=True
    )


if __name__ == "__main__":
    main()
