import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from numpy_vgg import random_weights, vgg_maps  # noqa: E402

from gluon_enhance.errors import WeightsError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.losses.imagenet import LOOKED_AT  # noqa: E402
from gluon_enhance.losses.vgg import VGGFeatures, layer_names, vgg_features  # noqa: E402
from gluon_enhance.weights.vgg import load_vgg  # noqa: E402

BGR_MEAN = np.array([103.939, 116.779, 123.68])
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture
def image(rng):
    return rng.random((36, 21, 3))


@pytest.fixture
def weights_file(tmp_path, rng):
    """Random weights of VGG-16's first two blocks: the file, and what is in it."""
    weights = random_weights(rng, 16, blocks=2)
    np.savez(tmp_path / "vgg.npz", **weights)
    return tmp_path / "vgg.npz", weights


def as_batch(image, dtype="float32"):
    return mx.nd.array(image.transpose(2, 0, 1)[None], dtype=dtype)


def run(features, image):
    features.cast("float64")
    return [out[0].asnumpy() for out in features(as_batch(image, "float64"))]


def assert_close(result, expected, tolerance=1e-6):
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize(
    "convention, normalize",
    [
        ("caffe", lambda rgb: 255 * rgb[..., ::-1] - BGR_MEAN),
        ("torch", lambda rgb: (rgb - MEAN) / STD),
        ("none", lambda rgb: rgb),
    ],
)
def test_every_input_convention_equals_its_definition(convention, normalize, weights_file, image):
    path, weights = weights_file
    layers = ("conv1_1", "relu1_2", "pool1", "relu2_2")
    features = load_vgg(VGGFeatures(16, layers), path, convention=convention)
    expected = vgg_maps(normalize(image), weights, 16)
    for layer, result in zip(layers, run(features, image)):
        assert_close(result, expected[layer])


@pytest.mark.parametrize("pooling", ["floor", "ceil"])
def test_odd_sizes_are_rounded_as_asked(pooling, weights_file, image):
    path, weights = weights_file
    features = load_vgg(VGGFeatures(16, ("relu2_1", "pool2"), pooling), path)
    expected = vgg_maps(255 * image[..., ::-1] - BGR_MEAN, weights, 16, ceil=pooling == "ceil")
    before, after = run(features, image)
    assert before.shape == (128, 18, {"floor": 10, "ceil": 11}[pooling])
    assert after.shape == (128, 9, {"floor": 5, "ceil": 6}[pooling])
    assert_close(before, expected["relu2_1"])
    assert_close(after, expected["pool2"])


def test_l2_pooling_is_the_root_of_hann_weighted_squares(weights_file, image):
    """As in DISTS: windows of 3x3, two pixels apart, that begin one pixel outside the map."""
    path, weights = weights_file
    features = load_vgg(VGGFeatures(16, ("relu1_2", "pool1", "relu2_1"), "l2"), path)
    before, pooled, after = run(features, image)
    assert_close(before, vgg_maps(255 * image[..., ::-1] - BGR_MEAN, weights, 16)["relu1_2"])
    padded = np.pad(before**2, ((0, 0), (1, 1), (1, 1)))
    hann = np.hanning(5)[1:-1]
    means = sum(
        hann[i] * hann[j] / 4 * padded[:, i : i + 36 : 2, j : j + 21 : 2]
        for i in range(3)
        for j in range(3)
    )
    assert_close(pooled, np.sqrt(means + 1e-12))
    assert after.shape == (128, 18, 11)


def test_ceil_pooling_gives_tensorflows_size_of_dpeds_features():
    for pooling, size in (("floor", 6), ("ceil", 7)):
        features = VGGFeatures(19, ("relu5_4",), pooling)
        _, sizes, _ = features(mx.sym.var("data"))[0].infer_shape(data=(1, 3, 100, 100))
        assert sizes == [(1, 512, size, size)]


@pytest.mark.reference
def test_vgg19_reproduces_an_independent_forward(reference_data, image):
    path = reference_data / "weights/vgg/vgg19_conv_hwio_fp32.npz"
    layers = ("relu1_2", "relu2_2", "relu3_4", "conv4_4", "pool4", "conv5_4", "relu5_4")
    features = load_vgg(VGGFeatures(19, layers), path)
    with np.load(path) as weights:
        expected = vgg_maps(255 * image[..., ::-1] - BGR_MEAN, weights, 19)
    single = [out[0].asnumpy() for out in features(as_batch(image))]
    double = run(features, image)
    for layer, in_single, in_double in zip(layers, single, double):
        assert_close(in_double, expected[layer], 1e-6)
        assert_close(in_single, expected[layer], 1e-4)


@pytest.mark.reference
def test_a_mix_up_of_bgr_and_rgb_would_show(reference_data, image):
    path = reference_data / "weights/vgg/vgg16_conv1_1-conv3_3_hwio_fp32.npz"
    features = load_vgg(VGGFeatures(16, ("relu3_3",)), path)
    right = 255 * image[..., ::-1] - BGR_MEAN
    mixed_up = 255 * image - BGR_MEAN[::-1]
    with np.load(path) as weights:
        right, wrong = (vgg_maps(x, weights, 16)["relu3_3"] for x in (right, mixed_up))
    (result,) = run(features, image)
    assert_close(result, right)
    assert np.abs(wrong - right).mean() > 0.1 * np.abs(right).mean()


