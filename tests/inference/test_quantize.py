"""Models in 8 bits: what the report says, against other runs of both nets."""

import resource
import shutil

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("openvino")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.errors import EngineError, ImageError, WeightsError  # noqa: E402
from gluon_enhance.exporting import quantize as search  # noqa: E402
from gluon_enhance.imaging.check_pictures import check_pictures  # noqa: E402
from gluon_enhance.inference.quantize import quantize  # noqa: E402
from gluon_enhance.weights.store import find_shipped  # noqa: E402

NAME = "edsr_lite_x2"
OPTIONS = {"engine": "openvino", "threads": 1}


def fixed_gain(patch, gain):
    """Have 8 bits be so many times as fast, whatever else this machine does."""
    patch.setattr(search._Search, "_gain", lambda self, net: gain)


@pytest.fixture(autouse=True)
def quick_search(monkeypatch):
    fixed_gain(monkeypatch, 2.0)
    monkeypatch.setattr(search, "BLOCKS", 4)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder, what was said of it, and the cache that it was made with."""
    folder, home = tmp_path_factory.mktemp("made") / "net", tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MXNET_HOME", str(home))
        fixed_gain(patch, 2.0)
        return folder, quantize(NAME, folder), home


@pytest.fixture
def here(made, monkeypatch):
    monkeypatch.setenv("MXNET_HOME", str(made[2]))


def decibels(a, b):
    difference = np.clip(a, 0, 1).astype(np.float64) - np.clip(b, 0, 1)
    return -10 * np.log10(np.square(difference).mean())


def test_the_agreement_that_is_said_is_that_of_the_folder_to_the_net_in_onnx_runtime(made, here):
    pytest.importorskip("onnxruntime")
    exact = ge.Enhancer(NAME, engine="onnxruntime", precision="fp32", threads=1)
    eight = ge.Enhancer(made[0], **OPTIONS)
    for kind, picture in check_pictures().items():
        said = made[1]["agreement_db"][kind]
        kept = decibels(exact.run(picture[None]), eight.run(picture[None]))
        assert said == pytest.approx(kept, abs=0.2)
        assert said >= made[1]["at_least_db"][kind]


def test_the_folder_runs_in_8_bits_and_deep_pictures_in_fp32(made, here, picture):
    eight = ge.Enhancer(made[0], **OPTIONS)
    assert eight.describe()["precision"] == "int8"
    exact = ge.enhance(picture, NAME, precision="fp32", **OPTIONS)
    assert 40 < decibels(eight(picture) / 255, exact / 255) < 70
    deep = picture.astype(np.uint16) * 257
    assert eight.for_dtype(np.uint16).describe()["precision"] == "fp32"
    exact = ge.enhance(deep, NAME, precision="fp32", **OPTIONS)
    assert np.array_equal(eight(deep), exact)


@pytest.mark.parametrize("choice", [{"precision": "fp32"}, {"engine": "onnxruntime"}])
def test_another_precision_and_engine_are_those_of_the_net(choice, made, here, picture):
    pytest.importorskip(choice.get("engine", "openvino"))
    options = {**OPTIONS, "precision": "fp32", **choice}
    assert np.array_equal(
        ge.enhance(picture, made[0], **options), ge.enhance(picture, NAME, **options)
    )


def test_what_the_report_says_is_in_the_card_too(made):
    card = ge.weights.store.read_card(made[0])
    said = {key: made[1][key] for key in card["int8"]}
    assert card["int8"] == said and card["precision"] == "int8"
    assert said["rounded"] == said["convolutions"] - 3


def test_on_another_computer_the_folder_needs_trust(made, tmp_path, monkeypatch, picture):
    folder = shutil.copytree(made[0], tmp_path / "copy")
    with pytest.raises(WeightsError, match="was not quantized here.*use --precision fp32.*trust"):
        ge.Enhancer(folder, **OPTIONS)
    ge.Enhancer(folder, precision="fp32", **OPTIONS)
    trusted = ge.enhance(picture, folder, trust=True, **OPTIONS)
    monkeypatch.setenv("MXNET_HOME", str(made[2]))
    assert np.array_equal(ge.enhance(picture, folder, **OPTIONS), trusted)


def test_a_graph_of_others_is_not_noted_as_one_to_be_trusted(made, here, tmp_path, monkeypatch):
    given = shutil.copy(find_shipped(NAME, ".onnx"), tmp_path / "given.onnx")
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "home"))
    quantize(given, tmp_path / "net")
    with pytest.raises(WeightsError, match="was not quantized here"):
        ge.Enhancer(tmp_path / "net", **OPTIONS)


def test_parts_keep_their_precision_until_the_net_is_near_enough(made, tmp_path):
    kept = made[1]["agreement_db"]
    at_least = min(kept.values()) + 1
    nearer = quantize(NAME, tmp_path / "net", at_least=at_least)
    assert min(nearer["agreement_db"].values()) >= at_least
    assert 0 < nearer["rounded"] < made[1]["rounded"]


def test_what_cannot_be_had_near_enough_is_refused_and_leaves_the_folder(tmp_path, made):
    folder = shutil.copytree(made[0], tmp_path / "net")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    message = rf"{NAME} keeps pieces .* dB to fp32 with \d+ convolutions .*hatch 99.0.*nothing was"
    with pytest.raises(EngineError, match=message):
        quantize(NAME, folder, at_least=99)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(EngineError):
        quantize(NAME, tmp_path / "new", at_least=99)
    assert not (tmp_path / "new").exists()


def test_what_is_hardly_faster_is_refused(tmp_path, monkeypatch):
    fixed_gain(monkeypatch, 1.2)
    with pytest.raises(EngineError, match=r"only 1\.20 times as fast as in .* where at least 1\.3"):
        quantize(NAME, tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_a_net_that_takes_statistics_of_the_whole_image_is_refused(tmp_path):
    with pytest.raises(EngineError, match="style_wave takes statistics of the whole image"):
        quantize("style_wave", tmp_path / "net")


def test_a_graph_of_others_that_computes_with_sizes_has_no_8_bits(tmp_path):
    """OpenVINO would compute them in the file's own way, and not as they were checked."""
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node
    nodes = [node("Shape", ["x"], ["s"]), node("Reshape", ["x", "s"], ["y"])]
    ends = [onnx.helper.make_tensor_value_info(name, 1, ["n", 3, "h", "w"]) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "net", ends[:1], ends[1:])
    opsets = [onnx.helper.make_opsetid("", 13)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, tmp_path / "n.onnx")
    with pytest.raises(EngineError, match="computes with the size of its image.* --trust"):
        quantize(tmp_path / "n.onnx", tmp_path / "net")


