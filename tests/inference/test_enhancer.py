import hashlib
import json

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed: the nets under test are made with it")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.errors import EngineError, ImageError, UnknownModelError  # noqa: E402
from gluon_enhance.exporting import export_onnx  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.imaging.resize import resize, resize_rounding_once  # noqa: E402
from gluon_enhance.models.rrdbnet import RRDBNet  # noqa: E402

RADIUS = 27
"""Of the nets below: 1 + 15 + 1 convolutions of the input's size, then finer ones, rounded up."""


def make_folder(folder, scale, tiling="exact"):
    """A model folder, as a deployment has it, of a small net that starts as an interpolator."""
    net = RRDBNet(scale, num_blocks=1, channels=8, growth_channels=4)
    net.initialize(mx.init.Xavier(magnitude=1))
    if scale == 4:
        net.initialize_as_interpolator(np.random.default_rng(0))
    path = export_onnx(net, folder / "tiny.onnx", multiple=4 // scale)
    content = path.read_bytes()
    card = {
        "name": "tiny",
        "method": "ESRGAN",
        "scale": scale,
        "parameters": 1,
        "halo": RADIUS,
        "multiple": 4 // scale,
        "tiling": tiling,
        "paper": "",
        "license": "Apache-2.0",
        "files": {
            "tiny.onnx": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        },
    }
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("tiny"), 4)


@pytest.fixture(scope="module")
def enhancer(folder):
    return ge.Enhancer(folder, precision="fp32")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,), (4,)])
def test_dtype_and_channels_come_out_as_they_went_in(enhancer, dtype, channels, rng):
    image = rng.random((9, 7, *channels)).astype(np.float32)
    white = 1 if dtype == np.float32 else np.iinfo(dtype).max
    result = enhancer((image * white).astype(dtype))
    assert result.dtype == dtype and result.shape == (36, 28, *channels)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (5, 64), (33, 1)])
def test_every_size_is_enhanced(enhancer, size):
    assert enhancer(np.full((*size, 3), 99, np.uint8)).shape == (size[0] * 4, size[1] * 4, 3)


def test_colors_are_not_swapped(enhancer):
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 200
    red, green, blue = enhancer(image)[16:-16, 16:-16].reshape(-1, 3).mean(axis=0)
    assert red > 150 and green < 60 and blue < 60


def test_gray_equals_the_luma_of_three_equal_channels(enhancer, picture):
    gray = picture[..., 0]
    color = enhancer(np.dstack([gray] * 3).astype(np.float32) / 255)
    expected = color.astype(np.float64) @ [0.299, 0.587, 0.114]
    assert np.abs(enhancer(gray.astype(np.float32) / 255) - expected).max() < 1e-5


def test_alpha_is_the_bicubic_enlargement(enhancer, picture, rng):
    alpha = rng.random(picture.shape[:2])
    image = np.dstack([picture / 255, alpha]).astype(np.float32)
    expected = np.clip(resize(alpha.astype(np.float32), 4), 0, 1)
    assert np.abs(enhancer(image)[..., 3] - expected).max() < 1e-6


def test_sixteen_bits_are_finer_than_eight(enhancer, picture):
    deep = enhancer(picture.astype(np.uint16) * 257)
    assert len(np.unique(deep)) > 1000
    shallow = enhancer(picture)
    assert np.abs(deep / 257 - shallow).max() <= 0.5 + 1e-2


@pytest.mark.parametrize("scale", [4, 2])
@pytest.mark.parametrize("size, tile", [((61, 47), 16), ((90, 33), 20), ((64, 64), 8)])
def test_tiled_equals_whole(tmp_path_factory, scale, size, tile, picture):
    folder = make_folder(tmp_path_factory.mktemp("model"), scale)
    image = np.pad(picture, ((0, 40), (0, 40), (0, 0)), mode="reflect")[: size[0], : size[1]]
    image = image.astype(np.float32) / 255
    whole = ge.Enhancer(folder, precision="fp32", tile=128)(image)
    tiled = ge.Enhancer(folder, precision="fp32", tile=tile)(image)
    assert np.abs(tiled - whole).max() < 1e-4


