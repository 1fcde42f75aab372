import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gradients import assert_gradient_is_right  # noqa: E402

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.losses.cycle import CycleLoss  # noqa: E402


def nd(array):
    return mx.nd.array(array, dtype="float64")


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_cycle_loss_equals_its_closed_form_and_gradient(reduction, rng):
    back, image = rng.random((2, 2, 3, 4, 5))
    loss = CycleLoss(reduction, weight=0.01)
    expected = 0.01 * getattr(abs(back - image), reduction)(axis=(1, 2, 3))
    np.testing.assert_allclose(loss(nd(back), nd(image)).asnumpy(), expected, rtol=1e-12)
    assert_gradient_is_right(lambda x: loss(x, nd(image)), back)


def test_sum_over_a_dped_patch_is_30000_means(rng):
    back, image = rng.random((2, 1, 3, 100, 100))
    total = CycleLoss("sum")(nd(back), nd(image)).asscalar()
    assert total == pytest.approx(30_000 * CycleLoss("mean")(nd(back), nd(image)).asscalar())


def test_unknown_reductions_are_refused():
    with pytest.raises(ValueError, match="reduction is 'max'; give one of sum, mean"):
        CycleLoss("max")
