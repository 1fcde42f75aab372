"""Nets that need the whole of a raster, run in strips of rows."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from runs import on_plan

import gluon_enhance as ge
from gluon_enhance.errors import ImageError
from gluon_enhance.rasters import plan, whole_image
from gluon_enhance.rasters.compute import compute_part
from gluon_enhance.rasters.enhance import enhance_raster

SIZE = 203, 150
PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}


class Centered:
    """What an `Enhancer` has, of a net that moves each channel's mean to a half, and doubles."""

    scale, halo = 2, 3

    def __init__(self, tile, self_ensemble=False):
        self.tile, self._self_ensemble = tile, self_ensemble
        self.spec = SimpleNamespace(
            name="centered", multiple=8, unit=8, min_size=1, tiling="global_statistics"
        )
        self.images = 0

    def describe(self):
        return {"model": "centered", "self_ensemble": self._self_ensemble}

    def for_dtype(self, dtype):
        return self

    def run(self, batch):
        mean = batch.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
        return doubled((batch - mean + 0.5).astype(np.float32))

    def mixed(self, run):
        return run

    def strip_net(self, height, width, memory):
        assert height * width > self.tile**2 and memory == 0
        return self

    def count(self, height, width):
        return -(-height // 10) * -(-width // 40)

    def feature_bytes(self, height, width):
        return 10**6 * height * width

    def run_rows(self, image, make_room, on_strip):
        self.images += 1
        height, width = image.size
        tops, lefts = range(0, height, 10), range(0, width, 40)
        total = sum(self._window(image, *place).sum(axis=(2, 3)) for place in product(tops, lefts))
        mean = (total / (height * width))[..., None, None]
        for top, left in product(tops, lefts):
            made = doubled((self._window(image, top, left) - mean + 0.5).astype(np.float32))
            if top == left == 0:
                room = make_room((2 * height, 2 * width), made)
            room.write((2 * top, 2 * left), made)
            on_strip()
        return room

    def _window(self, image, top, left):
        height, width = image.size
        return image.read(slice(top, min(top + 10, height)), slice(left, min(left + 40, width)))


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
    monkeypatch.setattr(plan, "PART_SAMPLES", 1)
    monkeypatch.setattr(plan, "WINDOW", 64)


def enhanced(path, enhancer, **options):
    out = path.with_name("out.tif")
    enhance_raster(path, out, enhancer, input_range=(0, 10_000), **options)
    with rasterio.open(out) as dataset:
        return dataset.read().astype(np.float64)


def test_strips_and_parts_equal_the_whole(source):
    steps = []
    whole = enhanced(source, Centered(tile=1000))
    result = enhanced(source, Centered(tile=50), progress=lambda *counts: steps.append(counts))
    assert np.abs(result - whole).max() <= 1
    assert np.array_equal(result == 0, whole == 0) and (result == 0).any()
    assert steps == [(k + 1, len(steps)) for k in range(len(steps))] and len(steps) == 21 * 4 + 4
    assert {path.name for path in source.parent.iterdir()} == {"in.tif", "out.tif"}


@pytest.mark.parametrize("strength", [1, 0.5])
def test_a_shipped_net_with_norms_over_the_image_agrees_with_itself_as_a_whole(source, strength):
    options = {"model": "wespe", "precision": "fp32", "strength": strength}
    whole = enhanced(source, ge.Enhancer(**options))
    assert np.abs(enhanced(source, ge.Enhancer(tile=60, **options)) - whole).max() < 10_000 / 255


def test_a_raster_in_strips_stays_as_it_is_with_strength_0(source):
    result = enhanced(source, ge.Enhancer("wespe", precision="fp32", tile=60, strength=0))
    with rasterio.open(source) as dataset:
        assert np.abs(result - dataset.read()).max() <= 1


def test_rows_without_anything_valid_count_as_the_mean_of_the_others(tmp_path):
    bands = np.full((3, *SIZE), np.nan, np.float32)
    bands[:, :40] = np.array([0.2, 0.3, 0.9])[:, None, None]
    path = write(tmp_path / "in.tif", bands)
    options = {"input_range": (0, 1), "unconstrained": True}
    enhance_raster(path, tmp_path / "out.tif", Centered(tile=50), **options)
    with rasterio.open(tmp_path / "out.tif") as dataset:
        result = dataset.read()
    assert np.allclose(result[:, :80], 0.5, atol=1e-6) and np.isnan(result[:, 80:]).all()


def test_a_run_that_is_resumed_does_not_run_the_net_again(source):
    def stop(plan, indices):
        raise KeyboardInterrupt

    enhancer = Centered(tile=50)
    with pytest.raises(KeyboardInterrupt):
        enhanced(source, enhancer, run=on_plan(stop))
    result = enhanced(source, enhancer, resume=True)
    assert enhancer.images == 1
    assert np.array_equal(result, enhanced(source, enhancer)) and enhancer.images == 2


def test_the_net_runs_here_and_workers_are_said_to_have_the_rest(source, caplog):
    enhancer = Centered(tile=50)

    def compute(plan, indices):
        assert enhancer.images == 1
        for index in indices:
            compute_part(plan, index, enhancer)

    result = enhanced(source, enhancer, run=on_plan(compute))
    assert np.array_equal(result, enhanced(source, Centered(tile=50)))
    assert "centered takes its statistics from the whole image: it runs here" in caplog.text
    assert len(caplog.records) == 1


def test_a_disk_that_is_too_small_is_named_before_the_net_runs(source, monkeypatch):
    enhancer, free = Centered(tile=50), 10**6 * 208 * 152
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
    with pytest.raises(ImageError, match=r"takes 31\.6 GB in .*, and 31\.6 GB are free.*TMPDIR"):
        enhanced(source, enhancer)  # features fit, but not the result with them
    assert enhancer.images == 0
    monkeypatch.setattr(whole_image, "_disk", str)
    enhanced(source, enhancer)
    assert enhancer.images == 1


def test_windows_are_those_of_the_raster_reflected_out(tmp_path, rng):
    bands = rng.random((3, *SIZE), np.float32)
    path = write(tmp_path / "in.tif", bands)
    padded = np.pad(bands, ((0, 0), (0, 5), (0, 2)), mode="reflect")[None]

    class Reader(Centered):
        def run_rows(self, image, *options):
            for rows in (slice(0, 208), slice(0, 20), slice(190, 206), slice(204, 208)):
                for columns in (slice(0, 152), slice(30, 60), slice(149, 151), slice(151, 152)):
                    assert np.array_equal(image.read(rows, columns), padded[:, :, rows, columns])
            return super().run_rows(image, *options)

    enhancer = Reader(tile=50)
    enhance_raster(path, tmp_path / "out.tif", enhancer, input_range=(0, 1))
    assert enhancer.images == 1


def test_each_band_goes_through_by_itself_if_so_wanted(source):
    enhancer = Centered(tile=50)
    whole = enhanced(source, Centered(tile=1000), others="each")
    assert np.abs(enhanced(source, enhancer, others="each") - whole).max() <= 1
    assert enhancer.images == 3


def test_the_self_ensemble_is_refused_as_it_would_turn_the_raster_in_memory(source):
    with pytest.raises(ImageError, match="in.tif has more than 50 x 50 pixels.*leave out the self"):
        enhanced(source, Centered(tile=50, self_ensemble=True))