@pytest.mark.parametrize("room", [50_000, 500_000], ids=["graph", "weights"])
def test_a_full_disk_is_named_and_leaves_nothing(room, tmp_path):
    """As on a full disk, no file grows beyond a size."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(EngineError, match=r"probe\.(xml|bin) cannot be written: is the disk"):
            quantize(NAME, tmp_path / "net")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [*tmp_path.iterdir()]


def test_a_folder_of_other_files_is_refused_before_the_work(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"note\.txt, which no export wrote"):
        quantize("no_such_model", tmp_path)


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def test_pieces_are_those_of_the_photos(tmp_path, rng):
    photos = [rng.integers(0, 256, (100 + k, 130, 3), np.uint8) for k in range(14)]
    for k, photo in enumerate(photos):
        save(tmp_path / f"{k:02}.png", photo)
    pieces = search.pieces_of(tmp_path)
    assert len(pieces.of_ranges) == len(pieces.of_checks) == search.PHOTOS
    used = [k * 14 // 12 for k in range(12)]
    for k, wide, small in zip(used, *pieces):
        view = photos[k].transpose(2, 0, 1) / np.float32(255)
        top = int((100 + k - search.CROP) / 2)
        assert np.allclose(wide[0], view[:, top : top + 96, 17 : 17 + 96])
        assert small.shape == (1, 3, 48, 48)
        windows = np.lib.stride_tricks.sliding_window_view(view[0], (48, 48))
        assert np.isclose(windows, small[0, 0]).all(axis=(2, 3)).any()


def test_ranges_are_those_of_the_photos_and_of_the_pictures(tmp_path, rng, monkeypatch):
    save(tmp_path / "photo.png", rng.integers(0, 256, (96, 96, 3), np.uint8))
    seen = []
    monkeypatch.setattr(
        search.EightBitGraph, "even_channels", lambda self, ranges: seen.append(ranges) or ranges
    )
    quantize(NAME, tmp_path / "net", tmp_path, at_least=0)
    (photo,) = search.pieces_of(tmp_path).of_ranges
    low, high = next(iter(seen[0].values()))  # of the image itself, or of its map less a mean
    assert high.max() - low.min() >= np.ptp(photo) - 0.01


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda path: None, ValueError, "is not a folder"),
        (lambda path: path.mkdir(), ValueError, "holds no image"),
        (
            lambda path: path.mkdir() or save(path / "a.png", np.zeros((40, 200, 3), np.uint8)),
            ImageError,
            "200 x 40 pixels, less than a piece of 96 x 96",
        ),
    ],
)
def test_bad_folders_of_photos_are_refused_before_the_work(make, error, message, tmp_path):
    make(tmp_path / "photos")
    with pytest.raises(error, match=message):
        quantize("no_such_model", tmp_path / "net", tmp_path / "photos")
