import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from float64 import State  # noqa: E402

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.srvgg import SRVGGNetBilinear, SRVGGNetCompact  # noqa: E402


def small_net(scale=4, num_convs=2, full_channels=5):
    net = SRVGGNetBilinear(scale, num_convs, 6, full_channels)
    net.initialize(mx.init.Xavier())
    return net


def state_of(net, rng):
    state = State(rng)
    parameters = net._collect_params_with_prefix()
    state.update({k: p.data().asnumpy().astype(np.float64) for k, p in parameters.items()})
    return state


def bilinear(features, axis):
    """Double the size by what lies a quarter of a pixel off each center, the border repeated."""
    shape = list(features.shape)
    low, high = (np.clip(np.arange(shape[axis]) + k, 0, shape[axis] - 1) for k in (-1, 1))
    parts = [0.75 * features + 0.25 * features.take(k, axis) for k in (low, high)]
    shape[axis] *= 2
    return np.stack(parts, axis + 1).reshape(shape)


def numpy_net(x, state, num_convs, doublings):
    def rectified(x, name):
        slopes = state[f"{name}.1.alpha"] if name == "head" else state[f"body.{name + 1}.alpha"]
        out = state.conv(x, "head.0" if name == "head" else f"body.{name}")
        return np.where(out > 0, out, slopes[:, None, None] * out)

    features = rectified(x, "head")
    for k in range(num_convs):
        features = rectified(features, 2 * k)
    features = state.conv(np.concatenate([x, features]), "join")
    for k in range(doublings):
        features = state.conv(bilinear(bilinear(features, 1), 2), f"upsample.{k}")
        features = np.where(features > 0, features, 0.2 * features)
    features = state.conv(features, "tail.0")
    out = state.conv(np.where(features > 0, features, 0.2 * features), "tail.2")
    scale = 2**doublings
    of_cells = out.reshape(3, x.shape[1], scale, x.shape[2], scale).mean((2, 4))
    lacking = local_means(local_means(x - of_cells))
    return out + lacking.repeat(scale, 1).repeat(scale, 2)


@pytest.mark.parametrize("scale, doublings", [(2, 1), (4, 2), (8, 3)])
def test_net_equals_its_equations_in_float64(scale, doublings, rng):
    net = small_net(scale)
    x = rng.random((3, 7, 5))
    result = net(mx.nd.array(x[None]))[0].asnumpy()
    assert result.shape == (3, 7 * scale, 5 * scale)
    assert np.abs(result - numpy_net(x, state_of(net, rng), 2, doublings)).max() < 1e-5


def local_means(image, radius=4):
    """Average what lies within the radius, of the picture alone."""
    padded = np.pad(image, ((0, 0), (radius, radius), (radius, radius)), constant_values=np.nan)
    parts = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1,) * 2, (1, 2))
    return np.nanmean(parts, (-2, -1))


def test_a_flat_picture_stays_flat_whatever_the_weights_unlike_with_sub_pixels(rng):
    """So no loss can teach this net a pattern of the enlargement's cells, or a cast of color."""
    mx.random.seed(0)
    color = rng.random((1, 3, 1, 1))
    flat = mx.nd.array(np.tile(color, (1, 1, 64, 64)))
    error = {}
    for net in (small_net(), SRVGGNetCompact(4, 2, 6)):
        net.initialize(mx.init.Xavier(), force_reinit=True)
        inside = net(flat).asnumpy()[..., 80:-80, 80:-80]
        error[type(net).__name__] = np.abs(inside - color).max()
    assert error["SRVGGNetBilinear"] < 1e-5 and error["SRVGGNetCompact"] > 0.01


def test_the_mean_color_of_a_picture_is_kept_whatever_the_weights(rng):
    net, x = small_net(), rng.random((1, 3, 64, 64))
    out = net(mx.nd.array(x)).asnumpy()
    assert np.abs(out.mean((2, 3)) - x.mean((2, 3))).max() < 0.02


def test_a_deeper_net_gives_what_the_trained_one_gave(rng):
    trained, deeper = small_net(), small_net(num_convs=4)
    deeper.initialize_from(trained)
    x = mx.nd.array(rng.random((2, 3, 9, 8)))
    assert np.abs(deeper(x).asnumpy() - trained(x).asnumpy()).max() < 1e-5


@pytest.mark.parametrize("num_convs", [2, 3])
def test_the_trunk_of_a_compact_net_is_taken_over_into_an_interpolating_start(num_convs, rng):
    compact, net = SRVGGNetCompact(4, 2, 6), small_net(num_convs=num_convs)
    compact.initialize(mx.init.Xavier())
    net.initialize_as_interpolator(rng)
    net.initialize_from(compact)
    x = mx.nd.array(rng.random((1, 3, 12, 12)))
    trunks = [one.body(one.head(x)).asnumpy() for one in (compact, net)]
    assert np.abs(trunks[0] - trunks[1]).max() < 1e-6
    smooth = np.kron(np.linspace(0, 1, 12)[None], np.ones((3, 12, 1))).reshape(1, 3, 12, 12)
    enlarged = net(mx.nd.array(smooth))[0].asnumpy()
    ramp = np.repeat(np.linspace(0, 1, 12), 4)
    assert np.abs(enlarged[:, 8:-8, 8:-8] - ramp[8:-8]).mean() < 0.1


def test_a_net_of_half_the_scale_starts_with_the_first_doubling(rng):
    trained, half = small_net(), small_net(2)
    half.initialize_from(trained)
    own, other = (net._collect_params_with_prefix() for net in (half, trained))
    assert set(other) - set(own) == {"upsample.1.weight", "upsample.1.bias"}
    assert all(np.array_equal(own[k].data().asnumpy(), other[k].data().asnumpy()) for k in own)


@pytest.mark.parametrize(
    "other",
    [
        lambda: SRVGGNetCompact(4, 3, 6),
        lambda: SRVGGNetCompact(4, 2, 8),
        lambda: small_net(full_channels=4),
    ],
    ids=["deeper", "wider", "wider at full size"],
)
def test_nets_that_do_not_fit_are_refused_and_nothing_is_taken(other, rng):
    net, other = small_net(), other()
    other.initialize(mx.init.Xavier(), force_reinit=True)
    before = state_of(net, rng)
    with pytest.raises(ValueError, match="channels of this one, and no more convolutions"):
        net.initialize_from(other)
    assert all(np.array_equal(before[k], v) for k, v in state_of(net, rng).items())


def test_scales_that_are_no_doublings_are_refused():
    with pytest.raises(ValueError, match="scale is 3; SRVGGNetBilinear has 2, 4 and 8"):
        SRVGGNetBilinear(3)


def test_parameter_names_are_the_file_format():
    """A name that changes here breaks every weight file: change it knowingly."""
    convs = ("head.0", "body.0", "join", "upsample.0", "upsample.1", "tail.0", "tail.2")
    names = {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}
    names |= {"head.1.alpha", "body.1.alpha"}
    assert set(SRVGGNetBilinear(num_convs=1)._collect_params_with_prefix()) == names
