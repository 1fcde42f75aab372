import math

import numpy as np
import pytest
from float64 import conv, relu

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.imaging.color import rgb_to_y  # noqa: E402
from gluon_enhance.imaging.resize import resize  # noqa: E402
from gluon_enhance.models.srcnn import SRCNN  # noqa: E402


def small_net(scale=2):
    net = SRCNN(scale, kernel_size=1)
    net.initialize(mx.init.Xavier(magnitude=3))
    return net


@pytest.mark.parametrize("kernel_size, expected", [(1, 8_129), (5, 57_281)])
def test_net_has_the_papers_layers(kernel_size, expected):
    """64 of 9x9, 32 of kernel_size, 1 of 5x5, with their biases."""
    parameters = SRCNN(kernel_size=kernel_size).collect_params().values()
    assert sum(math.prod(p.shape) for p in parameters if p.grad_req != "null") == expected


def numpy_srcnn(x, p, scale):
    """BT.601's Y, Cb, Cr of the bicubic enlargement; only Y is repaired."""
    forward = np.array(
        [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
    )
    enlarged = resize(x.transpose(1, 2, 0), scale).transpose(2, 0, 1)
    ycc = np.einsum("oc,chw->ohw", forward, enlarged)
    ycc += np.array([16, 128, 128])[:, None, None]
    y = ycc[:1] / 255
    for name in ("head", "body", "tail"):
        y = conv(y, p[f"{name}.conv.weight"], p[f"{name}.conv.bias"], mode="edge")
        y = relu(y) if name != "tail" else y
    ycc[:1] = 255 * y
    ycc -= np.array([16, 128, 128])[:, None, None]
    return np.einsum("oc,chw->ohw", np.linalg.inv(forward), ycc)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_forward_equals_the_papers_equations_in_float64(rng, scale):
    net = small_net(scale)
    parameters = {
        k: p.data().asnumpy().astype(np.float64)
        for k, p in net._collect_params_with_prefix().items()
    }
    x = rng.random((3, 7, 5))
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, 7 * scale, 5 * scale)
    assert np.abs(result - numpy_srcnn(x, parameters, scale)).max() < 1e-4


def test_net_changes_luma_only(rng):
    net = small_net()
    x = rng.random((3, 6, 8)).astype(np.float32)
    change = net(mx.nd.array(x[None]))[0].asnumpy()
    change -= resize(x.transpose(1, 2, 0), 2).transpose(2, 0, 1)
    assert np.abs(change - change[:1]).max() < 1e-5
    assert np.abs(change).max() > 0.01


def test_luma_is_that_of_the_scores(rng):
    net = small_net()
    x = rng.random((5, 4, 3))
    weights = net.luma.value.asnumpy().ravel()
    assert np.abs(255 * (x @ weights) + 16 - 255 * rgb_to_y(x)).max() < 1e-3


def test_parameter_names_are_the_file_format():
    """A name that changes here breaks every weight file: change it knowingly."""
    convs = ("head.conv", "body.conv", "tail.conv")
    names = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    assert set(small_net()._collect_params_with_prefix()) == names | {"luma", "upsample.weight"}
