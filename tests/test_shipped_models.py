"""Every model in model_zoo/: its files, its numbers, its halo."""

from pathlib import Path

import numpy as np
import pytest

import gluon_enhance as ge
from gluon_enhance import engines, framework, zoo
from gluon_enhance.errors import EngineError, WeightsError
from gluon_enhance.imaging.arrays import to_float
from gluon_enhance.imaging.check_pictures import agreement, check_pictures
from gluon_enhance.imaging.metrics import psnr
from gluon_enhance.imaging.resize import resize
from gluon_enhance.inference.enhancer import DEFAULT_MODEL
from gluon_enhance.photos import read_image
from gluon_enhance.weights import store

SHIPPED = [name for name, spec in zoo.MODELS.items() if spec.weights_kind == "shipped"]
CARDS = {name: store.read_card(store.model_zoo_folder() / name) for name in SHIPPED}
MAX_BYTES = 8_000_000


@pytest.fixture(scope="module")
def sample():
    return read_image(store.model_zoo_folder() / "sample.png").pixels


def test_default_model_is_shipped_and_the_one_that_the_readme_says():
    assert ge.Enhancer().spec.name == DEFAULT_MODEL in SHIPPED
    readme = (Path(ge.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert readme.count("(default)") == 1 and f"| `{DEFAULT_MODEL}` (default) |" in readme


@pytest.mark.parametrize("name", SHIPPED)
def test_files_match_the_card_and_are_small(name):
    paths = [store.find_shipped(name, suffix) for suffix in (".params", ".onnx")]
    assert sum(path.stat().st_size for path in paths) <= MAX_BYTES


@pytest.mark.parametrize("name", SHIPPED)
def test_card_says_how_it_was_trained_and_scored(name):
    card = store.read_card(store.model_zoo_folder() / name)
    assert set(card["training"]) >= {"command", "seed", "data", "hours"}
    assert card["scores"] and card["scores"].keys() == card["protocol"].keys()
    assert card["halo"] == zoo.get_spec(name).halo


@pytest.mark.parametrize("name", SHIPPED)
def test_tiled_equals_whole_to_one_level(name, sample):
    whole = ge.Enhancer(name, precision="fp32", tile=512)(to_float(sample[:160, :160]))
    tiled = ge.Enhancer(name, precision="fp32", tile=40)(to_float(sample[:160, :160]))
    assert np.abs(tiled - whole).max() <= 1 / 255


@pytest.mark.parametrize("name", SHIPPED)
def test_bf16_chosen_for_check_pictures_stays_near_fp32_on_a_photo(name, sample):
    automatic = ge.Enhancer(name, engine="openvino")
    used = automatic.describe()
    if used["precision"] == "fp32" and "precision_reason" not in used:
        pytest.skip("this processor has no bf16")
    exact = ge.Enhancer(name, engine="openvino", precision="fp32")
    # Of 8 bits: deeper pictures are computed in fp32 where bf16 was not asked for.
    assert sample.dtype == np.uint8
    assert psnr(automatic(sample), exact(sample)) >= 48


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.skipif(not framework.is_mxnet_installed(), reason="MXNet is not installed")
def test_engines_give_the_blocks_numbers(name, sample):
    patch = to_float(sample[:48, :56])
    expected = ge.Enhancer(name, engine="mxnet")(patch)
    for engine in ("openvino", "onnxruntime"):
        if engines.is_installed(engine):
            result = ge.Enhancer(name, engine=engine, precision="fp32")(patch)
            assert np.abs(result - expected).max() < 1e-4


@pytest.mark.parametrize("name", SHIPPED)
def test_eight_bits_cost_little_or_are_refused(name, sample):
    scale = zoo.get_spec(name).scale
    small = resize(sample[:160, :160], 1 / scale)
    if "int8" not in store.read_card(store.model_zoo_folder() / name):
        with pytest.raises(WeightsError, match=f"{name} lists no {name}.int8.bin"):
            ge.Enhancer(name, engine="openvino", precision="int8")
        return
    scores = [
        psnr(
            ge.Enhancer(name, engine="openvino", precision=p)(small),
            sample[:160, :160],
            crop_border=scale,
            y_channel=True,
        )
        for p in ("fp32", "int8")
    ]
    assert scores[1] > scores[0] - 0.3
    if engines.is_installed("onnxruntime"):
        with pytest.raises(EngineError, match="int8; that needs --engine openvino"):
            ge.Enhancer(name, engine="onnxruntime", precision="int8")


@pytest.mark.parametrize("name", [n for n in SHIPPED if "int8" in CARDS[n]])
def test_eight_bits_hold_on_lines_dots_and_slopes_as_the_card_says(name):
    exact, rounded = (
        engines.load(
            "openvino", store.find_shipped(name, suffix), precision=precision, trusted=True
        )
        for suffix, precision in ((".onnx", "fp32"), (".int8.xml", "int8"))
    )
    for kind, picture in check_pictures().items():
        kept = agreement(*(engine.run(picture[None]) for engine in (exact, rounded)))
        assert kept >= 25
        assert kept == pytest.approx(CARDS[name]["int8"]["agreement_db"][kind], abs=1.5)
