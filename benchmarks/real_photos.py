"""Score models on what real photos are like: small, compressed, blurred, resized more than once.

    python benchmarks/real_photos.py FOLDER MODEL... --vgg FILE [--count 16] [--side 768]

From the middle of each photo, three inputs are made: `small`, reduced and kept as JPEG; `twice`,
resized and compressed twice; `noisy`, blurred, reduced, with noise, compressed. Every model, and
bicubic, enlarges them; the first table is the mean over all, the second tells the kinds apart.
Photos that a model was trained on say nothing of it.

conv3_4, conv5_4: mean magnitude of the difference from the truth in VGG-19's features before the
activation, of bicubic's. blocks: steps between neighboring pixels at the borders of the JPEG's
8x8 blocks, of those elsewhere; the truth has 1. checks: power of patterns with the enlargement's
period, of that of all fine structure; 1 is noise. A net that draws dots can have good features and
blocks. PSNR and SSIM: of Y, less bicubic's. shift: of the mean color from the input's, the largest
over the photos, in levels of 255: what a camera or a JPEG did to the colors before is no model's
fault. flat: the same on gray patches of 9 levels. clean: PSNR of Y with clean bicubic reductions of
the same photos, less bicubic's.
"""

import argparse
import time

import cv2
import numpy as np

from gluon_enhance.data.distortions import add_gaussian_noise, blur, jpeg
from gluon_enhance.data.folders import find_images, read_photo
from gluon_enhance.framework import mx
from gluon_enhance.imaging.arrays import to_dtype, to_float, to_nchw
from gluon_enhance.imaging.metrics import blockiness, checkerboard, psnr, ssim
from gluon_enhance.imaging.resize import resize, resize_rounding_once
from gluon_enhance.inference.enhancer import Enhancer
from gluon_enhance.losses import VGGFeatures
from gluon_enhance.weights.vgg import load_vgg

LAYERS = ("conv3_4", "conv5_4")
GRAYS = np.linspace(0, 255, 9).round().astype(np.uint8)
BLOCK = 8
Y = {"y_channel": True}


def small(image, scale, rng):
    return jpeg(resize(image, 1 / scale), int(rng.integers(55, 76)))


