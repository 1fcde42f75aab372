"""Nets of fast-neural-style, written as Torch7 files in its order of layers, run here."""

import float64
import numpy as np
import pytest
from torch7_files import Layer, write_t7

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import Enhancer, zoo  # noqa: E402
from gluon_enhance.errors import ImageError, WeightsError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.weights.load import load_state  # noqa: E402
from gluon_enhance.weights.readers.torch7 import read_torch7  # noqa: E402

CHANNELS = 3
MODELS = {
    "InstanceNormalization": "style_candy",
    "SpatialBatchNormalization": "style_the_wave_eccv16",
}
VGG_MEAN = np.reshape([103.939, 116.779, 123.68], (3, 1, 1))


class Builder:
    """Builds what models.lua builds for its default arch; padding is 'reflect-start' or 'zero'."""

    def __init__(self, rng, norm, padding="reflect-start", strides=2, tanh_constant=150):
        self.rng, self.norm, self.padding, self.strides = rng, norm, padding, strides
        self.tanh_constant = tanh_constant

    def conv(
        self, inputs, outputs, kernel_size, strides=1, pad=0, name="SpatialConvolution", **adj
    ):
        geometry = {"kW": kernel_size, "dW": strides, "padW": pad, **adj}
        geometry.update({f"{key[:-1]}H": value for key, value in geometry.items()})
        planes = (inputs, outputs) if "Full" in name else (outputs, inputs)
        weight = self.rng.normal(size=(*planes, kernel_size, kernel_size))
        weight *= 0.7 / np.sqrt(inputs * kernel_size**2)
        return Layer(name, **geometry, weight=floats(weight), bias=self.vector(outputs, -0.2, 0.2))

    def vector(self, size, low, high):
        return floats(self.rng.uniform(low, high, size))

    def normed(self, channels):
        fields = {"weight": self.vector(channels, 0.5, 1.5), "bias": self.vector(channels, -1, 1)}
        fields["gradWeight"] = np.zeros(channels, np.float32)
        if self.norm == "InstanceNormalization":  # it keeps the layer that it works with
            fields["bn"] = Layer("SpatialBatchNormalization", eps=1e-5, running_mean=floats([0]))
        else:
            fields["running_mean"] = self.vector(channels, -1, 1)
            fields["running_var"] = self.vector(channels, 0.5, 1.5)
        return Layer(self.norm, eps=1e-5, **fields)

    def block(self, channels):
        pad, padded = (1, True) if self.padding == "zero" else (0, False)
        convs = [self.conv(channels, channels, 3, pad=pad) for _ in range(2)]
        norms = [self.normed(channels) for _ in range(2)]
        branch = Layer("Sequential", convs[0], norms[0], Layer("ReLU"), convs[1], norms[1])
        skip = Layer("Identity") if padded else Layer("ShaveImage", size=2)
        return Layer("Sequential", Layer("ConcatTable", branch, skip), Layer("CAddTable"))

    def net(self):
        pads = {f"pad_{side}": 40 for side in "lrtb"}
        layers = [] if self.padding == "zero" else [Layer("SpatialReflectionPadding", **pads)]
        wide, half = 4 * CHANNELS, 2 * CHANNELS
        up = {"pad": 1, "name": "SpatialFullConvolution", "adjW": 1}
        for conv in (
            self.conv(3, CHANNELS, 9, pad=4),
            self.conv(CHANNELS, half, 3, self.strides, 1),
            self.conv(half, wide, 3, 2, 1),
            *[None] * 5,
            self.conv(wide, half, 3, 2, **up),
            self.conv(half, CHANNELS, 3, 2, **up),
        ):
            if conv is None:
                layers.append(self.block(wide))
            else:
                layers += [conv, self.normed(len(conv.fields["bias"])), Layer("ReLU")]
        constant = Layer("MulConstant", constant_scalar=self.tanh_constant)
        layers += [self.conv(CHANNELS, 3, 9, pad=4), Layer("Tanh"), constant]
        return Layer("Sequential", *layers, Layer("TotalVariation", strength=1e-6))


def floats(values):
    return np.array(values, np.float32)


