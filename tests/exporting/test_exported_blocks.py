"""Blocks of Gluon that are no nets of the zoo: measured, exported, and run by the engines."""

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.errors import WeightsError  # noqa: E402
from gluon_enhance.exporting import measure  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.weights.store import read_card  # noqa: E402

nn = mx.gluon.nn


def sequence(*layers):
    net = nn.HybridSequential()
    net.add(*layers)
    mx.random.seed(0)
    net.initialize(mx.init.Xavier())
    return net


def conv(channels, **options):
    return nn.Conv2D(channels, 3, padding=1, **options)


def zoo_net(name, **options):
    return ge.get_model(name, num_blocks=1, channels=4, **options)


def assert_runs_as(net, folder, rng, **options):
    image = rng.random((30, 42, 3), np.float32)
    expected = net(mx.nd.array(image.transpose(2, 0, 1)[None]))[0].asnumpy().transpose(1, 2, 0)
    result = ge.Enhancer(folder, precision="fp32", **options)(image)
    assert result.shape == expected.shape
    assert np.abs(result - np.clip(expected, 0, 1)).max() < 1e-3


@pytest.mark.slow
def test_two_nets_of_the_zoo_in_a_row_are_one_that_every_engine_runs(tmp_path, rng):
    """The second one's pixels depend on 64 around them, and the segment that it is in on more."""
    second = ge.get_model("rrdb_lite_x4", channels=4, growth_channels=4)
    net = sequence(zoo_net("dped_resnet"), second)
    folder = ge.export(net, tmp_path / "phone_x4", spec={"license": "Apache-2.0"})
    card = read_card(folder)
    names = {"phone_x4-symbol.json", "phone_x4-0000.params", "phone_x4.onnx"}
    assert set(card["files"]) == names | {"phone_x4.segments.zip"}
    assert (card["name"], card["license"], card["scale"]) == ("phone_x4", "Apache-2.0", 4)
    assert card["tiling"] == "global_statistics"  # the first net's norms
    for engine in ("openvino", "onnxruntime", "mxnet"):
        assert_runs_as(net, folder, rng, engine=engine)
    assert_runs_as(net, folder, rng, tile=16)


def test_what_is_left_out_of_the_spec_is_found_out_by_trial(tmp_path, rng):
    """Strides of 2 and 2 back: sides are multiples of 2, and tiles need a few pixels around."""
    net = sequence(conv(8, strides=2), nn.Conv2DTranspose(3, 4, 2, padding=1))
    folder = ge.export(net, tmp_path / "net", ["onnx"], spec={"name": "mine"})
    spec = ge.Enhancer(folder).spec
    assert (spec.name, spec.scale, spec.multiple, spec.stride) == ("mine", 1, 2, 2)
    assert (spec.tiling, spec.halo, spec.min_size) == ("exact", 4, 2)
    assert spec.parameters == sum(p.data().size for p in net.collect_params().values())
    assert net.spec.name == "mine"
    assert_runs_as(net, folder, rng, tile=16)


def test_what_is_said_of_a_net_is_not_tried(tmp_path, rng, monkeypatch):
    for name in ("measured_sizes", "measured_halo"):
        monkeypatch.setattr(measure, name, None)
    net = sequence(conv(3))
    known = {"scale": 1, "multiple": 1, "min_size": 1, "halo": 1, "purpose": "nothing"}
    folder = ge.export(net, tmp_path / "net", ["symbol"], spec=known)
    assert {key: read_card(folder)[key] for key in known} == known
    assert_runs_as(net, folder, rng, engine="mxnet", tile=8)


def test_a_net_of_the_zoo_may_have_another_name_and_license(tmp_path):
    net = zoo_net("edsr_x2")
    net.initialize()
    folder = ge.export(net, tmp_path / "net", ["symbol"], spec={"name": "ours", "license": "MIT"})
    card = read_card(folder)
    assert (card["name"], card["license"], card["scale"]) == ("ours", "MIT", 2)
    assert (folder / "ours-symbol.json").is_file()


class Twice(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, x):
        return [x, x]


@pytest.mark.parametrize(
    "make, spec, error, message",
    [
        (lambda: nn.Sequential(), None, ValueError, "Sequential is no HybridBlock"),
        (lambda: 3, None, ValueError, "int is no HybridBlock"),
        (lambda: conv(3), None, WeightsError, "net has no weights yet"),
        (lambda: sequence(conv(1)), None, ValueError, "does not make an RGB image of one"),
        (lambda: sequence(Twice()), None, ValueError, "HybridSequential gives several arrays"),
        (lambda: sequence(conv(3)), {"tile": 8}, ValueError, "spec has tile; give some of name"),
        (lambda: sequence(conv(3)), {"halo": -1}, ValueError, "spec cannot be written.*halo -1"),
        (lambda: sequence(conv(3)), {"multiple": "2"}, ValueError, "multiple '2'"),
        (lambda: sequence(conv(3)), {"name": "a/b"}, ValueError, "name 'a/b'"),
        (lambda: sequence(conv(3)), {"scale": 2}, ValueError, "scale is 2, and the net's is 1"),
        (lambda: "srcnn_x4", {"name": "mine"}, ValueError, "spec is given for srcnn_x4"),
    ],
)
def test_what_cannot_be_exported_is_refused(make, spec, error, message, tmp_path):
    with pytest.raises(error, match=message):
        ge.export(make(), tmp_path / "net", ["symbol"], spec=spec)
    assert not list(tmp_path.iterdir())
