"""Weights and the samples' axis, as the losses of Gluon have them."""

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gradients import assert_gradient_is_right  # noqa: E402

from gluon_enhance import losses  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402


def nd(array):
    return mx.nd.array(array, dtype="float64")


def vgg():
    features = losses.VGGFeatures(16, ("relu1_1", "conv1_2"))
    mx.random.seed(1)
    features.initialize(mx.init.Xavier())
    return features


def of_images(kind, **options):
    """A loss of two images, in float64."""
    makers = {
        "L1": losses.L1Loss,
        "L2": losses.L2Loss,
        "Charbonnier": losses.CharbonnierLoss,
        "cycle": losses.CycleLoss,
        "color": losses.ColorLoss,
        "mean color": lambda **options: losses.MeanColorLoss(2, **options),
        "variation": losses.TotalVariationLoss,
        "Gram": losses.GramLoss,
        "features": lambda **options: losses.FeatureLoss(vgg(), **options),
        "style": lambda **options: losses.StyleLoss(vgg(), **options),
        "distillation": lambda **options: losses.DistillationLoss(losses.L1Loss(), 0, **options),
    }
    loss = makers[kind](**options)
    if kind == "color":
        loss.initialize()
    loss.cast("float64")
    if kind == "distillation":
        return lambda pred, label, *others: loss(pred, label, label, *others)
    return loss


OF_IMAGES = [
    "L1",
    "L2",
    "Charbonnier",
    "cycle",
    "color",
    "mean color",
    "variation",
    "Gram",
    "features",
    "style",
    "distillation",
]


@pytest.fixture
def images(rng):
    """Two batches, each of three images."""
    return rng.random((2, 3, 3, 6, 5))


@pytest.mark.parametrize("kind", OF_IMAGES)
def test_weight_none_is_weight_one(kind, images):
    default, none, half = (of_images(kind, **o) for o in ({}, {"weight": None}, {"weight": 0.5}))
    pred, label = map(nd, images)
    expected = default(pred, label).asnumpy()
    assert expected.shape == (3,) and expected.all()
    assert np.array_equal(none(pred, label).asnumpy(), expected)
    np.testing.assert_allclose(half(pred, label).asnumpy(), expected / 2, rtol=1e-12)


@pytest.mark.parametrize("kind", OF_IMAGES)
@pytest.mark.parametrize("hybrid", [False, True])
def test_the_last_input_weighs_samples(kind, hybrid, images):
    loss, (pred, label) = of_images(kind, weight=2), map(nd, images)
    expected = loss(pred, label).asnumpy() * (3, 0, 0.5)
    if hybrid and kind != "distillation":
        loss = of_images(kind, weight=2)
        loss.hybridize()
    result = loss(pred, label, nd([3, 0, 0.5]).reshape((3, 1, 1, 1))).asnumpy()
    np.testing.assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", OF_IMAGES)
@pytest.mark.parametrize("axis", [1, 3, -1])
def test_samples_may_lie_along_another_axis(kind, axis, images):
    expected = of_images(kind)(*map(nd, images)).asnumpy()
    moved = (nd(np.moveaxis(image, 0, axis)) for image in images)
    result = of_images(kind, batch_axis=axis)(*moved).asnumpy()
    np.testing.assert_allclose(result, expected, rtol=1e-10)


@pytest.mark.parametrize("kind", ["L1", "L2"])
def test_differences_are_weighed_as_by_gluons_losses(kind, images, rng):
    """Any weights that are broadcast to the images, such as masks; Gluon's L2 is half of ours."""
    pred, label = map(nd, images)
    mask = nd(rng.integers(0, 2, (3, 1, 6, 5)))
    theirs = getattr(mx.gluon.loss, f"{kind}Loss")(weight=3.0)(pred, label, mask).asnumpy()
    ours = of_images(kind, weight=3.0)(pred, label, mask).asnumpy()
    np.testing.assert_allclose(ours, theirs * {"L1": 1, "L2": 2}[kind], rtol=1e-12)


@pytest.mark.parametrize("kind", OF_IMAGES)
def test_gradients_with_weights_of_samples_are_right(kind, rng):
    pred, label = rng.random((2, 2, 3, 3, 4))
    loss, weights = of_images(kind, weight=None), nd([0.5, 2])
    if kind in ("L1", "L2", "Charbonnier", "cycle"):
        weights = weights.reshape((2, 1, 1, 1))
    assert_gradient_is_right(lambda x: loss(x, nd(label), weights), pred, 1e-4)


ADVERSARIAL = [
    losses.StandardAdversarial,
    losses.LeastSquaresAdversarial,
    losses.HingeAdversarial,
    losses.RelativisticAverageAdversarial,
]


@pytest.mark.parametrize("make", ADVERSARIAL)
@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_adversarial_losses_have_the_same_weights_and_axis(make, part, rng):
    real, fake = rng.normal(0, 2, (2, 4, 1, 2, 3))
    expected = getattr(make(), part)(nd(real), nd(fake)).asnumpy()
    weights = rng.random((4, 1, 1, 1))
    loss = make(weight=3, batch_axis=2)
    moved = (nd(np.moveaxis(logits, 0, 2)) for logits in (real, fake))
    result = getattr(loss, part)(*moved, nd(weights)).asnumpy()
    np.testing.assert_allclose(result, 3 * expected * weights.ravel(), rtol=1e-10)


def test_variation_takes_weights_without_a_label(images):
    loss, pred = of_images("variation"), nd(images[0])
    expected = loss(pred).asnumpy() * (1, 2, 3)
    np.testing.assert_allclose(loss(pred, None, nd([1, 2, 3])).asnumpy(), expected, rtol=1e-12)


def test_losses_of_what_was_computed_before_take_weights(images):
    pred, label = map(nd, images)
    features = vgg()
    features.cast("float64")
    truth = features(label)[0]
    loss = losses.CachedFeatureLoss(features, batch_axis=1)
    result = loss(pred.swapaxes(0, 1), truth, nd([1, 2, 3])).asnumpy()
    expected = losses.L2Loss()(features(pred)[0], truth).asnumpy() * (1, 2, 3)
    np.testing.assert_allclose(result, expected, rtol=1e-10)


def test_the_estimator_of_gluon_takes_them():
    """It refuses losses that are not Gluon's, and calls them with the batch."""
    from mxnet.gluon.contrib.estimator import Estimator

    net = mx.gluon.nn.Conv2D(3, 1, in_channels=3)
    net.initialize()
    images = mx.nd.ones((2, 3, 4, 4))
    data = mx.gluon.data.DataLoader(mx.gluon.data.ArrayDataset(images, images), 2)
    metric = mx.metric.Loss("L1")
    estimator = Estimator(
        net,
        losses.L1Loss(),
        train_metrics=metric,
        trainer=mx.gluon.Trainer(net.collect_params(), "sgd"),
    )
    before = net.weight.data().asnumpy()
    estimator.fit(data, epochs=1)
    assert not np.array_equal(net.weight.data().asnumpy(), before)
