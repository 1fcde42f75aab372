import io

import numpy as np
import pytest
from PIL import Image

from gluon_enhance.data import distortions
from gluon_enhance.data.blur_kernels import gaussian_kernel

GRAY = np.full((256, 256, 3), 0.5, np.float32)


def test_blur_of_a_point_is_the_gaussian():
    point = np.zeros((41, 41, 3), np.float32)
    point[20, 20] = 1
    offsets = np.arange(41) - 20
    profile = np.exp(-(offsets**2) / (2 * 1.7**2))
    expected = np.outer(profile, profile) / profile.sum() ** 2
    assert np.abs(distortions.blur(point, 1.7) - expected[..., None]).max() < 2e-5
    by_kernel = distortions.blur_with(point, gaussian_kernel(21, 1.7))
    assert np.abs(by_kernel - expected[..., None]).max() < 2e-5


def test_blurs_keep_a_flat_image_up_to_its_edges():
    for blurred in (
        distortions.blur(GRAY, 2.0),
        distortions.blur_with(GRAY, gaussian_kernel(21, 3.0)),
    ):
        assert np.abs(blurred - 0.5).max() < 1e-6


@pytest.mark.parametrize("gray", [False, True])
def test_gaussian_noise_has_its_mean_and_deviation(rng, gray):
    noise = distortions.add_gaussian_noise(GRAY, 0.05, rng, gray) - GRAY
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 1e-3 and noise.std() == pytest.approx(0.05, rel=0.02)
    correlation = np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]
    assert correlation == pytest.approx(float(gray), abs=0.02)


@pytest.mark.parametrize("gray", [False, True])
def test_poisson_noise_has_the_variance_of_counted_photons(rng, gray):
    for value in (0.1, 0.5):
        image = np.full_like(GRAY, value)
        noise = distortions.add_poisson_noise(image, 0.5, rng, gray) - image
        assert abs(noise.mean()) < 1e-3
        assert noise.std() == pytest.approx(0.5 * np.sqrt(value / 256), rel=0.02)
        correlation = np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]
        assert correlation == pytest.approx(float(gray), abs=0.02)


def test_noise_stays_in_range(rng):
    image = np.stack([np.zeros((8, 8)), np.ones((8, 8)), np.ones((8, 8))], -1).astype(np.float32)
    for add in (distortions.add_gaussian_noise, distortions.add_poisson_noise):
        noisy = add(image, 2.0, rng)
        assert noisy.min() >= 0 and noisy.max() <= 1


@pytest.mark.parametrize("quality", [30, 90])
def test_jpeg_is_what_pillow_makes_of_it(picture, quality):
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=quality, subsampling="4:2:0")
    expected = np.array(Image.open(data)).astype(int)
    result = distortions.jpeg((picture / 255).astype(np.float32), quality)
    assert result.dtype == np.float32
    assert np.abs(np.rint(result * 255) - expected).max() <= 1


def test_saturation_moves_colors_to_their_luma():
    red = np.zeros((1, 1, 3), np.float32)
    red[..., 0] = 1
    half = distortions.mix_colors(red, distortions.saturation_matrix(0.5))
    assert np.allclose(half, [0.6495, 0.1495, 0.1495])
    assert np.array_equal(distortions.mix_colors(red, distortions.saturation_matrix(1.0)), red)


def test_corners_of_a_whole_photo_are_darker_by_the_strength(rng):
    frame = np.ones((*distortions.FRAME, 3), np.float32)
    result = distortions.vignette(frame, 0.2, rng)
    assert result[0, 0, 0] == pytest.approx(0.8, abs=1e-3)
    assert result[-1, -1, 2] == pytest.approx(0.8, abs=1e-3)
    assert result[768, 1024, 1] == pytest.approx(1, abs=1e-3)


def test_a_patch_is_darkened_as_a_part_of_a_photo(rng):
    patches = [distortions.vignette(np.ones((64, 64, 3), np.float32), 0.2, rng) for _ in range(300)]
    means = [patch.mean() for patch in patches]
    # Over the frame, the squared distance has a third of its greatest value.
    assert np.mean(means) == pytest.approx(1 - 0.2 / 3, abs=0.01)
    assert max(np.ptp(patch) for patch in patches) < 0.03
