import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gradients import by_autograd  # noqa: E402
from learned_nets import random_loss  # noqa: E402

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.losses import LPIPS, LearnedMetric, learned_distance  # noqa: E402

#: What the authors' code, lpips 0.1.4 and DISTS-pytorch 0.1, gives in float64 of the pairs below
#: with the weights of `learned_nets`, on plain stacks of torch's layers in place of torchvision's.
AUTHORS = {
    "lpips": [0.08573686538681094, 0.08729541915670468],
    "lpips_vgg": [0.07915767342639096, 0.07831535756771947],
    "lpips_squeeze": [0.10909797231477658, 0.10128313971170712],
    "dists": [0.013968526507439405, 0.012284673911676647],
}
#: Of differences: small, as activations have kinks.
STEP = 1e-7


@pytest.fixture
def pair(rng):
    """Two batches of two images of 52x45 pixels."""
    images = rng.random((2, 3, 45, 52))
    return images, np.clip(images + rng.normal(0, 0.1, images.shape), 0, 1)


@pytest.fixture
def photos(rng):
    """Two photos of 8 bits, 40x50 pixels."""
    photo = rng.integers(0, 256, (50, 40, 3), dtype=np.uint8)
    return photo, np.clip(photo + rng.normal(0, 20, photo.shape), 0, 255).astype(np.uint8)


def nd(array, dtype="float64"):
    return mx.nd.array(array, dtype=dtype)


@pytest.mark.parametrize("name", AUTHORS)
def test_distances_are_those_of_the_authors_code(name, pair):
    loss = random_loss(name)
    result = loss(*(nd(images, "float32") for images in pair)).asnumpy()
    np.testing.assert_allclose(result, AUTHORS[name], rtol=1e-5)
    loss.hybridize(static_alloc=True)
    hybrid = loss(*(nd(images, "float32") for images in pair)).asnumpy()
    np.testing.assert_allclose(hybrid, AUTHORS[name], rtol=1e-5)


@pytest.mark.parametrize("name", ["lpips_squeeze", "dists"])
def test_in_float64_they_are_closer(name, pair):
    """To what is left of rounding the constants of the input, in the authors' code too."""
    result = random_loss(name, "float64")(*map(nd, pair)).asnumpy()
    np.testing.assert_allclose(result, AUTHORS[name], rtol=1e-7)


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_equal_images_have_no_distance_whatever_they_show(name, pair):
    black = np.zeros((2, 3, 45, 52))
    loss = random_loss(name)
    for images in (pair[0], black):
        assert not loss(nd(images, "float32"), nd(images, "float32")).asnumpy().any()


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_gradients_are_right(name, pair, rng):
    loss = random_loss(name, "float64")
    pred, label = (images[:1, :, :32, :32] for images in pair)
    direction = rng.normal(size=pred.shape)
    ends = (loss(nd(pred + s * STEP * direction), nd(label)).asscalar() for s in (1, -1))
    expected = np.subtract(*ends) / (2 * STEP)
    found = (by_autograd(lambda x: loss(x, nd(label)), pred) * direction).sum()
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_gradients_are_finite_where_all_features_are_0(name):
    """The root in the length of LPIPS's features has no gradient there."""
    loss = random_loss(name)
    for parameter in loss.features.collect_params(".*(weight|bias)").values():
        parameter.set_data(-parameter.data().abs())
    white = mx.nd.ones((1, 3, 32, 32))
    gray = np.full(white.shape, 0.9)
    gradient = by_autograd(lambda x: loss(x.astype("float32"), white), gray)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_weights_and_the_samples_axis_are_as_in_other_losses(name, pair):
    loss = random_loss(name, weight=2.0, batch_axis=-1)
    pred, label = (nd(np.moveaxis(images, 0, -1), "float32") for images in pair)
    result = loss(pred, label, mx.nd.array([0.5, 3]).reshape((2, 1, 1, 1))).asnumpy()
    np.testing.assert_allclose(result, np.multiply(AUTHORS[name], (1, 6)), rtol=1e-5)
    none = random_loss(name, weight=None)(*(nd(images, "float32") for images in pair))
    np.testing.assert_allclose(none.asnumpy(), AUTHORS[name], rtol=1e-5)


def test_weights_are_frozen():
    parameters = random_loss("lpips_squeeze").collect_params().values()
    assert {parameter.grad_req for parameter in parameters} == {"null"}


def test_images_up_to_255_and_gray_ones_are_refused_by_the_nets_name(pair):
    loss = random_loss("lpips")
    with pytest.raises(ValueError, match="AlexNet takes RGB in .0, 1.: divide those up to 255"):
        loss(*(nd(255 * images, "float32") for images in pair))
    loss.hybridize()
    with pytest.raises(ValueError, match="AlexNet takes RGB, .N, 3, H, W.: repeat a gray"):
        loss(*(nd(images[:, :1], "float32") for images in pair))


@pytest.mark.parametrize("make", [LPIPS, learned_distance])
def test_names_that_there_are_not_are_refused(make):
    with pytest.raises(ValueError, match="is 'vgg19'; .*(alex, vgg|lpips, lpips_alex)"):
        make("vgg19")


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_the_metric_of_photos_is_the_loss(name, photos):
    loss = random_loss(name)
    batches = (nd(photo.transpose(2, 0, 1)[None] / 255, "float32") for photo in photos)
    expected = loss(*batches).asscalar()
    loss.hybridize(static_alloc=True)
    metric = LearnedMetric(loss)
    assert metric(*photos) == pytest.approx(expected, rel=1e-5)
    inner = [np.ascontiguousarray(photo[4:-4, 4:-4]) for photo in photos]
    assert metric(*photos, crop_border=4) == metric(*inner)


def test_photos_of_every_kind_are_scored_alike(photos):
    metric = LearnedMetric(random_loss("lpips_squeeze"))
    expected = metric(*photos)
    assert metric(*(photo * np.uint16(257) for photo in photos)) == pytest.approx(expected, 1e-5)
    assert metric(*(photo / np.float32(255) for photo in photos)) == pytest.approx(expected, 1e-5)
    gray = [photo[:, :, 0] for photo in photos]
    assert metric(*gray) == metric(*(np.repeat(image[:, :, None], 3, 2) for image in gray))


@pytest.mark.parametrize(
    "name, shape, side",
    [
        ("lpips", (300, 260), 256),
        ("lpips_squeeze", (290, 270), 240),
        ("lpips_vgg", (272, 16), 256),
        ("dists", (272, 16), 256),
    ],
)
def test_pieces_give_the_whole_photos_score(name, shape, side, rng):
    photo = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    other = np.clip(photo + rng.normal(0, 20, photo.shape), 0, 255).astype(np.uint8)
    metric = LearnedMetric(random_loss(name))
    assert metric(photo, other, side=side) == pytest.approx(metric(photo, other), rel=1e-6)


def test_photos_that_cannot_be_scored_are_refused(photos):
    metric = LearnedMetric(random_loss("lpips"))
    with pytest.raises(ValueError, match="they must be alike"):
        metric(photos[0], photos[1][1:])
    with pytest.raises(ValueError, match=r"shape \(50, 40, 2\); need \(H, W\) or \(H, W, 3\)"):
        metric(photos[0][..., :2], photos[1][..., :2])
    with pytest.raises(ValueError, match="30x20 pixels inside the border; .* takes 31x31 or more"):
        metric(*photos, crop_border=10)
    with pytest.raises(ValueError, match="nothing is left"):
        metric(*photos, crop_border=20)
