"""Quantize a shipped super-resolution model to 8 bits, and keep the result if it is worth it.

    pip install nncf
    python train_scripts/quantize_model.py rrdb_lite_x4 --data PHOTOS --benchmark HR,LR

Post-training: activations and weights of all convolutions but the first and the last two, whose
errors nothing averages out, get 8 bits. Ranges are the extremes over crops of photos, and over
pictures of lines and dots, which photos alone would leave beyond the ranges; means of the extremes,
NNCF's default, cost 0.3 dB more. Convolutions whose maps of lines and dots are far beyond those of
photos may keep their precision, too (``--keep``). The files, ``NAME.int8.xml`` and ``.bin``, are
kept and entered in the card only if they lose at most `MAX_LOSS`, gain at least `MIN_GAIN` over
what auto takes (bf16, or fp32 where there is none), and keep at least `MIN_AGREEMENT` to fp32 on
each of the check pictures.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from gluon_enhance.data.benchmarks import find_pairs, read_pair
from gluon_enhance.data.folders import find_images, read_photo
from gluon_enhance.engines import load
from gluon_enhance.engines.telemetry import PACKAGE
from gluon_enhance.framework import hidden
from gluon_enhance.imaging.arrays import from_nchw, to_dtype, to_nchw
from gluon_enhance.imaging.check_pictures import CONTRAST, agreement, check_pictures, soft_pictures
from gluon_enhance.imaging.metrics import psnr
from gluon_enhance.imaging.resize import resize
from gluon_enhance.weights.manifest import sha256, write_card
from gluon_enhance.weights.store import model_zoo_folder

with hidden(PACKAGE):
    import nncf
    import openvino
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

MAX_LOSS = 0.2
"""dB of PSNR-Y on the benchmark."""
MIN_GAIN = 1.3
"""Ratio of times on tiles of `TILE` pixels a side."""
MIN_AGREEMENT = 25
"""dB of PSNR."""
TILE = 192
CROP = 96
CROPS = 60


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--data", required=True, help="folder of photos, for the ranges")
    parser.add_argument("--contrast", type=float, default=CONTRAST, help="of lines and dots")
    parser.add_argument(
        "--keep", default="0:1", metavar="FIRST:END", help="convolutions that keep their precision"
    )
    parser.add_argument("--benchmark", required=True, metavar="HR,LR", help="folders of a test set")
    options = parser.parse_args(argv)

    folder = model_zoo_folder() / options.name
    card = json.loads((folder / "card.json").read_text())
    onnx, xml = (folder / f"{options.name}{suffix}" for suffix in (".onnx", ".int8.xml"))
    crops = [draw_crop(path, card["scale"]) for path in find_images(options.data)[:CROPS]]
    pictures = [*crops, *soft_pictures(options.contrast)]
    openvino.save_model(quantize(onnx, pictures, options.keep), str(xml))
    usual = load("openvino", onnx, precision="auto", trusted=True)
    int8 = load("openvino", xml, precision="int8", trusted=True)
    precision = usual.describe()["precision"]
    kept = agreements(load("openvino", onnx, precision="fp32"), int8)

    loss = score(usual, card["scale"], options) - score(int8, card["scale"], options)
    gain = measure_gain(usual, int8)
    print(f"{options.name}: {loss:.3f} dB lost, {gain:.2f} x as fast as {precision}; kept: {kept}")
    files = [xml, xml.with_suffix(".bin")]
    if loss > MAX_LOSS or gain < MIN_GAIN or min(kept.values()) < MIN_AGREEMENT:
        for path in files:
            path.unlink()
        print("not worth it: nothing was kept")
        return
    for path in files:
        card["files"][path.name] = {"sha256": sha256(path), "size": path.stat().st_size}
    card["int8"] = {
        "loss_db": round(loss, 3),
        f"gain_over_{precision}": round(gain, 2),
        "agreement_db": kept,
        "contrast": options.contrast,
        "keep": options.keep,
    }
    write_card(folder, card)


def draw_crop(path, scale):
    """Reduce the middle of a photo to a crop of the net's input."""
    photo = read_photo(path)
    side = CROP * scale
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    return to_nchw(resize(photo[top : top + side, left : left + side], 1 / scale))


def agreements(exact, rounded):
    """Return the PSNR in dB of what is seen of one engine's answers to the other's, by kind."""
    return {
        kind: round(agreement(*(engine.run(picture[None]) for engine in (exact, rounded))), 1)
        for kind, picture in check_pictures().items()
    }


def quantize(onnx, crops, keep):
    """Quantize all convolutions but the first, the last two and a range of others."""
    first, end = map(int, keep.split(":"))
    model = openvino.Core().read_model(str(onnx))
    convs = [op.get_friendly_name() for op in model.get_ordered_ops() if "Convolution" in str(op)]
    ranges = nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
    )
    return nncf.quantize(
        model,
        nncf.Dataset(crops),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(crops),
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(names=[convs[0], *convs[max(first, 1) : end], *convs[-2:]]),
        advanced_parameters=ranges,
    )


def score(engine, scale, options):
    """Return the mean PSNR-Y of whole images, `scale` pixels cropped at each side."""
    values = []
    for pair in find_pairs(*map(Path, options.benchmark.split(","))):
        lr, hr, _ = read_pair(pair, scale)
        sr = to_dtype(from_nchw(engine.run(to_nchw(lr))), np.uint8)
        values.append(psnr(sr, hr, crop_border=scale, y_channel=True))
    return float(np.mean(values))


def measure_gain(*contenders, repeats=10):
    """Return the ratio of two engines' best times, taken in turns."""
    tile = np.random.default_rng(0).random((1, 3, TILE, TILE), np.float32)
    best = [float("inf")] * 2
    for _ in range(repeats):
        for k, engine in enumerate(contenders):
            began = time.perf_counter()
            engine.run(tile)
            best[k] = min(best[k], time.perf_counter() - began)
    return best[0] / best[1]


if __name__ == "__main__":
    main()
