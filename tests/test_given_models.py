"""Files as models: run by ``-m FILE``, kept in a folder, and specs that follow from the net."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance import zoo  # noqa: E402
from gluon_enhance.commands import main  # noqa: E402
from gluon_enhance.errors import EngineError, UnknownModelError, WeightsError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.zoo.extent import Extent, extent_of  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent / "weights"))
from foreign_nets import new_names, rrdb, srvgg  # noqa: E402
from torch_files import write_zip  # noqa: E402

OPTIONS = {"precision": "fp32", "threads": 1}


@pytest.fixture
def compact(tmp_path):
    """A file of a small SRVGGNetCompact, and what it makes of images."""
    state, run, _ = srvgg(2)
    path = tmp_path / "2x_Compact v1.pth"
    write_zip(path, dict(state))
    return path, run


def enhanced(model, x, **options):
    return ge.Enhancer(model, **{**OPTIONS, **options}).run(x.astype(np.float32))


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "mxnet"])
def test_a_file_of_weights_is_a_model_of_every_engine(compact, engine, rng):
    path, run = compact
    x = rng.random((1, 3, 9, 7))
    np.testing.assert_allclose(enhanced(path, x, engine=engine), run(x), atol=1e-4)


def test_a_file_is_read_off_once_and_what_was_found_is_said(compact, caplog):
    path, _ = compact
    spec = ge.Enhancer(path, **OPTIONS).spec
    assert (spec.name, spec.scale, spec.halo) == ("2x_Compact_v1", 2, 4)  # three 3x3, and the last
    assert "of a net SRVGGNetCompact, x2, num_convs 2, channels 8" in caplog.text
    caplog.clear()
    assert ge.Enhancer(path, **OPTIONS).spec == spec and not caplog.text


def test_an_onnx_file_is_measured_and_runs(compact, tmp_path, rng):
    path, run = compact
    folder = ge.export(path, tmp_path / "out")
    onnx = tmp_path / "own.onnx"
    onnx.write_bytes((folder / "2x_Compact_v1.onnx").read_bytes())
    enhancer = ge.Enhancer(onnx, **OPTIONS)
    assert (enhancer.spec.scale, enhancer.spec.multiple, enhancer.spec.tiling) == (2, 1, "exact")
    assert 0 < enhancer.spec.halo <= 8
    x = rng.random((1, 3, 9, 7))
    np.testing.assert_allclose(enhancer.run(x.astype(np.float32)), run(x), atol=1e-4)
    for file in ("2x_Compact_v1.onnx", "2x_Compact_v1-0000.params", "2x_Compact_v1.safetensors"):
        np.testing.assert_allclose(enhanced(folder / file, x), run(x), atol=1e-4)
    with pytest.raises(EngineError, match="runs as it is"):
        ge.export(onnx, tmp_path / "again")


def test_a_halo_is_at_most_the_radius_and_tiles_agree_with_the_whole(tmp_path, picture):
    state, _, _ = rrdb(new_names, blocks=2)
    write_zip(tmp_path / "net.pth", dict(state))
    enhancer = ge.Enhancer(tmp_path / "net.pth", tile=16, **OPTIONS)
    radius = 2 * 15 + 2 + 2  # 15 convolutions a block, two around them, and two enlarged ones
    assert ge.get_model(pretrained=tmp_path / "net.pth").spec.halo == radius
    assert 0 < enhancer.spec.halo < radius
    whole = ge.Enhancer(tmp_path / "net.pth", tile=64, halo=0, **OPTIONS)
    assert np.abs(enhancer(picture).astype(int) - whole(picture)).max() <= 1


def test_a_name_with_a_file_takes_the_sizes_of_the_file(compact, rng):
    path, run = compact
    write_zip(path.with_name("x4.pth"), dict(srvgg(4)[0]))
    assert ge.Enhancer(f"realesr_video_x4={path.with_name('x4.pth')}", **OPTIONS).scale == 4
    with pytest.raises(WeightsError, match="scale 2, and realesr_video_x4 is of .* scale 4"):
        ge.get_model("realesr_video_x4", pretrained=path)


def test_models_of_the_folder_are_added_listed_and_used_by_their_names(
    compact, tmp_path, monkeypatch, capsys, rng
):
    path, run = compact
    monkeypatch.setenv("GLUON_ENHANCE_MODELS", str(tmp_path / "mine"))
    with pytest.raises(SystemExit) as done:
        main(["models", "add", str(path), "--name", "compact"])
    assert done.value.code == 0 and (tmp_path / "mine" / "compact.pth").is_file()
    (tmp_path / "mine" / "broken.pth").write_bytes(b"nothing")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["models", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    row = rows["compact"]
    assert (row["method"], row["scale"], row["weights"]) == ("SRVGGNetCompact", 2, "file")
    assert row["parameters"] == 3 * 8 * 9 + 8 + 8 + 2 * (8 * 8 * 9 + 8 + 8) + 12 * 8 * 9 + 12
    assert "damaged" in rows["broken"]["fault"] and rows["rrdb_lite_x4"]["weights"] == "shipped"
    x = rng.random((1, 3, 9, 7))
    np.testing.assert_allclose(enhanced("compact", x), run(x), atol=1e-4)
    for name, message in (("compact", "taken"), ("RRDB_x4", "taken"), ("a/b", "letters")):
        with pytest.raises(ValueError, match=message):
            zoo.add_model(path, name)
    with pytest.raises(UnknownModelError, match="near ones are compact"):
        ge.Enhancer("compactt")


RADII = {
    # 9x9, 33 of 3x3, one before the first enlargement and half of one after; 9x9 enlarged fourfold
    "srresnet_x4": 40,
    "dped_resnet": 4 + 11 + 3,
    "rrdb_lite_x4": 4 * 15 + 2 + 2,
    "realesrgan_x2": 2 * (23 * 15 + 2 + 2),
    "realesrgan_lite_x4": 1 + 16 + 1 + 2 + 2 * 4,
    "edsr_lite_x2": 1 + 16 + 1 + 1 + 1,
}


@pytest.mark.parametrize("name", RADII)
def test_the_radius_is_that_of_the_layers(name):
    spec, extent = zoo.get_spec(name), extent_of(ge.get_model(name))
    sizes = (spec.scale, spec.multiple, spec.stride, RADII[name], spec.min_size)
    assert extent == Extent(*sizes)


def test_nothing_beyond_the_radius_has_an_influence_and_what_is_within_has(rng):
    net = ge.get_model("realesrgan_x2", num_blocks=1, channels=4, growth_channels=2)
    net.initialize(mx.init.Xavier(magnitude=8))
    radius = net.spec.halo
    x = rng.random((1, 3, 4 * radius, 8)).astype(np.float32)
    changed = x.copy()
    changed[:, :, 2 * radius :] = 1 - changed[:, :, 2 * radius :]
    given, other = (net(mx.nd.array(one)).asnumpy() for one in (x, changed))
    rows = np.abs(given - other).max(axis=(0, 1, 3))
    assert rows[: 2 * radius].max() == 0  # of the input's first rows, all but the radius' last
    assert np.flatnonzero(rows)[0] >= 2 * radius


@pytest.mark.parametrize(
    "name, options, scale, multiple",
    [
        ("esrgan_x4", {"scale": 2}, 2, 2),
        ("esrgan_x4", {"scale": 8}, 8, 1),
        ("realesrgan_x2", {"scale": 4}, 4, 1),
        ("edsr_lite_x2", {"scale": 3}, 3, 1),
        ("realesr_video_x4", {"scale": 1}, 1, 1),
        ("plsr_x4", {"scale": 8}, 8, 1),
        ("srcnn_x4", {"scale": 3}, 3, 1),
    ],
)
def test_options_give_a_spec_that_says_what_the_net_is(name, options, scale, multiple):
    small = {"num_blocks": 1} if "rgan" in name else {}
    spec = ge.get_model(name, **options, **small).spec
    assert (spec.scale, spec.multiple, spec.tiling) == (scale, multiple, "exact")


def test_a_net_of_another_scale_exports_and_enhances(tmp_path, rng):
    net = ge.get_model("esrgan_x4", scale=2, num_blocks=1, channels=4, growth_channels=2)
    net.initialize(mx.init.Xavier())
    folder = ge.export(net, tmp_path / "out", ("onnx",))
    assert ge.Enhancer(folder, **OPTIONS)(np.zeros((7, 5, 3), np.uint8)).shape == (14, 10, 3)
