import numpy as np
import pytest

from gluon_enhance.framework import is_mxnet_installed

if not is_mxnet_installed():
    pytest.skip("MXNet is not installed", allow_module_level=True)

from gluon_enhance.forms import set_form  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.layers.activations import PReLU  # noqa: E402


@pytest.mark.parametrize("slopes", [[0.25], [0.25, -0.5, 1.5]])
@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("form", ["plain", "fast"])
def test_prelu_and_its_gradients_are_those_of_the_definition(rng, slopes, hybrid, form):
    alpha = np.array(slopes, np.float32)
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    up = rng.normal(size=x.shape).astype(np.float32)
    block = PReLU(3, shared=len(slopes) == 1)
    block.initialize()
    set_form(block, form)
    block.alpha.set_data(mx.nd.array(alpha))
    if hybrid:
        block.hybridize()
    data = mx.nd.array(x)
    data.attach_grad()
    with mx.autograd.record():
        out = block(data)
    out.backward(mx.nd.array(up))
    slope = np.where(x > 0, 1, alpha.reshape(1, -1, 1, 1))
    np.testing.assert_allclose(out.asnumpy(), slope * x, rtol=1e-6)
    np.testing.assert_allclose(data.grad.asnumpy(), slope * up, rtol=1e-6)
    by_slope = np.sum(up * np.minimum(x, 0), axis=(0, 2, 3))
    expected = by_slope if len(slopes) > 1 else [by_slope.sum()]
    np.testing.assert_allclose(block.alpha.grad().asnumpy(), expected, rtol=1e-4)
