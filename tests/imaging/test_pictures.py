import numpy as np

from gluon_enhance.imaging.pictures import HEADING_HEIGHT, picture_table, side_by_side


def filled(value):
    return np.full((10, 60, 3), value, np.uint8)


def test_pictures_are_side_by_side_under_their_names():
    sheet = side_by_side({"input": filled(10), "truth": filled(20)})
    assert sheet.shape == (HEADING_HEIGHT + 10, 120, 3) and sheet.dtype == np.uint8
    assert np.array_equal(sheet[HEADING_HEIGHT:], np.hstack([filled(10), filled(20)]))
    headings = sheet[:HEADING_HEIGHT, :60], sheet[:HEADING_HEIGHT, 60:]
    assert all(heading.min() < 50 and heading[0].min() == 255 for heading in headings)
    assert not np.array_equal(*headings)


def test_rows_are_under_one_another_and_share_their_headings():
    sheet = picture_table([{"a": filled(1), "b": filled(2)}, {"a": filled(3), "b": filled(4)}])
    assert np.array_equal(sheet[:-10], side_by_side({"a": filled(1), "b": filled(2)}))
    assert np.array_equal(sheet[-10:], np.hstack([filled(3), filled(4)]))
