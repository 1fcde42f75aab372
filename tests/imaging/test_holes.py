import numpy as np
import pytest

from gluon_enhance.imaging.nearest_fill import fill_hidden, fill_holes


def test_holes_get_the_nearest_valid_value_of_their_own_channel(rng):
    image = rng.random((20, 30, 2))
    valid = rng.random((20, 30, 2)) < 0.2
    result = fill_holes(image, valid)
    rows, columns = np.mgrid[:20, :30]
    for channel in range(2):
        own = valid[..., channel]
        assert np.array_equal(result[..., channel][own], image[..., channel][own])
        distances = np.hypot(rows[..., None] - rows[own], columns[..., None] - columns[own])
        # OpenCV's distances are approximate: a value from within 5% of the nearest one's.
        near = distances <= 1.05 * distances.min(axis=-1, keepdims=True) + 1e-9
        values = np.where(near, image[..., channel][own], np.nan)
        found = np.isclose(values, result[..., channel][..., None], rtol=0, atol=0)
        assert found.any(axis=-1).all()


def test_nothing_is_copied_where_all_is_valid_and_nothing_valid_gives_zeros(rng):
    image = rng.random((4, 5, 3))
    assert fill_holes(image, np.ones((4, 5, 3), bool)) is image
    assert not fill_holes(image, np.zeros((4, 5, 3), bool)).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [2, 4])
def test_what_is_hidden_gets_the_color_of_the_nearest_seen_pixel(rng, channels, dtype):
    image = rng.integers(1, 200, (70, 15, channels)).astype(dtype)
    image[..., -1] = rng.integers(1, 200, (70, 15)) * (rng.random((70, 15)) < 0.3)
    before, seen = image.copy(), image[..., -1] > 0
    result = fill_hidden(image)
    assert (image == before).all() and result.dtype == dtype
    assert (result[seen] == image[seen]).all() and (result[..., -1] == image[..., -1]).all()
    rows, columns = np.mgrid[:70, :15]
    for row, column in np.argwhere(~seen):
        distances = np.hypot(rows[seen] - row, columns[seen] - column)
        near = image[seen][distances <= 1.05 * distances.min() + 1e-9, :-1]
        assert (near == result[row, column, :-1]).all(axis=1).any()


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
def test_images_without_alpha_or_wholly_hidden_stay_as_they_are(rng, shape):
    image = np.zeros(shape)
    assert fill_hidden(image) is image
    hidden = np.dstack([rng.random((4, 5)), np.zeros((4, 5))])
    assert fill_hidden(hidden) is hidden
