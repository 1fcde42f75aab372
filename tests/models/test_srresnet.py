import math

import numpy as np
import pytest
from float64 import State, pixel_shuffle, relu
from random_nets import randomize, trained_numbers
from torch_files import write_legacy, write_zip

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import zoo  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.imaging.resize import resize  # noqa: E402
from gluon_enhance.models.srresnet import MSRResNet, SRResNet  # noqa: E402

CHANNELS = 6


@pytest.mark.parametrize("shared, expected", [(True, 1_549_462), (False, 1_550_659)])
def test_srresnet_has_the_papers_number_of_parameters(shared, expected):
    assert trained_numbers(SRResNet(shared_slopes=shared)) == expected


def test_msrresnet_has_the_published_number_of_parameters():
    assert trained_numbers(MSRResNet()) == 1_517_571


def numpy_srresnet(x, layers, num_blocks, doublings):
    """The paper's figure."""

    def prelu(x, name):
        return relu(x, layers[f"{name}.alpha"])

    def normed(x, conv, norm):
        return layers.norm(layers.conv(x, conv), norm, 1e-5)

    first = trunk = prelu(layers.conv(x, "head.0"), "head.1")
    for i in range(num_blocks):
        inner = prelu(normed(trunk, f"body.{i}.conv1", f"body.{i}.norm1"), f"body.{i}.prelu")
        trunk = trunk + normed(inner, f"body.{i}.conv2", f"body.{i}.norm2")
    features = first + normed(trunk, f"body.{num_blocks}", f"body.{num_blocks + 1}")
    for k in range(doublings):
        features = shuffled(layers.conv(features, f"upsample.{2 * k}"))
        features = prelu(features, f"upsample.{2 * k + 1}")
    return (layers.conv(features, "tail") + 1) / 2


def shuffled(x):
    """Pixel (2 * y + dy, 2 * x + dx) of c is channel (2 * dy + dx) * channels + c."""
    channels, height, width = len(x) // 4, *x.shape[1:]
    split = x.reshape(2, 2, channels, height, width)
    return split.transpose(2, 3, 0, 4, 1).reshape(channels, 2 * height, 2 * width)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_srresnet_equals_the_papers_equations_in_float64(shared, scale, rng):
    net = SRResNet(scale, num_blocks=2, channels=CHANNELS, shared_slopes=shared)
    layers = randomize(net, rng)
    x = rng.random((3, 7, 5))
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, 7 * scale, 5 * scale)
    assert np.abs(result - numpy_srresnet(x, layers, 2, int(math.log2(scale)))).max() < 1e-5


def srgan_state(rng, scale):
    """Make a state with the names of leftthomas's weights."""
    state = State(rng)
    state.add_conv("block1.0", CHANNELS, 3, 9)
    state.add_prelu("block1.1")
    for k in range(2, 7):
        for part in (1, 2):
            state.add_conv(f"block{k}.conv{part}", CHANNELS, CHANNELS)
            state.add_batch_norm(f"block{k}.bn{part}", CHANNELS)
        state.add_prelu(f"block{k}.prelu")
    state.add_conv("block7.0", CHANNELS, CHANNELS)
    state.add_prelu("block7.1")
    doublings = int(math.log2(scale))
    for k in range(doublings):
        state.add_conv(f"block8.{k}.conv", 4 * CHANNELS, CHANNELS)
        state.add_prelu(f"block8.{k}.prelu")
    state.add_conv(f"block8.{doublings}", 3, CHANNELS, 9)
    return state


def numpy_srgan(x, state, scale):
    first = trunk = state.prelu(state.conv(x, "block1.0"), "block1.1")
    for k in range(2, 7):
        inner = state.batch_norm(state.conv(trunk, f"block{k}.conv1"), f"block{k}.bn1")
        inner = state.conv(state.prelu(inner, f"block{k}.prelu"), f"block{k}.conv2")
        trunk = trunk + state.batch_norm(inner, f"block{k}.bn2")
    features = first + state.prelu(state.conv(trunk, "block7.0"), "block7.1")
    doublings = int(math.log2(scale))
    for k in range(doublings):
        features = pixel_shuffle(state.conv(features, f"block8.{k}.conv"), 2)
        features = state.prelu(features, f"block8.{k}.prelu")
    return (np.tanh(state.conv(features, f"block8.{doublings}")) + 1) / 2


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_srgan_equals_the_equations_of_the_official_code_in_float64(tmp_path, rng, scale):
    state = srgan_state(rng, scale)
    tail = f"block8.{int(math.log2(scale))}.weight"
    state[tail] *= 0.1  # else the tanh saturates, and hides what comes before
    write_legacy(tmp_path / "net.pth", dict(state))
    net = zoo.get_model(f"srgan_voc_x{scale}", tmp_path / "net.pth", channels=CHANNELS)
    x = rng.random((3, 7, 5))
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, 7 * scale, 5 * scale)
    assert np.abs(result - numpy_srgan(x, state, scale)).max() < 1e-4


