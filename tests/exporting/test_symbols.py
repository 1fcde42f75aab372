"""Nets that are not ours, as MXNet saves them: converted, measured, and run by the engines."""

import json
import shutil

import numpy as np
import pytest

mxnet = pytest.importorskip("mxnet", reason="MXNet is not installed")

from mxnet.gluon.contrib.nn import PixelShuffle2D  # noqa: E402

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.data.benchmarks import find_pairs, read_pair  # noqa: E402
from gluon_enhance.errors import EngineError, WeightsError  # noqa: E402
from gluon_enhance.exporting import folder  # noqa: E402
from gluon_enhance.exporting.onnx_fixes import has_instance_norms  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402

nn = mx.gluon.nn


class Layer(mx.gluon.HybridBlock):
    """A layer given as a function of F and x."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def hybrid_forward(self, F, x):
        return self.function(F, x)


def conv(channels, in_channels, **options):
    return nn.Conv2D(channels, 3, padding=1, in_channels=in_channels, **options)


def reflect(F, x):
    return F.pad(x, mode="reflect", pad_width=(0, 0, 0, 0, 3, 3, 3, 3))


def attend(F, x):
    return F.broadcast_mul(x, F.sigmoid(F.mean(x, axis=(2, 3), keepdims=True)))


#: Net -> scale, multiple, min_size and tiling that a reader of its layers finds, and the layers.
NETS = {
    # The width of the images below is 8 too: slopes must not be taken for the columns'.
    "prelu": ((1, 1, 1, "exact"), lambda: [conv(8, 3), nn.PReLU(in_channels=8), conv(3, 8)]),
    "shuffle2": ((2, 1, 1, "exact"), lambda: [conv(12, 3), PixelShuffle2D(2)]),
    "shuffle3": ((3, 1, 1, "exact"), lambda: [conv(27, 3), PixelShuffle2D(3), conv(3, 3)]),
    "shuffle4": ((4, 1, 1, "exact"), lambda: [conv(48, 3), PixelShuffle2D(4)]),
    "depth to space": (
        (3, 1, 1, "exact"),
        lambda: [conv(27, 3), Layer(lambda F, x: F.depth_to_space(x, 3))],
    ),
    "reflection": (
        (1, 1, 4, "exact"),
        lambda: [Layer(reflect), nn.Conv2D(3, 7, in_channels=3)],
    ),
    "output padding": (
        (1, 2, 2, "exact"),
        lambda: [
            conv(8, 3, strides=2),
            nn.Conv2DTranspose(3, 3, 2, padding=1, output_padding=1, in_channels=8),
        ],
    ),
    "instance norm": (
        (1, 1, 1, "global_statistics"),
        lambda: [conv(8, 3), nn.InstanceNorm(in_channels=8), conv(3, 8)],
    ),
    "attention": ((1, 1, 1, "global_statistics"), lambda: [conv(3, 3), Layer(attend)]),
    "batch norm": (
        (1, 1, 1, "exact"),
        lambda: [
            conv(8, 3),
            nn.BatchNorm(in_channels=8),
            nn.BatchNorm(in_channels=8, scale=False, use_global_stats=True),
            conv(3, 8),
        ],
    ),
}


def save(layers, base):
    """Save a net by MXNet's own means alone, and return it."""
    net = nn.HybridSequential()
    net.add(*layers)
    mx.random.seed(0)
    net.initialize(mx.init.Xavier())
    rng = np.random.default_rng(0)
    for name, parameter in net.collect_params().items():
        if name.endswith(("alpha", "gamma", "beta", "running_mean", "running_var")):
            parameter.set_data(mx.nd.array(rng.uniform(0.2, 0.8, parameter.shape)))
    net.hybridize()
    net(mx.nd.zeros((1, 3, 16, 16)))
    net.export(str(base))
    return net


@pytest.mark.parametrize("name", NETS)
def test_any_net_is_measured_and_gives_its_numbers_in_every_engine(name, tmp_path, rng):
    expected, layers = NETS[name]
    net = save(layers(), tmp_path / "net")
    for engine in ("openvino", "onnxruntime", "mxnet"):
        enhancer = ge.Enhancer(tmp_path / "net-symbol.json", engine=engine, precision="fp32")
        spec = enhancer.spec
        assert (spec.scale, spec.multiple, spec.min_size, spec.tiling) == expected
        for shape in ((1, 3, 8, 8), (1, 3, 10, 36)):
            batch = rng.random(shape, np.float32)
            result = net(mx.nd.array(batch)).asnumpy()
            assert np.abs(enhancer.run(batch) - result).max() < 1e-4


