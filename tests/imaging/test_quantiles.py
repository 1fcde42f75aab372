import numpy as np
import pytest

from gluon_enhance.imaging import quantiles
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
def test_values_not_counted_lie_between_the_targets_of_their_neighbors(dtype):
    table = match_table(
        histogram_of(np.array([5, 9], dtype)), histogram_of(np.array([50, 90], dtype))
    )
    assert table.apply(np.array([0, 5, 6, 9, 100], dtype)).tolist() == [50, 50, 60, 90, 90]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.complex64, bool])
def test_dtypes_that_cannot_be_matched_exactly_are_refused(dtype):
    with pytest.raises(ValueError, match=np.dtype(dtype).name):
        Histogram(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint32])
def test_more_values_than_the_limit_lose_as_few_bits_as_it_takes(dtype, rng, monkeypatch):
    monkeypatch.setattr(quantiles, "LIMIT", 1000)
    samples = (rng.normal(size=30_000) * 1e6).astype(dtype)
    histogram = histogram_of(samples)
    values, counts = histogram.distinct()
    assert 500 < len(values) <= 1000 and counts.sum() == 30_000
    assert (values[0], values[-1]) == (samples.min(), samples.max())
    integers = samples.view(f"i{samples.itemsize}") >> (histogram.lost_bits - 1)
    assert len(np.unique(integers)) > 1000


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_an_exact_histogram_keeps_every_value_of_every_block(dtype, rng, monkeypatch):
    monkeypatch.setattr(quantiles, "LIMIT", 500)
    samples = (rng.normal(size=20_000) * 1e6).astype(dtype)
    histogram = Histogram(dtype, exact=True)
    for block in np.array_split(samples, 37):
        histogram.add(block)
    assert histogram.lost_bits == 0
    expected = np.unique(samples, return_counts=True)
    assert all((a == b).all() for a, b in zip(histogram.distinct(), expected))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_order_and_size_of_blocks_do_not_matter_where_bits_are_lost(dtype, rng, monkeypatch):
    monkeypatch.setattr(quantiles, "LIMIT", 500)
    samples = (rng.normal(size=20_000) * 1e4).astype(dtype)
    whole = histogram_of(samples)
    parts = histogram_of(*np.array_split(samples[::-1], 37))
    assert whole.lost_bits == parts.lost_bits > 0
    assert all((a == b).all() for a, b in zip(whole.distinct(), parts.distinct()))
    parts.add(samples[:0])
    assert all((a == b).all() for a, b in zip(whole.distinct(), parts.distinct()))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_histograms_of_parts_merge_to_that_of_the_whole(dtype, rng, monkeypatch):
    monkeypatch.setattr(quantiles, "LIMIT", 500)
    samples = np.abs(rng.normal(size=20_000) * 1e4).astype(dtype)
    few, many, none = histogram_of(samples[:300]), histogram_of(samples[300:]), Histogram(dtype)
    for order in ([few, many, none], [none, many, few]):
        merged = Histogram(dtype)
        for part in order:
            merged.merge(part)
        assert all(map(np.array_equal, merged.distinct(), histogram_of(samples).distinct()))
        assert merged.lost_bits == histogram_of(samples).lost_bits


@pytest.mark.parametrize("low, high", [(0, 1), (-3, 2), (100, 101)])
def test_targets_are_off_by_less_than_two_steps_of_the_last_bit_kept(low, high, rng, monkeypatch):
    monkeypatch.setattr(quantiles, "LIMIT", 4000)
    source = rng.uniform(low, high, 50_000).astype(np.float32)
    reference = (5 + 2 * source[::-1]).astype(np.float32)
    histograms = histogram_of(source), histogram_of(reference)
    result = match_table(*histograms).apply(source)
    steps = 2.0 ** np.array([histogram.lost_bits - 23 for histogram in histograms])
    assert (steps > 2**-20).all()
    bound = 2 * 2 * np.abs(source) * steps[0] + 2 * reference.max() * steps[1]
    assert (np.abs(result - (5 + 2 * source.astype(np.float64))) < bound).all()


def test_an_image_matched_to_itself_stays_where_bits_are_lost(rng, monkeypatch):
    monkeypatch.setattr(quantiles, "LIMIT", 500)
    samples = rng.normal(size=20_000).astype(np.float32)
    table = match_table(histogram_of(samples), histogram_of(samples))
    assert np.allclose(table.apply(samples), samples, rtol=3e-7, atol=0)


def test_half_precision_is_counted_exactly_with_both_zeros_as_one(rng):
    samples = np.append(rng.normal(size=5000), [0.0, -0.0, 65504, -65504]).astype(np.float16)
    values, counts = histogram_of(samples[:100], samples[100:]).distinct()
    expected = np.unique(samples, return_counts=True)
    assert (values == expected[0]).all() and (counts == expected[1]).all()


@pytest.mark.parametrize(
    "source, reference, expected",
    [
        (np.array([0, 7], np.uint8), np.array([0, 51400], np.uint16), [0, 200]),
        (np.array([0, 7], np.uint16), np.array([0, 200], np.uint8), [0, 51400]),
        (np.array([0, 7], np.uint8), np.array([0, 0.5], np.float32), [0, 128]),
        (np.array([0, 0.7]), np.array([0, 51], np.uint8), [0, 0.2]),
        (np.array([0, 9000.0]), np.array([0, 3000], np.float32), [0, 3000]),
    ],
)
def test_dtypes_that_differ_are_compared_by_their_share_of_white(source, reference, expected):
    result = match_table(histogram_of(source), histogram_of(reference)).apply(source)
    assert result.dtype == source.dtype and result.tolist() == expected


@pytest.mark.parametrize(
    "source, reference, message",
    [
        (np.int16, np.uint16, "source is int16, reference uint16; bring both to one dtype"),
        (np.float32, np.uint32, "source is float32, reference uint32"),
        (np.uint8, np.float32, r"reference is float32 and spans \[1, 2\]; need \[0, 1\]"),
        (np.float64, np.uint16, r"source is float64 and spans \[1, 2\]"),
    ],
)
def test_dtypes_that_cannot_be_compared_are_refused(source, reference, message):
    with pytest.raises(ValueError, match=message):
        match_table(*(histogram_of(np.array([1, 2], dtype)) for dtype in (source, reference)))
