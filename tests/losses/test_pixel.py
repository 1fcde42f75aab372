import math

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gradients import assert_gradient_is_right  # noqa: E402

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.losses import pixel  # noqa: E402

STD = np.array([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)


@pytest.fixture
def pair(rng):
    return rng.random((2, 3, 6, 5)), rng.random((2, 3, 6, 5))


def nd(array):
    return mx.nd.array(array, dtype="float64")


def means(values):
    return values.mean(axis=(1, 2, 3))


def sums(values):
    return values.sum(axis=(1, 2, 3))


def differences(x):
    return x[:, :, 1:] - x[:, :, :-1], x[..., 1:] - x[..., :-1]


def dped_tv(x):
    down, right = differences(x)
    return means(down**2) + means(right**2)


def wespe_tv(x):
    down, right = differences(x)
    return (sums(down**2) + sums(right**2)) / x[0].size


def plsr_tv(x):
    down, right = differences(x / STD)
    return means(abs(down)) + means(abs(right))


def color_initialized(weight=1.0):
    loss = pixel.ColorLoss(weight)
    loss.initialize()
    loss.cast("float64")
    return loss


def numpy_blur(x):
    """DPED's kernel as its code makes it, in two dimensions, and a sum over all shifts."""
    edges = np.linspace(-3 - 1 / 6, 3 + 1 / 6, 22)
    areas = np.diff([0.5 * math.erfc(-edge / math.sqrt(2)) for edge in edges])
    kernel = np.sqrt(np.outer(areas, areas))
    kernel /= kernel.sum()
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (10, 10), (10, 10)))
    return sum(
        kernel[i, j] * padded[:, :, i : i + height, j : j + width]
        for i in range(21)
        for j in range(21)
    )


CASES = {
    "l1": (pixel.L1Loss(), lambda p, q: means(abs(p - q))),
    "l2": (pixel.L2Loss(), lambda p, q: means((p - q) ** 2)),
    "charbonnier": (
        pixel.CharbonnierLoss(epsilon=0.1),
        lambda p, q: means(np.sqrt((p - q) ** 2 + 0.01)),
    ),
    "tv dped": (pixel.TotalVariationLoss("dped"), lambda p, q: dped_tv(p)),
    "tv wespe": (pixel.TotalVariationLoss("wespe"), lambda p, q: wespe_tv(p)),
    "tv plsr": (pixel.TotalVariationLoss("plsr"), lambda p, q: plsr_tv(p)),
    "color": (color_initialized(), lambda p, q: sums((numpy_blur(p) - numpy_blur(q)) ** 2) / 2),
    "weighted": (pixel.L1Loss(weight=0.3), lambda p, q: 0.3 * means(abs(p - q))),
    "weighted color": (
        color_initialized(0.5),
        lambda p, q: sums((numpy_blur(p) - numpy_blur(q)) ** 2) / 4,
    ),
}
cases = pytest.mark.parametrize("loss, expected", CASES.values(), ids=CASES)


@cases
def test_loss_equals_its_closed_form(loss, expected, pair):
    result = loss(*map(nd, pair)).asnumpy()
    assert result.shape == (2,)
    np.testing.assert_allclose(result, expected(*pair), rtol=1e-6)


@cases
def test_gradient_equals_finite_differences(loss, expected, pair):
    pred, label = pair
    assert_gradient_is_right(lambda x: loss(x, nd(label)), pred)


@cases
def test_hybrid_equals_imperative(loss, expected, pair):
    imperative = loss(*map(nd, pair)).asnumpy()
    loss.hybridize()
    try:
        np.testing.assert_allclose(loss(*map(nd, pair)).asnumpy(), imperative, rtol=1e-12)
    finally:
        loss.hybridize(False)


def test_total_variation_of_fast_neural_style_has_the_gradient_of_its_code(rng):
    """The code has no value, only a gradient, here as it adds it up."""
    x = rng.random((1, 3, 5, 4))
    down = x[:, :, :-1, :-1] - x[:, :, 1:, :-1]
    right = x[:, :, :-1, :-1] - x[:, :, :-1, 1:]
    expected = np.zeros_like(x)
    expected[:, :, :-1, :-1] += down + right
    expected[:, :, 1:, :-1] -= down
    expected[:, :, :-1, 1:] -= right
    image = nd(x)
    image.attach_grad()
    with mx.autograd.record():
        loss = pixel.TotalVariationLoss("fast_neural_style")(image)
    loss.backward()
    np.testing.assert_allclose(image.grad.asnumpy(), expected, atol=1e-12)
    np.testing.assert_allclose(loss.asnumpy(), 0.5 * sums(down**2 + right**2), rtol=1e-12)


