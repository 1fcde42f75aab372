"""Measure how neutral gray parts of colored photos stay, in fp32 and in bf16.

    python benchmarks/gray_cards.py FOLDER MODEL...

A card of six grays and a ramp from black to white are put into the middle of each photo. Printed
is, for each precision, which share of their pixels a model colors by more than 1 and by more than 2
of 255: the largest of R, G and B less the smallest. Pixels at the edges of both do not count, as
the colors beside them reach into them.
"""

import argparse

import numpy as np

from gluon_enhance.data.folders import find_images, read_photo
from gluon_enhance.inference.enhancer import Enhancer

SIDE = 192
GRAYS = (20, 70, 118, 160, 200, 243)
CARD, RAMP, ACROSS = slice(60, 90), slice(100, 130), slice(30, 162)
EDGE = 6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    options = parser.parse_args()
    photos = [with_grays(path) for path in find_images(options.folder)]
    print(f"{len(photos)} photos: share of gray pixels that are colored\n")
    print("| model | precision | by more than 1 | by more than 2 |\n|---|---|---|---|")
    for model in options.models:
        for precision in ("fp32", "bf16"):
            enhancer = Enhancer(model, precision=precision)
            casts = np.concatenate([casts_of(enhancer(one), enhancer.scale) for one in photos])
            shares = " | ".join(f"{(casts > limit).mean():.1%}" for limit in (1, 2))
            print(f"| `{model}` | {precision} | {shares} |", flush=True)


def with_grays(path):
    photo = read_photo(path)
    if min(photo.shape[:2]) < SIDE:
        raise SystemExit(f"{path} is smaller than {SIDE} pixels a side; leave it out")
    top, left = ((n - SIDE) // 2 for n in photo.shape[:2])
    part = photo[top : top + SIDE, left : left + SIDE].copy()
    width = ACROSS.stop - ACROSS.start
    part[CARD, ACROSS] = np.repeat(GRAYS, width // len(GRAYS))[:, None]
    part[RAMP, ACROSS] = np.linspace(0, 255, width).astype(np.uint8)[:, None]
    return part


def casts_of(image, scale):
    parts = [image[inside(rows, scale), inside(ACROSS, scale)] for rows in (CARD, RAMP)]
    return np.concatenate([np.ptp(part.astype(int), axis=2).ravel() for part in parts])


def inside(part, scale):
    return slice((part.start + EDGE) * scale, (part.stop - EDGE) * scale)


if __name__ == "__main__":
    main()