def twice(image, scale, rng):
    size = [n // scale for n in image.shape[1::-1]]
    image = jpeg(resize(image, 1 / 2), int(rng.integers(60, 91)))
    factor = rng.uniform(0.7, 1.3)
    between = tuple(round(n * factor) for n in size)
    image = jpeg(cv2.resize(image, between, interpolation=cv2.INTER_LINEAR), 75)
    return jpeg(cv2.resize(image, tuple(size), interpolation=cv2.INTER_AREA), 75)


def noisy(image, scale, rng):
    image = resize(blur(image, scale * rng.uniform(0.4, 0.8)), 1 / scale)
    return jpeg(add_gaussian_noise(image, rng.uniform(2, 8) / 255, rng), int(rng.integers(60, 91)))


KINDS = {"small": small, "twice": twice, "noisy": noisy}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--vgg", help="file of VGG-19's weights; default: torchvision's")
    parser.add_argument("--count", type=int, default=16, help="photos, evenly chosen")
    parser.add_argument("--side", type=int, default=768, help="of the part of each photo")
    parser.add_argument("--scale", type=int, default=4)
    options = parser.parse_args()
    truths = list(read_parts(options))
    inputs = {kind: make_inputs(truths, options.scale, kind) for kind in KINDS}
    clean = [resize(truth, 1 / options.scale) for truth in truths]
    features = load_vgg(VGGFeatures(19, LAYERS), options.vgg)
    features.hybridize(static_alloc=True)
    print(f"{len(truths)} photos, {options.side} pixels a side, scale {options.scale}")
    baseline = None
    for model in ("bicubic", *options.models):
        enlarge = enlarging(model, options.scale)
        began = time.perf_counter()
        outputs = {kind: [enlarge(lr) for lr in lrs] for kind, lrs in inputs.items()}
        seconds = time.perf_counter() - began
        scores = {
            kind: score(images, inputs[kind], truths, features, options.scale)
            for kind, images in outputs.items()
        }
        scores["clean"] = {"psnr": mean_of(psnr, map(enlarge, clean), truths, options.scale)}
        baseline = baseline or scores
        print_row(model, scores, baseline, flat_shift(enlarge), seconds)


def read_parts(options):
    paths = find_images(options.folder)
    for path in paths[:: max(1, len(paths) // options.count)][: options.count]:
        photo = read_photo(path)
        side = min(options.side, *photo.shape[:2]) // 32 * 32  # whole blocks in every input
        top, left = ((n - side) // 2 for n in photo.shape[:2])
        yield np.ascontiguousarray(photo[top : top + side, left : left + side])


def make_inputs(truths, scale, kind):
    return [
        to_dtype(KINDS[kind](to_float(truth), scale, np.random.default_rng(index)), np.uint8)
        for index, truth in enumerate(truths)
    ]


def enlarging(model, scale):
    if model == "bicubic":
        return lambda image: resize_rounding_once(image, scale)
    enhancer = Enhancer(model)
    if enhancer.scale != scale:
        raise SystemExit(f"{model} enlarges by {enhancer.scale}, not {scale}")
    return enhancer


def mean_of(metric, outputs, truths, scale):
    return float(np.mean([metric(*pair, crop_border=scale, **Y) for pair in zip(outputs, truths)]))


def score(outputs, inputs, truths, features, scale):
    distances = np.mean([feature_distances(features, *pair) for pair in zip(outputs, truths)], 0)
    shifts = [np.abs(a.mean((0, 1)) - b.mean((0, 1))).max() for a, b in zip(outputs, inputs)]
    return {
        **dict(zip(LAYERS, distances)),
        "blocks": float(np.mean([blockiness(output, block=BLOCK * scale) for output in outputs])),
        "checks": float(np.mean([checkerboard(output, period=scale) for output in outputs])),
        "psnr": mean_of(psnr, outputs, truths, scale),
        "ssim": mean_of(ssim, outputs, truths, scale),
        "shift": max(shifts),
    }


def feature_distances(features, output, truth):
    maps = (features(mx.nd.array(to_nchw(image))) for image in (output, truth))
    return [float((a - b).abs().mean().asscalar()) for a, b in zip(*maps)]


def flat_shift(enlarge):
    patches = (np.full((48, 48, 3), gray, np.uint8) for gray in GRAYS)
    return max(abs(float(enlarge(patch).mean()) - patch[0, 0, 0]) for patch in patches)


def print_row(model, scores, baseline, flat, seconds):
    if baseline is scores:
        names = (*LAYERS, "blocks", "checks", "psnr", "ssim", "shift", "flat", "clean", "seconds")
        print(f"{'':28}{'':8}" + "".join(f"{name:>9}" for name in names))
    overall = {name: [scores[kind][name] for kind in KINDS] for name in scores["small"]}
    rows = {"all": {name: np.mean(values) for name, values in overall.items()}}
    rows["all"]["shift"] = max(overall["shift"])
    base = {name: np.mean([baseline[kind][name] for kind in KINDS]) for name in overall}
    rows.update({kind: scores[kind] for kind in KINDS})
    for kind, row in rows.items():
        against = base if kind == "all" else baseline[kind]
        cells = [row[layer] / against[layer] for layer in LAYERS] + [row["blocks"]]
        line = "".join(f"{cell:9.3f}" for cell in cells) + f"{row['checks']:9.1f}"
        line += f"{row['psnr'] - against['psnr']:+9.2f}{row['ssim'] - against['ssim']:+9.4f}"
        line += f"{row['shift']:9.2f}"
        if kind == "all":
            clean = scores["clean"]["psnr"] - baseline["clean"]["psnr"]
            line += f"{flat:9.2f}{clean:+9.2f}{seconds:9.1f}"
        print(f"{model[:27] if kind == 'all' else '':28}{kind:8}{line}", flush=True)


if __name__ == "__main__":
    main()
