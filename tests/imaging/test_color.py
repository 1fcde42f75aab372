import numpy as np
import pytest
import skimage.color

from gluon_enhance.imaging.color import COLOR_SPACES, luv_to_rgb, rgb_to_y


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
    assert np.allclose(y, skimage.color.rgb2ycbcr(image)[..., 0], atol=1e-10)


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


@pytest.fixture
def colors(rng):
    """Random, gray and dark colors, and the corners of the cube, in [0, 1]."""
    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), axis=-1).reshape(-1, 3)
    grays = np.repeat(np.linspace(0, 1, 41)[:, None], 3, axis=1)
    return np.concatenate([corners, grays, rng.random((500, 3)), rng.random((100, 3)) / 100])


@pytest.mark.parametrize("name", COLOR_SPACES)
def test_color_spaces_equal_scikit_image(name, colors):
    expected = {
        "XYZ": skimage.color.rgb2xyz,
        "Lab": skimage.color.rgb2lab,
        "LUV": skimage.color.rgb2luv,
        "LCH": lambda rgb: skimage.color.lab2lch(skimage.color.rgb2lab(rgb)),
    }[name](colors)
    converted = COLOR_SPACES[name][0](colors)
    if name == "LCH":  # the hue of black is free
        converted, expected = converted[1:], expected[1:]
    # scikit-image rounds the constants of CIE to four digits.
    assert np.abs(converted - expected).max() < 5e-4


@pytest.mark.parametrize("name", COLOR_SPACES)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-7), (np.float32, 5e-5)])
def test_color_spaces_give_every_color_back(name, dtype, tolerance, colors):
    to_space, to_rgb = COLOR_SPACES[name]
    converted = to_space(colors.astype(dtype))
    back = to_rgb(converted)
    assert converted.dtype == back.dtype == dtype
    assert np.abs(back - colors).max() < tolerance


@pytest.mark.parametrize("name", COLOR_SPACES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_colors_outside_srgb_are_clipped_and_never_nan(name, dtype, rng):
    wild = (300 * rng.standard_normal((1000, 3))).astype(dtype)
    wild[:300, 0] = 0
    rgb = COLOR_SPACES[name][1](wild)
    assert rgb.min() == 0 and 1 - 1e-6 < rgb.max() <= 1


def test_luv_that_no_color_has_becomes_its_neighbor():
    v = 13 * 50 * (np.array([1e-3, 0, -1e-3]) - 9 / (np.array([1, 15, 3]) @ [0.95047, 1, 1.08883]))
    rgb = luv_to_rgb(np.stack([np.full(3, 50), np.zeros(3), v], axis=-1))
    assert (rgb == rgb[0]).all()


@pytest.mark.parametrize("name", COLOR_SPACES)
def test_black_is_black_in_every_color_space(name):
    to_space, to_rgb = COLOR_SPACES[name]
    black = to_space(np.zeros((1, 3)))
    assert np.abs(black).max() < 1e-10
    assert np.abs(to_rgb(black)).max() < 1e-10