def forward(layer, x):
    """Torch's definitions of the layers, in float64."""
    return RULES[layer.name](layer, x)


def run_all(layer, x):
    for child in layer.children:
        x = forward(child, x)
    return x


def convolved(layer, x):
    """A valid convolution is the inside of a padded one; one of stride 2, every second pixel."""
    tensors = [layer.fields[kind].astype(np.float64) for kind in ("weight", "bias")]
    result = float64.conv(x, *tensors)
    cut = layer.fields["kW"] // 2 - layer.fields["padW"]
    result = result[:, cut : result.shape[1] - cut, cut : result.shape[2] - cut]
    return result[:, :: layer.fields["dH"], :: layer.fields["dW"]]


def doubled(layer, x):
    return float64.doubling_conv(
        x, *(layer.fields[k].astype(np.float64) for k in ("weight", "bias"))
    )


def normed(layer, x):
    fields = layer.fields
    if "running_mean" not in fields:
        return float64.moment_norm(x, fields["weight"], fields["bias"], 1e-5)
    kinds = ("weight", "bias", "running_mean", "running_var")
    return float64.batch_norm(x, *(fields[kind].astype(np.float64) for kind in kinds))


RULES = {
    "Sequential": run_all,
    "ConcatTable": lambda layer, x: [forward(child, x) for child in layer.children],
    "CAddTable": lambda layer, x: sum(x),
    "SpatialReflectionPadding": lambda layer, x: np.pad(
        x, ((0, 0), (40, 40), (40, 40)), mode="reflect"
    ),
    "ShaveImage": lambda layer, x: x[:, 2:-2, 2:-2],
    "Identity": lambda layer, x: x,
    "SpatialConvolution": convolved,
    "SpatialFullConvolution": doubled,
    "InstanceNormalization": normed,
    "SpatialBatchNormalization": normed,
    "ReLU": lambda layer, x: float64.relu(x),
    "Tanh": lambda layer, x: np.tanh(x),
    "MulConstant": lambda layer, x: layer.fields["constant_scalar"] * x,
    "TotalVariation": lambda layer, x: x,
}


def stylized(net, image):
    """The script's way: BGR from 0 to 255 less VGG's mean, and back."""
    result = forward(net, 255 * image[::-1] - VGG_MEAN)
    return (result + VGG_MEAN)[::-1] / 255


@pytest.fixture(params=MODELS)
def norm(request):
    return request.param


@pytest.mark.parametrize("padding", ["reflect-start", "zero"])
@pytest.mark.parametrize("size", [(44, 52), (43, 54), (45, 41)])
def test_loaded_net_equals_torchs_layers_in_float64(norm, padding, size, tmp_path, rng):
    net = Builder(rng, norm, padding).net()
    path = write_t7(tmp_path / "net.t7", {"model": net, "opt": {"preprocessing": "vgg"}})
    options = {"padding": padding.replace("-", "_"), "channels": CHANNELS}
    loaded = zoo.get_model(MODELS[norm], path, **options)
    image = rng.random((3, *size))
    # Torch's layers give sizes that are no multiples of 4 rounded up.
    expected = stylized(net, image)[:, : size[0], : size[1]]
    assert expected.std() > 0.1  # the tanh is not saturated, the layers have not vanished
    result = loaded(mx.nd.array(image[None]))[0].asnumpy()
    assert np.abs(result - expected).max() < 1e-4


def test_converted_net_is_the_same(norm, tmp_path, rng):
    path = write_t7(tmp_path / "net.t7", Builder(rng, norm).net())
    loaded = zoo.get_model(MODELS[norm], path, channels=CHANNELS)
    loaded.save_parameters(str(tmp_path / "net.params"))
    again = zoo.get_model(MODELS[norm], tmp_path / "net.params", channels=CHANNELS)
    x = mx.nd.array(rng.random((1, 3, 48, 44)))
    assert np.array_equal(loaded(x).asnumpy(), again(x).asnumpy())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"strides": 1}, "another 4.layer .* 3 3 1 1 1 1, not SpatialConvolution 3 3 2 2 1 1"),
        ({"tanh_constant": 127.5}, "another 23.layer .* .MulConstant 127.5, not MulConstant 150"),
    ],
)
def test_nets_of_other_layers_are_refused_though_their_shapes_fit(
    norm, options, message, tmp_path, rng
):
    path = write_t7(tmp_path / "net.t7", Builder(rng, norm, **options).net())
    with pytest.raises(WeightsError, match=message):
        zoo.get_model(MODELS[norm], path, channels=CHANNELS)


