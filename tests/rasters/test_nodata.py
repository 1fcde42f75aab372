"""Nodata at the limits of every dtype, as GDAL reads it back."""

import numpy as np
import pytest
import rasterio
import tifffile
from doubling_net import Doubling

from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.enhance import enhance_raster
from gluon_enhance.rasters.io import leave_nodata
from gluon_enhance.rasters.match import match_rasters

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}
DTYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
FLOATS = "float32", "float64"


def limits(dtype):
    return np.finfo(dtype) if dtype in FLOATS else np.iinfo(dtype)


def write(path, bands, **profile):
    count, height, width = bands.shape
    size = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **{**PLACE, **size, **profile}) as out:
        out.write(bands)
    return path


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read(), dataset.read_masks() > 0, dataset.nodata


def larger(bands):
    return bands.repeat(2, axis=1).repeat(2, axis=2)


@pytest.fixture
def ramp():
    """Values from 20 to 110, and where they are valid."""
    bands = np.linspace(20, 110, 40 * 50).reshape(1, 40, 50)
    valid = np.ones(bands.shape, bool)
    valid[:, 10:20, 5:30] = False
    return bands, valid


@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nodata_at_a_limit_of_the_dtype_leaves_valid_values_as_they_are(tmp_path, ramp, dtype, end):
    nodata = getattr(limits(dtype), end)
    bands, valid = ramp[0].astype(dtype), ramp[1]
    holed = np.where(valid, bands, nodata).astype(dtype)
    path = write(tmp_path / "in.tif", holed, nodata=nodata)
    enhance_raster(path, tmp_path / "sr.tif", Doubling(), input_range=(0, 120), overviews=True)
    values, mask, kept = read(tmp_path / "sr.tif")
    assert kept == nodata and np.array_equal(mask, larger(valid))
    assert np.abs(values.astype(float) - larger(bands))[mask].max() < 1e-4
    assert (values[~mask] == nodata).all()
    reference = write(tmp_path / "ref.tif", bands + np.array(7, dtype))
    match_rasters(path, reference, tmp_path / "matched.tif")
    values, mask, kept = read(tmp_path / "matched.tif")
    assert kept == nodata and np.array_equal(mask, valid)
    assert values[mask].min() > 26 and values[mask].max() < 118
    assert (values[~mask] == nodata).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_of_any_size_move_as_little_as_gdal_needs_to_tell_them_from_nodata(
    tmp_path, rng, dtype
):
    kind = np.dtype(dtype).type
    exponents = rng.integers(-30, 30, 20)
    ordinary = [-9999, 7, 2, 1.9999999, 1e-20, *rng.standard_normal(20) * 10.0**exponents]
    extremes = [0, np.finfo(dtype).min, np.finfo(dtype).max, np.finfo(dtype).max * kind(0.7)]
    extremes += [np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny]
    for nodata in map(kind, [*ordinary, *extremes]):
        block = np.array([nodata, nodata * kind(1 - 2e-7), 100, -3e5, 0.5], dtype)
        path = write(tmp_path / "a.tif", block[None, None], nodata=float(nodata))
        before = block.copy()
        with rasterio.open(path) as dataset:
            read_as_nodata = dataset.read_masks(1)[0] == 0
            leave_nodata(block, np.ones(5, bool), dataset)
        _, mask, _ = read(write(path, block[None, None], nodata=float(nodata)))
        assert mask.all() and np.array_equal(block[~read_as_nodata], before[~read_as_nodata])
        if nodata in np.array(ordinary, dtype):
            assert np.allclose(block, before, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype, nodata", [("int64", -(2**63)), ("uint64", 2**64 - 1)])
def test_nodata_of_64_bits_that_rasterio_cannot_keep_is_refused(tmp_path, dtype, nodata):
    tag = (42113, "s", 0, str(nodata), True)
    bands = np.array([[5, nodata]], dtype)
    tifffile.imwrite(tmp_path / "in.tif", bands, photometric="minisblack", extratags=[tag])
    with pytest.raises(ImageError, match="in.tif is of dtype u?int64 with a nodata value of more"):
        enhance_raster(tmp_path / "in.tif", tmp_path / "out.tif", Doubling(), input_range=(0, 100))
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


def test_nodata_of_64_bits_that_floats_hold_is_kept(tmp_path, ramp):
    bands = np.where(ramp[1], ramp[0], -9999).astype("int64")
    path = write(tmp_path / "in.tif", bands, nodata=-9999)
    enhance_raster(path, tmp_path / "out.tif", Doubling(), input_range=(0, 120))
    values, mask, nodata = read(tmp_path / "out.tif")
    assert nodata == -9999 and np.array_equal(mask, larger(ramp[1]))
    assert np.array_equal(values, larger(bands))


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "uint32"])
def test_numbers_beyond_a_dtype_become_its_largest_that_floats_hold(tmp_path, dtype):
    bands = np.full((1, 8, 8), np.iinfo(dtype).max, dtype)
    path = write(tmp_path / "in.tif", bands)
    enhance_raster(path, tmp_path / "out.tif", Doubling(), input_range=(0, 2.0**70))
    values, _, _ = read(tmp_path / "out.tif")
    assert (values.astype(float) >= np.iinfo(dtype).max * (1 - 1e-6)).all()


@pytest.mark.parametrize("nodata", ["-9999", "256", "nan", "0.5"])
def test_nodata_that_a_dtype_cannot_hold_hides_nothing(tmp_path, rng, nodata):
    tags = [
        (42113, "s", 0, nodata, True),
        (33550, "d", 3, (10.0, 10.0, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True),
    ]
    bands = rng.integers(1, 255, (20, 30)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "in.tif", bands, photometric="minisblack", extratags=tags)
    enhance_raster(tmp_path / "in.tif", tmp_path / "out.tif", Doubling())
    values, mask, _ = read(tmp_path / "out.tif")
    assert np.array_equal(values[0], larger(bands[None])[0]) and mask.all()
