import numpy as np
import pytest
from skimage import exposure

import gluon_enhance as ge
from gluon_enhance.imaging import histogram
from gluon_enhance.imaging.arrays import to_float
from gluon_enhance.imaging.color import COLOR_SPACES
from gluon_enhance.imaging.histogram import match_histograms
from gluon_enhance.photos import read_image

DTYPES = [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64]
SPACES = list(COLOR_SPACES)


def sample(rng, shape, dtype, low=0, high=200):
    """A skewed picture of the dtype, with few distinct values, so that ranks tie."""
    values = low + (high - low) * rng.random(shape) ** 2
    if np.dtype(dtype).kind == "f":
        return (np.round(values) / 256).astype(dtype)
    return values.astype(dtype)


def by_definition(source, reference, proportion=1.0):
    """Match lists of numbers, as the definition reads; not rounded."""
    levels = sorted(set(reference.tolist()))
    quantiles = [np.mean(reference <= level) for level in levels]
    result = np.empty(source.shape)
    for i, value in enumerate(source.tolist()):
        quantile = np.mean(source <= value)
        above = next(k for k, q in enumerate(quantiles) if q >= quantile)
        target = levels[above]
        if above > 0:
            step = (quantile - quantiles[above - 1]) / (quantiles[above] - quantiles[above - 1])
            target = levels[above - 1] + step * (levels[above] - levels[above - 1])
        result[i] = value + proportion * (target - value)
    return result


def assert_close(result, expected):
    """Compare with unrounded values: integers within rounding, floats within their precision."""
    if result.dtype.kind == "f":
        precision = 4 * np.finfo(result.dtype).eps
        assert np.allclose(result, expected, rtol=precision, atol=precision)
    else:
        assert np.abs(result - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    "proportion, expected",
    [
        (1, [105, 105, 110, 175, 175, 175, 200, 250]),
        (0.5, [52.5, 52.5, 60, 97.5, 97.5, 97.5, 115, 145]),
    ],
)
def test_golden_values_of_rio_hist(proportion, expected):
    source = np.array([[0, 0, 10, 20, 20, 20, 30, 40]], np.float32)
    reference = np.array([[100, 110, 110, 120, 150, 200, 200, 250]], np.float32)
    matched = match_histograms(source, reference, match_proportion=proportion)
    assert matched.tolist() == [expected]
    rounded = match_histograms(
        source.astype(np.int16), reference.astype(np.int16), match_proportion=proportion
    )
    assert rounded.tolist() == [np.rint(expected).tolist()]  # 52.5 to 52, 97.5 to 98


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_channel_equals_scikit_image_before_rounding(dtype, rng):
    low = -150 if np.dtype(dtype).kind == "i" else 0
    source = sample(rng, (37, 41, 3), dtype, low, 90)
    reference = sample(rng, (23, 29, 3), dtype, low, 200)
    matched = match_histograms(source, reference)
    assert matched.dtype == dtype and matched.shape == source.shape
    for channel in range(3):
        expected = exposure.match_histograms(
            source[..., channel].astype(np.float64), reference[..., channel].astype(np.float64)
        )
        assert_close(matched[..., channel], expected)


def test_more_than_a_million_distinct_values_keep_all_their_bits(rng):
    """They lie next to each other in float32, and what they become does not: none may be joined."""
    ranks = rng.permutation(1_200_000).astype(np.float32).reshape(1000, 1200)
    source = (0.5 + ranks.astype(np.float64) * 2.0**-24).astype(np.float32)
    reference = rng.permutation(ranks.ravel()).reshape(1200, 1000)
    expected = exposure.match_histograms(source.astype(np.float64), reference.astype(np.float64))
    assert np.abs(expected - ranks).max() < 1e-3
    assert (match_histograms(source, reference) == ranks).all()


def test_photo_of_8_bits_equals_scikit_image_after_rounding(picture):
    reference = 255 - picture[::2, ::3] // 2
    expected = [exposure.match_histograms(picture[..., c], reference[..., c]) for c in range(3)]
    assert (match_histograms(picture, reference) == np.rint(np.dstack(expected))).all()


