import numpy as np
import pytest
from float64 import relu
from random_nets import randomize, trained_numbers

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.style import StyleNet  # noqa: E402

EPSILON = 1e-5
VARIANTS = [(p, d) for p in ("reflect_start", "zero", "reflect") for d in ("transposed", "nearest")]
VGG_MEAN = np.reshape([103.939, 116.779, 123.68], (3, 1, 1))


def numpy_style(x, layers, num_blocks, padding, doublings):
    """The paper's table, around it the authors' color space."""
    border, crop = (8 * num_blocks, 2) if padding == "reflect_start" else (0, 0)
    mode = "reflect" if padding == "reflect" else "constant"

    def normed(x, conv, norm, stride=1):
        # A convolution of stride 2 is every second pixel of one of stride 1.
        return layers.norm(layers.conv(x, conv, mode)[:, ::stride, ::stride], norm, EPSILON)

    def inside(x, crop):
        return x[:, crop : x.shape[1] - crop, crop : x.shape[2] - crop]

    features = 255 * x[::-1] - VGG_MEAN
    features = np.pad(features, ((0, 0), (border, border), (border, border)), mode="reflect")
    for k, stride in ((0, 1), (3, 2), (6, 2)):
        features = relu(normed(features, f"head.{k}", f"head.{k + 1}", stride))
    for i in range(num_blocks):
        # One without padding is the inside of one with zeros.
        inner = inside(layers.conv(features, f"body.{i}.conv1", mode), crop // 2)
        inner = relu(layers.norm(inner, f"body.{i}.norm1", EPSILON))
        inner = inside(layers.conv(inner, f"body.{i}.conv2", mode), crop // 2)
        features = inside(features, crop) + layers.norm(inner, f"body.{i}.norm2", EPSILON)
    for k in (0, 3):
        if doublings == "nearest":
            features = features.repeat(2, axis=1).repeat(2, axis=2)
            features = layers.conv(features, f"upsample.{k}", "reflect")
        else:
            features = layers.doubling_conv(features, f"upsample.{k}")
        features = relu(layers.norm(features, f"upsample.{k + 1}", EPSILON))
    result = layers.conv(features, "tail", mode)[:, : x.shape[1], : x.shape[2]]
    return (150 * np.tanh(result) + VGG_MEAN)[::-1] / 255


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("padding", ["reflect_start", "zero", "reflect"])
@pytest.mark.parametrize("doublings", ["transposed", "nearest"])
@pytest.mark.parametrize("size", [(24, 28), (19, 17), (18, 23)])
def test_net_equals_the_papers_table_in_float64(norm, padding, doublings, size, rng):
    net = StyleNet(channels=4, num_blocks=2, norm=norm, padding=padding, doublings=doublings)
    layers = randomize(net, rng)
    layers["tail.weight"] *= 0.1  # else the tanh saturates
    net.tail.weight.set_data(mx.nd.array(layers["tail.weight"]))
    x = rng.random((3, *size))
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, *size)
    expected = numpy_style(x, layers, 2, padding, doublings)
    assert np.abs(result - expected).max() < 1e-4


def test_reflecting_layers_leave_a_plain_picture_plain_up_to_its_borders(rng):
    net = StyleNet(channels=4, num_blocks=2, norm="batch", padding="reflect", doublings="nearest")
    randomize(net, rng)
    result = net(mx.nd.full((1, 3, 40, 48), 0.3)).asnumpy()
    assert np.ptp(result, axis=(2, 3)).max() < 1e-5


def test_parameters_follow_from_the_papers_table():
    layers = [(81 * 3, 32), (9 * 32, 64), (9 * 64, 128), *[(9 * 128, 128)] * 10]
    layers += [(9 * 128, 64), (9 * 64, 32), (81 * 32, 3)]
    convs = sum((inputs + 1) * channels for inputs, channels in layers)
    norms = sum(2 * channels for _, channels in layers[:-1])
    for padding, doublings in VARIANTS:
        net = StyleNet(padding=padding, doublings=doublings)
        assert trained_numbers(net) == convs + norms


def test_variants_share_their_parameter_names_which_are_the_file_format():
    """A name that changes here breaks every weight file: change it knowingly."""
    convs = ["head.0", "head.3", "head.6", "body.0.conv1", "body.0.conv2"]
    convs += ["upsample.0", "upsample.3", "tail"]
    norms = ["head.1", "head.4", "head.7", "body.0.norm1", "body.0.norm2"]
    norms += ["upsample.1", "upsample.4"]
    names = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    names |= {f"{norm}.{kind}" for norm in norms for kind in ("gamma", "beta")}
    for padding, doublings in VARIANTS:
        net = StyleNet(num_blocks=1, norm="instance", padding=padding, doublings=doublings)
        assert set(net._collect_params_with_prefix()) == names


def test_unknown_paddings_doublings_and_norms_are_refused():
    with pytest.raises(ValueError, match="padding is 'edge'; choose one of reflect_start"):
        StyleNet(padding="edge")
    with pytest.raises(ValueError, match="doublings is 'cubic'; choose one of transposed, nearest"):
        StyleNet(doublings="cubic")
    with pytest.raises(ValueError, match="norm is 'group'"):
        StyleNet(norm="group")
