"""Score models that undo the looks of phones beside the least: an affine map of the colors.

    python benchmarks/phone_looks.py PHOTOS MODEL... [--looks one] [--count 4] [--side 384]

PHOTOS is the folder that the models were trained on: those of its photos that the training scripts
leave for the test are scored, and twelve numbers are fitted to the others, the affine map of colors
that brings the most looks nearest to their originals. From the middle of each photo come --count
inputs, each with another look.

PSNR, SSIM: means over all inputs, as they are in the first row. worse: of the inputs, how many end
farther from the original than they were. shift: of photos without any look, the largest change of
a channel's mean, in levels of 255; cast: the largest difference between such changes of a photo's
channels. gray: the mean cast of a card of grays put into a photo, the largest over the photos.
"""

import argparse

import numpy as np
from gray_cards import casts_of, with_grays

from gluon_enhance.data.held_out_photos import held_out_crops, split_photos
from gluon_enhance.data.phone_photos import LOOKS
from gluon_enhance.imaging.arrays import to_dtype, to_float
from gluon_enhance.imaging.metrics import psnr, ssim
from gluon_enhance.inference.enhancer import Enhancer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--looks", choices=LOOKS, default="many")
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--side", type=int, default=384)
    options = parser.parse_args()
    _, look, _ = LOOKS[options.looks]
    split = split_photos([options.photos])
    truths = held_out_crops(split.test, options.side)
    cards = [with_grays(path) for path in split.test]
    pairs = worsened(truths, look, options.count, seed=1)
    affine = fit_colors(worsened(held_out_crops(split.training, options.side), look, 1, seed=2))
    print(f"{len(pairs)} inputs from {len(truths)} photos, --looks {options.looks}\n")
    print("| | PSNR | SSIM | worse | shift | cast | gray |\n|---|---|---|---|---|---|---|")
    ways = {"as they are": np.asarray, "affine map": affine}
    for name in (*ways, *options.models):
        enhance = ways.get(name) or Enhancer(name)
        print(f"| {name} | {' | '.join(row(enhance, pairs, truths, cards))} |", flush=True)


def worsened(truths, look, count, seed):
    rng = np.random.default_rng(seed)
    return [
        (to_dtype(look(to_float(truth), rng), np.uint8), truth)
        for truth in truths
        for _ in range(count)
    ]


def fit_colors(pairs):
    """Fit an affine map of colors to pairs of images, by least squares."""
    inputs, truths = (np.concatenate([p[k].reshape(-1, 3)[::7] for p in pairs]) for k in (0, 1))
    matrix, *_ = np.linalg.lstsq(with_one(inputs), truths.astype(np.float64), rcond=None)
    return lambda image: np.rint(with_one(image) @ matrix).clip(0, 255).astype(np.uint8)


def with_one(colors):
    return np.concatenate([colors, np.full_like(colors[..., :1], 1)], axis=-1).astype(np.float64)


def row(enhance, pairs, truths, cards):
    outputs = [enhance(image) for image, _ in pairs]
    after = np.array([psnr(output, truth) for output, (_, truth) in zip(outputs, pairs)])
    before = np.array([psnr(*pair) for pair in pairs])
    structure = np.mean([ssim(output, truth) for output, (_, truth) in zip(outputs, pairs)])
    means = [enhance(truth).mean(axis=(0, 1)) - truth.mean(axis=(0, 1)) for truth in truths]
    gray = max(casts_of(enhance(card), 1).mean() for card in cards)
    yield from (f"{after.mean():.2f}", f"{structure:.4f}", f"{(after < before).sum()}")
    yield from (f"{np.abs(means).max():.1f}", f"{np.ptp(means, axis=1).max():.1f}", f"{gray:.1f}")


if __name__ == "__main__":
    main()
