import numpy as np
import pytest
from float64 import relu
from random_nets import Layers, randomize, trained_numbers
from tensorflow_files import write_checkpoint

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import zoo  # noqa: E402
from gluon_enhance.errors import WeightsError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.inference.enhancer import enhance  # noqa: E402
from gluon_enhance.models.dped import (  # noqa: E402
    DPEDDenseNet,
    DPEDDiscriminator,
    DPEDResNet,
)
from gluon_enhance.weights.readers.tensorflow import read_tensorflow  # noqa: E402

AXES = {"instance": (1, 2), "batch_stats": (1, 2), "layer": (0, 1, 2), "batch": None}


def numpy_dped(x, layers, norm="instance", num_blocks=4, tanh_scale=0.58):
    """The equations of the official code."""

    def normed(x, conv, norm_name):
        return relu(layers.norm(layers.conv(x, conv), norm_name, 1e-3, AXES[norm]))

    features = relu(layers.conv(x, "head"))
    for i in range(num_blocks):
        inner = normed(features, f"body.{i}.conv1", f"body.{i}.norm1")
        features = features + normed(inner, f"body.{i}.conv2", f"body.{i}.norm2")
    for k in (num_blocks, num_blocks + 1):
        features = relu(layers.conv(features, f"body.{k}"))
    return tanh_scale * np.tanh(layers.conv(features, "tail")) + 0.5


@pytest.mark.parametrize("norm", AXES)
def test_resnet_equals_the_equations_of_the_official_code_in_float64(norm, rng):
    net = DPEDResNet(num_blocks=2, channels=6, norm=norm)
    layers = randomize(net, rng)
    x = rng.random((3, 11, 7))
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert np.abs(result - numpy_dped(x, layers, norm, num_blocks=2)).max() < 1e-5


@pytest.mark.parametrize("dense", [False, True])
def test_densenet_equals_its_equations_in_float64(dense, rng):
    net = DPEDDenseNet(num_blocks=2, num_layers=3, channels=4, dense=dense)
    layers = randomize(net, rng)
    x = rng.random((3, 9, 6))

    def block(x, name):
        outputs = [x]
        for k in range(3):
            seen = np.concatenate(outputs) if dense else outputs[-1]
            outputs.append(relu(layers.conv(seen, f"{name}.convs.{k}")))
        return np.concatenate(outputs[1:])

    features = block(relu(layers.conv(x, "head")), "body.0")
    features = layers.conv(features, "body.1.conv")
    features = features + relu(layers.norm(features, "body.1.norm", 1e-3))
    expected = 0.58 * np.tanh(layers.conv(block(features, "body.2"), "tail")) + 0.5
    assert np.abs(net(mx.nd.array(x[None]))[0].asnumpy() - expected).max() < 1e-5


@pytest.mark.parametrize("norm", AXES)
@pytest.mark.parametrize("make", [DPEDResNet, DPEDDenseNet])
def test_identity_start_gives_about_the_input_and_every_parameter_a_gradient(make, norm, rng):
    net = make(norm=norm)
    net.initialize_as_identity(rng)
    x = mx.nd.array(rng.random((2, 3, 24, 24)))
    assert (net(x) - x).abs().mean().asscalar() < 0.05
    with mx.autograd.record():
        loss = ((net(x) - x**2) ** 2).sum()
    loss.backward()
    trained = [(n, p) for n, p in net.collect_params().items() if p.grad_req != "null"]
    assert not [n for n, p in trained if not p.grad().abs().sum().asscalar() > 0]


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_the_papers_start_has_its_deviation_and_biases_and_norms_that_change_nothing(norm, rng):
    net = DPEDResNet(norm=norm)
    net.initialize_as_paper(rng)
    arrays = {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()}
    kernels = np.concatenate([a.ravel() for name, a in arrays.items() if name.endswith(".weight")])
    # A normal distribution cut at two deviations has 0.88 of its deviation.
    assert abs(kernels.std() - 0.0088) < 1e-4 and abs(kernels.mean()) < 1e-4
    assert 0.0199 < np.abs(kernels).max() <= 0.02
    values = {"bias": 0.01, "gamma": 1, "beta": 0, "running_mean": 0, "running_var": 1}
    for name, array in arrays.items():
        kind = name.rpartition(".")[2]
        assert kind == "weight" or np.allclose(array, values[kind])


