import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.forms import set_form  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.dped import DPEDResNet  # noqa: E402
from gluon_enhance.models.layers.norms import AXES, MomentNorm, fuse_norms, make_norm  # noqa: E402
from gluon_enhance.models.style import PADDINGS, StyleNet  # noqa: E402

EPSILON = 1e-3
NUMPY_AXES = {"instance": (2, 3), "batch_stats": (0, 2, 3), "layer": (1, 2, 3)}


def random_norm(kind, channels, rng):
    norm = make_norm(kind, channels, EPSILON)
    norm.initialize()
    gamma, beta = rng.uniform(0.5, 1.5, channels), rng.normal(size=channels)
    norm.gamma.set_data(mx.nd.array(gamma))
    norm.beta.set_data(mx.nd.array(beta))
    return norm, gamma[:, None, None], beta[:, None, None]


def normalized(x, axes):
    centered = x - x.mean(axes, keepdims=True)
    return centered / np.sqrt((centered**2).mean(axes, keepdims=True) + EPSILON)


@pytest.mark.parametrize("form", ["plain", "fast", "exporting"])
@pytest.mark.parametrize("kind", AXES)
@pytest.mark.parametrize("shape", [(1, 5, 7, 9), (3, 5, 1, 4), (2, 5, 6, 1)])
def test_norm_equals_its_definition_in_float64(kind, form, shape, rng):
    norm, gamma, beta = random_norm(kind, shape[1], rng)
    set_form(norm, form)
    x = rng.normal(2, 3, shape).astype(np.float32)
    expected = normalized(x.astype(np.float64), NUMPY_AXES[kind]) * gamma + beta
    for hybrid in (False, True):
        norm.hybridize(hybrid)
        assert np.abs(norm(mx.nd.array(x)).asnumpy() - expected).max() < 1e-5


@pytest.mark.parametrize("form", ["plain", "fast"])
def test_a_large_even_plane_far_from_zero_is_normalized_soundly(form, rng):
    """Where sums over all pixels in float32 are wrong by more than 1."""
    norm, gamma, beta = random_norm("instance", 1, rng)
    set_form(norm, form)
    x = (100 + 0.1 * rng.random((1, 1, 1500, 2000))).astype(np.float32)
    expected = normalized(x.astype(np.float64), (2, 3)) * gamma + beta
    assert np.abs(norm(mx.nd.array(x)).asnumpy() - expected).max() < 1e-3


@pytest.mark.parametrize("form", ["plain", "fast"])
@pytest.mark.parametrize("kind", AXES)
def test_gradient_equals_finite_differences(kind, form, rng):
    norm, gamma, beta = random_norm(kind, 3, rng)
    set_form(norm, form)
    shape = (2, 3, 4, 5)
    x, cotangent = rng.normal(size=shape), rng.normal(size=shape)
    data = mx.nd.array(x)
    data.attach_grad()
    with mx.autograd.record():
        total = (norm(data) * mx.nd.array(cotangent)).sum()
    total.backward()
    for index in [(0, 0, 0, 0), (1, 2, 3, 4), (0, 1, 2, 3)]:
        step = np.zeros(shape)
        step[index] = 1e-5
        ends = [normalized(x + s, NUMPY_AXES[kind]) * gamma + beta for s in (step, -step)]
        expected = ((ends[0] - ends[1]) * cotangent).sum() / 2e-5
        assert abs(data.grad.asnumpy()[index] - expected) < 1e-4


@pytest.mark.parametrize("kind", ["instance", "batch_stats", "layer", "batch"])
def test_fused_norms_give_the_same_outputs_and_gradients(kind, rng):
    """Also outside of training mode, and for batches of another size."""
    nets = twins(lambda: DPEDResNet(num_blocks=1, channels=8, norm=kind, prefix="net_"))
    check_fused(nets, [lambda net: net.body[0].norm1.gamma], (20, 16))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("hybrid", [False, True])
def test_style_nets_with_fused_norms_give_the_same_outputs_and_gradients(padding, hybrid):
    """In batches too, whose gradients of transposed convolutions crashed the process."""
    nets = twins(lambda: StyleNet(16, 1, norm="instance", padding=padding, prefix="net_"))
    learned = [lambda net: net.upsample[3].weight, lambda net: net.head[1].beta]
    # Rounding carries some value over the kink of a ReLU, where gradients jump.
    check_fused(nets, learned, (27, 18), hybrid, tolerance=0.05)


def twins(make):
    """Make two nets of the same weights, the second one with fused norms."""
    mx.random.seed(0)
    nets = [make(), make()]
    nets[0].initialize(mx.init.Xavier(magnitude=2))
    for name, parameter in nets[0]._collect_params_with_prefix().items():
        twin = nets[1]._collect_params_with_prefix()[name]
        twin.initialize()
        twin.set_data(parameter.data())
    fuse_norms(nets[1])
    return nets


def check_fused(nets, learned, size, hybrid=True, tolerance=2e-4):
    results = []
    for net in nets:
        net.hybridize(hybrid, static_alloc=hybrid)
        for count in (1, 3):
            x = mx.nd.array(np.random.default_rng(count).random((count, 3, *size)))
            x.attach_grad()
            results.append(net(x).asnumpy())
            with mx.autograd.record():
                total = (net(x) ** 2).sum()
            total.backward()
            results.append(x.grad.asnumpy())
            results.extend(parameter(net).grad().asnumpy() for parameter in learned)
    middle = len(results) // 2
    for plain, fused in zip(results[:middle], results[middle:]):
        np.testing.assert_allclose(fused, plain, atol=tolerance * np.abs(plain).max())


def test_files_of_a_net_with_fused_norms_have_its_own_names_only(tmp_path):
    net = DPEDResNet(num_blocks=1, channels=8)
    net.initialize()
    net.save_parameters(str(tmp_path / "before.params"))
    fuse_norms(net)
    net.save_parameters(str(tmp_path / "after.params"))
    before, after = (set(mx.nd.load(str(tmp_path / f"{k}.params"))) for k in ("before", "after"))
    assert after == before


@pytest.mark.parametrize("form", ["plain", "fast"])
def test_norm_works_on_what_transposed_convolutions_give(form):
    """Their layout in memory made MXNet's slice operator crash the process."""
    conv = mx.gluon.nn.Conv2DTranspose(
        32, 3, 2, padding=1, output_padding=1, in_channels=64, weight_initializer="ones"
    )
    norm = MomentNorm("instance", 32, EPSILON)
    for block in (conv, norm):
        block.initialize()
    set_form(norm, form)
    assert norm(conv(mx.nd.ones((1, 64, 24, 16)))).shape == (1, 32, 48, 32)


def test_batch_norm_is_gluons_and_unknown_norms_are_refused():
    assert isinstance(make_norm("batch", 3, EPSILON), mx.gluon.nn.BatchNorm)
    with pytest.raises(ValueError, match="norm is 'group'; choose one of instance"):
        make_norm("group", 3, EPSILON)
