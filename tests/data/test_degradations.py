import cv2
import numpy as np
import pytest

from gluon_enhance.data.degradations import (
    DEGRADATIONS,
    JohnsonReduction,
    PhoneLook,
    RealESRGANDegradation,
    make_degradation,
)
from gluon_enhance.data.held_out_photos import held_out_pairs
from gluon_enhance.imaging.metrics import psnr
from gluon_enhance.imaging.resize import resize


@pytest.fixture
def image(picture):
    return np.tile(picture, (2, 3, 1))[:100, :100].astype(np.float32) / 255


@pytest.mark.parametrize("degrade", [PhoneLook(), RealESRGANDegradation(4), JohnsonReduction(4)])
def test_degradations_give_8_bit_values_that_the_generator_decides(degrade, image):
    one, same = (degrade(image, np.random.default_rng(5)) for _ in range(2))
    side = 100 if isinstance(degrade, PhoneLook) else 25
    assert one.shape == (side, side, 3) and one.dtype == np.float32
    assert np.array_equal(one, same)
    assert one.min() >= 0 and one.max() <= 1
    assert np.abs(one * 255 - np.rint(one * 255)).max() < 1e-4


def test_a_phone_look_without_faults_is_the_image(image, rng):
    look = PhoneLook((1, 1, 1), 1, 0, 1, 1, vignetting=0, sigma=0.1, noise=0, quality=100, jitter=0)
    # What remains is JPEG's halved color resolution.
    assert psnr(look(image, rng).mean(axis=2), image.mean(axis=2), data_range=1) > 34


def test_the_look_of_a_phone_is_the_same_but_for_a_little_jitter(rng):
    flat = np.full((48, 48, 3), (0.7, 0.5, 0.3), np.float32)
    look = PhoneLook(vignetting=0)
    colors = np.array([look(flat, rng).mean(axis=(0, 1)) for _ in range(50)])
    assert colors.std(axis=0).max() < 0.03
    luma = 0.299 * 0.7 * 1.05 + 0.587 * 0.5 * 0.98 + 0.114 * 0.3 * 0.87
    mixed = 0.78 * flat[0, 0] * (1.05, 0.98, 0.87) + 0.22 * luma
    assert np.allclose(colors.mean(axis=0), 0.04 + 0.87 * mixed**1.08, atol=0.01)


@pytest.mark.reference
def test_photos_look_about_21_db_worse_through_the_phone(reference_data):
    photos = sorted((reference_data / "photos").glob("*.jpg"))[::5]
    pairs = held_out_pairs(photos, 256, degrade=PhoneLook())
    assert 20 < np.mean([psnr(*pair) for pair in pairs]) < 22


def test_johnson_reduction_is_a_blur_and_a_bicubic_reduction(image, rng):
    blurred = cv2.GaussianBlur(image.astype(np.float64), (0, 0), 1.0)
    expected = np.clip(resize(blurred, 1 / 2), 0, 1)
    assert np.abs(JohnsonReduction(2)(image, rng) - expected).max() <= 0.6 / 255


def test_real_esrgan_degradations_differ_from_call_to_call_but_keep_the_scene(image, rng):
    smooth = cv2.GaussianBlur(image, (0, 0), 12.0)
    degrade = RealESRGANDegradation(4)
    results = [degrade(smooth, rng) for _ in range(40)]
    assert len({result.tobytes() for result in results}) == 40
    # The mean over calls loses the noise; flat scenes survive all the blurs.
    assert np.abs(np.mean(results, axis=0) - resize(smooth, 1 / 4))[3:-3, 3:-3].max() < 0.06


def test_the_degradations_of_the_scripts_are_made_by_name(paths, rng, save):
    flat = save("flat.png", np.clip(rng.normal(128, 2, (80, 80, 3)), 0, 255).astype(np.uint8))
    assert make_degradation("bicubic", [flat], 4, 72) is None
    for name in set(DEGRADATIONS) - {"bicubic"}:
        degrade = make_degradation(name, [flat], 4, 72)
        for size in (16, 72):
            image = np.full((4 * size, 4 * size, 3), 0.5, np.float32)
            assert degrade(image, rng).shape == (size, size, 3)
    with pytest.raises(ValueError, match="'rain'; choose one of bicubic"):
        make_degradation("rain", paths, 4, 16)