def test_layer_indices_are_those_of_torchvision_and_gluon():
    """The numbers are those under which the papers' code names the layers."""
    known = {
        16: {"relu1_2": 3, "pool1": 4, "relu2_2": 8, "relu3_3": 15, "relu4_3": 22, "pool5": 30},
        19: {"relu1_2": 3, "relu2_2": 8, "relu3_4": 17, "pool3": 18, "conv5_4": 34, "pool5": 36},
    }
    for depth, layers in known.items():
        assert {name: layer_names(depth).index(name) for name in layers} == layers
        zoo = mx.gluon.model_zoo.vision.get_vgg(depth).features
        for index, name in enumerate(layer_names(depth)):
            kind = {"conv": "Conv2D", "relu": "Activation", "pool": "MaxPool2D"}[name[:4]]
            assert type(zoo[index]).__name__ == kind


def test_layers_behind_the_last_are_not_built():
    names = set(VGGFeatures(19, ("relu2_1", "relu1_1"))._collect_params_with_prefix())
    convs = ("conv1_1", "conv1_2", "conv2_1")
    parts = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    assert names == parts | {"mean", "std"}


def test_maps_come_in_the_order_asked_for(weights_file, image):
    path, _ = weights_file
    (late, early) = run(load_vgg(VGGFeatures(16, ("relu2_1", "relu1_1")), path), image)
    assert (late.shape[0], early.shape[0]) == (128, 64)


def test_one_layer_may_be_named_alone(weights_file, image):
    path, _ = weights_file
    (result,) = run(load_vgg(VGGFeatures(16, "relu1_1"), path), image)
    assert result.shape == (64, 36, 21)


def test_weights_are_frozen_and_the_input_gets_a_gradient(weights_file, image):
    features = load_vgg(VGGFeatures(16, ("relu2_2",)), weights_file[0])
    assert {p.grad_req for p in features.collect_params().values()} == {"null"}
    x = as_batch(image)
    x.attach_grad()
    with mx.autograd.record():
        total = (features(x)[0] ** 2).sum()
    total.backward()
    assert x.grad.abs().sum().asscalar() > 0
    with pytest.raises(RuntimeError, match="grad_req='null'"):
        features.conv1_1.weight.grad()


def test_hybrid_equals_imperative(weights_file, image):
    features = load_vgg(VGGFeatures(16, ("conv1_2", "pool2")), weights_file[0])
    x = as_batch(image)
    imperative = [out.asnumpy() for out in features(x)]
    features.hybridize(static_alloc=True, static_shape=True)
    for result, expected in zip(features(x), imperative):
        assert_close(result.asnumpy(), expected, 1e-5)


@pytest.mark.parametrize("layer", ["relu3_4", "conv6_1", "54"])
def test_unknown_layers_are_refused_with_the_choices(layer):
    with pytest.raises(ValueError) as caught:
        VGGFeatures(16, ("relu1_1", layer))
    message = str(caught.value)
    assert message.startswith(f"VGG-16 has no layer {layer!r}; its layers are conv1_1, relu1_1,")
    assert message.endswith("conv5_3, relu5_3, pool5")
    assert "\n" not in message


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((11, ("relu1_1",)), "depth is 11"),
        ((16, ()), "layers is empty"),
        ((16, ("relu1_1",), "same"), "pooling is 'same'; give one of floor, ceil, l2"),
    ],
)
def test_other_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VGGFeatures(*arguments)


@pytest.fixture
def features():
    made = VGGFeatures(16, ("relu1_1",))
    made.initialize()
    return made


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize(
    "images, message",
    [
        (
            np.zeros((1, 1, 8, 8), np.float32),
            r"shape \(1, 1, 8, 8\).*repeat a gray image's channel",
        ),
        (np.zeros((3, 8, 8), np.float32), r"shape \(3, 8, 8\); VGG takes RGB, \(N, 3, H, W\)"),
        (np.zeros((1, 3, 8, 8), np.uint8), "images are uint8.*divide 8 bits by 255"),
        (np.full((1, 3, 8, 8), 200, np.float32), "values from 200 to 200.*divide those up to 255"),
    ],
)
def test_images_that_vgg_is_not_for_are_refused(images, message, hybrid, features):
    if hybrid:
        features.hybridize()
    with pytest.raises(ValueError, match=message):
        features(mx.nd.array(images, dtype=images.dtype))


def test_what_an_untrained_net_gives_is_no_mistake(features, rng):
    features(mx.nd.array(rng.normal(0, 30, (1, 3, 8, 8))))


def test_values_are_looked_at_in_the_first_steps_alone(features, monkeypatch):
    """Each look waits for the image: training would not be as fast."""
    looks = []
    monkeypatch.setattr(VGGFeatures, "_check_values", lambda net, images: looks.append(images))
    for _ in range(10):
        features(mx.nd.zeros((1, 3, 8, 8)))
    assert len(looks) == LOOKED_AT


def test_one_call_gives_features_that_are_loaded_compiled_and_frozen(weights_file, image):
    path, weights = weights_file
    layer_weights = {"relu1_2": 0.1, "conv2_1": 1}
    features = vgg_features(16, layer_weights, path, pooling="ceil")
    assert features.layers == ("relu1_2", "conv2_1") and features._active
    assert {parameter.grad_req for parameter in features.collect_params().values()} == {"null"}
    expected = vgg_maps(255 * image[..., ::-1] - BGR_MEAN, weights, 16, ceil=True)
    for layer, result in zip(features.layers, run(features, image)):
        assert_close(result, expected[layer])


def test_the_default_weights_are_those_of_the_training_scripts(tmp_path, monkeypatch):
    monkeypatch.setenv("GLUON_ENHANCE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="vgg19-dcbb9e9d.pth"):
        vgg_features(19, "conv5_4", root=tmp_path)