def msrresnet_state(rng, names):
    state = State(rng)
    state.add_conv("conv_first", CHANNELS, 3)
    for i in range(2):
        for part in (1, 2):
            state.add_conv(f"{names['body']}.{i}.conv{part}", CHANNELS, CHANNELS)
    state.add_conv(names["up1"], 4 * CHANNELS, CHANNELS)
    state.add_conv(names["up2"], 4 * CHANNELS, CHANNELS)
    state.add_conv("conv_hr", CHANNELS, CHANNELS)
    state.add_conv("conv_last", 3, CHANNELS)
    return state


def numpy_msrresnet(x, state, names):
    features = relu(state.conv(x, "conv_first"), 0.1)
    for i in range(2):
        inner = relu(state.conv(features, f"{names['body']}.{i}.conv1"))
        features = features + state.conv(inner, f"{names['body']}.{i}.conv2")
    for up in (names["up1"], names["up2"]):
        features = relu(pixel_shuffle(state.conv(features, up), 2), 0.1)
    features = state.conv(relu(state.conv(features, "conv_hr"), 0.1), "conv_last")
    return features + resize(x.transpose(1, 2, 0), 4, "bilinear").transpose(2, 0, 1)


BASICSR = {"body": "body", "up1": "upconv1", "up2": "upconv2"}
MMAGIC = {"body": "trunk_net", "up1": "upsample1.upsample_conv", "up2": "upsample2.upsample_conv"}


@pytest.mark.parametrize("names", [BASICSR, MMAGIC], ids=["basicsr", "mmagic"])
def test_msrresnet_equals_the_equations_of_the_official_code_in_float64(tmp_path, rng, names):
    state = msrresnet_state(rng, names)
    file = {"params": dict(state)}
    if names is MMAGIC:
        file = {"meta": {}, "state_dict": {f"generator.{k}": v for k, v in state.items()}}
    write_zip(tmp_path / "net.pth", file)
    net = zoo.get_model("msrresnet_x4", tmp_path / "net.pth", num_blocks=2, channels=CHANNELS)
    x = rng.random((3, 7, 5))
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, 28, 20)
    assert np.abs(result - numpy_msrresnet(x, state, names)).max() < 1e-4


def test_srresnets_output_covers_minus_one_to_one_inside(rng):
    """The paper's range: a tail of zeros, its middle, is gray."""
    net = SRResNet(num_blocks=1, channels=4)
    net.initialize(mx.init.Xavier())
    net.tail.weight.set_data(mx.nd.zeros(net.tail.weight.shape))
    for value, color in ((-1, 0), (0, 0.5), (1, 1)):
        net.tail.bias.set_data(mx.nd.full(3, value))
        assert np.all(net(mx.nd.array(rng.random((1, 3, 4, 4)))).asnumpy() == color)


def test_parameter_names_are_the_file_format():
    """A name that changes here breaks every weight file: change it knowingly."""
    convs = ["head.0", "body.0.conv1", "body.0.conv2", "body.1", "upsample.0", "upsample.2", "tail"]
    norms = ["body.0.norm1", "body.0.norm2", "body.2"]
    prelus = ["head.1", "body.0.prelu", "upsample.1", "upsample.3"]
    names = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    kinds = ("gamma", "beta", "running_mean", "running_var")
    names |= {f"{norm}.{kind}" for norm in norms for kind in kinds}
    names |= {f"{prelu}.alpha" for prelu in prelus}
    assert set(SRResNet(num_blocks=1)._collect_params_with_prefix()) == names

    convs = ["head", "body.0.conv1", "body.0.conv2", "upsample.0", "upsample.1", "tail.0", "tail.2"]
    names = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    names |= {"enlarge.weight"}
    assert set(MSRResNet(num_blocks=1)._collect_params_with_prefix()) == names


@pytest.mark.parametrize("net_class", [SRResNet, MSRResNet])
def test_other_scales_are_refused(net_class):
    with pytest.raises(ValueError, match="scale is 5"):
        net_class(scale=5)
