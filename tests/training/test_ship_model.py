"""The scripts that put models into model_zoo/: ship_model and quantize_model."""

import json
import sys
from dataclasses import asdict
from types import ModuleType

import numpy as np
import pytest

from gluon_enhance import Enhancer, zoo
from gluon_enhance.commands import demo
from gluon_enhance.framework import mx
from gluon_enhance.imaging.pictures import HEADING_HEIGHT
from gluon_enhance.imaging.resize import resize
from gluon_enhance.photos import Photo, read_image, write_image
from gluon_enhance.weights.manifest import sha256

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.fixture
def run_folder(tmp_path, rng):
    """What a training of srcnn_x4 leaves: here its start, which enlarges as bicubic does."""
    folder = tmp_path / "run"
    folder.mkdir()
    net = zoo.get_model("srcnn_x4")
    net.initialize_as_interpolator(rng)
    net.save_parameters(str(folder / "srcnn_x4.params"))
    (folder / "curves.png").write_bytes(b"curves")
    (folder / "config.json").write_text(json.dumps({"seed": 7}))
    row = {"step": 40, "seconds": 1800.0, "pixel": 0.1, "psnr_y": 30.123456, "spread": 0.9}
    (folder / "card.json").write_text(json.dumps({"log": [row]}))
    return folder


@pytest.fixture
def model_zoo(tmp_path, picture):
    """An empty model_zoo but for the sample photo."""
    folder = tmp_path / "model_zoo"
    folder.mkdir()
    write_image(folder / "sample.png", Photo(picture))
    return folder


@pytest.fixture
def ship(script, model_zoo, monkeypatch):
    """The script, which ships into that folder."""
    module = script("ship_model")
    for user in (module, demo):
        monkeypatch.setattr(user, "model_zoo_folder", lambda: model_zoo)
    return module


def test_shipped_folder_is_usable_and_its_card_tells_how_it_was_made(
    ship, run_folder, model_zoo, picture, tmp_path
):
    hr, lr = tmp_path / "hr", tmp_path / "lr"
    for folder, image in ((hr, picture[:60, :44]), (lr, resize(picture[:60, :44], 1 / 4))):
        folder.mkdir()
        write_image(folder / "a.png", Photo(image))
    options = ["--run", str(run_folder), "--command", "train", "--data", "photos"]
    ship.main(["srcnn_x4", *options, "--benchmark", f"Small={hr},{lr}"])

    card = json.loads((model_zoo / "srcnn_x4" / "card.json").read_text())
    for name, file in card["files"].items():
        assert file["sha256"] == sha256(model_zoo / "srcnn_x4" / name)
    assert set(card["files"]) == {"srcnn_x4.params", "srcnn_x4.onnx"}
    record = {k: card["training"][k] for k in ("command", "data", "seed", "iterations", "hours")}
    assert record == {
        "command": "train",
        "data": "photos",
        "seed": 7,
        "iterations": 40,
        "hours": 0.5,
    }
    assert card["scores"]["validation"] == {"psnr_y": 30.123, "spread": 0.9}
    assert 15 < card["scores"]["Small"]["psnr_y"] < 40
    assert (model_zoo / "srcnn_x4" / "curves.png").read_bytes() == b"curves"
    sample = read_image(model_zoo / "srcnn_x4" / "sample.png").pixels
    assert sample.shape == (HEADING_HEIGHT + 60, 3 * 44, 3)


def test_convolutions_ship_with_the_weights_that_a_training_in_bf16_computed_with(
    ship, run_folder, model_zoo
):
    options = ["--run", str(run_folder), "--command", "train", "--data", "photos"]
    ship.main(["srcnn_x4", *options, "--round-to-bf16"])
    trained = mx.nd.load(str(run_folder / "srcnn_x4.params"))
    shipped = mx.nd.load(str(model_zoo / "srcnn_x4" / "srcnn_x4.params"))
    for name, array in trained.items():
        before, now = array.asnumpy(), shipped[name].asnumpy().astype(np.float32)
        if before.ndim == 4:
            is_normal = np.abs(before) > 2**-14  # for float16, in which large arrays are kept
            assert not (now[is_normal].view(np.uint32) & 0xFFFF).any()
            np.testing.assert_allclose(now, before, rtol=2**-8, atol=2**-25)
        else:
            np.testing.assert_array_equal(now, before)


def test_scores_of_the_test_and_of_named_sets_are_in_the_card_by_themselves(script, run_folder):
    row = {"step": 9, "psnr_y": 30.5, "psnr_y_Set5": 31.5, "psnr_y_Set5_of_start": 29.5}
    test = {"test_psnr_y": 28.25, "test_ssim_y_Set14": 0.75}
    (run_folder / "card.json").write_text(json.dumps({"log": [row], "test": test}))
    config = {"val": ["Set5=hr,lr", "photos"], "test": ["Set14=hr"]}
    (run_folder / "config.json").write_text(json.dumps(config))
    scores, protocols = script("ship_model").run_scores(run_folder)
    assert scores == {
        "validation": {"psnr_y": 30.5},
        "validation Set5": {"psnr_y": 31.5, "psnr_y_of_start": 29.5},
        "test": {"psnr_y": 28.25},
        "test Set14": {"ssim_y": 0.75},
    }
    assert protocols.keys() == scores.keys()
    assert "whole images of Set5" in protocols["validation Set5"]
    assert "nothing was chosen by" in protocols["test"]


