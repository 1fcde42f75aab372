import tracemalloc

import numpy as np
import pytest
from scipy import ndimage, special, stats

from gluon_enhance.imaging.metrics import NIQEModel, fit_niqe, niqe
from gluon_enhance.imaging.niqe import block_features, estimate_aggd
from gluon_enhance.imaging.resize import resize

SHAPES = np.arange(0.2, 10.0005, 0.001)
MOMENTS = special.gamma(2 / SHAPES) ** 2 / (special.gamma(1 / SHAPES) * special.gamma(3 / SHAPES))


def natural(shape, rng, blur=1.0):
    """Noise whose spectrum falls as that of photos does: uint8."""
    spectrum = np.fft.rfft2(rng.normal(size=shape))
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    plane = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / max(shape)), shape)
    plane = ndimage.gaussian_filter(plane, blur)
    return np.clip(128 + 50 * plane / plane.std(), 0, 255).astype(np.uint8)


def scipy_aggd(samples):
    """The estimator, with SciPy's gamma function."""
    left = np.sqrt(np.mean(samples[samples < 0] ** 2))
    right = np.sqrt(np.mean(samples[samples > 0] ** 2))
    ratio = left / right
    moments = np.mean(np.abs(samples)) ** 2 / np.mean(samples**2)
    moments *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = SHAPES[np.argmin(np.abs(MOMENTS - moments))]
    scale = np.sqrt(special.gamma(1 / shape) / special.gamma(3 / shape))
    return shape, left * scale, right * scale


def scipy_features(plane):
    """All blocks' features of a plane of whole blocks, by SciPy, on the whole image at once."""
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    result, deviations = [], None
    for side in (96, 48):
        mean = ndimage.correlate(plane, window, mode="nearest")
        deviation = np.sqrt(np.abs(ndimage.correlate(plane**2, window, mode="nearest") - mean**2))
        deviations = deviation if deviations is None else deviations
        normalized = (plane - mean) / (deviation + 1)
        rows = []
        for top in range(0, plane.shape[0], side):
            for left in range(0, plane.shape[1], side):
                block = normalized[top : top + side, left : left + side]
                shape, low, high = scipy_aggd(block.ravel())
                row = [shape, (low + high) / 2]
                for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
                    shape, low, high = scipy_aggd((block * np.roll(block, shift, (0, 1))).ravel())
                    mean_product = (
                        (high - low) * special.gamma(2 / shape) / special.gamma(1 / shape)
                    )
                    row += [shape, mean_product, low, high]
                rows.append(row)
        result.append(rows)
        padded = np.pad(plane, 16, mode="symmetric")
        plane = resize(padded, 0.5)[8:-8, 8:-8]
    sharpness = [
        deviations[top : top + 96, left : left + 96].mean()
        for top in range(0, deviations.shape[0], 96)
        for left in range(0, deviations.shape[1], 96)
    ]
    return np.concatenate(result, axis=1), np.array(sharpness)


@pytest.mark.parametrize("shape", [0.5, 1, 2, 4.5])
def test_the_estimator_finds_the_parameters_of_its_samples(shape, rng):
    left, right = 1.5, 0.6
    # The two sides' weights are in proportion to their scales.
    is_left = rng.random(400_000) < left / (left + right)
    samples = np.abs(stats.gennorm.rvs(shape, size=400_000, random_state=rng))
    samples = np.where(is_left, -left * samples, right * samples)
    estimate = np.concatenate(estimate_aggd(samples[None]))
    np.testing.assert_allclose(estimate, (shape, left, right), rtol=0.02)


def test_a_normal_sample_has_shape_two_and_the_scale_of_its_deviation(rng):
    shape, left, right = estimate_aggd(rng.normal(0, 3, (1, 400_000)))
    assert shape == pytest.approx(2, abs=0.02)
    assert [left, right] == pytest.approx([3 * np.sqrt(2)] * 2, rel=0.01)


def test_features_in_strips_equal_scipys_on_the_whole_image(rng):
    plane = natural((96 * 3, 96 * 2), rng)
    features, sharpness = block_features(np.pad(plane, ((0, 50), (0, 95))))
    expected, expected_sharpness = scipy_features(plane.astype(np.float64))
    np.testing.assert_allclose(features, expected, atol=1.1e-3)  # shapes may be a step apart
    np.testing.assert_allclose(sharpness, expected_sharpness, atol=1e-9)


def test_the_model_is_the_normal_distribution_of_the_sharp_blocks(rng):
    photos = [natural((384, 480), rng) for _ in range(3)]
    for photo in photos:  # three blocks that are not sharp
        photo[:96, :288] = ndimage.gaussian_filter(photo[:96, :288], 3)
    model = fit_niqe(photos)
    features, sharpness = zip(*(scipy_features(photo.astype(np.float64)) for photo in photos))
    chosen = np.concatenate([f[s > 0.75 * s.max()] for f, s in zip(features, sharpness)])
    assert 36 < len(chosen) <= 51
    np.testing.assert_allclose(model.mean, chosen.mean(axis=0), atol=5e-4)
    np.testing.assert_allclose(model.covariance, np.cov(chosen.T), atol=5e-4)


def test_the_distance_is_that_of_two_normal_distributions(rng):
    mean, root = rng.normal(size=36), rng.normal(size=(36, 36))
    model = NIQEModel(mean, root @ root.T + np.eye(36))
    image = natural((288, 192), rng)
    own, _ = scipy_features(image.astype(np.float64))
    difference = mean - own.mean(axis=0)
    spread = (model.covariance + np.cov(own.T)) / 2
    expected = np.sqrt(difference @ np.linalg.solve(spread, difference))
    assert niqe(image, model) == pytest.approx(expected, rel=1e-3)


def test_noise_and_blur_are_less_natural_than_more_of_the_same(rng):
    model = fit_niqe(natural((480, 480), rng) for _ in range(3))
    image = natural((384, 384), rng)
    noisy = np.clip(image + rng.normal(0, 25, image.shape), 0, 255).astype(np.uint8)
    blurred = ndimage.gaussian_filter(image, 2)
    assert 2 * niqe(image, model) < min(niqe(noisy, model), niqe(blurred, model))


def test_color_is_scored_by_rounded_y_and_the_border_is_left_out(rng):
    model = NIQEModel(np.zeros(36), np.eye(36))
    image = np.dstack([natural((210, 210), rng) for _ in range(3)])
    y = np.rint(16 + image @ (np.array([65.481, 128.553, 24.966]) / 255)).astype(np.uint8)
    assert niqe(image, model, crop_border=9) == niqe(y[9:-9, 9:-9], model)
    assert niqe(image.astype(np.uint16) * 257, model) == pytest.approx(niqe(image, model), rel=0.02)


def test_small_and_flat_images_are_refused(rng):
    model = NIQEModel(np.zeros(36), np.eye(36))
    with pytest.raises(ValueError, match=r"\(96, 191\).*two blocks of 96x96"):
        niqe(natural((96, 191), rng), model)
    with pytest.raises(ValueError, match="flat"):
        niqe(np.full((300, 300), 7, np.uint8), model)
    with pytest.raises(ValueError, match="hold .* sharp blocks.*more than 36"):
        fit_niqe([natural((200, 200), rng), np.zeros((20, 20), np.uint8)])


def test_memory_does_not_grow_with_the_height(rng):
    model, peaks = NIQEModel(np.zeros(36), np.eye(36)), []
    for height in (480, 1152):
        image = rng.integers(0, 255, (height, 192), dtype=np.uint8)
        tracemalloc.start()
        niqe(image, model)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]
