import math

import numpy as np
import pytest

from gluon_enhance.data.source_noise import (
    BICUBIC_SIGMA,
    MAX_PATCHES,
    SourceDegradation,
    edge_sigma,
    noise_patches,
)
from gluon_enhance.imaging.resize import resize


def edge(sigma, size=160, angle=0.3):
    """A straight edge blurred by a Gaussian, in closed form, uint8."""
    y, x = np.mgrid[:size, :size] - size / 2
    distance = x * math.cos(angle) + y * math.sin(angle)
    step = np.vectorize(math.erf)(distance / (sigma * math.sqrt(2)))
    return np.repeat(np.rint(128 + 60 * step).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.5])
@pytest.mark.parametrize("angle", [0.0, 0.3, 0.8])
def test_the_blur_of_an_edge_is_estimated_to_a_tenth(sigma, angle):
    assert edge_sigma(edge(sigma, angle=angle)) == pytest.approx(sigma, rel=0.1)


def test_a_photo_without_edges_has_no_blur():
    assert edge_sigma(np.full((20, 20, 3), 7, np.uint8)) == 0


def test_a_bicubic_reduction_of_a_perfect_edge_has_the_constant_width():
    disc = np.hypot(*(np.mgrid[:600, :600] - 300.0)) < 220
    disc = np.repeat(np.where(disc, 200, 50).astype(np.uint8)[..., None], 3, axis=2)
    assert edge_sigma(resize(disc, 1 / 4)) == pytest.approx(BICUBIC_SIGMA, abs=0.02)


def test_noise_is_taken_from_flat_parts_of_middle_brightness(rng):
    photo = rng.normal(0, 3, (64, 256, 3))
    photo[:, :64] += 128 + np.linspace(-10, 10, 64)[:, None]  # flat but for a slope
    photo[:, 64:128] += 250  # too bright
    photo[:, 128:192] += rng.integers(50, 200, (64, 64, 3))  # texture
    photo[:, 192:] += 20  # too dark
    (noise,) = noise_patches(np.clip(np.rint(photo), 0, 255).astype(np.uint8), 64)
    assert noise.shape == (64, 64, 3) and noise.dtype == np.float32
    assert np.abs(noise.mean(axis=(0, 1))).max() < 1e-6
    assert noise.std() * 255 == pytest.approx(math.hypot(3, 12**-0.5), rel=0.03)
    assert np.abs(noise.mean(axis=(1, 2))).max() * 255 < 1.5


def test_a_flat_photo_does_not_give_more_noise_than_others(rng):
    photo = rng.integers(120, 125, (400, 400, 3), dtype=np.uint8)
    assert 1 < len(noise_patches(photo, 32)) <= MAX_PATCHES


def test_reductions_get_the_noise_and_the_blur_of_the_source(save, rng):
    photo = np.clip(edge(1.5, 256) + rng.normal(0, 2, (256, 256, 3)), 0, 255).astype(np.uint8)
    degrade = SourceDegradation([save("source.png", photo)], scale=2)
    flat = degrade(np.full((64, 64, 3), 0.5, np.float32), rng)
    assert flat.shape == (32, 32, 3)
    assert flat.std() * 255 == pytest.approx(2, rel=0.2)
    sharp = np.repeat(np.where(np.arange(128) < 64, 0.2, 0.8)[None, :, None], 128, axis=0)
    sharp = np.repeat(sharp, 3, axis=2).astype(np.float32)
    degrade.noises = [np.zeros((64, 64, 3), np.float32)]
    assert edge_sigma(np.rint(degrade(sharp, rng) * 255).astype(np.uint8)) == pytest.approx(
        degrade.sigmas[0], rel=0.1
    )


def test_photos_without_a_flat_part_are_an_error(paths):
    with pytest.raises(ValueError, match="no flat part of 64 pixels"):
        SourceDegradation(paths, 4)


def test_a_reduction_larger_than_the_noise_is_an_error(save, rng):
    flat = save("flat.png", np.clip(rng.normal(128, 2, (80, 80, 3)), 0, 255).astype(np.uint8))
    with pytest.raises(ValueError, match="72x72, its noise 64"):
        SourceDegradation([flat], 2)(np.zeros((144, 144, 3), np.float32), rng)
