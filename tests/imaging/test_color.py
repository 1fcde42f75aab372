import numpy as np
import pytest
from skimage.color import rgb2ycbcr

from gluon_enhance.imaging.color import rgb_to_y


@pytest.mark.parametrize(
    "rgb, y",
    [
        ((0, 0, 0), 16),
        ((255, 255, 255), 235),
        ((255, 0, 0), 16 + 65.481),
        ((0, 255, 0), 16 + 128.553),
        ((0, 0, 255), 16 + 24.966),
        ((10, 20, 30), 16 + (65.481 * 10 + 128.553 * 20 + 24.966 * 30) / 255),
    ],
)
def test_y_of_8_bit_colors_follows_the_formula(rgb, y):
    assert rgb_to_y(np.array(rgb, np.uint8)) == pytest.approx(y, abs=1e-12)


def test_y_equals_scikit_image_and_is_not_rounded(rng):
    image = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    y = rgb_to_y(image)
    assert y.dtype == np.float64 and y.shape == (6, 7)
    assert np.allclose(y, rgb2ycbcr(image)[..., 0], atol=1e-10)


@pytest.mark.parametrize("dtype, white", [(np.uint16, 65535), (np.float32, 1), (np.float64, 1)])
def test_y_is_in_the_units_of_the_image(dtype, white):
    black_and_white = np.array([[0, 0, 0], [white] * 3], dtype)
    assert rgb_to_y(black_and_white) == pytest.approx([16 / 255 * white, 235 / 255 * white])


def test_a_data_range_overrides_the_dtype():
    assert rgb_to_y(np.full((1, 3), 255.0), data_range=255) == pytest.approx(235)


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((4, 5), np.uint8), r"\(4, 5\)"),
        (np.zeros((4, 5, 4), np.uint8), r"\(4, 5, 4\)"),
        (np.zeros((4, 5, 3), np.int64), "int64"),
    ],
)
def test_y_of_anything_but_rgb_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        rgb_to_y(image)
