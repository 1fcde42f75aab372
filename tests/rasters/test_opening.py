"""Rasters given as open datasets, in memory and as xarray.DataArray."""

import sys

import numpy as np
import pytest
import rasterio
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from runs import on_plan

import gluon_enhance as ge
from gluon_enhance.errors import GluonEnhanceError, ImageError

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}
SHAPE = 3, 20, 30


@pytest.fixture
def bands(rng):
    return rng.integers(1, 3000, SHAPE).astype(np.uint16)


@pytest.fixture
def scene(tmp_path, bands):
    return write(tmp_path / "scene.tif", bands)


def write(path, bands, **profile):
    count, height, width = bands.shape
    profile = {**PLACE, "driver": "GTiff", "dtype": bands.dtype, "count": count, **profile}
    with rasterio.open(path, "w", height=height, width=width, **profile) as out:
        out.write(bands)
    return path


def enlarged(bands):
    return bands.repeat(4, axis=1).repeat(4, axis=2)


def test_functions_are_public_and_take_names(scene, tmp_path, bands):
    out = ge.enhance_raster(str(scene), tmp_path / "out.tif", "nearest")
    assert out == tmp_path / "out.tif"
    rows = ge.score_rasters(out, write(tmp_path / "truth.tif", enlarged(bands) + 2, **quarter()))
    assert [row["bias"] for row in rows] == [-2] * 3
    curves = ge.match_rasters(scene, scene, tmp_path / "same.tif")
    assert list(curves) == ["band 1", "band 2", "band 3"]
    assert {"enhance_raster", "match_rasters", "score_rasters"} <= set(ge.__all__)


def quarter():
    return {"transform": rasterio.Affine(2.5, 0, 500_000, 0, -2.5, 5_000_000)}


def test_the_default_is_a_net_that_stays_near_the_pixels(scene, tmp_path, bands):
    ge.enhance_raster(scene, tmp_path / "out.tif", input_range=(0, 3000))
    with rasterio.open(tmp_path / "out.tif") as out:
        means = out.read().reshape(3, 20, 4, 30, 4).mean(axis=(2, 4))
        assert out.shape == (80, 120) and np.corrcoef(means.ravel(), bands.ravel())[0, 1] > 0.9


def give_dataset(path):
    return rasterio.open(path)


def give_memory(path):
    return MemoryFile(path.read_bytes())


def give_vrt(path):
    return WarpedVRT(rasterio.open(path))


def give_rows_of(path):
    """A part of the raster, which no name opens."""
    with rasterio.open(path) as src:
        transform, size = src.transform, {"width": src.width, "height": src.height}
    return WarpedVRT(rasterio.open(path), crs=PLACE["crs"], transform=transform, **size)


@pytest.mark.parametrize("give", [give_dataset, give_memory, give_vrt, give_rows_of])
def test_what_is_open_or_in_memory_is_taken_and_left_open(give, scene, tmp_path, bands):
    raster = give(scene)
    ge.enhance_raster(raster, tmp_path / "out.tif", "nearest")
    ge.match_rasters(raster, raster, tmp_path / "same.tif")
    with rasterio.open(tmp_path / "out.tif") as out, rasterio.open(tmp_path / "same.tif") as same:
        assert np.array_equal(out.read(), enlarged(bands))
        assert out.crs.to_epsg() == 32633 and out.res == (2.5, 2.5)
        assert np.array_equal(same.read(), bands)
    assert [row["rmse"] for row in ge.score_rasters(raster, scene)] == [0] * 3
    if not isinstance(raster, MemoryFile):
        assert np.array_equal(raster.read(), bands)
        raster.close()


def test_datasets_that_cannot_be_read_are_named(scene, tmp_path):
    with rasterio.open(scene) as closed:
        profile = closed.profile
    with rasterio.open(tmp_path / "new.tif", "w", **profile) as written:
        for dataset, state in ((closed, "closed"), (written, "open for writing only")):
            with pytest.raises(ImageError, match=f"{dataset.name} is {state}; open it for reading"):
                ge.enhance_raster(dataset, tmp_path / "out.tif", "nearest")


@pytest.mark.parametrize("give", [give_memory, give_vrt])
def test_what_is_in_memory_is_not_for_workers(give, scene, tmp_path):
    def never(*_):
        raise AssertionError("was called")

    raster = give(scene)
    with pytest.raises(ImageError, match="workers do not see it; write it to a file"):
        ge.enhance_raster(raster, tmp_path / "out.tif", "nearest", run=on_plan(never))
    with pytest.raises(ImageError, match="workers do not see it; write it to a file"):
        ge.match_rasters(scene, raster, tmp_path / "out.tif", run=never)
    raster.close()