def test_progress_counts_tiles(folder, picture):
    seen = []
    ge.Enhancer(folder, tile=8, halo=2)(picture, progress=lambda *counts: seen.append(counts))
    assert seen[-1][0] == seen[-1][1] == len(seen) > 10


def test_engines_agree(folder, picture):
    results = [
        ge.Enhancer(folder, engine=name, precision="fp32")(picture).astype(int)
        for name in ("openvino", "onnxruntime")
    ]
    assert np.abs(results[0] - results[1]).max() <= 1


def test_self_ensemble_is_blind_to_the_images_turn(folder, picture):
    enhancer = ge.Enhancer(folder, precision="fp32", self_ensemble=True)
    image = picture.astype(np.float32) / 255
    turned = np.rot90(enhancer(np.rot90(image)), -1)
    assert np.abs(enhancer(image) - turned).max() < 1e-5
    assert np.abs(enhancer(image) - ge.Enhancer(folder, precision="fp32")(image)).max() > 1e-4


@pytest.mark.parametrize("self_ensemble", [False, True])
def test_strength_mixes_the_result_with_the_image(self_ensemble, tmp_path, rng):
    folder = make_folder(tmp_path, 1)
    batch = rng.random((2, 3, 12, 16)).astype(np.float32)
    options = {"precision": "fp32", "self_ensemble": self_ensemble}
    made, mixed = (ge.Enhancer(folder, strength=k, **options).run(batch) for k in (1, 0.25))
    assert np.abs(made - batch).max() > 0.1
    np.testing.assert_allclose(mixed, 0.75 * batch + 0.25 * made, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strength_0_keeps_the_image(dtype, tmp_path, rng):
    image = rng.integers(0, np.iinfo(dtype).max, (20, 17, 4), dtype, endpoint=True)
    image[..., 3] |= 1  # what is hidden gets its neighbors' color
    folder = make_folder(tmp_path, 1)
    np.testing.assert_array_equal(ge.Enhancer(folder, tile=8, strength=0)(image), image)


def test_strength_is_told_by_describe_where_it_is_not_1(tmp_path):
    folder = make_folder(tmp_path, 1)
    assert ge.Enhancer(folder, strength=0.3).describe()["strength"] == 0.3
    assert "strength" not in ge.Enhancer(folder).describe()


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_out_of_range_is_refused(tmp_path, strength):
    with pytest.raises(ValueError, match=f"strength is {strength}; give a number from 0 to 1"):
        ge.Enhancer(make_folder(tmp_path, 1), strength=strength)


def test_strength_of_a_model_that_enlarges_is_refused(folder):
    with pytest.raises(ValueError, match="strength is 0.5, but tiny enlarges by 4"):
        ge.Enhancer(folder, strength=0.5)


def test_tile_that_is_not_finite_stops_the_work(folder, picture, monkeypatch):
    enhancer = ge.Enhancer(folder)
    monkeypatch.setattr(
        enhancer._engine,
        "run",
        lambda batch: np.full((1, 3, *(4 * n for n in batch.shape[2:])), np.nan),
    )
    with pytest.raises(ImageError, match="NaN"):
        enhancer(picture)


@pytest.fixture
def small_gpu(monkeypatch):
    """An engine that says it is on a GPU, whose memory holds no image."""
    from gluon_enhance.engines.openvino import OpenVINOEngine as Engine

    def full(self, batch):
        raise EngineError("ONNX Runtime cannot run: Failed to allocate memory")

    described = Engine.describe
    monkeypatch.setattr(Engine, "describe", lambda self: {**described(self), "device": "cuda"})
    monkeypatch.setattr(Engine, "run", full)


def test_image_that_a_gpu_does_not_hold_goes_in_bands(small_gpu, picture, monkeypatch, caplog):
    enhancer = ge.Enhancer("dped_resnet", engine="openvino", precision="fp32")
    got = enhancer(picture)
    assert "Failed to allocate memory" in caplog.text and "on the processor" in caplog.text
    monkeypatch.undo()
    whole = ge.Enhancer("dped_resnet", engine="openvino", precision="fp32")(picture)
    assert np.abs(got.astype(int) - whole).max() <= 1


def test_gpus_get_larger_tiles_and_their_errors_where_bands_do_not_help(small_gpu, picture):
    enhancer = ge.Enhancer("rrdb_lite_x4", engine="openvino", precision="fp32")
    assert enhancer.tile > 192
    with pytest.raises(EngineError, match="allocate memory"):
        enhancer(picture)


def test_image_smaller_than_the_net_takes_is_named(folder, tmp_path):
    card = {**json.loads((folder / "card.json").read_text()), "min_size": 41}
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "tiny.onnx").write_bytes((folder / "tiny.onnx").read_bytes())
    with pytest.raises(ImageError, match="tiny needs 41 pixels a side, not 90 x 40"):
        ge.Enhancer(tmp_path)(np.zeros((40, 90, 3), np.uint8))


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        (np.zeros((4, 4, 5), np.uint8), r"\(4, 4, 5\)"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (np.full((4, 4, 3), np.nan, np.float32), "NaN"),
        (np.full((4, 4, 3), 255, np.float32), r"\[255, 255\]"),
    ],
)
def test_bad_arrays_are_refused_with_what_is_wrong(enhancer, image, message):
    with pytest.raises(ValueError, match=message):
        enhancer(image)


