"""The low-frequency constraint: a raster's result, reduced, is the raster."""

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp, Resampling
from runs import on_plan

import gluon_enhance as ge
from gluon_enhance.imaging.block_means import constrain
from gluon_enhance.rasters import plan
from gluon_enhance.rasters.compute import compute_part
from gluon_enhance.rasters.enhance import enhance_raster
from gluon_enhance.weights import store

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}


class Darkening:
    """What an `Enhancer` has, of a net that takes a tenth away and adds a texture."""

    halo = 1

    def __init__(self, tile=64, scale=2):
        self.tile, self.scale = tile, scale
        self.spec = SimpleNamespace(
            name="darkening", multiple=1, unit=1, min_size=1, tiling="exact"
        )

    def describe(self):
        return {"model": "darkening"}

    def for_dtype(self, dtype):
        return self

    def run(self, batch):
        texture = np.arange(self.scale**2).reshape(self.scale, self.scale) % 3 * 0.2
        result = np.kron(batch * 0.9 - 0.05, np.ones_like(texture))
        height, width = batch.shape[2:]
        return (result + np.tile(texture, (height, width))).astype(np.float32)


def write(path, bands, mask=None, colors=None, **profile):
    count, height, width = bands.shape
    profile = {**PLACE, "driver": "GTiff", "dtype": bands.dtype, "count": count, **profile}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", height=height, width=width, **profile) as out,
    ):
        out.write(bands)
        if mask is not None:
            out.write_mask(mask)
        if colors:
            out.colorinterp = colors
    return path


def enhanced(path, enhancer=None, **options):
    out = path.with_name("out.tif")
    enhance_raster(path, out, enhancer or Darkening(), **options)
    with rasterio.open(out) as dataset:
        return dataset.read()