def test_discriminator_equals_the_official_layers_in_float64(rng):
    net = DPEDDiscriminator()
    layers = randomize(net, rng)
    x = rng.random((1, 100, 100))
    features = x
    # What TensorFlow's SAME padding comes to for patches of 100: (before, after).
    paddings = ((3, 4), (2, 2), (1, 1), (1, 1), (1, 1))
    for k, (padding, strides) in enumerate(zip(paddings, (4, 2, 1, 1, 2))):
        place = 3 * k - 1 if k else 0
        weight = layers[f"body.{place}.conv.weight"]
        padded = np.pad(features, ((0, 0), padding, padding))
        windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], (1, 2))
        features = np.einsum("oikl,ihwkl->ohw", weight, windows[:, ::strides, ::strides])
        features = relu(features + layers[f"body.{place}.conv.bias"][:, None, None], 0.2)
        if k:
            features = layers.norm(features, f"body.{place + 2}", 1e-3)
    assert features.shape == (128, 7, 7)
    hidden = layers["tail.0.weight"] @ features.ravel() + layers["tail.0.bias"]
    hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    expected = layers["tail.2.weight"] @ hidden + layers["tail.2.bias"]
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert np.abs(result - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    "net, expected",
    [
        (DPEDResNet(), 401_475),
        (DPEDResNet(norm="batch"), 401_475),
        (DPEDDiscriminator(), 7_361_122),
        # 12 * (3*3*16*16 + 16) = 27,840 for a block; head, two transitions, tail.
        (DPEDDenseNet(), 3 * 27_840 + (243 * 16 + 16) + 2 * (192 * 16 + 48) + (1728 * 3 + 3)),
        # Growth 16: convolution k sees 16 * k channels, k = 1 ... 12.
        (
            DPEDDenseNet(dense=True),
            3 * (9 * 16 * 16 * 78 + 12 * 16) + 3_904 + 2 * 3_120 + 5_187,
        ),
    ],
)
def test_nets_have_the_published_numbers_of_parameters(net, expected):
    assert trained_numbers(net) == expected


def official_names():
    """{ours: theirs}, in order of the code that creates the variables."""
    convs = ["head"] + [f"body.{i}.conv{k}" for i in range(4) for k in (1, 2)]
    convs += ["body.4", "body.5", "tail"]
    norms = [f"body.{i}.norm{k}" for i in range(4) for k in (1, 2)]
    names = {f"{conv}.weight": f"W{k}" for k, conv in enumerate(convs, 1)}
    names.update({f"{conv}.bias": f"b{k}" for k, conv in enumerate(convs, 1)})
    variables = ["Variable"] + [f"Variable_{k}" for k in range(1, 16)]
    for k, norm in enumerate(norms):
        names[f"{norm}.beta"], names[f"{norm}.gamma"] = variables[2 * k : 2 * k + 2]
    return {ours: f"generator/{theirs}" for ours, theirs in names.items()}


def test_parameter_names_are_the_file_format():
    """A name that changes here breaks every weight file: change it knowingly."""
    assert set(DPEDResNet()._collect_params_with_prefix()) == set(official_names())
    batch_norm = set(DPEDResNet(norm="batch")._collect_params_with_prefix())
    averages = {name for name in batch_norm if ".running_" in name}
    assert batch_norm - averages == set(official_names()) and len(averages) == 16

    chains = [f"body.{i}.convs.{k}" for i in (0, 2) for k in (0, 1)]
    convs = ["head", "body.1.conv", "tail", *chains]
    names = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    names |= {"body.1.norm.gamma", "body.1.norm.beta"}
    small = DPEDDenseNet(num_blocks=2, num_layers=2)
    assert set(small._collect_params_with_prefix()) == names

    convs = [f"body.{place}.conv" for place in (0, 2, 5, 8, 11)] + ["tail.0", "tail.2"]
    names = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    names |= {f"body.{place}.{kind}" for place in (4, 7, 10, 13) for kind in ("gamma", "beta")}
    assert set(DPEDDiscriminator()._collect_params_with_prefix()) == names