def test_a_net_with_zero_padding_refuses_what_reflects_and_layers_that_do_not_pad(
    norm, tmp_path, rng
):
    path = write_t7(tmp_path / "net.t7", Builder(rng, norm).net())
    with pytest.raises(WeightsError, match="is of a net with padding 'reflect_start', not 'zero'"):
        zoo.get_model(MODELS[norm], path, channels=CHANNELS, padding="zero")
    net = Builder(rng, norm, "zero").net()
    net.fields["modules"][10].fields["modules"][1].fields["modules"][2] = Layer("ShaveImage")
    with pytest.raises(WeightsError, match="another 9.0.1.layer .* .ShaveImage 0, not Identity"):
        zoo.get_model(MODELS[norm], write_t7(path, net), channels=CHANNELS, padding="zero")


def test_a_net_has_the_padding_and_the_norm_that_its_file_says(norm, tmp_path, rng):
    other = next(name for key, name in MODELS.items() if key != norm)
    path = write_t7(tmp_path / "net.t7", Builder(rng, norm, "zero").net())
    own, renamed = (zoo.get_model(name, path) for name in (MODELS[norm], other))
    assert own.spec.kwargs == renamed.spec.kwargs and own.spec.kwargs["padding"] == "zero"
    image = mx.nd.array(rng.random((1, 3, 48, 44)))
    assert np.array_equal(own(image).asnumpy(), renamed(image).asnumpy())


def test_nets_of_other_colors_are_refused(norm, tmp_path, rng):
    path = tmp_path / "net.t7"
    checkpoint = {"model": Builder(rng, norm).net(), "opt": {"preprocessing": "resnet"}}
    with pytest.raises(WeightsError, match="another preprocessing .*resnet, not vgg"):
        zoo.get_model(MODELS[norm], write_t7(path, checkpoint), channels=CHANNELS)


def test_a_layer_that_is_a_tuple_doubled_60_times_is_refused_at_once(norm, tmp_path, rng):
    net = Builder(rng, norm).net()
    state = read_torch7(write_t7(tmp_path / "net.t7", net))
    doubled = ()
    for _ in range(60):
        doubled = (doubled, doubled)
    loaded = zoo.get_model(MODELS[norm], channels=CHANNELS)
    with pytest.raises(WeightsError, match="has another 0.layer than the net"):
        load_state(loaded, {**state, "0.layer": doubled})


def test_enhanced_photos_stay_within_their_range(tmp_path, rng):
    loaded = zoo.get_model("style_candy")
    loaded.initialize(mx.init.Xavier(magnitude=9))
    loaded.save_parameters(str(tmp_path / "net.params"))
    enhancer = Enhancer(f"style_candy={tmp_path / 'net.params'}", engine="mxnet")
    image = rng.random((43, 50, 3), np.float32)
    raw = loaded(mx.nd.array(image.transpose(2, 0, 1)[None])).asnumpy()
    result = enhancer(image)
    assert result.shape == image.shape
    assert raw.min() < 0 < 1 < raw.max()
    assert (result.min(), result.max()) == (0, 1)


def test_photos_smaller_than_what_the_net_reflects_are_refused(norm, tmp_path):
    loaded = zoo.get_model(MODELS[norm])
    loaded.initialize(mx.init.Xavier())
    loaded.save_parameters(str(tmp_path / "net.params"))
    enhancer = Enhancer(f"{MODELS[norm]}={tmp_path / 'net.params'}", engine="mxnet")
    assert enhancer(np.zeros((41, 41, 3), np.uint8)).shape == (41, 41, 3)
    with pytest.raises(ImageError, match=f"{MODELS[norm]} needs 41 pixels a side, not 50 x 40"):
        enhancer(np.zeros((40, 50, 3), np.uint8))
