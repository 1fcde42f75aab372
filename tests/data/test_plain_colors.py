"""Shades of plain colors among the samples of a data set."""

import numpy as np
import pytest

from gluon_enhance.data.epochs import Turn
from gluon_enhance.data.plain_colors import with_plain_colors

SCALE = 2


def draw(rng, turn=None):
    """Draw noise, another for each sample that is due."""
    values = np.random.default_rng(rng.integers(99) if turn is None else turn.number)
    return tuple(values.random((3, side, side), np.float32) for side in (8, 16, 16))


def test_shades_of_plain_colors_are_the_same_picture_at_both_sizes_in_the_share_asked_for():
    draw_mixed, kinds = with_plain_colors(draw, 0.25), []
    for k in range(400):
        lr, taught, hr = draw_mixed(np.random.default_rng(k))
        assert lr.shape == (3, 8, 8) and hr.shape == taught.shape == (3, 16, 16)
        assert lr.dtype == taught.dtype == hr.dtype == np.float32
        if (taught == hr).all():
            means = hr.reshape(3, 8, SCALE, 8, SCALE).mean((2, 4))
            np.testing.assert_allclose(lr, means, atol=0.03)
            np.testing.assert_allclose(255 * lr, np.round(255 * lr), atol=1e-4)
            kinds.append(((hr[0] == hr[1]).all(), np.ptp(hr[0]) == 0))
    assert 70 < len(kinds) < 130
    gray, plain = np.mean(kinds, 0)
    assert 0.2 < gray < 0.5 and 0.35 < plain < 0.65
    assert with_plain_colors(draw, 0)(np.random.default_rng(0))[0].shape == (3, 8, 8)


def test_some_shades_are_all_black_all_white_or_a_pure_color():
    draw_mixed, counts = with_plain_colors(draw, 1), dict.fromkeys(("black", "white", "pure"), 0)
    for k in range(400):
        _, _, hr = draw_mixed(np.random.default_rng(k))
        if np.ptp(hr, axis=(1, 2)).any() or not np.isin(hr, (0, 1)).all():
            continue
        kind = {0: "black", 3: "white"}.get(hr[:, 0, 0].sum(), "pure")
        counts[kind] += 1
    assert all(8 < count < 60 for count in counts.values()), counts


@pytest.mark.parametrize("share", [0, 0.25])
def test_shades_of_plain_colors_leave_the_samples_that_are_due_by_epochs(share):
    draw_mixed, are_due = with_plain_colors(draw, share), []
    for number in range(40):
        rng, turn = np.random.default_rng(number), Turn(seed=0, number=number)
        expected = draw(np.random.default_rng(number), turn)
        drawn = draw_mixed(rng, turn)
        are_due.append(all(map(np.array_equal, drawn, expected)))
    assert all(are_due) if share == 0 else 20 < sum(are_due) < 40
