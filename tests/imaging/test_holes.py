import numpy as np

from gluon_enhance.imaging.holes import fill_holes


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
