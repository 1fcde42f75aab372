"""Nets that need the whole of a raster, run in bands of rows."""

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

import gluon_enhance as ge
from gluon_enhance.errors import ImageError
from gluon_enhance.geotiff import enhancing
from gluon_enhance.geotiff.enhancing import enhance_raster

SIZE = 203, 150
PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}


class Centred:
    """What an `Enhancer` has, of a net that moves each channel's mean to a half, and doubles."""

    scale, halo = 2, 3

    def __init__(self, tile, self_ensemble=False):
        self.tile, self._self_ensemble = tile, self_ensemble
        self.spec = SimpleNamespace(
            name="centred", multiple=8, min_size=1, tiling="global_statistics"
        )
        self.images = 0

    def describe(self):
        return {"model": "centred", "self_ensemble": self._self_ensemble}

    def run(self, batch):
        mean = batch.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
        return doubled((batch - mean + 0.5).astype(np.float32))

    def banded_net(self, height, width, memory):
        assert height * width > self.tile**2 and memory == 0
        return self

    def count(self, height, width):
        return -(-height // 10)

    def run_rows(self, image, size, make_room, on_band):
        assert image.height == size[0]
        self.images += 1
        bands = [(top, min(top + 10, size[0])) for top in range(0, size[0], 10)]
        total = sum(image.read(*band).sum(axis=(2, 3), dtype=np.float64) for band in bands)
        mean = (total / np.prod(size))[..., None, None]
        for top, bottom in bands:
            first = max(0, top - 5)
            rows = image.read(first, bottom)
            assert rows.shape == (1, 3, bottom - first, size[1]) and rows.dtype == np.float32
            made = doubled((rows[:, :, top - first :] - mean + 0.5).astype(np.float32))
            if top == 0:
                room = make_room(2 * size[0], made)
            room.write(2 * top, made)
            on_band()
        return room


def doubled(batch):
    return batch.repeat(2, axis=2).repeat(2, axis=3)


def write(path, bands, **profile):
    count, height, width = bands.shape
    profile = {**PLACE, "driver": "GTiff", "dtype": bands.dtype, "count": count, **profile}
    with rasterio.open(path, "w", height=height, width=width, **profile) as out:
        out.write(bands)
    return path


@pytest.fixture
def source(tmp_path, rng):
    """A raster that is darker at the top, with a hole and four rows that are one."""
    bands = rng.integers(1, 8000, (3, *SIZE)) * np.linspace(0.2, 1, SIZE[0])[:, None] + 1
    bands[:, 20:40, 30:60] = bands[:, 100:104] = 0
    return write(tmp_path / "in.tif", bands.astype(np.uint16), nodata=0)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(enhancing, "PART_SAMPLES", 1)
    monkeypatch.setattr(enhancing, "WINDOW", 64)


def enhanced(path, enhancer, **options):
    out = path.with_name("out.tif")
    enhance_raster(path, out, enhancer, input_range=(0, 10_000), **options)
    with rasterio.open(out) as dataset:
        return dataset.read().astype(np.float64)


def test_bands_and_parts_equal_the_whole(source):
    steps = []
    whole = enhanced(source, Centred(tile=1000))
    result = enhanced(source, Centred(tile=50), progress=lambda *counts: steps.append(counts))
    assert np.abs(result - whole).max() <= 1
    assert np.array_equal(result == 0, whole == 0) and (result == 0).any()
    assert steps == [(k + 1, len(steps)) for k in range(len(steps))] and len(steps) == 21 + 4
    assert {path.name for path in source.parent.iterdir()} == {"in.tif", "out.tif"}


def test_a_shipped_net_with_norms_over_the_image_agrees_with_itself_as_a_whole(source):
    options = {"model": "wespe", "precision": "fp32"}
    whole = enhanced(source, ge.Enhancer(**options))
    assert np.abs(enhanced(source, ge.Enhancer(tile=60, **options)) - whole).max() < 10_000 / 255


def test_rows_without_anything_valid_count_as_the_mean_of_the_others(tmp_path):
    bands = np.full((3, *SIZE), np.nan, np.float32)
    bands[:, :40] = np.array([0.2, 0.3, 0.9])[:, None, None]
    path = write(tmp_path / "in.tif", bands)
    enhance_raster(path, tmp_path / "out.tif", Centred(tile=50))
    with rasterio.open(tmp_path / "out.tif") as dataset:
        result = dataset.read()
    assert np.allclose(result[:, :80], 0.5, atol=1e-6) and np.isnan(result[:, 80:]).all()


def test_a_run_that_is_resumed_does_not_run_the_net_again(source):
    def stop(work, indices, done):
        raise KeyboardInterrupt

    enhancer = Centred(tile=50)
    with pytest.raises(KeyboardInterrupt):
        enhanced(source, enhancer, compute=stop)
    result = enhanced(source, enhancer, resume=True)
    assert enhancer.images == 1
    assert np.array_equal(result, enhanced(source, enhancer)) and enhancer.images == 2


def test_each_band_goes_through_by_itself_if_so_wanted(source):
    enhancer = Centred(tile=50)
    whole = enhanced(source, Centred(tile=1000), others="each")
    assert np.abs(enhanced(source, enhancer, others="each") - whole).max() <= 1
    assert enhancer.images == 3


def test_the_self_ensemble_is_refused_as_it_would_turn_the_raster_in_memory(source):
    with pytest.raises(ImageError, match="in.tif has more than 50 x 50 pixels.*leave out the self"):
        enhanced(source, Centred(tile=50, self_ensemble=True))