def block_sums(bands, scale=2):
    count, height, width = bands.shape
    blocks = bands.reshape(count, height // scale, scale, width // scale, scale)
    return blocks.sum(axis=(2, 4), dtype=np.float64)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32"])
@pytest.mark.parametrize("scale", [2, 4])
def test_means_of_integers_are_the_source_exactly(tmp_path, rng, dtype, scale):
    limits = np.iinfo(dtype)
    bands = rng.integers(max(limits.min, -9000), min(limits.max, 9000), (5, 70, 90), endpoint=True)
    bands[:, :9, :9], bands[:, 20:29, :9] = limits.min, limits.max
    path = write(tmp_path / "in.tif", bands.astype(dtype))
    result = enhanced(path, Darkening(scale=scale), rgb=(3, 2, 1))
    assert np.array_equal(block_sums(result, scale), bands * scale**2.0)
    assert result[:3, -40:].std() > bands[:3, -20:].std()  # the texture is there


def test_gdal_reduces_a_float_raster_to_its_source(tmp_path, rng):
    bands = rng.normal(300, 40, (1, 40, 50)).astype(np.float32)
    path = write(tmp_path / "in.tif", bands)
    enhanced(path, Darkening(scale=4))
    with rasterio.open(tmp_path / "out.tif") as out:
        reduced = out.read(out_shape=bands.shape, resampling=Resampling.average)
    assert np.allclose(reduced, bands, rtol=1e-6)


@pytest.mark.parametrize("hole", ["nodata", "mask", "alpha", "nan"])
def test_what_holes_hold_has_no_influence(tmp_path, rng, hole):
    bands = rng.integers(100, 900, (3, 70, 60)).astype("float32" if hole == "nan" else "int16")
    holes = np.zeros((70, 60), bool)
    holes[10:30, 20:30] = holes[50, 40] = True
    shown = ~holes.repeat(2, axis=0).repeat(2, axis=1)
    results = []
    for value in {"nan": (np.nan, np.inf)}.get(hole, (-9999, 30000)):
        own, options = np.where(holes, value, bands).astype(bands.dtype), {}
        if hole == "alpha":
            own = np.concatenate([own, np.where(holes, 0, 255).astype(own.dtype)[None]])
            colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
            options["colors"] = colors
        if hole in ("nodata", "mask"):
            options = {"nodata": value} if hole == "nodata" else {"mask": ~holes}
        path = write(tmp_path / "in.tif", own, **options)
        results.append(enhanced(path, rgb=(1, 2, 3))[:3])
    assert np.array_equal(*(result[:, shown] for result in results))
    sums = block_sums(np.where(shown, results[0], 0))
    assert np.allclose(sums, np.where(holes, 0, bands) * 4, rtol=1e-6)


def test_valid_pixels_do_not_become_nodata_at_the_end_of_the_dtype(tmp_path, rng):
    bands = rng.integers(1, 4, (1, 60, 60)).astype(np.uint8)
    bands[0, :5] = 0
    path = write(tmp_path / "in.tif", bands, nodata=0)
    result = enhanced(path, input_range=(0, 50))
    assert np.array_equal(block_sums(result), bands * 4.0)
    assert np.array_equal(result[0] == 0, (bands[0] == 0).repeat(2, axis=0).repeat(2, axis=1))


def test_values_outside_the_range_come_back_as_they_were(tmp_path, rng):
    bands = rng.integers(1000, 2000, (3, 64, 64)).astype(np.uint16)
    bands[:, 30:33, 40:43], bands[:, 50, 50] = 60_000, 3
    path = write(tmp_path / "in.tif", bands)
    assert np.array_equal(block_sums(enhanced(path)), bands * 4.0)


def test_tiles_parts_and_runs_that_are_resumed_give_the_same_pixels(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(plan, "PART_SAMPLES", 1)
    bands = rng.integers(0, 3000, (4, 200, 170)).astype(np.uint16)
    path = write(tmp_path / "in.tif", bands, nodata=7)
    whole = enhanced(path, Darkening(tile=1000), rgb=(1, 2, 3))
    tiled = enhanced(path, Darkening(tile=64), rgb=(1, 2, 3))
    assert np.array_equal(whole, tiled)
    once = (tmp_path / "out.tif").read_bytes()

    def interrupted(plan, indices):
        compute_part(plan, 1, Darkening())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enhanced(path, run=on_plan(interrupted), rgb=(1, 2, 3))
    enhanced(path, resume=True, rgb=(1, 2, 3))
    assert (tmp_path / "out.tif").read_bytes() == once


@pytest.mark.parametrize("options, scale", [({"unconstrained": True}, 2), ({}, 1)])
def test_nets_that_do_not_enlarge_and_who_so_wishes_keep_the_nets_answer(tmp_path, options, scale):
    bands = np.full((3, 30, 30), 100, np.uint8)
    path = write(tmp_path / "in.tif", bands)
    enhancer = Darkening(scale=scale)
    result = enhanced(path, enhancer, **options)
    answer = enhancer.run(bands[None].astype(np.float32) / 255)[0] * 255
    assert np.abs(result - answer).max() <= 0.51


@pytest.mark.parametrize("model", ["esrgan_lite_x4", "rrdb_lite_x4", "edsr_lite_x2"])
def test_values_in_a_part_of_the_range_are_not_darkened(tmp_path, picture, model):
    """As reflectances are in uint16: 3 to 15% of it."""
    bands = np.moveaxis(0.03 * 65535 + picture / 255.0 * 0.12 * 65535, 2, 0).astype(np.uint16)
    path = write(tmp_path / "in.tif", bands)
    enhancer = ge.Enhancer(model, tile=64)
    result = enhanced(path, enhancer).astype(np.float64)
    assert abs(result.mean() - bands.mean()) < 0.0005 * np.ptp(bands)
    assert np.array_equal(block_sums(result, enhancer.scale), bands * enhancer.scale**2.0)
    if model == "esrgan_lite_x4":  # what happens to the net's own answer over the whole range
        before = enhanced(path, enhancer, unconstrained=True, input_range=(0, 65535))
        assert before.mean() < 0.98 * bands.mean()


@pytest.mark.parametrize("model", ["esrgan_lite_x4", "rrdb_lite_x4"])
def test_a_photo_comes_nearer_to_the_truth_and_gets_no_steps_between_blocks(model):
    with Image.open(store.model_zoo_folder() / "sample.png") as photo:
        truth = np.asarray(photo.convert("RGB"), np.float64)[64:256, 64:256] / 255
    small = truth.reshape(48, 4, 48, 4, 3).mean(axis=(1, 3))
    answer = ge.enhance(small.astype(np.float32), model, engine="openvino", precision="fp32")
    result = constrain(answer, small)
    error, error_before = (np.square(image - truth).mean() for image in (result, answer))
    assert error < error_before

    def steps(image):
        changes = np.abs(np.diff(image, axis=1)).mean(axis=(0, 2))
        return changes[3::4].mean() / np.delete(changes, np.s_[3::4]).mean()

    assert steps(result) < steps(answer)