def test_a_tensorflow_checkpoint_lands_in_its_place(tmp_path, rng):
    tensors = {}
    for ours, theirs in official_names().items():
        shape = DPEDResNet()._collect_params_with_prefix()[ours].shape
        shape = shape if len(shape) == 1 else (*shape[2:], shape[1], shape[0])
        tensors[theirs] = rng.random(shape, np.float32)
    path = write_checkpoint(tmp_path / "own", tensors)
    parameters = zoo.get_model("dped_resnet", path)._collect_params_with_prefix()
    for ours, theirs in official_names().items():
        array = tensors[theirs]
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
        assert np.array_equal(parameters[ours].data().asnumpy(), array)
    with pytest.raises(WeightsError, match="does not fit this DPEDResNet"):
        zoo.get_model("dped_resnet_bn", path)


@pytest.mark.reference
@pytest.mark.parametrize("phone", ["iphone", "blackberry"])
def test_official_weights_give_the_numbers_of_the_equations(reference_data, phone, monkeypatch):
    monkeypatch.setenv("GLUON_ENHANCE_WEIGHTS", str(reference_data / "weights"))
    net = zoo.get_model(f"dped_{phone}", pretrained=True)
    tensors = read_tensorflow(reference_data / f"weights/dped/{phone}_orig.index")
    assert len(tensors) == len(net._collect_params_with_prefix()) == 40
    rows, columns, channels = np.mgrid[:24, :24, :3]
    x = ((7 * rows + 13 * columns + 29 * channels) % 256 / 255).astype(np.float32)
    y = net(mx.nd.array(x.transpose(2, 0, 1)[None]))[0].asnumpy().transpose(1, 2, 0)
    if phone == "iphone":  # computed in float64 NumPy, apart from this project
        figures = [y.mean(), y.std(), y.min(), y.max(), *y[0, 0], *y[12, 12], *y[23, 5]]
        expected = [0.592206, 0.211995, 0.152401, 0.930384]
        expected += [0.178230, 0.236569, 0.282989, 0.586281, 0.404522, 0.299248]
        expected += [0.736818, 0.654353, 0.505935]
        assert np.abs(np.subtract(figures, expected)).max() < 1e-5
    assert y.min() > -0.08 and y.max() < 1.08
    assert np.abs(y - numpy_official(x, tensors)).max() < 1e-5


def numpy_official(x, tensors):
    """The official graph on the official variables, by their own names and layout."""
    layers = Layers()
    for ours, theirs in official_names().items():
        array = tensors[theirs].astype(np.float64)
        layers[ours] = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
    return numpy_dped(x.astype(np.float64).transpose(2, 0, 1), layers).transpose(1, 2, 0)


@pytest.mark.parametrize("net_class", [DPEDResNet, DPEDDiscriminator])
def test_unknown_norms_are_refused(net_class):
    with pytest.raises(ValueError, match="norm is 'group'"):
        net_class(norm="group")


@pytest.mark.reference
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "mxnet"])
def test_official_weights_run_on_every_engine(reference_data, engine, picture, monkeypatch):
    monkeypatch.setenv("GLUON_ENHANCE_WEIGHTS", str(reference_data / "weights"))
    tensors = read_tensorflow(reference_data / "weights/dped/iphone_orig.index")
    expected = np.clip(numpy_official(picture / np.float64(255), tensors), 0, 1)
    result = enhance(picture, "dped_iphone", engine=engine, precision="fp32")
    assert np.abs(result - 255 * expected).max() < 0.51
