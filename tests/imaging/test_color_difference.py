import numpy as np
import pytest
from skimage import color

from gluon_enhance.imaging.color_difference import delta_e_2000
from gluon_enhance.imaging.metrics import delta_e

#: Sharma, Wu and Dalal, 2005, table 1: L, a, b of both colors, and their difference.
PUBLISHED = np.array(
    [
        (50, 2.6772, -79.7751, 50, 0, -82.7485, 2.0425),
        (50, 3.1571, -77.2803, 50, 0, -82.7485, 2.8615),
        (50, 2.8361, -74.0200, 50, 0, -82.7485, 3.4412),
        (50, -1.3802, -84.2814, 50, 0, -82.7485, 1.0000),
        (50, -1.1848, -84.8006, 50, 0, -82.7485, 1.0000),
        (50, -0.9009, -85.5211, 50, 0, -82.7485, 1.0000),
        (50, 0, 0, 50, -1, 2, 2.3669),
        (50, -1, 2, 50, 0, 0, 2.3669),
        (50, 2.4900, -0.0010, 50, -2.4900, 0.0009, 7.1792),
        (50, 2.4900, -0.0010, 50, -2.4900, 0.0010, 7.1792),
        (50, 2.4900, -0.0010, 50, -2.4900, 0.0011, 7.2195),
        (50, 2.4900, -0.0010, 50, -2.4900, 0.0012, 7.2195),
        (50, -0.0010, 2.4900, 50, 0.0009, -2.4900, 4.8045),
        (50, -0.0010, 2.4900, 50, 0.0010, -2.4900, 4.8045),
        (50, -0.0010, 2.4900, 50, 0.0011, -2.4900, 4.7461),
        (50, 2.5, 0, 50, 0, -2.5, 4.3065),
        (50, 2.5, 0, 73, 25, -18, 27.1492),
        (50, 2.5, 0, 61, -5, 29, 22.8977),
        (50, 2.5, 0, 56, -27, -3, 31.9030),
        (50, 2.5, 0, 58, 24, 15, 19.4535),
        (50, 2.5, 0, 50, 3.1736, 0.5854, 1.0000),
        (50, 2.5, 0, 50, 3.2972, 0, 1.0000),
        (50, 2.5, 0, 50, 1.8634, 0.5757, 1.0000),
        (50, 2.5, 0, 50, 3.2592, 0.3350, 1.0000),
        (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
        (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
        (61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731),
        (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
        (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
        (36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
        (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
        (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
        (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
        (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
    ]
)


def test_the_published_pairs_have_their_published_differences():
    differences = delta_e_2000(PUBLISHED[:, :3], PUBLISHED[:, 3:6])
    np.testing.assert_allclose(differences, PUBLISHED[:, 6], atol=5.1e-5)


def test_differences_of_random_colors_equal_scikit_images(rng):
    first, second = rng.uniform((0, -110, -110), (100, 110, 110), (2, 5000, 3))
    first[:50, 1:] = 0  # gray
    expected = color.deltaE_ciede2000(first, second)
    np.testing.assert_allclose(delta_e_2000(first, second), expected, atol=1e-9)
    np.testing.assert_allclose(delta_e_2000(second, first), expected, atol=1e-9)


@pytest.mark.parametrize("dtype, white", [(np.uint8, 255), (np.uint16, 65535), (np.float64, 1)])
def test_the_mean_over_an_image_is_scikit_images(dtype, white, rng):
    image, reference = (rng.random((2, 301, 8, 3)) * white).astype(dtype)
    labs = (color.rgb2lab(x[3:-3, 3:-3] / white) for x in (image, reference))
    expected = color.deltaE_ciede2000(*labs).mean()
    assert delta_e(image, reference, crop_border=3) == pytest.approx(expected, abs=2e-3)


def test_gray_is_neutral(rng):
    image, reference = rng.integers(0, 256, (2, 20, 20), dtype=np.uint8)
    in_rgb = (np.dstack([x] * 3) for x in (image, reference))
    assert delta_e(image, reference) == delta_e(*in_rgb)
    assert delta_e(image, image) < 1e-12  # the rounding is NumPy's


def test_what_is_neither_gray_nor_rgb_is_refused():
    with pytest.raises(ValueError, match=r"\(9, 9, 4\)"):
        delta_e(np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 4), np.uint8))
