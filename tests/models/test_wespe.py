import numpy as np
import pytest
from random_nets import randomize, trained_numbers
from test_dped import AXES, numpy_dped

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.dped import DPEDResNet  # noqa: E402
from gluon_enhance.models.wespe import (  # noqa: E402
    ColorDiscriminator,
    TextureDiscriminator,
    WESPEGenerator,
)


@pytest.mark.parametrize("norm", ["batch", "instance", "layer"])
@pytest.mark.parametrize("tanh_scale", [0.58, 0.5])
def test_generator_equals_its_equations_in_float64(norm, tanh_scale, rng):
    assert norm in AXES
    net = WESPEGenerator(norm, tanh_scale, num_blocks=2, channels=6)
    layers = randomize(net, rng)
    x = rng.random((3, 8, 9))
    expected = numpy_dped(x, layers, norm, num_blocks=2, tanh_scale=tanh_scale)
    assert np.abs(net(mx.nd.array(x[None]))[0].asnumpy() - expected).max() < 1e-5


@pytest.mark.parametrize("tanh_scale", [0.58, 0.5])
def test_output_spans_the_range_of_the_tanh(tanh_scale, rng):
    net = WESPEGenerator(tanh_scale=tanh_scale, num_blocks=1, channels=4)
    randomize(net, rng)
    for bias, color in ((-99, 0.5 - tanh_scale), (99, 0.5 + tanh_scale)):
        net.tail.bias.set_data(mx.nd.full(3, bias))
        assert np.allclose(net(mx.nd.ones((1, 3, 4, 4))).asnumpy(), color)


def test_generator_is_dpeds_with_batch_norm():
    net, dped = WESPEGenerator(), DPEDResNet(norm="batch")
    assert set(net._collect_params_with_prefix()) == set(dped._collect_params_with_prefix())
    assert trained_numbers(net) == 401_475


@pytest.mark.parametrize("norm", ["batch", "instance", "layer"])
@pytest.mark.parametrize("num_classes", [1, 2])
@pytest.mark.parametrize(
    "net_class, channels", [(ColorDiscriminator, 3), (TextureDiscriminator, 1)]
)
def test_discriminators_give_one_row_of_logits_a_patch(net_class, channels, num_classes, norm, rng):
    net = net_class(num_classes, norm, patch_size=36)
    randomize(net, rng)
    assert net(mx.nd.array(rng.random((2, channels, 36, 36)))).shape == (2, num_classes)


def test_discriminators_differ_from_dpeds_in_input_and_head():
    """DPED's has 7,361,122 with one channel in and two classes out."""
    assert trained_numbers(TextureDiscriminator(2)) == 7_361_122
    assert trained_numbers(TextureDiscriminator(1)) == 7_361_122 - 1_025
    assert trained_numbers(ColorDiscriminator(1)) == 7_361_122 - 1_025 + 2 * 121 * 48
