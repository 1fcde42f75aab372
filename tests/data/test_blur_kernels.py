import numpy as np
import pytest

from gluon_enhance.data.blur_kernels import KINDS, gaussian_kernel, sinc_kernel


def moments(kernel):
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    return [float((kernel * product).sum()) for product in (x * x, y * y, x * y)]


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_sum_to_one_and_are_symmetric(kind):
    kernel = gaussian_kernel(21, 2.0, 0.7, 0.5, 1.5, kind)
    assert kernel.shape == (21, 21) and kernel.dtype == np.float32
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert np.array_equal(kernel, kernel[::-1, ::-1])


def test_gaussian_kernels_have_the_second_moments_of_the_turned_gaussian():
    angle, (a, b) = 0.4, (2.5, 1.2)
    xx, yy, xy = moments(gaussian_kernel(41, a, b, angle))
    assert xx == pytest.approx((a * np.cos(angle)) ** 2 + (b * np.sin(angle)) ** 2, rel=1e-3)
    assert yy == pytest.approx((a * np.sin(angle)) ** 2 + (b * np.cos(angle)) ** 2, rel=1e-3)
    assert xy == pytest.approx((a**2 - b**2) * np.sin(angle) * np.cos(angle), rel=1e-3)


def test_relatives_fall_off_as_their_formulas_say():
    ratio = {
        "gaussian": np.exp(-1 / 8),
        "generalized": np.exp(-((1 / 4) ** 3) / 2),
        "plateau": 64 / 65,
    }
    for kind, expected in ratio.items():
        kernel = gaussian_kernel(7, 2.0, beta=3, kind=kind)
        assert kernel[3, 4] / kernel[3, 3] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [((7, 1, 1, 0, 1, "box"), "'box'; choose"), ((8, 1), "odd"), ((7, 0), "positive")],
)
def test_wrong_kernels_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        gaussian_kernel(*arguments)


def test_sinc_kernels_are_the_bessel_function_over_the_radius():
    special = pytest.importorskip("scipy.special")
    cutoff = 2.1
    radius = np.hypot(*(np.mgrid[:21, :21] - 10))
    radius[10, 10] = 1e-9
    expected = special.j1(cutoff * radius) / radius
    kernel = sinc_kernel(21, cutoff)
    assert np.abs(kernel - expected / expected.sum()).max() < 1e-7


def test_sinc_kernels_pass_low_frequencies_and_stop_high_ones():
    response = np.abs(np.fft.fft2(sinc_kernel(101, np.pi / 2), (256, 256)))[0]
    assert np.abs(response[:54] - 1).max() < 0.1 and response[74:128].max() < 0.1


@pytest.mark.parametrize("cutoff", [0, 4])
def test_a_cutoff_that_pixels_do_not_have_is_an_error(cutoff):
    with pytest.raises(ValueError, match="cutoff"):
        sinc_kernel(7, cutoff)
