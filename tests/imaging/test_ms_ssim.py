import tracemalloc

import numpy as np
import pytest
from scipy import ndimage, signal

from gluon_enhance.imaging.metrics import ms_ssim

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def noisy_pair(shape, rng, strength=25):
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    smooth = 128 + 80 * np.sin(rows / 9) * np.cos(columns / 6)
    smooth = smooth.reshape(smooth.shape + (1,) * (len(shape) - 2))
    noise = (rng.normal(0, sigma, shape) for sigma in (2, strength))
    return tuple(np.clip(smooth + n, 0, 255).astype(np.uint8) for n in noise)


def scipy_ms_ssim(a, b, shrinking):
    """The definition by SciPy's convolutions; with a shrinking window, of all channels at once."""
    a, b = (np.atleast_3d(x.astype(np.float64)) for x in (a, b))
    factors = []
    for level in range(len(WEIGHTS)):
        side = min(11, *a.shape[:2]) if shrinking else 11
        offsets = np.arange(side) - (side - 1) / 2
        window = np.exp(-(offsets**2) / (2 * (1.5 * side / 11) ** 2))
        window = np.outer(window, window)[..., None] / window.sum() ** 2

        def mean(x, window=window):
            return signal.fftconvolve(x, window, mode="valid", axes=(0, 1))

        ma, mb = mean(a), mean(b)
        covariance = mean(a * b) - ma * mb
        structure = (2 * covariance + 58.5225) / (
            mean(a * a) - ma**2 + mean(b * b) - mb**2 + 58.5225
        )
        luminance = (2 * ma * mb + 6.5025) / (ma**2 + mb**2 + 6.5025)
        last = level == len(WEIGHTS) - 1
        factors.append((luminance * structure if last else structure).mean(axis=(0, 1)))
        kernel = np.full((2, 2, 1), 0.25)
        a, b = (ndimage.convolve(x, kernel, mode="reflect")[::2, ::2] for x in (a, b))
    factors = np.array(factors)
    if shrinking:
        factors = factors.mean(axis=1, keepdims=True)
    return np.prod(factors ** np.array(WEIGHTS)[:, None], axis=0).mean()


@pytest.mark.parametrize("shape", [(161, 172), (177, 201, 3), (290, 163, 2)])
def test_wangs_form_equals_scipys_convolutions(shape, rng):
    pair = noisy_pair(shape, rng)
    assert ms_ssim(*pair) == pytest.approx(scipy_ms_ssim(*pair, shrinking=False), abs=1e-10)


@pytest.mark.parametrize("shape", [(100, 100, 3), (97, 131), (20, 300, 3)])
def test_the_form_of_dped_shrinks_its_window_and_averages_channels_first(shape, rng):
    pair = noisy_pair(shape, rng, strength=60)
    expected = scipy_ms_ssim(*pair, shrinking=True)
    assert ms_ssim(*pair, form="dped") == pytest.approx(expected, abs=1e-10)


def test_the_forms_differ_where_channels_do(rng):
    image, reference = noisy_pair((170, 170, 3), rng)
    image[..., 0] = rng.integers(0, 256, (170, 170))
    assert abs(ms_ssim(image, reference) - ms_ssim(image, reference, form="dped")) > 1e-3


def test_constant_images_differ_in_the_last_scales_luminance_alone():
    a, b = np.full((161, 161), 0.2), np.full((161, 161), 0.6)
    luminance = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ms_ssim(a, b) == pytest.approx(luminance**0.1333, abs=1e-9)


def test_a_negative_of_the_truth_scores_zero_not_nan(rng):
    image = rng.integers(0, 256, (170, 170), dtype=np.uint8)
    assert ms_ssim(255 - image, image) == 0


def test_y_and_the_border_are_as_of_ssim(rng):
    image, reference = noisy_pair((180, 180, 3), rng)
    weights = np.array([65.481, 128.553, 24.966]) / 255
    ys = [np.rint(16 + x.astype(np.float64) @ weights)[5:-5, 5:-5] for x in (image, reference)]
    expected = scipy_ms_ssim(*ys, shrinking=False)
    assert ms_ssim(image, reference, y_channel=True, crop_border=5) == pytest.approx(expected)


def test_what_cannot_be_scored_is_refused():
    image = np.zeros((160, 200), np.uint8)
    with pytest.raises(ValueError, match=r"160x200.*161x161.*dped"):
        ms_ssim(image, image)
    with pytest.raises(ValueError, match="form is 'mine'; choose one of wang, dped"):
        ms_ssim(image, image, form="mine")


def test_memory_is_a_few_bytes_a_pixel():
    image = np.zeros((2400, 300), np.uint8)
    tracemalloc.start()
    ms_ssim(image, image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * image.size  # whole float64 maps take over 80