@pytest.mark.parametrize("proportion", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_masked_images_follow_the_definition_on_what_is_valid(dtype, proportion, rng):
    source, reference = sample(rng, (14, 17), dtype, 0, 60), sample(rng, (11, 9), dtype, 40, 200)
    source_mask, reference_mask = rng.random((14, 17)) < 0.6, rng.random((11, 9)) < 0.5
    matched = match_histograms(
        source,
        reference,
        match_proportion=proportion,
        source_mask=source_mask,
        reference_mask=reference_mask,
    )
    expected = by_definition(source[source_mask], reference[reference_mask], proportion)
    assert_close(matched[source_mask], expected)
    assert (matched[~source_mask] == source[~source_mask]).all()


def test_what_lies_under_a_mask_has_no_influence(rng, picture):
    mask = rng.random(picture.shape[:2]) < 0.5
    spoiled = np.where(mask[..., None], picture, 255 - picture)
    reference = picture[:, ::-1] // 2
    first, second = (match_histograms(p, reference, source_mask=mask) for p in (picture, spoiled))
    assert (first[mask] == second[mask]).all()
    first, second = (
        match_histograms(reference, p, reference_mask=mask) for p in (picture, spoiled)
    )
    assert (first == second).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_not_counted_and_stay(bad, rng):
    source = sample(rng, (12, 13, 3), np.float32)
    reference = sample(rng, (10, 11, 3), np.float32, 50, 250)
    holes, reference_holes = rng.random(source.shape) < 0.2, rng.random(reference.shape) < 0.2
    source[holes], reference[reference_holes] = bad, bad
    matched = match_histograms(source, reference)
    assert np.array_equal(matched[holes], source[holes], equal_nan=True)
    for channel in range(3):
        good, reference_good = ~holes[..., channel], ~reference_holes[..., channel]
        expected = by_definition(
            source[good, channel].astype(np.float64),
            reference[reference_good, channel].astype(np.float64),
        )
        assert_close(matched[good, channel], expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 1), (9, 8, 4)])
