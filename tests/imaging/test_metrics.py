import math
import tracemalloc

import numpy as np
import pytest
from skimage import metrics as skimage_metrics

from gluon_enhance.imaging.metrics import psnr, ssim
from gluon_enhance.imaging.resize import resize

WHITE = {np.uint8: 255, np.uint16: 65535, np.float32: 1, np.float64: 1}


def noisy_pair(dtype, shape, rng):
    """A smooth image and the same with noise, both within the dtype's range."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    smooth = 0.5 + 0.3 * np.sin(rows / 7) * np.cos(columns / 5)
    smooth = smooth.reshape(smooth.shape + (1,) * (len(shape) - 2))
    pair = (np.clip(smooth + rng.normal(0, s, shape), 0, 1) for s in (0.02, 0.08))
    return tuple((x * WHITE[dtype]).astype(dtype) for x in pair)


def skimage_ssim(image, reference, data_range):
    _, full = skimage_metrics.structural_similarity(
        image,
        reference,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=data_range,
        channel_axis=2 if image.ndim == 3 else None,
        full=True,
    )
    return full[5:-5, 5:-5].mean()


def brute_force_ssim(image, reference, data_range):
    """The definition, window by window."""
    offsets = np.mgrid[-5:6, -5:6]
    window = np.exp(-(offsets**2).sum(axis=0) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for top in range(image.shape[0] - 10):
        for left in range(image.shape[1] - 10):
            a, b = (x[top : top + 11, left : left + 11] for x in (image, reference))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            variance_a = (window * (a - mean_a) ** 2).sum()
            variance_b = (window * (b - mean_b) ** 2).sum()
            covariance = (window * (a - mean_a) * (b - mean_b)).sum()
            c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
            values.append(
                (2 * mean_a * mean_b + c1)
                * (2 * covariance + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))
            )
    return np.mean(values)


def test_psnr_of_equal_images_is_infinite_and_ssim_is_one(picture):
    assert psnr(picture, picture) == math.inf
    assert ssim(picture, picture) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("difference", [1, 5, 255])
def test_psnr_of_a_constant_difference_has_a_closed_form(difference):
    black = np.zeros((9, 7, 3), np.uint8)
    expected = 20 * math.log10(255 / difference)
    # In uint8 arithmetic 0 - 5 would wrap to 251.
    assert psnr(black, black + np.uint8(difference)) == pytest.approx(expected, abs=1e-10)


def test_ssim_of_constant_images_has_a_closed_form():
    a, b = np.full((16, 20), 0.2), np.full((16, 20), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("dtype", list(WHITE))
@pytest.mark.parametrize("shape", [(40, 33), (40, 33, 3), (300, 21, 1)])
def test_metrics_equal_scikit_image(dtype, shape, rng):
    pair = noisy_pair(dtype, shape, rng)
    white = WHITE[dtype]
    expected = skimage_metrics.peak_signal_noise_ratio(pair[1], pair[0], data_range=white)
    assert psnr(*pair) == pytest.approx(expected, abs=1e-5 if dtype is np.float32 else 1e-9)
    as_float64 = (x.astype(np.float64) for x in pair)
    assert ssim(*pair) == pytest.approx(skimage_ssim(*as_float64, white), abs=1e-9)


@pytest.mark.parametrize("height", [11, 127, 130, 138, 139])
def test_ssim_equals_the_definition_where_bands_end(height, rng):
    image, reference = noisy_pair(np.float64, (height, 14), rng)
    assert ssim(image, reference) == pytest.approx(brute_force_ssim(image, reference, 1), abs=1e-12)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_border_is_left_out_at_every_side(metric, picture, rng):
    noise = rng.integers(0, 256, picture.shape, dtype=np.uint8)
    noise[4:-4, 4:-4] = picture[4:-4, 4:-4] ^ 1
    inside = metric(picture[4:-4, 4:-4], noise[4:-4, 4:-4])
    assert metric(picture, noise, crop_border=4) == inside
    assert metric(picture, noise, crop_border=3) < inside


@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize("dtype", list(WHITE))
def test_y_channel_scores_y_against_the_full_range(metric, dtype, rng):
    image, reference = noisy_pair(dtype, (30, 25, 3), rng)
    white = WHITE[dtype]
    weights = np.array([65.481, 128.553, 24.966]) / 255
    ys = [16 + (x.astype(np.float64) * (255 / white)) @ weights for x in (image, reference)]
    if dtype == np.uint8:  # as MATLAB's rgb2ycbcr
        ys = [np.rint(y) for y in ys]
    expected = metric(*ys, data_range=255)
    assert metric(image, reference, y_channel=True) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_scores_do_not_depend_on_the_units(metric, rng):
    pair = noisy_pair(np.uint8, (24, 24, 3), rng)
    in_units = [x / 255 for x in pair]
    assert metric(*pair) == pytest.approx(metric(*in_units), abs=1e-9)
    of_255 = [x.astype(np.float64) for x in pair]
    assert metric(*pair) == pytest.approx(metric(*of_255, data_range=255))
    y_scores = metric(*in_units, y_channel=True), metric(*of_255, data_range=255, y_channel=True)
    assert y_scores[0] == pytest.approx(y_scores[1])


GRAY, RGB = np.zeros((20, 12), np.uint8), np.zeros((20, 12, 3), np.uint8)


@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize(
    "image, reference, options, message",
    [
        (GRAY, GRAY[:, :11], {}, r"\(20, 12\).*\(20, 11\)"),
        (GRAY, GRAY.astype(np.uint16), {}, "uint8.*uint16"),
        (GRAY, GRAY, {"crop_border": 6}, r"crop_border is 6.*\(20, 12\)"),
        (GRAY, GRAY, {"crop_border": -1}, "crop_border is -1"),
        (GRAY, GRAY, {"data_range": 0}, "data_range is 0"),
        (GRAY, GRAY, {"data_range": float("nan")}, "data_range is nan"),
        (GRAY, GRAY, {"y_channel": True}, r"\(20, 12\).*RGB"),
        (GRAY.astype(int), GRAY.astype(int), {}, "int64"),
        (GRAY.astype(bool), GRAY.astype(bool), {"data_range": 1}, "bool"),
        (RGB[:0], RGB[:0], {}, r"\(0, 12, 3\)"),
        (GRAY / 1.0, GRAY + np.nan, {}, "reference has NaN or infinity in 240 of 240"),
    ],
)
def test_pairs_that_cannot_be_scored_are_refused(metric, image, reference, options, message):
    with pytest.raises(ValueError, match=message):
        metric(image, reference, **options)


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(ValueError, match=r"18x10.*\(20, 12\).*crop_border 1.*11x11"):
        ssim(GRAY, GRAY, crop_border=1)


@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_memory_does_not_grow_with_the_height(metric, dtype):
    peaks = []
    for height in (500, 4000):
        image = np.zeros((height, 200, 3), dtype)
        tracemalloc.start()
        metric(image, image, y_channel=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


@pytest.mark.reference
@pytest.mark.parametrize("scale, published", [(2, 33.645), (3, 30.388), (4, 28.419)])
def test_set5_bicubic_has_the_published_psnr(reference_data, scale, published):
    """Enlarged in floating point and rounded once."""
    from PIL import Image

    scores = []
    for path in sorted((reference_data / f"sets/Set5/x{scale}/hr").iterdir()):
        hr = np.array(Image.open(path).convert("RGB"))
        lr = np.array(Image.open(path.parents[1] / "lr" / path.name).convert("RGB"))
        sr = np.rint(np.clip(resize(lr.astype(np.float64), scale), 0, 255)).astype(np.uint8)
        scores.append(psnr(sr, hr, crop_border=scale, y_channel=True))
    assert np.mean(scores) == pytest.approx(published, abs=1e-3)
