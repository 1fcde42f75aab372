import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.forms import set_form  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.dped import DPEDResNet  # noqa: E402
from gluon_enhance.models.layers.convolutions import DoublingConv2D, NarrowConv2D  # noqa: E402
from gluon_enhance.models.plsr import PLSR, JohnsonSR  # noqa: E402
from gluon_enhance.models.srresnet import SRResNet  # noqa: E402
from gluon_enhance.models.style import StyleNet  # noqa: E402
from gluon_enhance.models.wespe import WESPEGenerator  # noqa: E402


@pytest.mark.parametrize("channels", [1, 3, 16, 20])
@pytest.mark.parametrize(
    "options", [{}, {"use_bias": False}, {"activation": "relu"}, {"dilation": (1, 2)}]
)
@pytest.mark.parametrize("form", ["plain", "fast"])
def test_narrow_convolution_equals_the_plain_one_in_values_and_gradients(
    channels, options, form, rng
):
    mx.random.seed(0)  # else a bias's gradient is sometimes a sum of nearly nothing
    plain = mx.gluon.nn.Conv2D(channels, 5, 2, padding=2, in_channels=4, **options)
    narrow = NarrowConv2D(channels, 5, 2, padding=2, in_channels=4, **options)
    set_form(narrow, form)
    narrow.hybridize()
    data = mx.nd.array(rng.normal(size=(2, 4, 9, 8)))
    results = []
    for block in (plain, narrow):
        block.initialize()
        for ours, given in zip(block.collect_params().values(), plain.collect_params().values()):
            ours.set_data(given.data())
        with mx.autograd.record():
            out = block(data)
            loss = (out**2).sum()
        loss.backward()
        results.append([out, *(p.grad() for p in block.collect_params().values())])
    for expected, result in zip(*results):
        assert result.shape == expected.shape
        assert np.abs((result - expected).asnumpy()).max() < 1e-5 * expected.abs().max().asscalar()


def test_narrow_convolution_in_groups_equals_the_plain_one(rng):
    data = mx.nd.array(rng.normal(size=(2, 4, 9, 8)))
    plain = mx.gluon.nn.Conv2D(2, 3, groups=2, in_channels=4)
    narrow = NarrowConv2D(2, 3, groups=2, in_channels=4, params=plain.params)
    plain.initialize()
    assert np.array_equal(narrow(data).asnumpy(), plain(data).asnumpy())


@pytest.mark.parametrize("make", [DPEDResNet, PLSR, JohnsonSR, SRResNet, StyleNet, WESPEGenerator])
def test_nets_that_end_with_9x9_kernels_to_rgb_compute_them_in_the_fast_form(make):
    tail = make().tail
    assert tail.weight.shape[0] == 3 and tail.weight.shape[2:] == (9, 9)
    assert isinstance(tail, NarrowConv2D)


@pytest.mark.parametrize("hybrid", [False, True])
def test_repeatable_doubling_equals_the_operator_over_several_calls(hybrid, rng):
    """Whose gradients of the weight, added up, crash MXNet's operator."""
    images = rng.normal(size=(3, 5, 7, 6)).astype(np.float32)
    results = []
    for repeatable in (False, True):
        block = DoublingConv2D(4, 5)
        block.initialize()
        set_form(block, "fast")
        block.repeatable = repeatable
        block.weight.set_data(mx.nd.array(np.random.default_rng(0).normal(size=(5, 4, 3, 3))))
        block.bias.set_data(mx.nd.array([1, 2, 3, 4]))
        block.hybridize(hybrid)
        data = mx.nd.array(images)
        data.attach_grad()
        with mx.autograd.record():
            parts = [data[k : k + 1] for k in range(3)] if repeatable else [data]
            out = mx.nd.concat(*(block(part) for part in parts), dim=0)
            loss = (out**2).sum()
        loss.backward()
        results.append([out, data.grad, block.weight.grad(), block.bias.grad()])
    for expected, result in zip(*results):
        assert result.shape == expected.shape
        assert np.abs((result - expected).asnumpy()).max() < 1e-5 * expected.abs().max().asscalar()
