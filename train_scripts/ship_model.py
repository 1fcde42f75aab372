r"""Put a trained model into model_zoo/: weights, ONNX, card, curves and a sample picture.

    python train_scripts/ship_model.py rrdb_lite_x4 --run runs/rrdb_lite_x4 \
        --command "python train_scripts/train_esrgan.py ..." --data "146 photos, CC0 and CC BY" \
        --benchmark Set5=HR_FOLDER,LR_FOLDER

The scores of benchmarks are measured here, on the default engine, with the files as they ship.
Those of the validation and of the test are the run's: of the net in float32, before its weights are
rounded; of a named set they stand by themselves, as "validation NAME" and "test NAME".
With --round-to-bf16 convolutions get the weights that a training in bf16 computed with: fp32 and
bf16 then differ less.
The net is built with the options of the run, which the card beside its weights tells. One that was
trained by --name gets that name; with --out it goes into another folder, and `-m FOLDER/NAME` runs
it.
"""

import argparse
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from gluon_enhance import zoo
from gluon_enhance.commands.demo import comparison
from gluon_enhance.commands.scores import protocol, score_pair
from gluon_enhance.data.benchmarks import find_pairs, read_pair
from gluon_enhance.data.held_out_photos import parse_held_out
from gluon_enhance.engines.bfloat16 import to_bf16
from gluon_enhance.exporting import export_onnx, trial_unit
from gluon_enhance.exporting.float16 import halve_onnx, rounded
from gluon_enhance.imaging.pictures import side_by_side
from gluon_enhance.inference.enhancer import Enhancer
from gluon_enhance.photos import Photo, write_image
from gluon_enhance.scoring.metrics import NAMES
from gluon_enhance.weights.load import load_state
from gluon_enhance.weights.manifest import fingerprint, write_card
from gluon_enhance.weights.readers.gluon import read_params, write_params
from gluon_enhance.weights.store import model_zoo_folder
from gluon_enhance.whole_image.split import split_onnx

SCORES = "|".join(("held_out_", "feature_distance", "bicubic_distance", "spread", *NAMES))
"""Beginnings of the names that a validation logs."""

CONVOLUTION = 4
"""Dimensions of the weights that a training in bf16 rounds."""

PHOTOS = {
    "validation": "held-out photos, a crop of each, while training; *_of_input, *_of_start: before",
    "test": "photos that nothing was chosen by, a crop of each, after the training",
}
NAMED = {
    "validation": "whole images of {}, while training",
    "test": "whole images of {}, after the training",
}
"""Protocols of the scores of a run: of photos, and of named sets of ``--val`` and ``--test``."""


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--out", type=Path, help="folder of models; default: model_zoo")
    parser.add_argument("--run", type=Path, required=True, help="the --out of the training")
    parser.add_argument("--command", required=True, help="as the training was called")
    parser.add_argument("--data", required=True, help="what it was trained on, and its license")
    parser.add_argument("--round-to-bf16", action="store_true", help="convolutions' weights")
    parser.add_argument("--benchmark", action="append", default=[], metavar="NAME=HR,LR")
    options = parser.parse_args(argv)

    folder = (options.out or model_zoo_folder()) / options.name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(options.run / "curves.png", folder / "curves.png")
    weights = folder / f"{options.name}.params"
    trained = options.run / weights.name
    arrays = read_params(trained)
    if options.round_to_bf16:
        arrays = {k: to_bf16(a) if a.ndim == CONVOLUTION else a for k, a in arrays.items()}
    arrays = rounded(arrays)
    row = options.name if options.name in zoo.MODELS else None  # else its card tells the net
    net = load_state(zoo.get_model(row, pretrained=trained), arrays, trained)
    write_params(weights, arrays)
    for outdated in folder.glob(f"{options.name}.int8.*"):  # of the weights before these
        outdated.unlink()
    onnx = export_onnx(net, folder / f"{options.name}.onnx", trial_unit(net.spec))
    halve_onnx(onnx)
    files = [weights, onnx]
    if net.spec.tiling == "global_statistics":
        files.append(split_onnx(onnx, net.spec.unit))

    card = {
        **asdict(net.spec),
        "files": {path.name: fingerprint(path) for path in files},
        "training": training_record(options),
        "scores": {},
        "protocol": {},
    }
    write_card(folder, card)  # the Enhancer verifies the files against it
    enhancer = Enhancer(folder)
    card["engine"] = enhancer.describe()
    card["scores"], card["protocol"] = run_scores(options.run)
    for text in options.benchmark:
        name, _, folders = text.partition("=")
        card["scores"][name], card["protocol"][name] = evaluate(enhancer, *folders.split(","))
    write_card(folder, card)
    write_image(folder / "sample.png", Photo(side_by_side(comparison(enhancer)[0])))
    print(json.dumps(card["scores"], indent=1))
    print(folder)


def training_record(options):
    config = json.loads((options.run / "config.json").read_text())
    last = json.loads((options.run / "card.json").read_text())["log"][-1]
    return {
        "command": options.command,
        "data": options.data,
        "seed": config["seed"],
        "iterations": last["step"],
        "hours": round(last["seconds"] / 3600, 2),
        "machine": "2 cores of an AVX-512 server CPU, shared with other work",
    }


def run_scores(run):
    """Return what a run has scored, {set: {score: value}}, and {set: protocol}."""
    card, config = (json.loads((run / f"{name}.json").read_text()) for name in ("card", "config"))
    test = {name[len("test_") :]: value for name, value in card.get("test", {}).items()}
    scores, protocols = {"validation": {}}, {"validation": PHOTOS["validation"]}
    for part, option, row in (("validation", "val", card["log"][-1]), ("test", "test", test)):
        named = parse_held_out(config.get(option, ())).named
        for key, value in row.items():
            if not re.match(SCORES, key):
                continue
            name = next((n for n in named if re.search(rf"_{re.escape(n)}(_of_start)?$", key)), "")
            place = f"{part} {name}".rstrip()
            protocols[place] = NAMED[part].format(name) if name else PHOTOS[part]
            key = key.replace(f"_{name}", "") if name else key
            scores.setdefault(place, {})[key] = float(f"{value:.5g}")
    return scores, protocols


def evaluate(enhancer, hr_folder, lr_folder):
    rows = []
    for pair in find_pairs(hr_folder, lr_folder):
        lr, hr, _ = read_pair(pair, enhancer.scale)
        rows.append(score_pair(enhancer(lr), hr, enhancer.scale))
    mean = {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}
    return mean, protocol(enhancer.scale)


if __name__ == "__main__":
    main()