def test_a_net_is_shipped_with_the_options_that_it_was_trained_with(
    ship, run_folder, model_zoo, rng
):
    """Under the table's options the same weights are another net."""
    kwargs = {"norm": "layer", "tanh_scale": 0.5, "num_blocks": 1, "channels": 6}
    net = zoo.get_model("wespe", **kwargs)
    net.initialize(mx.init.Xavier())
    net.save_parameters(str(run_folder / "wespe.params"))
    card = {**json.loads((run_folder / "card.json").read_text()), **asdict(net.spec)}
    (run_folder / "card.json").write_text(json.dumps(card))
    outdated = model_zoo / "wespe" / "wespe.int8.xml"
    outdated.parent.mkdir()
    outdated.write_text("of other weights")
    ship.main(["wespe", "--run", str(run_folder), "--command", "train", "--data", "photos"])

    shipped = json.loads((model_zoo / "wespe" / "card.json").read_text())
    assert shipped["kwargs"] == kwargs and shipped["parameters"] == net.spec.parameters
    batch = rng.random((1, 3, 20, 24), np.float32)
    expected = net(mx.nd.array(batch)).asnumpy()
    for weights in (model_zoo / "wespe", f"wespe={model_zoo / 'wespe' / 'wespe.params'}"):
        result = Enhancer(weights, precision="fp32").run(batch)
        assert np.abs(result - expected).max() < 2e-3  # weights are rounded to float16
    assert not outdated.exists()


class Engine(str):
    """An engine that is only told by its precision."""

    def describe(self):
        return {"precision": "bf16" if self == "auto" else str(self)}


@pytest.fixture
def quantize_script(script, model_zoo, monkeypatch):
    """The script with a quantization that does nothing, of a model with a card."""
    for name in ("nncf", "nncf.quantization", "nncf.quantization.range_estimator"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[name].RangeEstimatorParametersSet = None
    module = script("quantize_model")
    folder = model_zoo / "small_x4"
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps({"scale": 4, "files": {}}))

    def save_model(model, path):
        for suffix in ("xml", "bin"):
            (folder / f"small_x4.int8.{suffix}").write_text("weights")

    monkeypatch.setattr(module, "model_zoo_folder", lambda: model_zoo)
    monkeypatch.setattr(module, "quantize", lambda onnx, crops, keep: None)
    monkeypatch.setattr(module, "load", lambda engine, path, precision, **_: Engine(precision))
    monkeypatch.setattr(module.openvino, "save_model", save_model)
    return module, folder


@pytest.mark.parametrize(
    "loss, gain, kept, is_kept",
    [(0.1, 1.5, 30, True), (0.3, 1.5, 30, False), (0.1, 1.1, 30, False), (0.1, 1.5, 24, False)],
)
def test_8_bit_files_are_kept_only_if_they_are_worth_it(
    loss, gain, kept, is_kept, quantize_script, photos, monkeypatch, capsys
):
    module, folder = quantize_script
    monkeypatch.setattr(module, "CROP", 32)
    monkeypatch.setattr(module, "score", lambda e, *_: 30.0 - loss * (e == "int8"))
    monkeypatch.setattr(module, "measure_gain", lambda *_: gain)
    monkeypatch.setattr(module, "agreements", lambda *_: {"photo": 40.0, "hatch": kept})
    module.main(["small_x4", "--data", str(photos), "--benchmark", "hr,lr"])
    files = {f"small_x4.int8.{suffix}" for suffix in ("xml", "bin")}
    card = json.loads((folder / "card.json").read_text())
    assert ({path.name for path in folder.iterdir()} == files | {"card.json"}) == is_kept
    assert (set(card["files"]) == files) == is_kept
    agreement = {"photo": 40.0, "hatch": kept}
    row = {"loss_db": 0.1, "gain_over_bf16": 1.5, "agreement_db": agreement}
    row.update(contrast=0.7, keep="0:1")
    assert card.get("int8") == (row if is_kept else None)
    assert ("nothing was kept" in capsys.readouterr().out) != is_kept


def test_crops_for_the_ranges_are_reductions_of_the_middle(quantize_script, photos, monkeypatch):
    module, _ = quantize_script
    monkeypatch.setattr(module, "CROP", 32)
    path = sorted(photos.iterdir())[0]
    crop = module.draw_crop(path, 4)
    middle = read_image(path).pixels[40:168, 56:184]
    expected = resize(middle, 1 / 4).transpose(2, 0, 1)[None] / 255
    np.testing.assert_allclose(crop, expected, atol=1e-6)
