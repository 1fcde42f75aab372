"""RRDBs of fewer channels, among zeros, are those that PyTorch programs can build."""

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.exporting.safetensors import widened  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402


def convolved(x, state, key):
    """A 3x3 convolution of (C, H, W) in NumPy, padded by zeros."""
    weight, bias = state[f"{key}.weight"], state[f"{key}.bias"]
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2)
    )
    return np.einsum("chwij,ocij->ohw", windows, weight) + bias[:, None, None]


def leaky(x):
    return np.maximum(x, 0.2 * x)


def basicsr_rrdbnet(x, state, num_blocks):
    """The forward pass of BasicSR's RRDBNet with its fixed growth of 32 channels, in NumPy."""
    features = convolved(x, state, "conv_first")
    trunk = features
    for block in range(num_blocks):
        inner = trunk
        for dense in (1, 2, 3):
            maps = inner
            for k in range(1, 5):
                more = leaky(convolved(maps, state, f"body.{block}.rdb{dense}.conv{k}"))
                assert len(more) == 32
                maps = np.concatenate([maps, more])
            last = convolved(maps, state, f"body.{block}.rdb{dense}.conv5")
            inner = inner + 0.2 * last
        trunk = trunk + 0.2 * inner
    features = features + convolved(trunk, state, "conv_body")
    for key in ("conv_up1", "conv_up2"):
        features = leaky(convolved(features.repeat(2, axis=1).repeat(2, axis=2), state, key))
    return convolved(leaky(convolved(features, state, "conv_hr")), state, "conv_last")


def small(**options):
    net = ge.get_model("esrgan_lite_x4", num_blocks=2, channels=6, **options)
    net.initialize(mx.init.Xavier(magnitude=6))
    for key, parameter in net._collect_params_with_prefix().items():
        if key.endswith("bias"):
            parameter.set_data(mx.nd.random.uniform(-0.5, 0.5, parameter.shape))
    return net


@pytest.mark.parametrize("growth", [5, 16, 32])
def test_safetensors_hold_what_basicsr_computes_the_same_from(growth, tmp_path, rng):
    safetensors = pytest.importorskip("safetensors.numpy")
    net = small(growth_channels=growth)
    folder = ge.export(net, tmp_path / "net", ["safetensors"])
    state = safetensors.load_file(str(folder / "esrgan_lite_x4.safetensors"))
    x = rng.random((1, 3, 7, 9), np.float32)
    expected = net(mx.nd.array(x)).asnumpy()[0]
    result = basicsr_rrdbnet(x[0].astype(np.float64), state, num_blocks=2)
    assert np.abs(result - expected).max() < 1e-5 * np.abs(expected).max()


def test_nets_that_are_wide_enough_stay_as_they_are():
    for net in (small(growth_channels=32), ge.get_model("srcnn_x4")):
        assert widened(net) is net


def test_the_net_itself_and_its_other_files_stay_narrow(tmp_path):
    net = small(growth_channels=16)
    folder = ge.export(net, tmp_path / "net", ["safetensors", "onnx"])
    assert net.spec.kwargs["growth_channels"] == 16
    assert net.body[0].rdb1.conv1.weight.shape == (16, 6, 3, 3)
    card = ge.weights.manifest.read_card(folder)
    assert card["kwargs"]["growth_channels"] == 16
    assert card["parameters"] == net.spec.parameters
