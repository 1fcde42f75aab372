import numpy as np
import pytest
from float64 import relu
from random_nets import randomize, trained_numbers

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.plsr import PLSR, JohnsonSR  # noqa: E402

EPSILON = 1e-5


def normed(layers, x, conv, norm):
    return layers.norm(layers.conv(x, conv), norm, EPSILON)


def test_gluon_variant_equals_the_reports_layers_in_float64(rng):
    net = PLSR(num_blocks=2, channels=6)
    layers = randomize(net, rng)
    x = rng.random((3, 9, 7))
    features = layers.conv(x - np.reshape([0.485, 0.456, 0.406], (3, 1, 1)), "head")
    for i in range(2):
        inner = relu(normed(layers, features, f"body.{i}.conv1", f"body.{i}.norm1"))
        inner = relu(normed(layers, inner, f"body.{i}.conv2", f"body.{i}.norm2"))
        skip = np.einsum("oi,ihw->ohw", layers[f"body.{i}.skip.weight"][..., 0, 0], features)
        features = relu(inner + skip)
    expected = layers.conv(layers.doubling_conv(features, "upsample"), "tail")
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, 18, 14)
    assert np.abs(result - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("scale", [4, 8])
def test_johnsons_net_equals_the_papers_layers_in_float64(scale, rng):
    net = JohnsonSR(scale, num_blocks=2, channels=6)
    layers = randomize(net, rng)
    x = rng.random((3, 5, 4))
    features = relu(normed(layers, x, "head.0", "head.1"))
    for i in range(2):
        inner = relu(normed(layers, features, f"body.{i}.conv1", f"body.{i}.norm1"))
        features = features + normed(layers, inner, f"body.{i}.conv2", f"body.{i}.norm2")
    for k in range({4: 2, 8: 3}[scale]):
        features = layers.doubling_conv(features, f"upsample.{3 * k}")
        features = relu(layers.norm(features, f"upsample.{3 * k + 1}", EPSILON))
    expected = (np.tanh(layers.conv(features, "tail")) + 1) / 2
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, 5 * scale, 4 * scale)
    assert np.abs(result - expected).max() < 1e-4


def test_gluon_variant_has_the_published_number_of_parameters():
    assert trained_numbers(PLSR()) == 380_288


@pytest.mark.parametrize("scale, doublings", [(4, 2), (8, 3)])
def test_johnsons_nets_parameters_follow_from_the_papers_table(scale, doublings):
    convs = (81 * 3 * 64 + 64) + (8 + doublings) * (9 * 64 * 64 + 64) + (81 * 64 * 3 + 3)
    norms = (1 + 8 + doublings) * 2 * 64
    assert trained_numbers(JohnsonSR(scale)) == convs + norms


def test_subtracted_mean_is_in_the_file_of_weights(tmp_path, rng):
    net, other = PLSR(1, 4, mean=(0.1, 0.2, 0.3)), PLSR(1, 4)
    randomize(net, rng)
    net.save_parameters(str(tmp_path / "net.params"))
    other.load_parameters(str(tmp_path / "net.params"))
    assert np.allclose(other.mean.data().asnumpy().ravel(), [0.1, 0.2, 0.3])


def test_parameter_names_are_the_file_format():
    """A name that changes here breaks every weight file: change it knowingly."""
    kinds = ("gamma", "beta", "running_mean", "running_var")
    convs = ["head", "body.0.conv1", "body.0.conv2", "body.0.skip", "upsample", "tail"]
    names = {"mean"} | {f"{conv}.weight" for conv in convs}
    names |= {f"body.0.norm{k}.{kind}" for k in (1, 2) for kind in kinds}
    assert set(PLSR(num_blocks=1)._collect_params_with_prefix()) == names

    convs = ["head.0", "body.0.conv1", "body.0.conv2", "upsample.0", "upsample.3", "tail"]
    names = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    norms = ["head.1", "body.0.norm1", "body.0.norm2", "upsample.1", "upsample.4"]
    names |= {f"{norm}.{kind}" for norm in norms for kind in kinds}
    assert set(JohnsonSR(num_blocks=1)._collect_params_with_prefix()) == names


def test_other_scales_are_refused():
    with pytest.raises(ValueError, match="scale is 2"):
        JohnsonSR(scale=2)
