import numpy as np
import pytest
from float64 import relu
from random_nets import randomize, trained_numbers

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.style import StyleNet  # noqa: E402

EPSILON = 1e-5
VGG_MEAN = np.reshape([103.939, 116.779, 123.68], (3, 1, 1))


def numpy_style(x, layers, num_blocks, reflect):
    """The paper's table, around it the authors' color space."""

    def normed(x, conv, norm):
        return layers.norm(layers.conv(x, conv), norm, EPSILON)

    border = 8 * num_blocks
    features = 255 * x[::-1] - VGG_MEAN
    if reflect:
        features = np.pad(features, ((0, 0), (border, border), (border, border)), mode="reflect")
    features = relu(normed(features, "head.0", "head.1"))
    for k in (3, 6):  # a convolution of stride 2 is every second pixel of one of stride 1
        features = layers.conv(features, f"head.{k}")[:, ::2, ::2]
        features = relu(layers.norm(features, f"head.{k + 1}", EPSILON))
    for i in range(num_blocks):
        inner = relu(valid_norm(layers, features, f"body.{i}", 1, reflect))
        inner = valid_norm(layers, inner, f"body.{i}", 2, reflect)
        features = (features[:, 2:-2, 2:-2] if reflect else features) + inner
    for k in (0, 3):
        features = layers.doubling_conv(features, f"upsample.{k}")
        features = relu(layers.norm(features, f"upsample.{k + 1}", EPSILON))
    result = layers.conv(features, "tail")[:, : x.shape[1], : x.shape[2]]
    return (150 * np.tanh(result) + VGG_MEAN)[::-1] / 255


def valid_norm(layers, x, block, k, reflect):
    """A convolution without padding is the inside of one with zeros."""
    result = layers.conv(x, f"{block}.conv{k}")
    result = result[:, 1:-1, 1:-1] if reflect else result
    return layers.norm(result, f"{block}.norm{k}", EPSILON)


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("padding", ["reflect_start", "zero"])
@pytest.mark.parametrize("size", [(24, 28), (19, 17), (18, 23)])
def test_net_equals_the_papers_table_in_float64(norm, padding, size, rng):
    net = StyleNet(channels=4, num_blocks=2, norm=norm, padding=padding)
    layers = randomize(net, rng)
    layers["tail.weight"] *= 0.1  # else the tanh saturates
    net.tail.weight.set_data(mx.nd.array(layers["tail.weight"]))
    x = rng.random((3, *size))
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, *size)
    expected = numpy_style(x, layers, 2, padding == "reflect_start")
    assert np.abs(result - expected).max() < 1e-4


def test_parameters_follow_from_the_papers_table():
    layers = [(81 * 3, 32), (9 * 32, 64), (9 * 64, 128), *[(9 * 128, 128)] * 10]
    layers += [(9 * 128, 64), (9 * 64, 32), (81 * 32, 3)]
    convs = sum((inputs + 1) * channels for inputs, channels in layers)
    norms = sum(2 * channels for _, channels in layers[:-1])
    for padding in ("reflect_start", "zero"):
        assert trained_numbers(StyleNet(padding=padding)) == convs + norms


def test_paddings_share_their_parameter_names_which_are_the_file_format():
    """A name that changes here breaks every weight file: change it knowingly."""
    convs = ["head.0", "head.3", "head.6", "body.0.conv1", "body.0.conv2"]
    convs += ["upsample.0", "upsample.3", "tail"]
    norms = ["head.1", "head.4", "head.7", "body.0.norm1", "body.0.norm2"]
    norms += ["upsample.1", "upsample.4"]
    names = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    names |= {f"{norm}.{kind}" for norm in norms for kind in ("gamma", "beta")}
    for padding in ("reflect_start", "zero"):
        net = StyleNet(num_blocks=1, norm="instance", padding=padding)
        assert set(net._collect_params_with_prefix()) == names


def test_unknown_paddings_and_norms_are_refused():
    with pytest.raises(ValueError, match="padding is 'reflect'; choose one of reflect_start"):
        StyleNet(padding="reflect")
    with pytest.raises(ValueError, match="norm is 'group'"):
        StyleNet(norm="group")
