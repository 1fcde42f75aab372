import errno
import json
import os
import weakref
import zipfile
from functools import partial

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed: the nets under test are made with it")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance import engines  # noqa: E402
from gluon_enhance.errors import EngineError, ImageError  # noqa: E402
from gluon_enhance.exporting import export_onnx  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.dped import DPEDDenseNet, DPEDResNet  # noqa: E402
from gluon_enhance.models.style import StyleNet  # noqa: E402
from gluon_enhance.models.wespe import WESPEGenerator  # noqa: E402
from gluon_enhance.weights.manifest import sha256  # noqa: E402
from gluon_enhance.whole_image import maps, split
from gluon_enhance.whole_image.runner import StripNet  # noqa: E402

load = partial(engines.load, "openvino", precision="fp32")


def wide_kernels():
    """A net that sees farther to the sides than up and down."""
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Conv2D(4, (1, 9), padding=(0, 4), in_channels=3))
    net.add(mx.gluon.nn.InstanceNorm(in_channels=4))
    net.add(mx.gluon.nn.Conv2D(3, (1, 9), padding=(0, 4), in_channels=4))
    return net


NETS = {
    "wide_kernels": wide_kernels,
    "dped_resnet": lambda: DPEDResNet(num_blocks=2, channels=8),
    "dped_layer": lambda: DPEDResNet(num_blocks=1, channels=8, norm="layer"),
    "dped_batch_stats": lambda: DPEDResNet(num_blocks=1, channels=8, norm="batch_stats"),
    "dped_densenet": lambda: DPEDDenseNet(num_blocks=2, num_layers=3, channels=4),
    "wespe": lambda: WESPEGenerator(norm="instance"),
    "style": lambda: StyleNet(channels=4, norm="instance"),
    "style_reflect": lambda: StyleNet(
        channels=4, norm="instance", padding="reflect", doublings="nearest", tanh_scale=60
    ),
}


def exported(net, folder):
    """The ONNX file of a net whose norms do something, and its segments."""
    mx.random.seed(1)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 48, 48)))
    rng = np.random.default_rng(0)
    for name, parameter in net.collect_params().items():
        if name.endswith(("gamma", "beta")):
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
    multiple, stride = (6, 4) if isinstance(net, StyleNet) else (1, 1)
    path = export_onnx(net, folder / "net.onnx", multiple)
    return path, split.split_onnx(path, stride)