@pytest.mark.parametrize("form", pixel.TV_FORMS)
def test_a_flat_image_has_no_total_variation(form):
    flat = nd(np.full((2, 3, 6, 6), 0.7))
    assert not pixel.TotalVariationLoss(form)(flat).asnumpy().any()


@pytest.mark.parametrize("form", pixel.TV_FORMS)
def test_total_variation_sees_every_direction(form):
    ramp = np.zeros((1, 3, 6, 6))
    ramp[:] = np.arange(6) / 6
    loss = pixel.TotalVariationLoss(form)
    across, along = loss(nd(ramp)).asnumpy(), loss(nd(ramp.transpose(0, 1, 3, 2))).asnumpy()
    assert across > 0
    np.testing.assert_allclose(across, along, rtol=1e-12)


def test_blur_kernel_has_the_published_numbers():
    """Of DPED's 21x21 kernel: its center, corner, edge's middle and column sums."""
    row = pixel.blur_kernel()
    kernel = np.outer(row, row)
    assert kernel[10, 10] == pytest.approx(0.0075631, rel=1e-5)
    assert kernel[0, 0] == pytest.approx(8.2882e-05, rel=1e-4)
    assert kernel[0, 10] == pytest.approx(7.9174e-04, rel=1e-4)
    assert kernel.sum(0)[[0, 5, 10, 20]] == pytest.approx(
        [0.009104, 0.049469, 0.086966, 0.009104], rel=1e-4
    )
    assert np.sqrt(row @ (np.arange(21) - 10) ** 2) == pytest.approx(4.337, abs=1e-3)


def test_blur_keeps_the_middle_of_a_flat_image_and_darkens_its_border():
    blur = pixel.GaussianBlur()
    blur.initialize()
    flat = blur(mx.nd.ones((1, 3, 41, 41))).asnumpy()
    assert flat[0, :, 20, 20] == pytest.approx([1, 1, 1], rel=1e-6)
    assert flat[0, 0, 0, 0] == pytest.approx(((1 + 0.086966) / 2) ** 2, rel=1e-4)


def test_color_loss_is_15000_mean_squares_on_dpeds_patches(rng):
    pred, label = rng.random((2, 1, 3, 100, 100))
    expected = 15000 * means((numpy_blur(pred) - numpy_blur(label)) ** 2)
    result = color_initialized()(nd(pred), nd(label)).asnumpy()
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_grayscale_weighs_red_green_and_blue(rng):
    x = rng.random((2, 3, 4, 5))
    result = pixel.Grayscale()(nd(x)).asnumpy()
    assert result.shape == (2, 1, 4, 5)
    expected = np.einsum("nchw,c->nhw", x, [0.2989, 0.5870, 0.1140])
    np.testing.assert_allclose(result[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("loss", [pixel.L1Loss(), pixel.L2Loss(), pixel.CharbonnierLoss()])
def test_images_of_different_sizes_are_refused(loss):
    """Neither broadcast nor reshaped, as Gluon's own losses do."""
    with pytest.raises(mx.MXNetError):
        loss(mx.nd.zeros((2, 3, 6, 5)), mx.nd.zeros((2, 3, 5, 6))).wait_to_read()


def test_unknown_forms_are_refused_with_the_choices():
    with pytest.raises(ValueError, match="form is 'l2'; give one of dped, wespe"):
        pixel.TotalVariationLoss("l2")


def test_mean_color_loss_compares_means_of_whole_cells(pair):
    a, b = pair  # (2, 3, 6, 5): cells of 2 leave out the last column
    cells = (a - b)[..., :4].reshape(2, 3, 3, 2, 2, 2).mean((3, 5))
    loss = pixel.MeanColorLoss(2)
    np.testing.assert_allclose(loss(nd(a), nd(b)).asnumpy(), means(abs(cells)), rtol=1e-12)
    assert_gradient_is_right(lambda x: loss(x, nd(b)), a)
