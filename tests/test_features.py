import numpy as np
import pytest

from gluon_enhance.features import FeatureRows, row_moments

ROW_BYTES = 5 * 4 * 2


@pytest.mark.parametrize("memory", [0, 3 * ROW_BYTES + 1, 10 * ROW_BYTES])
def test_rows_come_back_from_memory_and_from_the_file(memory, rng):
    rows = rng.integers(0, 1 << 16, (1, 8, 5, 4), dtype=np.uint16)
    kept = FeatureRows(rows.shape[1:], rows.dtype, memory)
    for start, stop in [(5, 8), (0, 2), (2, 5)]:
        kept.write(start, rows[:, start:stop])
    for start, stop in [(0, 8), (0, 3), (2, 4), (3, 8), (7, 8)]:
        assert (kept.read(start, stop) == rows[:, start:stop]).all()
    assert kept.memory == min(memory // ROW_BYTES, 8) * ROW_BYTES


@pytest.mark.parametrize("width", [40, 33])
@pytest.mark.parametrize("dtype", [np.float16, np.uint16])
def test_moments_are_those_in_float64(dtype, width, rng):
    values = rng.normal(np.linspace(-9, 9, 6), 0.3, (7, width, 6)).astype(np.float32)
    bits = values.view(np.uint32) >> 16 << 16  # bfloat16: the upper half of float32
    if dtype == np.uint16:
        rows, values = (bits >> 16).astype(np.uint16), bits.view(np.float32)
    else:
        values = rows = values.astype(np.float16)
    means, variances = row_moments(rows)
    values = values.astype(np.float64)
    np.testing.assert_allclose(means, values.mean(1), rtol=1e-6)
    np.testing.assert_allclose(variances, values.var(1), rtol=1e-3)


def test_what_does_not_vary_has_no_variance():
    means, variances = row_moments(np.full((2, 1000, 3), 0.1, np.float16))
    assert (variances >= 0).all() and variances.max() < 1e-7
