"""Which numbers of a raster a net sees as black and white."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from gluon_enhance.errors import ImageError
from gluon_enhance.rasters import ranges
from gluon_enhance.rasters.ranges import parse_range, ranges_of

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}
TILED = {"tiled": True, "blockxsize": 16, "blockysize": 16}


@pytest.fixture
def raster(tmp_path):
    """What writes a raster and opens it."""

    def opened(bands, describe=None, **profile):
        count, height, width = bands.shape
        profile = {**PLACE, "driver": "GTiff", "dtype": bands.dtype, "count": count, **profile}
        path = tmp_path / "in.tif"
        with rasterio.open(path, "w", height=height, width=width, **profile) as out:
            out.write(bands)
            if describe:
                describe(out)
        return rasterio.open(path)

    return opened


def percentiles(values, *shares):
    return tuple(float(n) for n in np.percentile(values, shares, method="inverted_cdf"))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32", "int64", "float32"])
def test_default_is_percentiles_2_and_98_of_all_bands_together(raster, rng, dtype):
    bands = rng.normal(0, 30, (3, 50, 60)).clip(-120, 120)
    bands = np.abs(bands).astype(dtype) if dtype[0] == "u" else bands.astype(dtype)
    with raster(bands) as src:
        assert ranges_of(src, [(1, 2, 3)]) == (percentiles(bands, 2, 98),) * 3


@pytest.mark.parametrize("options, white", [({}, 255), ({"nbits": 4}, 15)])
def test_uint8_keeps_0_to_its_largest_number_and_nothing_is_said(raster, options, white, caplog):
    with raster(np.full((1, 9, 9), 7, np.uint8), **options) as src:
        assert ranges_of(src, [(1,)]) == ((0, white),)
    assert not caplog.records


def test_groups_have_ranges_of_their_own_and_other_bands_none(raster, rng):
    bands = rng.integers(0, 9000, (5, 20, 30)).astype(np.uint16)
    bands[4] //= 10
    with raster(bands) as src:
        found = ranges_of(src, [(4, 3, 2), (5,)])
    together, alone = percentiles(bands[1:4], 2, 98), percentiles(bands[4], 2, 98)
    assert found == ((0, 1), together, together, together, alone)


@pytest.mark.parametrize("kind", ["nodata", "mask", "nan"])
def test_what_is_not_valid_is_not_counted(raster, rng, kind):
    bands = rng.uniform(10, 20, (1, 40, 40)).astype(np.float32)
    holes = rng.random((40, 40)) < 0.3
    counted = bands[0, ~holes]
    bands[0, holes] = np.nan if kind == "nan" else -9999
    options = {"nodata": -9999} if kind == "nodata" else {}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        mask = (lambda out: out.write_mask(~holes)) if kind == "mask" else None
        with raster(bands, mask, **options) as src:
            assert ranges_of(src, [(1,)])[0] == percentiles(counted, 2, 98)


@pytest.mark.parametrize("form", ["10%,90%", "numbers", "text"])
def test_percentiles_and_numbers_are_taken_as_given(raster, rng, form):
    bands = rng.integers(0, 9000, (3, 20, 30)).astype(np.uint16)
    given = {"numbers": (5, 700.5), "text": "5,700.5"}.get(form, form)
    with raster(bands) as src:
        expected = percentiles(bands, 10, 90) if "%" in form else (5, 700.5)
        assert ranges_of(src, [(1, 2, 3)], given) == (expected,) * 3


def test_white_at_the_least_number_is_told_as_it_is_seen(raster, caplog):
    bands = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    with raster(bands, photometric="miniswhite") as src:
        assert ranges_of(src, [(1,)], "10%,90%") == ((230.0, 25.0),)
    assert "the net sees 230 to 25 in band 1 as black to white" in caplog.text


def test_bands_may_have_ranges_of_their_own(raster, rng):
    bands = rng.integers(0, 9000, (3, 20, 30)).astype(np.uint16)
    given = dict(map(parse_range, ["2=5,700", "3=0%,100%", "1%,50%"]))
    with raster(bands) as src:
        found = ranges_of(src, [(3, 2, 1)], given)
        only = ranges_of(src, [(1, 2, 3)], {2: (5, 700)})
    ends = float(bands[2].min()), float(bands[2].max())
    assert found == (percentiles(bands[0], 1, 50), (5, 700), ends)
    others = percentiles(bands[[0, 2]], 2, 98)
    assert only == (others, (5, 700), others)


def test_scale_and_offset_turn_values_into_numbers(raster):
    def describe(out):
        out.scales, out.offsets = (0.0001, -0.5), (-0.1, 0)

    with raster(np.ones((2, 9, 9), np.uint16), describe) as src:
        first, second = ranges_of(src, [(1,), (2,)], "scaled:0,0.3")
    assert first == pytest.approx((1000, 4000)) and second == pytest.approx((-0.6, 0))


def test_statistics_of_tags_are_those_of_the_bands_together(raster):
    def describe(out):
        for band, low, high in ((1, 7, 90), (2, 3, 80)):
            out.update_tags(band, STATISTICS_MINIMUM=low, STATISTICS_MAXIMUM=high)

    with raster(np.ones((3, 9, 9), np.uint16), describe) as src:
        assert ranges_of(src, [(1, 2)], "statistics")[:2] == ((3, 90), (3, 90))
        with pytest.raises(ImageError, match="has no STATISTICS_MINIMUM of bands 1,3; compute"):
            ranges_of(src, [(1, 3)], "statistics")


@pytest.mark.parametrize(
    "bands, expected",
    [
        (np.full((1, 30, 30), 7, np.int16), (7, 14)),
        (np.full((1, 30, 30), -1e20, np.float32), (np.float32(-1e20), 0)),
        (np.eye(30, dtype=np.int16)[None] * (np.arange(30) == 3) * 50, (0, 50)),
        (np.full((1, 30, 30), np.nan, np.float32), (0, 1)),
    ],
    ids=["constant", "large", "nearly_constant", "empty"],
)
def test_a_raster_without_contrast_has_a_range_all_the_same(raster, bands, expected):
    with raster(bands.astype(bands.dtype)) as src:
        low, high = ranges_of(src, [(1,)])[0]
    assert (low, high) == pytest.approx(expected) and low < high


def test_a_large_raster_is_counted_in_blocks_spread_over_it(raster, rng, monkeypatch):
    rows, columns = np.mgrid[:256, :256]
    bands = (rows * 100 + columns * 3).astype(np.uint16)[None]
    reads = []
    monkeypatch.setattr(ranges, "SAMPLES", 256 * 256 // 16)
    read = ranges.read_bands
    monkeypatch.setattr(ranges, "read_bands", lambda *a: [reads.append(a[2]), read(*a)][1])
    with raster(bands, **TILED) as src:
        low, high = ranges_of(src, [(1,)])[0]
    assert 14 <= len(reads) <= 16
    assert len({window.col_off for window in reads}) > 8  # no stripes
    assert np.allclose((low, high), percentiles(bands, 2, 98), atol=0.1 * np.ptp(bands))


def test_where_the_blocks_counted_have_only_holes_all_are(raster, monkeypatch):
    bands = np.zeros((1, 64, 64), np.uint16)
    bands[0, 20:30, 40:44] = 300
    monkeypatch.setattr(ranges, "SAMPLES", 256)
    with raster(bands, nodata=0, **TILED) as src:
        assert ranges_of(src, [(1,)])[0] == (300, 600)


def test_what_is_found_is_said(raster, rng, caplog):
    bands = rng.integers(100, 900, (3, 20, 30)).astype(np.uint16)
    low, high = percentiles(bands, 2, 98)
    with caplog.at_level(logging.WARNING), raster(bands) as src:
        ranges_of(src, [(3, 2, 1)])
        said = f"{low:g} to {high:g} in bands 3,2,1 as black to white (percentiles 2 and 98)"
        assert said in caplog.text and src.name in caplog.text
        caplog.clear()
        ranges_of(src, [(3, 2, 1)], (0, 1))
        assert not caplog.records


@pytest.mark.parametrize(
    "text",
    ["5,5", "9,5", "1", "a,b", "1,2,3", "98%,2%", "-1%,50%", "2%,50", "2%%,98", "nan,1", "0,inf"],
)
def test_what_is_no_range_is_named(text):
    with pytest.raises(ValueError, match=r"input_range is .*; give LOW,HIGH in numbers"):
        parse_range(text)


@pytest.mark.parametrize("text", ["0=1,2", "red=1,2", "=1,2"])
def test_what_is_no_band_is_named(text):
    with pytest.raises(ValueError, match="give BAND=RANGE with the band's number"):
        parse_range(text)


def test_a_range_for_a_band_that_does_not_go_through_the_net_is_named(raster):
    message = "range for band 4, .*; the bands 1,2,3 of .* do"
    with raster(np.ones((4, 9, 9), np.uint16)) as src, pytest.raises(ValueError, match=message):
        ranges_of(src, [(3, 2, 1)], {4: (0, 1)})


def test_a_scale_of_0_is_named():
    src = SimpleNamespace(name="x.tif", dtypes=["uint16"], count=1, scales=(0.0,), offsets=(0.0,))
    with pytest.raises(ImageError, match="x.tif has the scale 0 in band 1"):
        ranges_of(src, [(1,)], "scaled:0,1")
