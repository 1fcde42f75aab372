"""Measure the halo at which a model's tiled result equals the whole one to 1/255.

    python benchmarks/halo.py MODEL PHOTO... [--crop 320] [--tile 96] [--halos 24 48]

For the center of each photo, prints the largest difference, in levels of 255, between the result
in tiles and the result of the whole, for growing halos, in fp32 and before rounding. A halo
of a spec leaves all photos under 1.
"""

import argparse

import numpy as np

from gluon_enhance.imaging.arrays import to_float, to_rgb
from gluon_enhance.inference.enhancer import Enhancer
from gluon_enhance.photos import read_image

HALOS = (4, 8, 12, 16, 20, 24, 32, 40, 48, 64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--crop", type=int, default=320)
    parser.add_argument("--tile", type=int, default=96)
    parser.add_argument("--halos", type=int, nargs="+", default=HALOS)
    options = parser.parse_args()
    worst = dict.fromkeys(options.halos, 0.0)
    print("halo    " + "".join(f"{halo:8}" for halo in worst), flush=True)
    for path in options.photos:
        photo = to_float(to_rgb(read_image(path).pixels)[0])
        top, left = (max(0, n - options.crop) // 2 for n in photo.shape[:2])
        photo = photo[top : top + options.crop, left : left + options.crop]
        whole = Enhancer(options.model, precision="fp32", tile=options.crop)(photo)
        for halo in worst:
            tiled = Enhancer(options.model, precision="fp32", tile=options.tile, halo=halo)(photo)
            worst[halo] = max(worst[halo], 255 * float(np.abs(tiled - whole).max()))
        print("so far  " + "".join(f"{value:8.3f}" for value in worst.values()), flush=True)


if __name__ == "__main__":
    main()