def test_image_matched_to_itself_or_by_nothing_stays_as_it_is(dtype, shape, rng):
    image = sample(rng, shape, dtype)
    assert (match_histograms(image, image.copy()) == image).all()
    assert (match_histograms(image, image // 2, match_proportion=0) == image).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
def test_extremes_of_the_dtype_are_reached_and_not_wrapped(dtype):
    limits = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    source = np.array([[3, 4, 5]], dtype)
    reference = np.array([[limits.min, 7, limits.max]], dtype)
    assert (match_histograms(source, reference) == reference).all()
    assert (match_histograms(reference, source) == source).all()


def test_result_is_a_copy_and_the_inputs_stay(picture):
    source, reference = picture.copy(), 255 - picture
    match_histograms(source, reference)[:] = 0
    assert (source == picture).all() and (reference == 255 - picture).all()


def test_arrays_of_any_memory_layout_and_byte_order_match_alike(picture):
    reference = 255 - picture // 2
    expected = match_histograms(picture, reference)
    bands_first = np.ascontiguousarray(picture.transpose(2, 0, 1)).transpose(1, 2, 0)
    assert (match_histograms(bands_first, reference) == expected).all()
    big_endian = match_histograms(picture.astype(">u2"), reference.astype("<u2"))
    assert big_endian.dtype == ">u2" and (big_endian == expected).all()


@pytest.mark.parametrize(
    "dtype, color_space",
    [
        (np.uint8, "RGB"),
        (np.int32, "RGB"),
        (np.float32, "RGB"),
        (np.uint8, "Lab"),
        (np.float32, "Lab"),
    ],
)
def test_working_in_blocks_changes_nothing(dtype, color_space, picture, rng, monkeypatch):
    mask = rng.random(picture.shape[:2]) < 0.7
    source, reference = (
        to_float(image) if dtype == np.float32 else image.astype(dtype)
        for image in (picture, 255 - picture // 2)
    )
    options = {"source_mask": mask, "color_space": color_space}
    whole = match_histograms(source, reference, **options)
    monkeypatch.setattr(histogram, "BLOCK", 150)
    assert (match_histograms(source, reference, **options) == whole).all()


@pytest.mark.parametrize("color_space", SPACES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_color_space_gives_an_image_matched_to_itself_back(color_space, dtype, rng):
    image = rng.integers(0, np.iinfo(dtype).max, (40, 30, 3), dtype=dtype, endpoint=True)
    image[0], image[1], image[2, :, 1:] = 0, np.iinfo(dtype).max, 0
    assert (match_histograms(image, image.copy(), color_space=color_space) == image).all()


@pytest.mark.parametrize("color_space", SPACES)
def test_channels_of_other_color_spaces_take_the_reference_s_distribution(color_space, rng):
    # Both images are mild, so that no matched color leaves sRGB and is clipped.
    source = (0.4 + 0.2 * rng.random((30, 40, 3))).astype(np.float32)
    reference = (0.45 + 0.2 * rng.random((30, 40, 3)) ** 1.2).astype(np.float32)
    to_space, _ = COLOR_SPACES[color_space]
    matched = match_histograms(source, reference, color_space=color_space)
    for channel in range(3):
        have, want = (
            np.sort(to_space(x.astype(np.float64))[..., channel], None)
            for x in (matched, reference)
        )
        assert np.allclose(have, want, atol=2e-3 * np.ptp(want))


def test_lab_follows_the_definition_made_of_scikit_image_parts(picture):
    from skimage.color import lab2rgb, rgb2lab

    reference = np.clip(picture[::2].astype(int) + [60, 20, -30], 0, 255).astype(np.uint8)
    matched = match_histograms(picture, reference, color_space="Lab")
    lab = exposure.match_histograms(rgb2lab(picture), rgb2lab(reference), channel_axis=-1)
    difference = matched.astype(int) - np.rint(255 * lab2rgb(lab))
    assert np.abs(difference).max() <= 1 and np.mean(difference != 0) < 0.02


@pytest.mark.parametrize("color_space", ["RGB", "Lab"])
def test_reference_of_another_depth_is_compared_by_its_share_of_white(picture, color_space):
    reference = 255 - picture // 2
    expected = match_histograms(picture, reference, color_space=color_space)
    deep = match_histograms(picture, reference * np.uint16(257), color_space=color_space)
    assert deep.dtype == np.uint8 and (deep == expected).all()
    floating = match_histograms(picture, reference / np.float32(255), color_space=color_space)
    difference = floating.astype(int) - expected  # where 0.5 is no longer a tie
    assert np.abs(difference).max() <= 1 and np.mean(difference != 0) < 0.02


def test_a_pixel_with_nan_in_one_channel_stays_whole_in_other_color_spaces(rng):
    source, reference = rng.random((2, 9, 8, 3), dtype=np.float32)
    source[2, 3, 1] = reference[4, 4, 0] = np.nan
    matched = match_histograms(source, reference, color_space="lab")
    assert np.array_equal(matched[2, 3], source[2, 3], equal_nan=True)
    assert np.isfinite(np.delete(matched.reshape(-1, 3), 2 * 8 + 3, axis=0)).all()


def test_color_spaces_heed_masks(rng, picture):
    mask = rng.random(picture.shape[:2]) < 0.5
    options = {"color_space": "LUV", "source_mask": mask, "reference_mask": mask}
    matched = match_histograms(picture, 255 - picture, **options)
    assert (matched[~mask] == picture[~mask]).all()
    column = match_histograms(picture[mask][None], 255 - picture[mask][None], color_space="LUV")
    assert (matched[mask] == column[0]).all()


GRAY, RGB = np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize(
    "source, reference, options, message",
    [
        (RGB, RGB, {"color_space": "HSV"}, "color_space is 'HSV'; choose RGB, LCH, Lab, LUV, XYZ"),
        (GRAY, GRAY, {"color_space": "Lab"}, r"shape \(4, 5\); Lab needs \(H, W, 3\)"),
        (RGB.astype(np.int16),) * 2 + ({"color_space": "Lab"}, "int16"),
        (RGB + 2.0, RGB + 2.0, {"color_space": "Lab"}, r"\[2, 2\]; need \[0, 1\]"),
        (GRAY, GRAY, {"match_proportion": 1.01}, "match_proportion is 1.01; need 0 to 1"),
        (GRAY, GRAY, {"match_proportion": -0.1}, "match_proportion is -0.1"),
        (GRAY, GRAY, {"match_proportion": np.nan}, "match_proportion is nan"),
        (GRAY, RGB, {}, r"source has shape \(4, 5\), reference \(4, 5, 3\)"),
        (GRAY, GRAY[0], {}, r"reference \(5,\)"),
        (GRAY[0], GRAY[0], {}, r"need \(H, W\)"),
        (GRAY, GRAY.astype(np.int16), {}, "source is uint8, reference int16; bring both to one"),
        (GRAY + 0.5, GRAY.astype(np.int32), {}, "source is float64, reference int32"),
        (GRAY.astype(bool), GRAY.astype(bool), {}, "bool"),
        (GRAY.astype(np.int64), GRAY.astype(np.int64), {}, "int64"),
        (GRAY, GRAY, {"source_mask": np.ones((5, 4), bool)}, r"source_mask is bool of .*\(5, 4\)"),
        (RGB, RGB, {"reference_mask": RGB == 0}, r"reference_mask .*\(4, 5, 3\); .*\(4, 5\)"),
        (GRAY, GRAY, {"source_mask": GRAY + 255}, "source_mask is uint8"),
        (GRAY, GRAY, {"source_mask": GRAY > 0}, "source has no valid value"),
        (GRAY, GRAY, {"reference_mask": GRAY > 0}, "reference has no valid value"),
        (RGB, RGB, {"reference_mask": GRAY > 0, "color_space": "LCH"}, "reference has no valid"),
        (GRAY + 1.0, GRAY + np.nan, {}, "reference has no valid value"),
        (GRAY[:0], GRAY, {}, "source has no valid value"),
        (np.ma.array(GRAY), GRAY, {}, "source is a masked array"),
    ],
)
def test_wrong_arguments_are_refused_by_name(source, reference, options, message):
    with pytest.raises(ValueError, match=message):
        match_histograms(source, reference, **options)


def test_the_function_is_public():
    assert ge.match_histograms is match_histograms


@pytest.mark.reference
@pytest.mark.parametrize("names", [("p000", "p001"), ("p008", "p014")])
def test_real_photos_equal_scikit_image(reference_data, names):
    source, reference = (
        read_image(reference_data / "photos" / f"{name}.jpg").pixels[::2, ::2] for name in names
    )
    matched = match_histograms(source, reference)
    for channel in range(3):
        expected = exposure.match_histograms(source[..., channel], reference[..., channel])
        assert (matched[..., channel] == np.rint(expected)).all()
