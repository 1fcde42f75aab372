import numpy as np
import pytest

from gluon_enhance.imaging.arrays import (
    dtype_range,
    from_nchw,
    from_rgb,
    to_dtype,
    to_float,
    to_nchw,
    to_rgb,
)


@pytest.mark.parametrize("dtype, white", [(np.uint8, 255), (np.uint16, 65535)])
def test_every_integer_value_survives_the_way_to_float_and_back(dtype, white):
    values = np.arange(white + 1, dtype=dtype).reshape(16, -1)
    floats = to_float(values)
    assert floats.dtype == np.float32
    assert np.abs(floats - values / white).max() < 1e-7
    assert to_dtype(floats, dtype).dtype == dtype
    assert (to_dtype(floats, dtype) == values).all()


def test_big_endian_integers_are_scaled_as_native_ones():
    assert to_float(np.array([0, 65535], ">u2")).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_values_keep_their_range(dtype):
    floats = to_float(np.array([0, 0.25, 1], dtype))
    assert floats.dtype == np.float32 and floats.tolist() == [0, 0.25, 1]


def test_float32_is_not_copied():
    image = np.zeros((2, 2), np.float32)
    assert to_float(image) is image


@pytest.mark.parametrize(
    "image, message",
    [
        (np.array([0, np.nan, np.inf]), "NaN or infinity in 2 of 3 values"),
        (np.array([-0.5, 0.5]), r"float64 image spans \[-0.5, 0.5\]"),
        (np.array([0, 255], np.float32), r"float32 image spans \[0, 255\]"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\).*no pixel"),
        (np.zeros(3, np.int32), "int32"),
        (np.zeros(3, bool), "bool"),
        (np.zeros(3, np.uint32), "uint32"),
    ],
)
def test_images_that_are_not_in_a_known_range_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        to_float(image)


def test_to_dtype_rounds_half_to_even_and_never_truncates():
    levels = np.array([0.5, 1.5, 2.5, 254.4, 254.6]) / 255
    assert to_dtype(levels, np.uint8).tolist() == [0, 2, 2, 254, 255]


@pytest.mark.parametrize("dtype, white", [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
@pytest.mark.parametrize("source", [np.float16, np.float32, np.float64])
def test_to_dtype_clips_to_black_and_white(dtype, white, source):
    assert to_dtype(np.array([-3, 0, 1, 3, np.inf], source), dtype).tolist() == [
        0,
        0,
        white,
        white,
        white,
    ]


def test_to_dtype_leaves_its_input_alone():
    image = np.array([0.5, 2], np.float32)
    to_dtype(image, np.float32)[:] = 0
    to_dtype(image, np.uint8)
    assert image.tolist() == [0.5, 2]


@pytest.mark.parametrize(
    "image, dtype, message",
    [
        (np.array([0.5, np.nan]), np.uint8, "NaN in 1 of 2 values"),
        (np.array([1], np.uint8), np.uint16, "uint8"),
        (np.array([0.5]), np.int16, "int16"),
    ],
)
def test_to_dtype_refuses_what_has_no_pixel_value(image, dtype, message):
    with pytest.raises(ValueError, match=message):
        to_dtype(image, dtype)


def test_white_of_an_unknown_dtype_is_not_guessed():
    with pytest.raises(ValueError, match="int8"):
        dtype_range(np.int8)


def test_nchw_holds_the_pixels_channel_by_channel(rng):
    image = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    batch = to_nchw(image)
    assert batch.shape == (1, 3, 4, 5) and batch.dtype == np.float32
    assert batch.flags.c_contiguous
    assert batch[0, 2, 1, 3] == np.float32(image[1, 3, 2] / 255)
    assert (from_nchw(batch) == to_float(image)).all()


@pytest.mark.parametrize(
    "convert, shape",
    [
        (to_nchw, (4, 5)),
        (to_nchw, (4, 5, 4)),
        (from_nchw, (2, 3, 4, 5)),
        (from_nchw, (3, 4, 5)),
        (to_rgb, (4,)),
        (to_rgb, (4, 5, 5)),
        (to_rgb, (4, 5, 0)),
    ],
)
def test_other_layouts_are_refused_with_their_shape(convert, shape):
    with pytest.raises(ValueError) as error:
        convert(np.zeros(shape, np.float32))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
def test_every_layout_comes_back_from_rgb_and_alpha(channels, rng):
    shape = (4, 5) if channels is None else (4, 5, channels)
    image = rng.integers(0, 65536, shape, dtype=np.uint16)
    rgb, alpha = to_rgb(to_float(image))
    assert rgb.shape == (4, 5, 3)
    assert (alpha is None) == (channels not in (2, 4))
    assert (to_dtype(from_rgb(rgb, alpha, channels), np.uint16) == image).all()


def test_every_gray_level_stays_gray():
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    rgb, _ = to_rgb(to_float(levels))
    assert (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 0] == rgb[..., 2]).all()
    assert (to_dtype(from_rgb(rgb), np.uint16) == levels).all()


def test_gray_is_the_luma_of_the_channels():
    primaries = np.eye(3, dtype=np.float32)[None]
    assert from_rgb(primaries)[0].tolist() == pytest.approx([0.299, 0.587, 0.114])


def test_alpha_is_the_last_channel(rng):
    image = rng.random((4, 5, 4), dtype=np.float32)
    assert (to_rgb(image)[1] == image[..., 3]).all()
    assert (to_rgb(image[..., :2])[1] == image[..., 1]).all()


@pytest.mark.parametrize(
    "alpha, channels, message",
    [
        (None, 4, "alpha is absent for 4"),
        (np.zeros((4, 5)), 3, "alpha is given for 3"),
        (np.zeros((4, 5)), None, "alpha is given for None"),
        (np.zeros((5, 4)), 2, r"alpha has shape \(5, 4\), rgb \(4, 5, 3\)"),
        (None, 5, "channels is 5"),
    ],
)
def test_alpha_that_does_not_fit_the_layout_is_refused(alpha, channels, message):
    with pytest.raises(ValueError, match=message):
        from_rgb(np.zeros((4, 5, 3)), alpha, channels)
