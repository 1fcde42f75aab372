"""Nets that start as interpolators, against the bilinear kernel in NumPy."""

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.imaging.resize import resize  # noqa: E402
from gluon_enhance.models.edsr import EDSR  # noqa: E402
from gluon_enhance.models.layers.initialization import bilinear_lines  # noqa: E402
from gluon_enhance.models.plsr import PLSR  # noqa: E402
from gluon_enhance.models.srcnn import SRCNN  # noqa: E402
from gluon_enhance.models.srresnet import SRResNet  # noqa: E402


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bilinear_weights_are_those_of_an_enlarged_impulse(factor):
    impulse = np.zeros((9, 9))
    impulse[:, 4] = 1
    line = resize(impulse, factor, "bilinear")[0]
    # What the pixel in the middle weighs in its left neighbor's, its own and its right one's.
    for place, weights in enumerate(bilinear_lines(factor)):
        expected = [line[(4 - k) * factor + place] for k in (-1, 0, 1)]
        np.testing.assert_allclose(weights, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("net", "kernel"),
    [
        (lambda: EDSR(2, num_blocks=1, channels=8), "bilinear"),
        (lambda: EDSR(3, num_blocks=1, channels=8), "bilinear"),
        (lambda: SRResNet(4, num_blocks=1, channels=8), "bilinear"),
        (lambda: SRCNN(4), "bicubic"),
        (lambda: PLSR(num_blocks=2), "bilinear"),
    ],
    ids=["edsr_x2", "edsr_x3", "srresnet_x4", "srcnn_x4", "plsr_x2"],
)
def test_untrained_net_enlarges_as_its_kernel_does(net, kernel, picture, rng):
    net = net()
    net.initialize_as_interpolator(rng)
    small = picture[:24, :32].astype(np.float32) / 255
    result = net(mx.nd.array(small.transpose(2, 0, 1)[None]))[0].asnumpy().transpose(1, 2, 0)
    scale = len(result) // 24
    inner = (slice(3 * scale, -3 * scale),) * 2
    difference = np.abs(result - resize(small, scale, kernel))[inner]
    assert difference.mean() < 0.02


def test_every_context_gets_the_same_start(rng):
    net = EDSR(2, num_blocks=1, channels=8)
    net.initialize_as_interpolator(rng, [mx.cpu(0), mx.cpu(1)])
    for name, parameter in net._collect_params_with_prefix().items():
        first, second = parameter.list_data()
        assert np.array_equal(first.asnumpy(), second.asnumpy()), name