class Halved(mx.gluon.HybridBlock):
    """A net that halves sizes twice and gives back the image's, whatever it is."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.down = nn.HybridSequential()
            self.down.add(conv(8, 3, strides=2), conv(8, 8, strides=2))

    def hybrid_forward(self, F, x):
        features = F.UpSampling(self.down(x), scale=4, sample_type="nearest")
        return F.slice_like(F.slice_axis(features, axis=1, begin=0, end=3), x, axes=(2, 3))


def test_tiles_of_a_net_that_takes_any_size_begin_where_its_strides_do(tmp_path, rng):
    net = save([Halved()], tmp_path / "net")
    image = rng.random((79, 102, 3), np.float32)
    enhancer = ge.Enhancer(tmp_path / "net-symbol.json", precision="fp32", tile=15)
    spec = enhancer.spec
    assert (spec.multiple, spec.stride, spec.tiling) == (1, 4, "exact")
    expected = net(mx.nd.array(image.transpose(2, 0, 1)[None]))[0].asnumpy().transpose(1, 2, 0)
    assert np.abs(enhancer(image) - np.clip(expected, 0, 1)).max() < 1e-4


def test_a_net_that_nothing_can_cut_says_that_it_takes_whole_images(tmp_path):
    save([conv(3, 3), Layer(attend)], tmp_path / "net")
    image = np.zeros((24, 16, 3), np.uint8)
    pair = tmp_path / "net-symbol.json"
    assert ge.Enhancer(pair, tile=24)(image).shape == image.shape
    with pytest.raises(EngineError, match="net takes a whole image at once"):
        ge.Enhancer(pair, tile=8)(image)


def test_the_halo_is_what_the_net_needs(tmp_path):
    """Pixels 5 apart: 4 are too few, 8 enough."""
    layers = [nn.Conv2D(3, 3, padding=5, dilation=5, in_channels=3, weight_initializer="ones")]
    save(layers, tmp_path / "net")
    assert ge.Enhancer(tmp_path / "net-symbol.json").spec.halo == 8


@pytest.mark.parametrize("low, high", [(0, 255), (-1, 1)])
def test_a_declared_range_is_the_nets_and_not_the_images(low, high, tmp_path, rng):
    bend = Layer(lambda F, x: F.maximum(x, (low + high) / 2))
    net = save([bend, conv(3, 3)], tmp_path / "net")
    image = rng.random((9, 7, 3)).astype(np.float32)
    values = mx.nd.array(low + (high - low) * image.transpose(2, 0, 1)[None])
    sr = net(values).asnumpy()[0].transpose(1, 2, 0)
    expected = np.clip((sr - low) / (high - low), 0, 1)
    result = ge.enhance(image, f"{tmp_path / 'net-symbol.json'}={low},{high}", precision="fp32")
    assert np.abs(result - expected).max() < 1e-5


def test_a_net_in_half_precision_runs(tmp_path, rng):
    net = save([conv(8, 3), conv(3, 8)], tmp_path / "net")
    net.cast("float16")
    halves = {f"arg:{name}": p.data() for name, p in net.collect_params().items()}
    mx.nd.save(str(tmp_path / "net-0000.params"), halves)
    net.cast("float32")
    batch = rng.random((1, 3, 9, 7), np.float32)
    result = ge.Enhancer(tmp_path / "net-symbol.json", precision="fp32").run(batch)
    assert np.abs(result - net(mx.nd.array(batch)).asnumpy()).max() < 1e-5


def test_a_net_is_converted_once(tmp_path, monkeypatch):
    save([conv(3, 3)], tmp_path / "net")
    ge.Enhancer(tmp_path / "net-symbol.json")
    monkeypatch.setattr(mx.onnx, "export_model", None)
    ge.Enhancer(tmp_path / "net-symbol.json")


def test_a_net_that_only_mxnet_can_convert_says_how(tmp_path, monkeypatch):
    save([conv(3, 3)], tmp_path / "net")
    monkeypatch.setattr(folder, "is_mxnet_installed", lambda: False)
    with pytest.raises(
        EngineError, match="gluon-enhance export .*net-symbol.json DIR` where it is"
    ):
        ge.Enhancer(tmp_path / "net-symbol.json")


def test_a_net_of_another_is_exported_like_one_of_the_zoo(tmp_path, rng):
    net = save([conv(3, 3)], tmp_path / "net")
    ge.export(tmp_path / "net-symbol.json", tmp_path / "folder")
    shutil.move(tmp_path / "net-0000.params", tmp_path / "away")
    batch = rng.random((1, 3, 9, 7), np.float32)
    result = ge.Enhancer(tmp_path / "folder", precision="fp32").run(batch)
    assert np.abs(result - net(mx.nd.array(batch)).asnumpy()).max() < 1e-5


@pytest.mark.parametrize(
    "layers, message",
    [
        (lambda: [conv(4, 3)], "does not make an RGB image of one"),
        (lambda: [nn.Conv2D(3, 3, in_channels=3)], "does not make an RGB image of one"),
        (lambda: [nn.Flatten(), nn.Dense(3)], "FullyConnected .* does not fit what it gets"),
    ],
)
def test_nets_that_make_no_image_are_refused(layers, message, tmp_path):
    save(layers(), tmp_path / "net")
    with pytest.raises(WeightsError, match=message):
        ge.Enhancer(tmp_path / "net-symbol.json")


def test_layers_that_onnx_lacks_are_named(tmp_path):
    save([conv(4, 3), nn.GroupNorm(2), conv(3, 4)], tmp_path / "mine")
    with pytest.raises(EngineError, match="mine cannot be exported to ONNX.*GroupNorm"):
        ge.Enhancer(tmp_path / "mine-symbol.json")


def test_a_pair_of_which_one_is_missing_is_refused(tmp_path):
    save([conv(3, 3)], tmp_path / "net")
    (tmp_path / "net-0000.params").unlink()
    with pytest.raises(WeightsError, match="net-0000.params are a pair, and one is missing"):
        ge.Enhancer(tmp_path / "net-symbol.json")


@pytest.mark.parametrize("text", ["255", "0,x", "1,0", "0,inf"])
def test_a_range_that_is_none_is_named(text, tmp_path):
    with pytest.raises(ValueError, match=f"'{text}' is no range of values"):
        ge.Enhancer(f"{tmp_path / 'net-symbol.json'}={text}")


@pytest.mark.parametrize("file", ["net-symbol.json", "net-0000.params"])
def test_damaged_files_are_refused(file, tmp_path):
    save([conv(3, 3)], tmp_path / "net")
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="net-"):
        ge.Enhancer(tmp_path / "net-symbol.json")


def test_weights_of_another_net_are_refused(tmp_path):
    save([conv(3, 3)], tmp_path / "net")
    save([conv(4, 3)], tmp_path / "other")
    shutil.copy(tmp_path / "other-0000.params", tmp_path / "net-0000.params")
    with pytest.raises(WeightsError, match="net-symbol.json"):
        ge.Enhancer(tmp_path / "net-symbol.json")


@pytest.mark.reference
@pytest.mark.slow
def test_a_net_of_another_project_reaches_its_score_on_set5(reference_data):
    images = reference_data / "sets" / "Set5" / "x4"
    enhance = ge.Enhancer(reference_data / "weights" / "symbol" / "SRResNet_4x-symbol.json")
    scores = []
    for pair in find_pairs(images / "hr", images / "lr"):
        lr, hr, scale = read_pair(pair, 4)
        scores.append(ge.metrics.psnr(enhance(lr), hr, crop_border=scale, y_channel=True))
    assert round(np.mean(scores), 2) == 31.86


def test_a_sum_over_all_axes_is_no_mean_of_rows():
    """In the place where instance norms have one; MXNet leaves the axis out then."""
    data, gamma, beta = (mx.sym.var(name) for name in ("data", "gamma", "beta"))
    mean = mx.sym.broadcast_div(mx.sym.sum(data), mx.sym.sum(mx.sym.ones_like(data)))
    scaled = mx.sym.broadcast_mul(mx.sym.broadcast_sub(data, mean), gamma)
    nodes = json.loads(mx.sym.broadcast_add(scaled, beta).tojson())["nodes"]
    assert not has_instance_norms(nodes)
