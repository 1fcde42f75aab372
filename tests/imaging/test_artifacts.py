import io
import math

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from gluon_enhance.imaging.metrics import NIQEModel, blockiness, checkerboard, niqe, ringing
from gluon_enhance.imaging.resize import resize

MODEL = NIQEModel(np.zeros(36), np.eye(36))


def photo(height, width, rng):
    """Fine structure over slopes: uint8 RGB."""
    coarse = rng.integers(40, 210, (height // 16, width // 16, 3)).astype(np.float64)
    image = resize(coarse, (height, width)) + rng.normal(0, 6, (height, width, 1))
    return np.clip(image, 0, 255).astype(np.uint8)


def as_jpeg(image, quality):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def test_blocks_of_one_level_over_a_ramp_have_a_closed_form():
    ramp = np.arange(300.0)
    steps = ramp + 5 * (np.arange(300) // 8)  # 1 inside a block, 6 between two
    assert blockiness(steps + steps[:, None], data_range=255) == pytest.approx(6)
    assert blockiness(steps + 2 * ramp[:, None], data_range=255) == pytest.approx((6 + 1) / 2)


def test_what_jpeg_compresses_more_is_blockier_and_noise_has_no_blocks(rng):
    image = photo(256, 320, rng)
    scores = [blockiness(as_jpeg(image, quality)) for quality in (95, 40, 10)]
    assert blockiness(image) == pytest.approx(1, abs=0.05)
    assert sorted(scores) == scores and scores[2] > 2


def test_blocks_of_an_enlarged_jpeg_are_found_at_their_size_and_stay_under_a_border(rng):
    small = as_jpeg(photo(64, 64, rng), 10)
    large = resize(small, 4)
    assert blockiness(large, block=32) > 1.5 > blockiness(large, block=24)
    inner = large[8:-8, 8:-8]
    grown = np.pad(inner, ((8, 8), (8, 8), (0, 0)))  # what the border holds counts for nothing
    assert blockiness(large, block=32, crop_border=8) == blockiness(grown, block=32, crop_border=8)
    assert blockiness(large, block=32, crop_border=8) > 1.5


def test_blockiness_at_the_seams_of_bands_equals_the_whole_images(rng):
    image = photo(272, 64, rng)
    y = np.rint(16 + image @ (np.array([65.481, 128.553, 24.966]) / 255))
    ratios = []
    for plane in (y, y.T):
        steps = np.abs(np.diff(plane, axis=1)).mean(axis=0)
        at = np.arange(7, len(steps), 8)
        ratios.append(steps[at].mean() / np.delete(steps, at).mean())
    assert blockiness(image) == pytest.approx(np.mean(ratios))


def test_flat_images_have_no_blocks_and_pure_blocks_infinitely_many():
    assert blockiness(np.zeros((16, 16), np.uint8)) == 1
    levels = np.repeat(np.arange(4, dtype=np.uint8), 8)
    assert blockiness(levels + levels[:, None]) == math.inf


def test_images_of_less_than_two_blocks_are_refused():
    with pytest.raises(ValueError, match=r"\(30, 15\).*block 8"):
        blockiness(np.zeros((30, 15), np.uint8))


def test_checkerboard_of_noise_is_1_and_of_a_pure_pattern_the_ratio_of_the_areas(rng):
    noise = rng.normal(128, 9, (512, 640))
    assert checkerboard(noise, data_range=255) == pytest.approx(1, abs=0.03)
    pattern = np.tile(rng.normal(128, 9, (4, 4)), (32, 32))
    y, x = np.mgrid[:128, :128]
    high = np.hypot(np.minimum(y, 128 - y), np.minimum(x, 128 - x)) > 128 / 6
    bins = 9 * 15  # three by three for each multiple of 1 / 4 but for the mean
    assert checkerboard(pattern, data_range=255) == pytest.approx(high.sum() / bins)
    assert checkerboard(pattern, period=3, data_range=255) < 0.1


def test_a_faint_pattern_on_a_photo_is_found_at_its_period_alone(rng):
    image = photo(272, 320, rng)
    pattern = np.tile(rng.integers(-4, 5, (4, 4, 1)), (68, 80, 1))
    drawn = np.clip(image + pattern, 0, 255).astype(np.uint8)
    assert checkerboard(image) == pytest.approx(1, abs=0.1)
    assert checkerboard(drawn) > 10 * checkerboard(image)
    assert checkerboard(drawn[3:, 1:], crop_border=5) > 10
    assert checkerboard(drawn, period=5) == pytest.approx(1, abs=0.2)


def test_a_pattern_in_the_dark_counts_as_much_as_one_beside_strong_structure(rng):
    dark = np.tile(rng.normal(5, 1, (4, 4)), (32, 32))
    noise = rng.normal(128, 40, (128, 640))
    assert checkerboard(np.hstack([dark, noise]), data_range=255) > 5


def test_flat_images_have_no_checkerboard_and_small_ones_are_refused():
    assert checkerboard(np.full((32, 48, 3), 77, np.uint8)) == 0
    with pytest.raises(ValueError, match=r"\(40, 31\).*period 4"):
        checkerboard(np.zeros((40, 31), np.uint8))
    with pytest.raises(ValueError, match="period 1: .* from 2 to 16"):
        checkerboard(np.zeros((40, 31), np.uint8), period=1)


def naive_ringing(image, reference):
    """The definition, edge by edge; both are planes in levels of 255."""
    gradient = ndimage.sobel(reference, axis=1, mode="nearest")
    strength = np.abs(gradient)
    threshold = np.sqrt(4 * np.mean(gradient**2))
    difference = image - reference
    measures = []
    for r, c in np.ndindex(*reference.shape):
        row = [0, *strength[r], 0]
        if not (strength[r, c] > threshold and row[c] < strength[r, c] >= row[c + 2]):
            continue
        for step in (-1, 1):
            sign = -step * np.sign(gradient[r, c])
            end = c
            while (
                0 <= end + step < len(image[r])
                and sign * (image[r, end] - image[r, end + step]) > 0
            ):
                end += step
            far = min(max(c + 16 * step, 0), len(image[r]) - 1)
            span = difference[r, min(end, far) : max(end, far) + 1]
            width = (far - end) * step
            measures.append(width * (span.max() - span.min()) if width > 0 else 0)
    return np.mean(measures)


def test_ringing_equals_the_definition_edge_by_edge(rng):
    coarse = rng.integers(0, 2, (20, 5)) * 160.0 + 40
    reference = ndimage.gaussian_filter(np.kron(coarse, np.ones((8, 12))), 0.8)
    reference += rng.normal(0, 0.1, reference.shape)  # no two gradients are alike
    image = reference + rng.normal(0, 3, reference.shape)
    expected = naive_ringing(image, reference)
    assert expected > 10
    assert ringing(image, reference, data_range=255) == pytest.approx(expected)
    mirrored = ringing(image[:, ::-1], reference[:, ::-1], data_range=255)
    assert mirrored == pytest.approx(naive_ringing(image[:, ::-1], reference[:, ::-1]))


def test_one_wave_beside_one_edge_has_a_closed_form():
    reference = np.zeros((9, 60))
    reference[:, 30:] = 100
    image = reference.copy()
    image[:, 20] -= 7  # 10 pixels left of the edge, whose 9 pixels can tell it
    # The edge's gradient is as strong at 29 as at 30; it lies at 29, and ends at 29 and 30.
    left, right = 16 * 7, 15 * 0
    assert ringing(image, reference, data_range=255) == pytest.approx((left + right) / 2)


def test_sharpening_by_a_truncated_spectrum_rings_and_blur_rings_less():
    reference = np.kron([[0.2, 0.8, 0.3], [0.7, 0.2, 0.9]], np.ones((40, 40)))
    spectrum = np.fft.fft2(reference)
    low = np.abs(np.fft.fftfreq(80))[:, None] + 0 * np.fft.fftfreq(120) < 0.15
    low &= np.abs(np.fft.fftfreq(120)) < 0.15
    waves = np.fft.ifft2(spectrum * low).real
    blurred = ndimage.gaussian_filter(reference, 1.5)
    scores = [ringing(x, reference) for x in (reference, blurred, waves)]
    assert scores[0] == 0 and scores[2] > 3 * scores[1]


def test_a_reference_without_edges_has_no_ringing(rng):
    assert ringing(rng.random((20, 20)), np.full((20, 20), 0.5)) == 0


@pytest.mark.parametrize("metric", [blockiness, checkerboard, lambda image: niqe(image, MODEL)])
@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((200, 200, 4)), r"\(200, 200, 4\).*gray.*RGB"),
        (np.zeros(200), r"\(200,\)"),
        (np.zeros((0, 200)), r"\(0, 200\).*not empty"),
        (np.full((200, 200), np.nan), "NaN or infinity in 40,000 of 40,000 values"),
        (np.zeros((200, 200), int), "int64"),
    ],
)
def test_single_images_that_cannot_be_scored_are_refused(metric, image, message):
    with pytest.raises(ValueError, match=message):
        metric(image)


def test_a_negative_border_is_refused():
    for metric in (blockiness, checkerboard, lambda image, **border: niqe(image, MODEL, **border)):
        with pytest.raises(ValueError, match="crop_border is -3"):
            metric(np.zeros((200, 200)), crop_border=-3)
