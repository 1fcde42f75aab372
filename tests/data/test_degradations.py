import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from gluon_enhance.data.degradations import (
    DEGRADATIONS,
    JohnsonReduction,
    PhoneLook,
    PhoneLooks,
    RealESRGANDegradation,
    make_degradation,
)
from gluon_enhance.data.distortions import sharpen
from gluon_enhance.data.held_out_photos import held_out_pairs
from gluon_enhance.data.real_esrgan import Numbers, read_numbers
from gluon_enhance.imaging.metrics import psnr
from gluon_enhance.imaging.resize import resize


@pytest.fixture
def image(picture):
    return np.tile(picture, (2, 3, 1))[:100, :100].astype(np.float32) / 255


@pytest.mark.parametrize(
    "degrade", [PhoneLook(), PhoneLooks(), RealESRGANDegradation(4), JohnsonReduction(4)]
)
def test_degradations_give_8_bit_values_that_the_generator_decides(degrade, image):
    one, same = (degrade(image, np.random.default_rng(5)) for _ in range(2))
    side = 100 if isinstance(degrade, (PhoneLook, PhoneLooks)) else 25
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


def test_casts_of_many_phones_go_in_both_directions_and_have_no_mean(rng):
    gray = np.full((16, 16, 3), 0.5, np.float32)
    colors = np.array([PhoneLooks(as_it_is=0)(gray, rng).mean(axis=(0, 1)) for _ in range(400)])
    warmth = colors[:, 0] - colors[:, 2]
    assert 0.4 < (warmth > 0).mean() < 0.6
    assert abs(warmth.mean()) < 0.005 < 0.015 < warmth.std()


def test_looks_of_phones_leave_a_share_of_the_photos_as_they_are(image, rng):
    looks = [PhoneLooks(as_it_is=0.25)(image, rng) for _ in range(200)]
    kept = [np.abs(look - image).max() < 1e-6 for look in looks]
    assert 0.15 < np.mean(kept) < 0.35
    assert not any(
        np.abs(PhoneLooks(as_it_is=0)(image, rng) - image).max() < 1e-6 for _ in range(20)
    )


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
    with pytest.raises(ValueError, match="'johnson', which has no numbers; mixed and realesrgan"):
        make_degradation("johnson", paths, 4, 16, Numbers())


NEUTRAL = """
kernel_list: [iso]
kernel_prob: [1]
sinc_prob: 0
blur_sigma: [0.01, 0.01]
resize_prob: [0, 0, 1]
gaussian_noise_prob: 1
noise_range: [0, 0]
jpeg_range: [100, 100]
second_blur_prob: 0
resize_prob2: [0, 0, 1]
gaussian_noise_prob2: 1
noise_range2: [0, 0]
jpeg_range2: [100, 100]
final_sinc_prob: 0
"""


def test_numbers_of_a_file_make_the_degradation(image, rng, tmp_path):
    """With none of its harm it is a reduction, but for the kernels of OpenCV and JPEG."""
    (tmp_path / "neutral.yml").write_text(NEUTRAL)
    smooth = cv2.GaussianBlur(image, (0, 0), 6.0)
    gray = np.repeat(smooth.mean(axis=2, keepdims=True), 3, axis=2)
    degrade = RealESRGANDegradation(4, read_numbers(tmp_path / "neutral.yml"))
    expected = resize(gray, 1 / 4)
    assert all(np.abs(degrade(gray, rng) - expected).max() < 3 / 255 for _ in range(10))

    (tmp_path / "noisy.json").write_text('{"noise_range2": [25, 25], "gray_noise_prob2": 1.0}')
    noisy = read_numbers(tmp_path / "noisy.json")
    assert noisy == Numbers(noise_range2=(25, 25), gray_noise_prob2=1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("noise_rnage: [1, 2]", "'noise_rnage'; did you mean noise_range"),
        ("noise_range: [30, 1]", "noise_range is .30, 1.; give two numbers from 0 on, the smaller"),
        ("noise_range2: [1, .inf]", "noise_range2 is .*; give two numbers"),
        ("resize_prob: [0.5, 0.6, 0.1]", "resize_prob is .*; give probabilities whose sum is 1"),
        ("resize_prob2: [0.5, 0.5]", "resize_prob2 has three numbers"),
        ("sinc_prob: 2", "sinc_prob is 2; give a probability"),
        ("final_sinc_prob: true", "final_sinc_prob is True; give a probability"),
        ("blur_kernel_size: 20", "blur_kernel_size is 20; give an odd number of pixels, 7 at"),
        ("kernel_list: [round]", "kernel_list is .*; give some of iso, aniso"),
        ("kernel_list2: [iso]", "give as many of kernel_list2 as of kernel_prob2"),
        ("- noise_range", "has no names with values"),
        ("a: [", "is neither YAML nor JSON"),
    ],
)
def test_wrong_numbers_are_refused_by_name_and_value(tmp_path, text, message):
    (tmp_path / "numbers.yml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_numbers(tmp_path / "numbers.yml")


def test_true_photos_are_sharpened_as_by_the_official_unsharp_mask(image):
    def blurred(array):  # OpenCV's sigma for a kernel of 51 pixels is 8
        for axis in (0, 1):
            array = gaussian_filter1d(array, 8.0, axis, mode="mirror", radius=25)
        return array

    exact = image.astype(np.float64)
    lost = exact - blurred(exact)
    share = blurred((np.abs(lost) * 255 > 10).astype(np.float64))
    expected = share * np.clip(exact + 0.5 * lost, 0, 1) + (1 - share) * exact
    assert np.abs(sharpen(image) - expected).max() < 1e-4
    assert np.abs(sharpen(image) - image).max() > 0.05
    faint = np.float32(0.5) + np.float32(0.03) * (image - image.mean())
    assert np.array_equal(sharpen(faint), faint)
