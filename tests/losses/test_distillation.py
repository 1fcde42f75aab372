import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.losses import DistillationLoss, L1Loss, L2Loss  # noqa: E402


def images(rng, count=3):
    return [rng.random((2, 3, 4, 5)) for _ in range(count)]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_teacher_and_truth_count_by_their_shares(rng, share):
    pred, taught, truth = images(rng)
    expected = [
        2.0 * ((1 - share) * np.abs(p - t).mean() + share * np.abs(p - h).mean())
        for p, t, h in zip(pred, taught, truth)
    ]
    loss = DistillationLoss(L1Loss(), share, weight=2.0)
    result = loss(*map(mx.nd.array, (pred, taught, truth))).asnumpy()
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_maps_are_compared_in_place_of_the_images_and_weighed_by_layer(rng):
    class Maps(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            return [x * 2, F.slice_axis(x, axis=1, begin=0, end=1)]

    pred, taught, truth = images(rng)

    def distance(p, label):
        return 3 * ((2 * p - 2 * label) ** 2).mean() + 5 * ((p[0] - label[0]) ** 2).mean()

    expected = [
        0.75 * distance(p, t) + 0.25 * distance(p, h) for p, t, h in zip(pred, taught, truth)
    ]
    loss = DistillationLoss(L2Loss(), 0.25, Maps(), layer_weights=(3, 5))
    result = loss(*map(mx.nd.array, (pred, taught, truth))).asnumpy()
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("share, of_teacher", [(0.0, True), (1.0, False)])
def test_maps_of_what_counts_nothing_are_not_computed(share, of_teacher, rng):
    seen = []

    class Maps(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            seen.append(x.asnumpy())
            return [x]

    pred, taught, truth = images(rng)
    DistillationLoss(L1Loss(), share, Maps())(*map(mx.nd.array, (pred, taught, truth)))
    expected = np.float32([pred, taught if of_teacher else truth])
    np.testing.assert_array_equal(seen, expected)
