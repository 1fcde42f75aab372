import numpy as np
import pytest

from gluon_enhance.imaging.quantiles import Histogram, match_table

DTYPES = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float16, np.float64]


def histogram_of(*blocks):
    histogram = Histogram(blocks[0].dtype)
    for block in blocks:
        histogram.add(block)
    return histogram


@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_are_counted_as_their_whole(dtype, rng):
    low = 0 if np.dtype(dtype).kind == "u" else -100
    samples = rng.integers(low, 100, (30, 7)).astype(dtype)
    values, counts = histogram_of(samples[:4], samples[4:4], samples[4:21], samples[21:]).distinct()
    expected_values, expected_counts = np.unique(samples, return_counts=True)
    assert values.dtype == dtype
    assert (values == expected_values).all() and (counts == expected_counts).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_histogram_of_nothing_has_no_values(dtype):
    assert [len(part) for part in Histogram(dtype).distinct()] == [0, 0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_table_looks_up_blocks_of_any_shape(dtype):
    source, reference = np.array([1, 2, 2, 4], dtype), np.array([10, 20, 30, 40], dtype)
    table = match_table(histogram_of(source), histogram_of(reference))
    result = table.apply(np.array([[4, 1], [2, 2]], dtype))
    assert result.dtype == dtype and result.tolist() == [[40, 10], [30, 30]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_not_counted_take_the_target_of_the_next_one(dtype):
    table = match_table(
        histogram_of(np.array([5, 9], dtype)), histogram_of(np.array([50, 90], dtype))
    )
    assert table.apply(np.array([0, 5, 6, 9, 100], dtype)).tolist() == [50, 50, 90, 90, 90]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.complex64, bool])
def test_dtypes_that_cannot_be_matched_exactly_are_refused(dtype):
    with pytest.raises(ValueError, match=np.dtype(dtype).name):
        Histogram(dtype)


def test_tables_of_two_dtypes_are_refused():
    with pytest.raises(ValueError, match="source is float32, reference float64"):
        match_table(Histogram(np.float32), Histogram(np.float64))
