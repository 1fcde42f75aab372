import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gradients import assert_gradient_is_right  # noqa: E402
from numpy_vgg import random_weights, vgg_maps  # noqa: E402

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.losses.perceptual import (  # noqa: E402
    CachedFeatureLoss,
    CachedGramLoss,
    FeatureLoss,
    GramLoss,
    StyleLoss,
)
from gluon_enhance.losses.vgg import VGGFeatures  # noqa: E402
from gluon_enhance.weights.vgg import load_vgg  # noqa: E402

LAYERS = ("relu1_2", "conv2_1")


@pytest.fixture
def images(rng):
    return rng.random((2, 2, 3, 6, 5))


@pytest.fixture
def network(tmp_path, rng):
    """A VGG with random weights, in float64, and its maps by NumPy."""
    weights = random_weights(rng, 19, blocks=2)
    np.savez(tmp_path / "vgg.npz", **weights)
    features = load_vgg(VGGFeatures(19, LAYERS), tmp_path / "vgg.npz", convention="none")
    features.cast("float64")

    def maps(batch):
        each = [vgg_maps(x.transpose(1, 2, 0), weights, 19) for x in batch]
        return [np.stack([one[layer] for one in each]) for layer in LAYERS]

    return features, maps


def nd(array):
    return mx.nd.array(array, dtype="float64")


def numpy_gram(maps):
    _, c, h, w = maps.shape
    return np.einsum("nahw,nbhw->nab", maps, maps) / (c * h * w)


def squares(ours, theirs):
    return ((ours - theirs) ** 2).mean(axis=(1, 2, 3))


def frobenius(ours, theirs):
    return ((numpy_gram(ours) - numpy_gram(theirs)) ** 2).sum(axis=(1, 2))


def weighted_sum(distance, maps, images, weights=(1, 1)):
    pairs = zip(weights, *map(maps, images))
    return sum(weight * distance(ours, theirs) for weight, ours, theirs in pairs)


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize(
    "distance, expected",
    [("l2", squares), ("l1", lambda a, b: abs(a - b).mean(axis=(1, 2, 3)))],
)
def test_feature_loss_equals_its_definition(distance, expected, hybrid, network, images):
    features, maps = network
    loss = FeatureLoss(features, distance, layer_weights=(0.5, 2), weight=1 / 12.75**2)
    loss.hybridize(hybrid)
    result = loss(*map(nd, images)).asnumpy()
    assert result.shape == (2,)
    whole = weighted_sum(expected, maps, images, (0.5, 2)) / 12.75**2
    np.testing.assert_allclose(result, whole, rtol=1e-6)


def test_features_computed_before_give_the_same_loss(network, images):
    features, maps = network
    (ours, _), (theirs, _) = map(maps, images)
    loss = CachedFeatureLoss(features, weight=3)
    result = loss(nd(images[0]), nd(theirs)).asnumpy()
    np.testing.assert_allclose(result, 3 * squares(ours, theirs), rtol=1e-6)


@pytest.mark.parametrize("hybrid", [False, True])
def test_style_loss_is_johnsons_sum_of_squared_frobenius_norms(hybrid, network, images):
    features, maps = network
    loss = StyleLoss(features)
    loss.hybridize(hybrid)
    result = loss(*map(nd, images)).asnumpy()
    assert result.shape == (2,)
    np.testing.assert_allclose(result, weighted_sum(frobenius, maps, images), rtol=1e-6)


def test_one_style_image_of_another_size_serves_the_batch(network, images, rng):
    features, maps = network
    style = rng.random((1, 3, 9, 4))
    result = StyleLoss(features)(nd(images[0]), nd(style)).asnumpy()
    expected = weighted_sum(frobenius, maps, (images[0], style))
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_gradients_reach_the_image_through_the_frozen_network(network, rng):
    pred, label = rng.random((2, 1, 3, 4, 4))
    for loss in (FeatureLoss(network[0]), StyleLoss(network[0])):
        assert_gradient_is_right(lambda x, loss=loss: loss(x, nd(label)), pred, tolerance=1e-4)


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "mean", "relative"])
def test_gram_loss_equals_its_closed_form_and_gradient(reduction, cached, hybrid, rng):
    pred, label = rng.normal(0, 1, (2, 2, 7, 3, 4))
    loss = (CachedGramLoss if cached else GramLoss)(reduction, weight=3)
    loss.hybridize(hybrid)
    known = nd(numpy_gram(label) if cached else label)
    divisor = {"sum": 1, "mean": 7 * 7, "relative": frobenius(0 * label, label)}[reduction]
    expected = 3 * frobenius(pred, label) / divisor
    np.testing.assert_allclose(loss(nd(pred), known).asnumpy(), expected, rtol=1e-10)
    assert_gradient_is_right(lambda x: loss(x, known), pred)


def test_an_image_is_no_distance_from_itself(network, images):
    for loss in (FeatureLoss(network[0]), StyleLoss(network[0])):
        assert not loss(nd(images[0]), nd(images[0])).asnumpy().any()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda f: FeatureLoss(f, "l3"), "distance is 'l3'; give one of l1, l2"),
        (lambda f: FeatureLoss(f, layer_weights=(1,)), "1 weight for the 2 layers"),
        (lambda f: StyleLoss(f, "max"), "reduction is 'max'; give one of sum, mean"),
    ],
)
def test_wrong_arguments_are_refused(make, message, network):
    with pytest.raises(ValueError, match=message):
        make(network[0])


def test_weights_by_layer_are_those_of_basicsr(network, images):
    """Its options have them by name, in any order."""
    features, maps = network
    weights = {"conv2_1": 0.25, "relu1_2": 3}
    result = FeatureLoss(features, "l1", weights)(*map(nd, images)).asnumpy()
    expected = weighted_sum(
        lambda a, b: abs(a - b).mean(axis=(1, 2, 3)), maps, images, weights=(3, 0.25)
    )
    np.testing.assert_allclose(result, expected, rtol=1e-9)


@pytest.mark.parametrize("weights", [{"relu1_2": 1}, {"relu1_2": 1, "conv5_4": 1}, {}])
def test_weights_of_other_layers_are_refused(weights, network):
    with pytest.raises(ValueError, match="features' layers are relu1_2, conv2_1; give a weight"):
        FeatureLoss(network[0], layer_weights=weights)


def test_a_compiled_loss_refuses_images_up_to_255(network, images):
    loss = FeatureLoss(network[0])
    loss.hybridize()
    with pytest.raises(ValueError, match="values from .* divide those up to 255 by 255"):
        loss(nd(images[0]), nd(255 * images[1]))


def test_a_compiled_loss_is_part_of_a_larger_graph(network, images):
    loss = FeatureLoss(network[0], batch_axis=1)
    expected = loss(*(nd(image).swapaxes(0, 1) for image in images)).asnumpy()
    loss.hybridize()
    inputs = [mx.sym.var(name, dtype="float64") for name in ("pred", "label")]
    block = mx.gluon.SymbolBlock(loss(*inputs), inputs, loss.collect_params())
    result = block(*(nd(image).swapaxes(0, 1) for image in images)).asnumpy()
    np.testing.assert_allclose(result, expected, rtol=1e-12)
