"""The U-Net critic against its paper's layers in NumPy, and spectral norms against SVD."""

import cv2
import numpy as np
import pytest
from float64 import relu

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.unet_discriminator import (  # noqa: E402
    NEGATIVE_SLOPE,
    SpectralConv2D,
    UNetDiscriminator,
)


@pytest.fixture
def net(rng):
    net = UNetDiscriminator(channels=3)
    net.initialize()
    for parameter in net.collect_params().values():
        parameter.set_data(mx.nd.array(rng.normal(0, 0.3, parameter.shape)))
    return net


def arrays_of(block):
    return {name: p.data().asnumpy().astype(np.float64) for name, p in block.params.items()}


def conv(x, block, stride=1):
    """A convolution of (C, H, W) with padding 1; spectral ones by their stored vectors."""
    values = {name.rpartition("_")[2]: array for name, array in arrays_of(block).items()}
    weight = values["weight"]
    if "u" in values:
        weight = weight / (values["u"] @ weight.reshape(len(weight), -1) @ values["v"])
    size = weight.shape[2]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))
    out = np.einsum("ocij,chwij->ohw", weight, windows[:, ::stride, ::stride])
    return out + values["bias"][:, None, None] if "bias" in values else out


def doubled(x):
    size = (2 * x.shape[2], 2 * x.shape[1])
    return np.stack([cv2.resize(c, size, interpolation=cv2.INTER_LINEAR) for c in x])


def test_logits_are_those_of_the_papers_layers(net, rng):
    image = rng.random((3, 16, 24))
    maps = [relu(conv(image, net.head), NEGATIVE_SLOPE)]
    for block in net.down:
        maps.append(relu(conv(maps[-1], block, stride=2), NEGATIVE_SLOPE))
    x = maps.pop()
    for block in net.up:
        x = relu(conv(doubled(x), block), NEGATIVE_SLOPE) + maps.pop()
    for block in (net.tail[0], net.tail[2]):
        x = relu(conv(x, block), NEGATIVE_SLOPE)
    expected = conv(x, net.tail[4])
    logits = net(mx.nd.array(image[None])).asnumpy()[0]
    assert logits.shape == (1, 16, 24)
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())


def test_it_has_the_number_of_parameters_of_the_official_one():
    net = UNetDiscriminator()
    trained = [p for p in net.collect_params().values() if p.grad_req != "null"]
    # conv0 with bias, eight convolutions without, conv9 with bias, as METHODS lists them.
    pairs = [(64, 128, 4), (128, 256, 4), (256, 512, 4), (512, 256, 3), (256, 128, 3)]
    pairs += [(128, 64, 3), (64, 64, 3), (64, 64, 3)]
    expected = 3 * 64 * 9 + 64 + sum(a * b * k**2 for a, b, k in pairs) + 64 * 9 + 1
    assert sum(int(np.prod(p.shape)) for p in trained) == expected == 4_376_897


def test_training_calls_bring_the_norm_to_the_largest_singular_value(net):
    image = mx.nd.ones((1, 3, 8, 8))
    for _ in range(200):
        with mx.autograd.train_mode():
            net(image)
    for block in (*net.down, *net.up, net.tail[0], net.tail[2]):
        weight, u, v = (p.data().asnumpy() for p in (block.weight, block.u, block.v))
        matrix = weight.reshape(len(weight), -1)
        largest = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)[0]
        assert u @ matrix @ v == pytest.approx(largest, rel=1e-3)


def test_calls_that_do_not_train_change_nothing(net):
    image = mx.nd.ones((1, 3, 8, 8))
    before = {name: p.data().asnumpy() for name, p in net.collect_params().items()}
    first = net(image).asnumpy()
    np.testing.assert_array_equal(net(image).asnumpy(), first)
    for name, parameter in net.collect_params().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), before[name])


def test_hybridized_it_gives_the_same_and_still_iterates(net, rng):
    image = mx.nd.array(rng.random((1, 3, 16, 8)))
    expected = net(image).asnumpy()
    net.hybridize(static_alloc=True)
    np.testing.assert_allclose(net(image).asnumpy(), expected, rtol=1e-5, atol=1e-5)
    vector = net.down[0].u.data().asnumpy()
    with mx.autograd.record():
        net(image)
    assert np.abs(net.down[0].u.data().asnumpy() - vector).max() > 0


def test_the_gradient_passes_through_the_norm_but_not_its_vectors(rng):
    conv = SpectralConv2D(2, 3, 3)
    conv.initialize()
    for _ in range(100):
        conv.iterate(mx.cpu())
    image = mx.nd.array(rng.random((1, 3, 5, 5)))
    with mx.autograd.record():
        loss = (conv(image) ** 2).sum()
    loss.backward()
    weight, gradient = conv.weight.data().asnumpy(), conv.weight.grad().asnumpy()
    # What is divided by its own norm does not change with its length.
    assert abs((weight * gradient).sum()) < 1e-4 * np.abs(weight * gradient).sum()
    assert np.abs(gradient).max() > 1e-3


def test_each_device_has_one_step_a_call_as_one_device_alone(net):
    image, contexts = mx.nd.ones((1, 3, 8, 8)), [mx.cpu(0), mx.cpu(1)]
    two = UNetDiscriminator(channels=3)
    two.initialize(ctx=contexts)
    for name, parameter in two._collect_params_with_prefix().items():
        parameter.set_data(net._collect_params_with_prefix()[name].data())
    with mx.autograd.train_mode():
        for one, ctx in ((net, mx.cpu(0)), (two, contexts[0]), (two, contexts[1])):
            one(image.as_in_context(ctx))
    for ctx in contexts:
        vector = two.down[0].u.data(ctx).asnumpy()
        np.testing.assert_allclose(vector, net.down[0].u.data().asnumpy(), rtol=1e-6)
