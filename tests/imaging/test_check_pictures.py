"""What the pictures show, by what a photo has not: extremes, lines, dots, slopes and flat areas."""

import numpy as np
import pytest

from gluon_enhance.imaging.check_pictures import SIDE, agreement, check_pictures


@pytest.mark.parametrize("variant", [0, 1, 5])
def test_pictures_are_float32_within_range_and_the_same_every_time(variant):
    pictures, again = check_pictures(variant), check_pictures(variant)
    assert set(pictures) == {"photo", "text", "hatch", "halftone", "sky", "grays"}
    for kind, picture in pictures.items():
        assert picture.shape == (3, SIDE, SIDE) and picture.dtype == np.float32
        assert 0 <= picture.min() < picture.max() <= 1
        assert np.array_equal(picture, again[kind])


@pytest.mark.parametrize("variant", [0, 3])
def test_each_shows_its_kind(variant):
    pictures = check_pictures(variant)
    for kind in ("text", "hatch", "halftone"):
        assert len(np.unique(pictures[kind])) == 2 and np.ptp(pictures[kind], axis=0).max() == 0
    hatch = pictures["hatch"][0]
    assert np.array_equal(hatch[1:, :-1], hatch[:-1, 1:])  # lines from the lower left
    shares = pictures["halftone"][0].reshape(SIDE, 6, -1).mean(axis=(0, 2))
    assert shares[0] > 0.7 and shares[-1] < 0.3 and (np.diff(shares) < 0.05).all()
    steps = np.abs(np.diff(pictures["sky"], axis=1))
    assert steps.min() > 0 and steps.max() < 2 / 255 and not np.diff(pictures["sky"], axis=2).any()
    assert len(np.unique(pictures["grays"])) == 4 and np.ptp(pictures["grays"], axis=0).max() == 0


def test_variants_are_other_pictures():
    for kind, picture in check_pictures(1).items():
        assert not np.array_equal(picture, check_pictures(0)[kind])


@pytest.mark.parametrize("value, db", [(0.1, 20), (1e-9, 120), (np.nan, 0), (7.0, 0)])
def test_agreement_is_the_psnr_of_what_is_seen(value, db):
    a = np.zeros((1, 3, 4, 5), np.float32)
    assert agreement(a, a + np.float32(value)) == pytest.approx(db, abs=1e-4)
    assert agreement(a - 3, a) == 120