def test_unknown_model_names_the_near_ones():
    with pytest.raises(UnknownModelError, match="esrgan_x4"):
        ge.Enhancer("ersgan_x4")


@pytest.mark.parametrize("option", [dict(tile=0), dict(tile="big"), dict(halo=-1)])
def test_bad_tile_and_halo_are_named(folder, option):
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=f"{name} is {value!r}"):
        ge.Enhancer(folder, **option)


def test_folder_without_a_net_says_which_engines_can(folder):
    with pytest.raises(EngineError, match="openvino or onnxruntime"):
        ge.Enhancer(folder, engine="mxnet")


def test_changed_model_file_is_refused(tmp_path):
    folder = make_folder(tmp_path, 4)
    with open(folder / "tiny.onnx", "r+b") as file:
        file.seek(100)
        file.write(b"changed")
    with pytest.raises(ge.errors.WeightsError, match="tiny.onnx"):
        ge.Enhancer(folder)


def test_weights_of_a_file_run_on_every_engine(tmp_path, picture):
    net = ge.get_model("rrdb_lite_x4")
    net.initialize_as_interpolator(np.random.default_rng(0))
    net.save_parameters(str(tmp_path / "own.params"))
    small = picture[:12, :10]
    results = [
        ge.enhance(small, f"rrdb_lite_x4={tmp_path / 'own.params'}", engine=name, precision="fp32")
        for name in ("openvino", "onnxruntime", "mxnet")
    ]
    for result in results[1:]:
        assert np.abs(result.astype(int) - results[0]).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("tile", ["auto", 16])
def test_black_under_a_white_disc_s_transparency_does_not_darken_it(folder, tile, channels, dtype):
    rows, columns = np.mgrid[:48, :48]
    disc = np.hypot(rows - 24, columns - 24) < 15
    white = 1 if dtype == np.float32 else np.iinfo(dtype).max
    cut_out = np.repeat(disc[..., None], channels, axis=2).astype(dtype) * dtype(white)
    options = {"precision": "fp32", "tile": tile}
    result = ge.Enhancer(folder, **options)(cut_out)
    plain = ge.Enhancer(folder, **options)(np.full_like(cut_out, white))
    assert (result[..., :-1] == plain[..., :-1]).all()  # as where there is no disc, but white
    assert (result[..., -1] == resize_rounding_once(cut_out[..., -1], 4)).all()


def test_nan_under_transparency_is_no_fault(enhancer):
    image = np.full((8, 8, 4), 0.5, np.float32)
    image[:4, :, :3], image[:4, :, 3] = np.nan, 0
    assert np.isfinite(enhancer(image)).all()
