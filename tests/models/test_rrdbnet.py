import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.imaging.resize import resize  # noqa: E402
from gluon_enhance.models.rrdbnet import RRDBNet, pixel_unshuffle  # noqa: E402


def small_net(scale=4, **kwargs):
    net = RRDBNet(scale, num_blocks=1, channels=6, growth_channels=4, **kwargs)
    net.initialize(mx.init.Xavier())
    return net


def numpy_parameters(net):
    return {
        k: p.data().asnumpy().astype(np.float64)
        for k, p in net._collect_params_with_prefix().items()
    }


def folded(x, factor):
    """Channel c * factor**2 + dy * factor + dx is pixel (y * factor + dy, x * factor + dx) of c."""
    places = np.ndindex(len(x), factor, factor)
    return np.stack([x[c, dy::factor, dx::factor] for c, dy, dx in places])


def numpy_rrdbnet(x, p):
    """The paper's equations in float64, one 3x3 convolution at a time."""

    def conv(x, name):
        w, b = p[f"{name}.weight"], p[f"{name}.bias"]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        height, width = x.shape[1:]
        return b[:, None, None] + sum(
            np.einsum("oc,chw->ohw", w[:, :, i, j], padded[:, i : i + height, j : j + width])
            for i in range(3)
            for j in range(3)
        )

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    def up(x):
        return x.repeat(2, 1).repeat(2, 2)

    head = conv(x, "head")
    trunk = head
    for rdb in ("rdb1", "rdb2", "rdb3"):
        seen = [trunk]
        for k in range(1, 5):
            seen.append(leaky(conv(np.concatenate(seen), f"body.0.{rdb}.conv{k}")))
        trunk = trunk + 0.2 * conv(np.concatenate(seen), f"body.0.{rdb}.conv5")
    features = head + conv(head + 0.2 * trunk, "body.1")
    features = leaky(conv(up(features), "upsample.0"))
    features = leaky(conv(up(features), "upsample.1"))
    return conv(leaky(conv(features, "tail.0")), "tail.2")


@pytest.mark.parametrize("scale", [4, 2, 1])
def test_forward_equals_the_papers_equations_in_float64(scale, rng):
    net, factor = small_net(scale), 4 // scale
    x = rng.random((3, 7 * factor, 5 * factor))
    expected = numpy_rrdbnet(folded(x, factor), numpy_parameters(net))
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, 28, 20)
    assert np.abs(result - expected).max() < 1e-5


def test_hybrid_equals_imperative(rng):
    net = small_net()
    x = mx.nd.array(rng.random((2, 3, 8, 6)))
    imperative = net(x).asnumpy()
    net.hybridize(static_alloc=True, static_shape=True)
    assert np.abs(net(x).asnumpy() - imperative).max() < 1e-6


@pytest.mark.parametrize("scale, channels_in", [(4, 3), (2, 12), (1, 48)])
def test_smaller_scales_fold_the_input(scale, channels_in):
    net = small_net(scale)
    assert net.head.weight.shape[1] == channels_in
    assert net(mx.nd.zeros((1, 3, 8, 12))).shape == (1, 3, 8 * scale, 12 * scale)


def test_pixel_unshuffle_has_the_channel_order_of_pytorch(rng):
    x = rng.random((2, 3, 6, 4)).astype(np.float32)
    expected = x.reshape(2, 3, 3, 2, 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(2, 12, 3, 2)
    assert np.array_equal(pixel_unshuffle(mx.nd, mx.nd.array(x), 2).asnumpy(), expected)


def test_parameter_names_are_the_file_format():
    """A name that changes here breaks every weight file: change it knowingly."""
    convs = [f"body.0.rdb{j}.conv{k}" for j in (1, 2, 3) for k in (1, 2, 3, 4, 5)]
    convs += ["head", "body.1", "upsample.0", "upsample.1", "tail.0", "tail.2"]
    names = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    assert set(small_net()._collect_params_with_prefix()) == names


def test_every_parameter_gets_a_gradient(rng):
    net = small_net()
    with mx.autograd.record():
        loss = (net(mx.nd.array(rng.random((1, 3, 6, 6)))) ** 2).sum()
    loss.backward()
    still = [n for n, p in net.collect_params().items() if not p.grad().abs().sum().asscalar() > 0]
    assert not still


def test_saved_parameters_come_back(tmp_path, rng):
    net, other = small_net(), small_net()
    x = mx.nd.array(rng.random((1, 3, 5, 5)))
    net.save_parameters(str(tmp_path / "net.params"))
    other.load_parameters(str(tmp_path / "net.params"))
    assert np.array_equal(net(x).asnumpy(), other(x).asnumpy())


def test_other_scales_are_refused():
    with pytest.raises(ValueError, match="scale is 3"):
        RRDBNet(scale=3)


def test_interpolating_start_enlarges_smoothly(picture, rng):
    net = RRDBNet(4, num_blocks=1, channels=16, growth_channels=8)
    net.initialize_as_interpolator(rng)
    small = picture[:40, :40].astype(np.float32) / 255
    result = net(mx.nd.array(small.transpose(2, 0, 1)[None]))[0].asnumpy().transpose(1, 2, 0)
    bilinear = resize(small, 4, "bilinear")
    inner = (slice(8, -8), slice(8, -8))
    assert np.corrcoef(result[inner].ravel(), bilinear[inner].ravel())[0, 1] > 0.95
