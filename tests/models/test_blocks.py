import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.forms import set_form  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.imaging.resize import resize  # noqa: E402
from gluon_enhance.models.blocks import Enlarge, SubPixelConv  # noqa: E402


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_channels_become_pixels_block_first(factor):
    block = SubPixelConv(3, factor, 1)
    block.initialize(mx.init.Zero())
    block.bias.set_data(mx.nd.arange(3 * factor**2))
    out = block(mx.nd.zeros((1, 1, 2, 5)))[0].asnumpy()
    assert out.shape == (3, 2 * factor, 5 * factor)
    for c in range(3):
        for dy in range(factor):
            for dx in range(factor):
                assert np.all(out[c, dy::factor, dx::factor] == (dy * factor + dx) * 3 + c)


@pytest.mark.parametrize("channels", [3, 32])
def test_pixels_between_convolutions_and_their_gradients_are_those_of_depth_to_space(channels):
    """Where oneDNN has its own layouts, which MXNet's reshape crashed on."""
    net = mx.gluon.nn.HybridSequential()
    shuffle = SubPixelConv(channels, 2, 32)
    tail = mx.gluon.nn.Conv2D(16, 3, padding=1, in_channels=channels)
    net.add(mx.gluon.nn.Conv2D(32, 3, padding=1, in_channels=3), shuffle, tail)
    net.initialize(mx.init.Xavier())
    x = mx.nd.random.uniform(shape=(2, 3, 12, 10))
    x.attach_grad()
    results = []
    for form in ("plain", "fast"):
        set_form(net, form)
        net.hybridize(static_alloc=True)
        with mx.autograd.record():
            out = net(x)
        out.backward(mx.nd.ones_like(out))
        results.append((net(x).asnumpy(), out.asnumpy(), x.grad.asnumpy()))
    for expected, result in zip(*results):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_enlargement_is_matlabs_up_to_the_edges(rng, scale, kernel):
    image = rng.random((5, 7, 3))
    block = Enlarge(scale, kernel)
    block.initialize()
    result = block(mx.nd.array(image.transpose(2, 0, 1)[None]))[0].asnumpy()
    expected = resize(image, scale, kernel).transpose(2, 0, 1)
    assert np.abs(result - expected).max() < 1e-6


def test_bilinear_enlargement_is_pytorchs():
    """Pixel centers lie at halves: x2 mixes neighbors 3 to 1, and edges stay."""
    block = Enlarge(2, "bilinear")
    block.initialize()
    image = np.broadcast_to(np.array([0.0, 4.0, 8.0]), (1, 3, 2, 3))
    assert np.allclose(block(mx.nd.array(image))[0, 0, 0].asnumpy(), [0, 1, 3, 5, 7, 8])