def test_an_output_is_needed(scene):
    with pytest.raises(ImageError, match="out is None, which only an xarray.DataArray goes with"):
        ge.enhance_raster(scene)


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rioxarray's
class TestDataArray:
    """``xarray.DataArray`` after the conventions of rioxarray."""

    @pytest.fixture(autouse=True)
    def xarray(self):
        pytest.importorskip("rioxarray", reason="rioxarray is not installed")
        import xarray

        return xarray

    def test_it_becomes_one_with_its_names_and_place(self, xarray, bands):
        array = xarray.DataArray(
            bands[0],
            dims=("lat", "lon"),
            coords={
                "lat": ("lat", 48 - 0.1 * np.arange(20), {"standard_name": "latitude"}),
                "lon": ("lon", 11 + 0.1 * np.arange(30), {"standard_name": "longitude"}),
            },
            name="t2m",
        ).rio.write_crs("EPSG:4326")
        result = ge.enhance_raster(array, enhancer="nearest")
        assert isinstance(result, xarray.DataArray) and result.dims == ("lat", "lon")
        assert result.name == "t2m" and result.dtype == np.uint16
        assert np.array_equal(result.values, enlarged(bands[:1])[0])
        assert result.rio.crs.to_epsg() == 4326
        assert np.allclose(result.rio.bounds(), array.rio.bounds())
        assert np.allclose(result.lon[:5], 11 - 0.0375 + 0.025 * np.arange(5))

    def test_a_third_axis_keeps_its_name_and_coordinates(self, xarray, bands):
        times = np.array(["2024-01-01", "2024-02-01", "2024-03-01"], "datetime64[ns]")
        array = xarray.DataArray(
            bands.astype(np.float64) * 1e5,  # beyond what float32 holds
            dims=("time", "y", "x"),
            coords={"time": times, "y": -np.arange(20.0), "x": np.arange(30.0)},
        ).rio.write_crs("EPSG:32633")
        result = ge.enhance_raster(array, enhancer="nearest")
        assert result.dims == ("time", "y", "x") and np.array_equal(result.time, times)
        assert np.array_equal(result.values, enlarged(bands) * 1e5)

    @pytest.mark.parametrize("masked", [False, True])
    def test_holes_scales_and_descriptions_stay(self, xarray, tmp_path, bands, masked):
        import rioxarray

        bands[:, :5] = 0
        path = write(tmp_path / "holes.tif", bands, nodata=0)
        with rasterio.open(path, "r+") as raster:
            raster.scales, raster.offsets = (0.5,) * 3, (2.0,) * 3
            raster.descriptions = ("blue", "green", "red")
        with rioxarray.open_rasterio(path, masked=masked, mask_and_scale=masked) as array:
            result = ge.enhance_raster(array, enhancer="nearest")
            assert np.array_equal(result.values, enlarged(array.values), equal_nan=True)
            assert result.dtype == array.dtype and result.attrs["long_name"] == (
                "blue",
                "green",
                "red",
            )
        assert np.isnan(result.values[:, :20]).all() if masked else result.rio.nodata == 0
        ge.enhance_raster(array, tmp_path / "out.tif", "nearest")
        with rasterio.open(tmp_path / "out.tif") as out:
            assert out.nodata == 0 and out.dtypes[0] == "uint16" and out.scales == (0.5,) * 3
            assert np.array_equal(out.read(), enlarged(bands))

    def test_one_read_from_a_lossy_file_loses_nothing_more(self, xarray, tmp_path, bands):
        import rioxarray

        profile = {"compress": "jpeg", "photometric": "ycbcr", "tiled": True}
        sides = {"blockxsize": 16, "blockysize": 16}
        path = write(tmp_path / "jpeg.tif", (bands % 256).astype(np.uint8), **profile, **sides)
        with rioxarray.open_rasterio(path) as array, rasterio.open(path) as src:
            assert np.array_equal(ge.enhance_raster(array, None, "nearest"), enlarged(src.read()))

    def test_scores_and_histograms_take_it(self, xarray, scene, tmp_path, bands):
        import rioxarray

        with rioxarray.open_rasterio(scene) as array:
            assert [row["bias"] for row in ge.score_rasters(array + 3, scene)] == [3] * 3
            ge.match_rasters(array + 3, scene, tmp_path / "out.tif")
        with rasterio.open(tmp_path / "out.tif") as out:
            assert np.array_equal(out.read(), bands) and out.crs.to_epsg() == 32633

    def test_what_is_no_raster_is_named(self, xarray, bands, monkeypatch):
        array = xarray.DataArray(bands, dims=("y", "x", "band"), name="turned")
        with pytest.raises(ImageError, match="turned cannot be taken for a raster: .*order"):
            ge.enhance_raster(array)
        with pytest.raises(ImageError, match=r"has variables \(turned\); give one of them"):
            ge.enhance_raster(array.to_dataset())
        monkeypatch.setitem(sys.modules, "rioxarray", None)
        with pytest.raises(GluonEnhanceError, match=r"pip install 'gluon-enhance\[xarray\]'"):
            ge.enhance_raster(array)