@pytest.fixture(scope="module", params=NETS)
def files(request, tmp_path_factory):
    return exported(NETS[request.param](), tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def dped(tmp_path_factory):
    return exported(NETS["dped_resnet"](), tmp_path_factory.mktemp("dped"))


def uneven(height, width):
    """An image whose upper and lower halves have other statistics."""
    image = np.random.default_rng(0).random((1, 3, height, width), np.float32)
    return image * np.linspace(0.1, 1, height, dtype=np.float32)[:, None]


@pytest.mark.parametrize("size", [(400, 48), (57, 70), (331, 97)])
@pytest.mark.parametrize("pixels, memory", [(1, 0), (6000, 100_000), (6000, 10**9)])
def test_strips_equal_the_whole_image(files, size, pixels, memory):
    onnx, segments_zip = files
    image = uneven(*size)
    in_strips = StripNet(segments_zip, load, pixels, memory).run(image)
    assert np.abs(in_strips - load(onnx).run(image)).max() < 1 / 255


@pytest.mark.parametrize("size", [(56, 400), (143, 326)])
@pytest.mark.parametrize("columns, memory", [(1, 0), (100, 100_000), (150, 10**9)])
def test_strips_of_some_columns_equal_the_whole_image(files, size, columns, memory):
    onnx, segments_zip = files
    image = uneven(*size) * np.linspace(0.1, 1, size[1], dtype=np.float32)
    in_strips = StripNet(segments_zip, load, 6000, memory, columns).run(image)
    assert np.abs(in_strips - load(onnx).run(image)).max() < 1 / 255


def test_statistics_are_the_whole_images(dped):
    onnx, segments_zip = dped
    image = uneven(200, 40)
    whole = load(onnx).run(image)
    upper = load(onnx).run(np.ascontiguousarray(image[:, :, :100]))
    assert np.abs(upper[:, :, :80] - whole[:, :, :80]).max() > 10 / 255
    assert np.abs(StripNet(dped[1], load, 1).run(image) - whole).max() < 1 / 255


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_enhancer_runs_large_images_in_strips_on_each_engine(dped, tmp_path, engine, picture):
    (folder := tmp_path / "model").mkdir()
    card = {
        "name": "net",
        "method": "DPED",
        "scale": 1,
        "parameters": 1,
        "halo": 19,
        "paper": "",
        "license": "Apache-2.0",
        "tiling": "global_statistics",
        "files": {},
    }
    for path in dped:
        (folder / path.name).write_bytes(path.read_bytes())
        card["files"][path.name] = {"sha256": sha256(path), "size": path.stat().st_size}
    (folder / "card.json").write_text(json.dumps(card))
    steps = []
    whole = ge.Enhancer(folder, engine=engine, precision="fp32")(picture)
    in_strips = ge.Enhancer(folder, engine=engine, precision="fp32", tile=30)
    result = in_strips(picture, progress=lambda *counts: steps.append(counts))
    assert np.abs(result.astype(int) - whole).max() <= 1
    assert steps[-1] == (len(steps), len(steps)) and len(steps) > 9
    mixed = ge.Enhancer(folder, engine=engine, precision="fp32", tile=30, strength=0)(picture)
    np.testing.assert_array_equal(mixed, picture)


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    return exported(NETS["style"](), tmp_path_factory.mktemp("style"))


@pytest.mark.parametrize("kind, size", [("dped", (200, 150)), ("style", (203, 146))])
def test_bytes_of_features_are_foretold(kind, size, request, monkeypatch):
    (bytes_now := {}), (most := [])
    make = maps.FeatureRows.__init__

    def counted(self, shape, dtype, memory, lead=0):
        make(self, shape, dtype, memory, lead)
        bytes_now[id(self.held)] = (shape[0] + lead) * shape[1] * shape[2] * 2
        weakref.finalize(self.held, bytes_now.pop, id(self.held))
        most.append(sum(bytes_now.values()))

    net = StripNet(request.getfixturevalue(kind)[1], load, 2000, memory=0, columns=64)
    foretold = net.feature_bytes(*size)
    monkeypatch.setattr(maps.FeatureRows, "__init__", counted)
    net.run(uneven(*size))
    assert foretold == max(most) and not bytes_now


def test_strips_are_counted(dped):
    net, seen = StripNet(dped[1], load, 2000), []
    net.run(uneven(200, 40), on_strip=lambda: seen.append(1))
    assert len(seen) == net.count(200, 40) > 10


def test_full_disk_is_named_with_what_to_do(dped, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ImageError, match="No space left on device.*TMPDIR"):
        StripNet(dped[1], load, 1, memory=0).run(uneven(200, 40))


class GroupNorm(mx.gluon.HybridBlock):
    """Over each half of the channels."""

    def __init__(self):
        super().__init__()
        self.norm = mx.gluon.nn.InstanceNorm(in_channels=2)

    def hybrid_forward(self, F, x):
        return F.reshape_like(self.norm(F.reshape(x, (0, 2, -1))), x)


def test_norms_over_groups_of_channels_are_refused(tmp_path):
    net = mx.gluon.nn.HybridSequential()
    conv = partial(mx.gluon.nn.Conv2D, kernel_size=3, padding=1)
    net.add(conv(4, in_channels=3), GroupNorm(), conv(3, in_channels=4))
    with pytest.raises(EngineError, match="norms over groups of channels, which cannot be cut"):
        exported(net, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_segments_that_differ_from_the_whole_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(split, "TOLERANCE", -1.0)
    with pytest.raises(EngineError, match="differs from the whole by"):
        exported(NETS["dped_resnet"](), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_archive_holds_a_table_and_a_file_for_each_segment(dped):
    with zipfile.ZipFile(dped[1]) as archive:
        table = json.loads(archive.read("segments.json"))
        assert set(archive.namelist()) == {"segments.json", *(p["file"] for p in table["segments"])}
    assert [len(segment["norms"]) for segment in table["segments"]] == [0, 1, 1, 1, 1]
    assert table["segments"][0]["halo"] == 5 and table["segments"][1]["halo"] == 1
