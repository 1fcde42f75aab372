"""Photos made to fit a format, against the formulas and Pillow's color management."""

import numpy as np
import pytest
from PIL import Image, ImageCms
from samples import DEEP, PICTURE

from gluon_enhance.photos import Photo, write_image
from gluon_enhance.photos.colors import as_rgb, flattened
from gluon_enhance.photos.sixteen_bits import with_depth


@pytest.mark.parametrize("pixels", [DEEP, (DEEP >> 8).astype(np.uint8)], ids=["16", "8"])
@pytest.mark.parametrize("color", [(255, 255, 255), (10, 0, 200)])
def test_flattened_is_the_mean_weighted_by_alpha(pixels, color):
    white = np.iinfo(pixels.dtype).max
    alpha = pixels[..., 3:].astype(np.float64) / white
    background = np.array(color) / 255 * white
    expected = alpha * pixels[..., :3] + (1 - alpha) * background
    result = flattened(Photo(pixels), color).pixels
    assert result.dtype == pixels.dtype
    assert np.abs(result - expected).max() <= 0.51


def test_gray_stays_gray_on_gray_and_becomes_rgb_on_a_color():
    pixels = np.array([[[100, 255], [100, 0]]], np.uint8)
    assert flattened(Photo(pixels), (255, 255, 255)).pixels.tolist() == [[100, 255]]
    on_red = flattened(Photo(pixels), (255, 0, 0)).pixels
    assert on_red.tolist() == [[[100, 100, 100], [255, 0, 0]]]


def test_photo_without_alpha_is_left_alone():
    photo = Photo(PICTURE)
    assert flattened(photo, (255, 255, 255)) is photo


def test_depth_is_converted_by_the_ratio_of_the_whites():
    values = np.array([[0, 128, 129, 32768, 65535]], np.uint16)
    assert with_depth(values, 8).tolist() == [[0, 0, 1, 128, 255]]
    assert with_depth(np.array([[0, 1, 255]], np.uint8), 16).tolist() == [[0, 257, 65535]]
    assert with_depth(np.array([[0, 0.5, 1]], np.float32), 16).tolist() == [[0, 32768, 65535]]
    assert with_depth(values, 16) is values


@pytest.mark.parametrize("channels", [1, 2])
def test_gray_is_written_to_webp_as_rgb(tmp_path, channels):
    gray = PICTURE[..., 0] if channels == 1 else PICTURE[..., :2]
    write_image(tmp_path / "a.webp", Photo(gray), lossless=True)
    with Image.open(tmp_path / "a.webp") as image:
        expected = Image.fromarray(gray).convert("RGB" if channels == 1 else "RGBA")
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


def gray_profile(gamma):
    """An ICC profile of gray pictures with a power for its curve."""
    import struct

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    start = 128 + 4 + 2 * 12
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x12s48x",
        start + len(white) + len(curve), b"none", 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp",
        white[8:],
    )  # fmt: skip
    table = struct.pack(">I4sII4sII", 2, b"wtpt", start, 20, b"kTRC", start + 20, 14)
    return header + table + white + curve


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_profile_of_gray_turns_into_srgb_with_the_look_kept(dtype):
    gray = np.linspace(0, np.iinfo(dtype).max, 64).astype(dtype)[None]
    photo = as_rgb(Photo(gray, icc_profile=gray_profile(1.0)))  # linear light
    light = np.linspace(0, 1, 64)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert photo.icc_profile is None and photo.pixels.dtype == dtype
    values = photo.pixels / np.iinfo(dtype).max
    assert np.abs(values[0, 8:] - srgb[8:, None]).max() < 1.5 / 255


def test_profile_of_rgb_stays(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = Photo(PICTURE, icc_profile=profile)
    assert as_rgb(photo) is photo


def test_gray_profile_that_fails_is_left_out_with_a_warning(caplog):
    junk = bytes(16) + b"GRAY" + bytes(100)
    photo = as_rgb(Photo(PICTURE[..., 0], icc_profile=junk))
    assert photo.icc_profile is None and "is left out" in caplog.text
    np.testing.assert_array_equal(photo.pixels, PICTURE[..., [0, 0, 0]])
