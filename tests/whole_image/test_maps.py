import numpy as np
import pytest

from gluon_enhance.whole_image.maps import FeatureRows, merged_moments, row_moments

ROW_BYTES = 5 * 4 * 2


@pytest.mark.parametrize("memory", [0, 3 * ROW_BYTES + 1, 20 * ROW_BYTES])
def test_windows_come_back_from_memory_and_from_the_file(memory, rng):
    features = rng.integers(0, 1 << 16, (1, 8, 5, 4), dtype=np.uint16)
    kept = FeatureRows(features.shape[1:], features.dtype, memory, rows_ahead=2)
    for rows in (slice(5, 8), slice(0, 2), slice(2, 5)):
        for columns in (slice(2, 5), slice(0, 2)):
            kept.write((rows.start, columns.start), features[:, rows, columns])
    for start, stop in [(0, 8), (0, 3), (2, 4), (3, 8), (7, 8)]:
        for columns in (slice(0, 5), slice(1, 4)):
            window = slice(start, stop), columns
            assert (kept.read(*window) == features[(slice(None), *window)]).all()
    assert kept.held.nbytes == min(memory // ROW_BYTES, 10) * ROW_BYTES


@pytest.mark.parametrize("memory", [0, 3 * ROW_BYTES, 9 * ROW_BYTES, 20 * ROW_BYTES])
def test_features_in_the_place_of_others_leave_the_rows_that_are_still_read(memory, rng):
    maps = [rng.integers(0, 1 << 16, (1, 8, 5, 4), dtype=np.uint16) for _ in range(6)]
    all_columns = slice(0, 5)
    kept = FeatureRows((8, 5, 4), np.uint16, memory, rows_ahead=3)
    kept.write((0, 0), maps[0])
    for old, new in zip(maps, maps[1:]):
        other = kept.in_their_place()
        for row in range(8):
            left = slice(max(0, row - 2), 8)
            assert (kept.read(left, all_columns) == old[:, left]).all()
            other.write((row, 0), new[:, row : row + 1])
        kept = other
    assert (kept.read(slice(0, 8), all_columns) == maps[-1]).all()


@pytest.mark.parametrize("width", [40, 33])
@pytest.mark.parametrize("dtype", [np.float16, np.uint16])
def test_moments_are_those_in_float64(dtype, width, rng):
    values = rng.normal(np.linspace(-9, 9, 6), 0.3, (7, width, 6)).astype(np.float32)
    bits = values.view(np.uint32) >> 16 << 16  # bfloat16: the upper half of float32
    if dtype == np.uint16:
        rows, values = (bits >> 16).astype(np.uint16), bits.view(np.float32)
    else:
        values = rows = values.astype(np.float16)
    counts, means, variances = row_moments(rows)
    assert counts.shape == (7, 1) and (counts == width).all()
    values = values.astype(np.float64)
    np.testing.assert_allclose(means, values.mean(1), rtol=1e-6)
    np.testing.assert_allclose(variances, values.var(1), rtol=1e-3)


def test_moments_of_windows_of_other_sizes_come_to_those_of_the_whole(rng):
    values = rng.normal(np.linspace(-9, 9, 6), 0.3, (40, 30, 6)).astype(np.float16)
    windows = values[:25, :7], values[:25, 7:], values[25:]
    counts, means, variances = merged_moments(map(row_moments, windows))
    values = values.astype(np.float64)
    assert counts.tolist() == [[1200]]
    np.testing.assert_allclose(means, values.mean((0, 1))[None], rtol=1e-6)
    np.testing.assert_allclose(variances, values.var((0, 1))[None], rtol=1e-3)


def test_what_does_not_vary_has_no_variance():
    _, _, variances = row_moments(np.full((2, 1000, 3), 0.1, np.float16))
    assert (variances >= 0).all() and variances.max() < 1e-7
