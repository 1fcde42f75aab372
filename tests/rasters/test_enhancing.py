"""Enhancing of rasters, with a net whose answer NumPy knows."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from runs import on_plan

from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.resize import resize
from gluon_enhance.rasters import plan
from gluon_enhance.rasters.compute import compute_part
from gluon_enhance.rasters.enhance import enhance_raster

TILES = 12
"""Of the raster of `source`: three rows of four, of 128 pixels a side."""
AS_IT_IS = {"unconstrained": True, "input_range": (0, 65535)}
"""What shows the net's own answer to numbers of uint16."""
PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}


def blurred(batch):
    """The mean of 3x3 pixels, zeros around the image as a net's padding has."""
    padded = np.pad(batch, ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = batch.shape[2:]
    total = sum(padded[..., r : r + height, c : c + width] for r in range(3) for c in range(3))
    return (total / 9).astype(np.float32)


class Blur:
    """What an `Enhancer` has, of a net that blurs and doubles."""

    def __init__(self, tile=100, scale=2, **spec):
        spec = {"name": "blur", "multiple": 1, "min_size": 1, "tiling": "exact", **spec}
        spec.setdefault("unit", spec["multiple"])
        self.spec, self.scale, self.tile, self.halo = SimpleNamespace(**spec), scale, tile, 1
        self.runs = -1  # the first is of the probe

    def describe(self):
        return {"model": "blur", "tile": self.tile}

    def for_dtype(self, dtype):
        return self

    def run(self, batch):
        self.runs += 1
        return blurred(batch).repeat(self.scale, axis=2).repeat(self.scale, axis=3)


def write(path, bands, mask=None, colors=None, **profile):
    count, height, width = bands.shape
    profile = {**PLACE, "driver": "GTiff", "dtype": bands.dtype, "tiled": True, **profile}
    profile.setdefault("blockxsize", 128)
    profile.setdefault("blockysize", 128)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", count=count, height=height, width=width, **profile) as out,
    ):
        out.write(bands)
        if mask is not None:
            out.write_mask(mask)
        if colors:
            out.colorinterp = colors
    return path


def expected_of(bands, white):
    """What the net makes of bands (C, H, W) as a whole, in float64."""
    sr = blurred(bands[None].astype(np.float64) / white)[0].astype(np.float64)
    return (sr * white).repeat(2, axis=1).repeat(2, axis=2)


@pytest.fixture
def source(tmp_path, rng):
    """Three bands of uint16, larger than a tile in both directions."""
    bands = rng.integers(0, 65536, (3, 300, 410)).astype(np.uint16)
    return write(tmp_path / "in.tif", bands, compress="deflate"), bands


def test_raster_equals_the_net_on_the_whole_array(source, tmp_path):
    path, bands = source
    enhance_raster(path, tmp_path / "out.tif", Blur(), **AS_IT_IS)
    with rasterio.open(tmp_path / "out.tif") as out:
        assert np.abs(out.read() - expected_of(bands, 65535)).max() <= 0.51
        assert out.block_shapes == [(256, 256)] * 3 and out.profile["compress"] == "deflate"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.tif", "out.tif"]


class Cells(Blur):
    """What an `Enhancer` has, of a net that makes every 4x4 pixels, from the first, one color."""

    def __init__(self):
        super().__init__(scale=1, unit=4)

    def run(self, batch):
        self.runs += 1
        return (
            batch[..., ::4, ::4]
            .repeat(4, axis=2)
            .repeat(4, axis=3)[..., : batch.shape[2], : batch.shape[3]]
        )


def test_tiles_of_a_raster_begin_where_a_nets_strides_do_and_end_where_it_ends(source, tmp_path):
    path, bands = source
    bands = bands[:, :299, :409]
    write(path, bands)
    enhance_raster(path, tmp_path / "out.tif", Cells(), input_range=(0, 65_535))
    with rasterio.open(tmp_path / "out.tif") as out:
        expected = Cells().run(bands[None])[0]
        assert np.abs(out.read().astype(int) - expected).max() <= 1


def test_extent_stays_and_the_pixels_shrink(source, tmp_path):
    enhance_raster(source[0], tmp_path / "out.tif", Blur())
    with rasterio.open(source[0]) as src, rasterio.open(tmp_path / "out.tif") as out:
        assert out.bounds == src.bounds and out.crs == src.crs
        assert out.res == (5, 5) and out.shape == (600, 820)


def test_metadata_is_kept_and_points_and_rpcs_are_scaled(tmp_path, rng):
    bands = rng.integers(1, 255, (3, 20, 30)).astype(np.uint8)
    points = [GroundControlPoint(2, 3, 11.0, 48.0, 5.0, "a"), GroundControlPoint(9.5, 20, 12, 47)]
    path = write(tmp_path / "in.tif", bands, transform=None, crs="EPSG:4326", gcps=points)
    with rasterio.open(path, "r+") as src:
        src.update_tags(SENSOR="X")
        src.update_tags(2, STATISTICS_MEAN="7", kind="green")
        src.descriptions = ("r", "g", "b")
        src.scales, src.offsets = (0.1,) * 3, (3.0,) * 3
    enhance_raster(path, tmp_path / "out.tif", Blur())
    with rasterio.open(tmp_path / "out.tif") as out:
        scaled, crs = out.gcps
        assert [(p.row, p.col, p.x, p.y) for p in scaled] == [(4, 6, 11, 48), (19, 40, 12, 47)]
        assert crs.to_epsg() == 4326
        assert out.tags()["SENSOR"] == "X" and out.tags(2) == {"kind": "green"}
        assert out.descriptions == ("r", "g", "b")
        assert out.scales == (0.1,) * 3 and out.offsets == (3.0,) * 3


def test_rpcs_count_from_the_first_pixels_center(tmp_path, rng):
    ones = {
        f"{axis}_{kind}_coeff": [1.0] * 20 for axis in ("line", "samp") for kind in ("num", "den")
    }
    place = {
        f"{axis}_{kind}": 1.0 for axis in ("lat", "long", "height") for kind in ("off", "scale")
    }
    rpcs = RPC(**ones, **place, line_off=9.5, line_scale=10, samp_off=14.5, samp_scale=15)
    bands = rng.integers(1, 255, (3, 20, 30)).astype(np.uint8)
    path = write(tmp_path / "in.tif", bands, crs=None, transform=None, rpcs=rpcs)
    enhance_raster(path, tmp_path / "out.tif", Blur())
    with rasterio.open(tmp_path / "out.tif") as out:
        # The middle of 20 x 30 pixels becomes the middle of 40 x 60.
        assert (out.rpcs.line_off, out.rpcs.samp_off) == (19.5, 29.5)
        assert (out.rpcs.line_scale, out.rpcs.samp_scale) == (20, 30)


@pytest.mark.parametrize("dtype, hole", [("uint8", 0), ("int16", -9999), ("float32", np.nan)])
def test_a_hole_stays_a_hole_and_does_not_bleed(tmp_path, dtype, hole):
    bands = np.full((3, 60, 70), 90, dtype)
    bands[:, 20:40, 30:50] = hole
    path = write(tmp_path / "in.tif", bands, nodata=hole)
    enhance_raster(path, tmp_path / "out.tif", Blur(), input_range=(0, 200))
    with rasterio.open(tmp_path / "out.tif") as out:
        result = out.read()
        is_hole = np.isnan(result) if dtype == "float32" else result == hole
        assert np.isnan(out.nodata) if dtype == "float32" else out.nodata == hole
    assert is_hole[:, 40:80, 60:100].all() and is_hole.sum() == 3 * 40 * 40
    inside = result[:, 6:-6, 6:-6]  # the net darkens the image's own edge
    assert np.allclose(inside[~is_hole[:, 6:-6, 6:-6]], 90, atol=1e-3)


def test_nan_beside_nodata_stays_nan(tmp_path):
    bands = np.full((1, 40, 40), 0.5, np.float32)
    bands[0, 5, 5], bands[0, 20, 20] = np.nan, -1
    path = write(tmp_path / "in.tif", bands, nodata=-1)
    enhance_raster(path, tmp_path / "out.tif", Blur())
    with rasterio.open(tmp_path / "out.tif") as out:
        result = out.read(1)
    assert np.isnan(result[10:12, 10:12]).all() and (result[40:42, 40:42] == -1).all()
    assert np.isnan(result).sum() == 4 and (result == -1).sum() == 4


def test_holes_of_whole_tiles_cost_no_run(tmp_path):
    bands = np.zeros((3, 300, 300), np.uint8)
    bands[:, :10, :10] = 50
    enhancer = Blur()
    path = write(tmp_path / "in.tif", bands, nodata=0)
    enhance_raster(path, tmp_path / "out.tif", enhancer)
    assert enhancer.runs == 1


def test_a_valid_value_never_becomes_nodata(tmp_path):
    bands = np.zeros((1, 30, 30), np.uint8)
    bands[0, 3:-3, 3:-3] = 1
    path = write(tmp_path / "in.tif", bands, nodata=7)
    enhance_raster(path, tmp_path / "out.tif", Blur(), input_range=(-6, 250))
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.read_masks(1).all()


def test_mask_of_the_dataset_is_kept_and_heeded(tmp_path):
    bands = np.full((3, 300, 300), 100, np.uint8)
    mask = np.ones((300, 300), bool)
    mask[100:140, 90:130] = False
    bands[:, ~mask] = 255
    path = write(tmp_path / "in.tif", bands, mask=mask)
    enhance_raster(path, tmp_path / "out.tif", Blur())
    with rasterio.open(tmp_path / "out.tif") as out:
        assert np.array_equal(out.dataset_mask() > 0, mask.repeat(2, 0).repeat(2, 1))
        inside = out.read()[:, 6:-6, 6:-6][:, out.dataset_mask()[6:-6, 6:-6] > 0]
    assert (inside == 100).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.tif", "out.tif"]


def test_alpha_is_enlarged_with_the_bicubic_kernel(tmp_path, rng):
    bands = rng.integers(0, 255, (4, 300, 90)).astype(np.uint8)
    bands[3] = np.maximum(bands[3], 1)
    colors = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    path = write(tmp_path / "in.tif", bands, colors=colors)
    enhance_raster(path, tmp_path / "out.tif", Blur(), unconstrained=True)
    expected = np.clip(np.rint(resize(bands[3].astype(np.float64), 2)), 1, 255)
    with rasterio.open(tmp_path / "out.tif") as out:
        differences = out.read(4) - expected
        assert np.abs(differences).max() <= 1 and np.mean(differences != 0) < 1e-3  # ties
        assert np.abs(out.read([1, 2, 3]) - expected_of(bands[:3], 255)).max() <= 0.51
        assert list(out.colorinterp) == colors


@pytest.mark.parametrize("dtype, opaque", [("uint8", 255), ("uint16", 300), ("float32", 200)])
def test_holes_of_alpha_stay_as_they_are_without_a_fringe(tmp_path, dtype, opaque):
    bands = np.full((4, 60, 70), opaque / 2, dtype)
    bands[3] = opaque
    bands[:, 20:40, 30:50] = 0
    bands[3, 5, 5] = 1  # the kernel undershoots there
    colors = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    path = write(tmp_path / "in.tif", bands, colors=colors)
    enhance_raster(path, tmp_path / "out.tif", Blur(), input_range=(0, 255))
    with rasterio.open(tmp_path / "out.tif") as out:
        result = out.read()
    shown = (bands[3] > 0).repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(result[3] > 0, shown)
    assert (result[:3, ~shown] == 0).all() and (result[:3, shown] > 0).all()


@pytest.mark.parametrize("others", ["resize", "each"])
def test_bands_that_are_not_rgb_are_resized_or_run_one_by_one(tmp_path, rng, others):
    bands = rng.integers(0, 10_000, (5, 70, 50)).astype(np.uint16)
    path = write(tmp_path / "in.tif", bands)
    enhance_raster(path, tmp_path / "out.tif", Blur(), rgb=(4, 3, 2), others=others, **AS_IT_IS)
    with rasterio.open(tmp_path / "out.tif") as out:
        result = out.read()
    own = expected_of(bands, 65535)
    assert np.abs(result[1:4] - own[1:4]).max() <= 0.51
    for band in (0, 4):
        resized = np.clip(np.rint(resize(bands[band].astype(np.float64), 2)), 0, 65535)
        expected = own[band] if others == "each" else resized
        assert np.abs(result[band] - expected).max() <= 1


@pytest.mark.parametrize("value", [-500, 300, 3000])
def test_values_that_the_net_does_not_know_are_not_cut(tmp_path, value):
    bands = np.full((3, 300, 40), value, np.int16)
    path = write(tmp_path / "in.tif", bands)
    enhancer = Blur()
    enhancer.run = lambda batch: np.clip(batch, 0, 1).repeat(2, axis=2).repeat(2, axis=3)
    enhance_raster(path, tmp_path / "out.tif", enhancer, input_range=(0, 1000))
    with rasterio.open(tmp_path / "out.tif") as out:
        assert (out.read() == value).all()


@pytest.mark.parametrize(
    "bands, options, message",
    [
        (np.ones((4, 9, 9), np.uint16), {}, "has 4 bands; say which are red"),
        (np.ones((4, 9, 9), np.uint8), {"rgb": (1, 2, 9)}, "rgb is 1,2,9; give three of the bands"),
        (np.ones((3, 9, 9), np.uint8), {"input_range": (5, 5)}, "input_range is 5.0,5.0; give"),
        (np.ones((3, 9, 9), np.complex64), {}, "is of dtype complex64"),
        (
            np.ones((3, 9, 9), np.uint16),
            {"creation_options": {"BLOCKXSIZE": "100"}},
            "cannot be written with these creation options: .* multiples of 16",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, bands, options, message):
    path = write(tmp_path / "in.tif", bands)
    with pytest.raises((ImageError, ValueError), match=message):
        enhance_raster(path, tmp_path / "out.tif", Blur(), **options)
    assert [p.name for p in tmp_path.iterdir()] == ["in.tif"]


def test_two_runs_to_one_output_do_not_meet(source, tmp_path):
    def meet(plan, indices):
        with pytest.raises(ImageError, match="another run is writing"):
            enhance_raster(source[0], tmp_path / "out.tif", Blur())
        for index in indices:
            compute_part(plan, index, Blur())

    enhance_raster(source[0], tmp_path / "out.tif", Blur(), run=on_plan(meet))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.tif", "out.tif"]


def test_a_raster_smaller_than_the_net_takes_is_named(source, tmp_path):
    with pytest.raises(ImageError, match="blur needs 301 pixels a side, and .* has 410 x 300"):
        enhance_raster(source[0], tmp_path / "out.tif", Blur(min_size=301))


def test_a_net_that_needs_the_whole_image_gets_it_at_once_if_it_is_small(source, tmp_path):
    whole = Blur(tile=400, tiling="global_statistics")
    enhance_raster(source[0], tmp_path / "out.tif", whole)
    assert whole.runs == 1


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (257, 129)])
@pytest.mark.parametrize("multiple", [1, 8])
def test_every_size_is_enhanced(tmp_path, rng, size, multiple):
    bands = rng.integers(0, 255, (3, *size)).astype(np.uint8)
    path = write(tmp_path / "in.tif", bands)
    enhance_raster(path, tmp_path / "out.tif", Blur(multiple=multiple), unconstrained=True)
    with rasterio.open(tmp_path / "out.tif") as out:
        inside = np.s_[:, : -2 or None, : -2 or None]  # what reflects differs from zeros
        result, expected = out.read(), expected_of(bands, 255)
        assert result.shape == expected.shape
        assert (
            np.abs(result - expected)[inside if multiple == 8 else np.s_[:]].max(initial=0) <= 0.51
        )


def test_overviews_and_cog_are_made_on_request(source, tmp_path):
    enhance_raster(source[0], tmp_path / "plain.tif", Blur(), overviews=True)
    enhance_raster(source[0], tmp_path / "cog.tif", Blur(), cog=True)
    with rasterio.open(tmp_path / "plain.tif") as plain, rasterio.open(tmp_path / "cog.tif") as cog:
        assert plain.overviews(1) == [2, 4] and cog.overviews(1)
        assert cog.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert np.array_equal(plain.read(), cog.read()) and cog.bounds == plain.bounds


def test_cog_keeps_namespaces_of_tags_and_the_sources_compression(tmp_path, rng):
    bands = rng.integers(1, 65535, (3, 40, 50)).astype(np.uint16)
    path = write(tmp_path / "in.tif", bands, compress="zstd", predictor=2)
    with rasterio.open(path, "r+") as src:
        src.update_tags(SENSOR="X")
        src.update_tags(ns="OURS", key="value")
        src.update_tags(2, ns="OURS", key="band")
        src.update_tags(3, wavelength="560")
    enhance_raster(path, tmp_path / "out.tif", Blur(), cog=True)
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.tags()["SENSOR"] == "X" and out.tags(3) == {"wavelength": "560"}
        assert out.tags(ns="OURS") == {"key": "value"}
        assert out.tags(2, ns="OURS") == {"key": "band"}
        assert out.profile["compress"] == "zstd"
        assert out.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "2"
        assert out.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    # GDAL loses the bands' own tags where it copies namespaces; they come beside the file.
    names = ["in.tif", "out.tif", "out.tif.aux.xml"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_cog_of_a_raster_without_namespaces_is_one_file(source, tmp_path):
    with rasterio.open(source[0], "r+") as src:
        src.update_tags(3, wavelength="560")
    enhance_raster(source[0], tmp_path / "out.tif", Blur(), cog=True)
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.tags(3) == {"wavelength": "560"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.tif", "out.tif"]


@pytest.mark.parametrize(
    "source, options, compression, quality",
    [
        ({"compress": "jpeg", "jpeg_quality": 91}, {}, "jpeg", ("JPEG_QUALITY", "91")),
        ({"compress": "jpeg", "nodata": 0}, {}, "deflate", None),
        ({"compress": "webp", "webp_level": 60}, {}, "webp", ("WEBP_LEVEL", "60")),
        ({"compress": "webp", "webp_lossless": True}, {}, "webp", None),
        ({"compress": "packbits"}, {}, "deflate", None),
        ({}, {}, None, None),
        ({"compress": "jpeg", "jpeg_quality": 91}, {"COMPRESS": "LZW"}, "lzw", None),
    ],
)
def test_cog_is_compressed_as_the_source(tmp_path, rng, source, options, compression, quality):
    bands = rng.integers(1, 255, (3, 40, 50)).astype(np.uint8)
    path = write(tmp_path / "in.tif", bands, interleave="pixel", **source)
    enhance_raster(path, tmp_path / "out.tif", Blur(), cog=True, creation_options=options)
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.profile.get("compress") == compression
        structure = out.tags(ns="IMAGE_STRUCTURE")
        assert structure["LAYOUT"] == "COG"
        assert quality is None or quality in structure.items()
        if "webp_lossless" in source:
            assert structure["COMPRESSION_REVERSIBILITY"] == "LOSSLESS"


@pytest.mark.parametrize("cog", [False, True])
def test_bits_that_are_declared_are_kept_and_not_exceeded(tmp_path, cog):
    bands = np.full((3, 40, 50), 4000, np.uint16)
    bands[:, ::2, ::2] = 4095
    path = write(tmp_path / "in.tif", bands, nbits=12, nodata=4095)
    enhancer = Blur()
    run = enhancer.run
    enhancer.run = lambda batch: run(batch) * 1.5
    enhance_raster(path, tmp_path / "out.tif", enhancer, cog=cog, **AS_IT_IS)
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "12"
        inside = out.read()[:, 4:-4, 4:-4]
        holes = (bands == 4095).repeat(2, axis=1).repeat(2, axis=2)[:, 4:-4, 4:-4]
        assert (inside[~holes] == 4094).all() and (inside[holes] == 4095).all()


def test_extent_stays_where_pixels_are_the_systems_units(tmp_path, rng):
    bands = rng.integers(1, 255, (3, 20, 30)).astype(np.uint8)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(tmp_path / "in.tif", bands, transform=None)
    enhance_raster(path, tmp_path / "out.tif", Blur())
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(path) as src:
        pass
    with rasterio.open(tmp_path / "out.tif") as out:
        assert src.transform.is_identity and src.crs == out.crs
        assert out.bounds == src.bounds and out.res == (0.5, 0.5)


@pytest.mark.parametrize("sides", [(512, 512), (1024, 128), (16, 64)])
def test_parts_are_whole_blocks_of_the_output(source, tmp_path, monkeypatch, sides):
    monkeypatch.setattr(plan, "PART_SAMPLES", 1)
    path, bands = source
    enhancer, targets = Blur(), []

    def compute(plan, indices):
        for index in indices:
            targets.append(plan.target(index))
            compute_part(plan, index, enhancer)

    options = {"blockxsize": str(sides[0]), "BLOCKYSIZE": str(sides[1])}
    enhance_raster(
        path,
        tmp_path / "out.tif",
        enhancer,
        creation_options=options,
        run=on_plan(compute),
        **AS_IT_IS,
    )
    for place in targets:
        for axis, side, end in zip(place, sides[::-1], (600, 820)):
            assert axis.start % side == 0 and (axis.stop % side == 0 or axis.stop == end)
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.block_shapes[0] == sides[::-1]
        assert np.abs(out.read() - expected_of(bands, 65535)).max() <= 0.51


def test_blocks_larger_than_a_tile_do_not_make_it_larger(source, tmp_path):
    enhancer, shapes = Blur(tile=64), []
    run = enhancer.run
    enhancer.run = lambda batch: [shapes.append(batch.shape[2:]), run(batch)][1]
    options = {"BLOCKXSIZE": "512", "BLOCKYSIZE": "512"}
    enhance_raster(source[0], tmp_path / "out.tif", enhancer, creation_options=options)
    assert max(shapes[1:]) <= (134, 134)  # 128 is the tile for blocks of 256


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize("profile", ["BASELINE", "GDALGeoTIFF"])
def test_files_that_gdal_puts_beside_an_output_come_with_it(tmp_path, rng, cog, profile):
    bands = rng.integers(1, 255, (3, 20, 30)).astype(np.uint8)
    path = write(tmp_path / "in.tif", bands)
    with rasterio.open(path, "r+") as src:
        src.update_tags(ns="IMD", version="AA")
        src.update_tags(1, ns="OURS", key="value")
    options = {} if cog else {"PROFILE": profile}
    out = tmp_path / "out" / "out.tif"
    for _ in range(2):
        enhance_raster(path, out, Blur(), creation_options=options, cog=cog)
        names = {p.name for p in out.parent.iterdir()}
        assert names <= {"out.tif", "out.tif.aux.xml", "out.IMD"}
        with rasterio.open(out) as dataset:
            assert dataset.tags(1, ns="OURS") == {"key": "value"}
            assert dataset.tags(ns="IMD") == {"version": "AA"}


def test_a_file_beside_another_is_not_replaced(tmp_path, rng):
    bands = rng.integers(1, 255, (3, 20, 30)).astype(np.uint8)
    path = write(tmp_path / "in.tif", bands)
    with rasterio.open(path, "r+") as src:
        src.update_tags(ns="IMD", version="AA")
    (tmp_path / "out.IMD").write_text("of out.ntf")
    enhancer = Blur()
    with pytest.raises(ImageError, match="out.tif comes with a file .*out.IMD, which is there"):
        enhance_raster(path, tmp_path / "out.tif", enhancer)
    assert enhancer.runs == -1 and (tmp_path / "out.IMD").read_text() == "of out.ntf"


def test_creation_options_are_passed_on(source, tmp_path):
    options = {"COMPRESS": "lzw", "BLOCKXSIZE": "512", "BLOCKYSIZE": "512"}
    enhance_raster(source[0], tmp_path / "out.tif", Blur(), creation_options=options)
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.profile["compress"] == "lzw" and out.block_shapes[0] == (512, 512)


def test_failing_tile_stops_the_work_and_resume_goes_on_from_it(source, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "PART_SAMPLES", 1)
    enhance_raster(source[0], tmp_path / "whole.tif", Blur())
    enhancer = Blur()
    run = enhancer.run

    def failing(batch):
        if enhancer.runs == 4:
            raise ImageError("a tile came back with NaN")
        return run(batch)

    enhancer.run = failing
    with pytest.raises(ImageError, match="a tile came back with NaN"):
        enhance_raster(source[0], tmp_path / "out.tif", enhancer)
    assert not (tmp_path / "out.tif").exists()
    rest, seen = Blur(), []
    enhance_raster(
        source[0], tmp_path / "out.tif", rest, resume=True, progress=lambda *n: seen.append(n)
    )
    total = seen[-1][1]
    assert rest.runs == total - 4 and seen[0] == (5, total) and seen[-1] == (total, total)
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.tif", "out.tif", "whole.tif"]


def test_parts_that_are_kept_or_deleted_are_told_of(source, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(plan, "PART_SAMPLES", 1)

    def interrupted(plan, indices):
        compute_part(plan, 0, Blur())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enhance_raster(
            source[0], tmp_path / "out.tif", Blur(), run=on_plan(interrupted), **AS_IT_IS
        )
    folder = tmp_path / ".out.tif.parts"
    kept = f"kept in {folder}: 1 of {TILES} parts; --resume goes on from there"
    assert [record.message for record in caplog.records] == [kept]
    caplog.clear()
    enhance_raster(source[0], tmp_path / "out.tif", Blur(), **AS_IT_IS)
    deleted = f"{folder} of an earlier run is deleted, as --resume is not given"
    assert [record.message for record in caplog.records] == [deleted]


def test_parts_of_other_options_are_not_gone_on_with(source, tmp_path):
    enhancer = Blur()
    enhancer.run = lambda batch: batch  # comes back with the wrong shape
    with pytest.raises(Exception, match="came back with shape"):
        enhance_raster(source[0], tmp_path / "out.tif", enhancer)
    with pytest.raises(ImageError, match="another source, model or options"):
        enhance_raster(source[0], tmp_path / "out.tif", Blur(), input_range=(0, 9), resume=True)
    enhance_raster(source[0], tmp_path / "out.tif", Blur(), input_range=(0, 9))
    assert not (tmp_path / ".out.tif.parts").exists()


def test_parts_of_other_weights_under_the_same_name_are_not_gone_on_with(source, tmp_path):
    def stopped(plan, indices):
        raise ImageError("stopped")

    with pytest.raises(ImageError, match="stopped"):
        enhance_raster(source[0], tmp_path / "out.tif", Blur(), run=on_plan(stopped))
    other = Blur()
    run = other.run
    other.run = lambda batch: run(batch) * 0.9
    with pytest.raises(ImageError, match="another source, model or options"):
        enhance_raster(source[0], tmp_path / "out.tif", other, resume=True)


def test_part_cut_short_by_a_full_disk_is_no_part(source, tmp_path):
    script = f"""
        import resource, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from test_enhancing import Blur, enhance_raster
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
        enhance_raster({str(source[0])!r}, {str(tmp_path / "out.tif")!r}, Blur())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert re.search(r"0000000-\w+.tif cannot be written", result.stderr.splitlines()[-1])
    enhance_raster(source[0], tmp_path / "out.tif", Blur(), resume=True)
    enhance_raster(source[0], tmp_path / "whole.tif", Blur())
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_a_worker_that_is_still_at_an_earlier_run_gives_no_part_to_the_next(source, tmp_path):
    plans, darker = [], Blur()
    run = darker.run
    darker.run = lambda batch: run(batch) * 0.5

    def stopped(plan, indices):
        plans.append(plan)
        raise ImageError("stopped")

    def late(plan, indices):
        compute_part(plans[0], 0, darker)
        for index in indices:
            if not plan.part_path(index).exists():
                compute_part(plan, index, Blur())

    with pytest.raises(ImageError, match="stopped"):
        enhance_raster(source[0], tmp_path / "out.tif", darker, run=on_plan(stopped))
    enhance_raster(source[0], tmp_path / "out.tif", Blur(), run=on_plan(late))
    enhance_raster(source[0], tmp_path / "whole.tif", Blur())
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_a_part_is_computed_without_a_warning_where_nothing_silences_it(source, tmp_path):
    plans = []

    def elsewhere(plan, indices):
        plans.append(plan)
        raise ImageError("stopped")

    with pytest.raises(ImageError, match="stopped"):
        enhance_raster(source[0], tmp_path / "out.tif", Blur(), run=on_plan(elsewhere))
    compute_part(plans[0], 0, Blur())
    assert plans[0].part_path(0).exists()


def test_missing_part_is_noticed_before_the_file_gets_its_name(source, tmp_path):
    def lazy(plan, indices):
        for index in indices[:-1]:
            compute_part(plan, index, Blur())

    with pytest.raises(ImageError, match="cannot be read"):
        enhance_raster(source[0], tmp_path / "out.tif", Blur(), run=on_plan(lazy))
    assert not (tmp_path / "out.tif").exists()


def test_killed_run_is_resumed_to_the_same_file(source, tmp_path, monkeypatch):
    script = f"""
        import sys, time
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from test_enhancing import Blur, enhance_raster, plan
        plan.PART_SAMPLES = 1
        enhancer = Blur()
        run = enhancer.run
        def slow(batch):
            time.sleep(0.2)
            return run(batch)
        enhancer.run = slow
        enhance_raster({str(source[0])!r}, {str(tmp_path / "out.tif")!r}, enhancer,
                       progress=lambda done, total: print(done, flush=True))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    while process.stdout.readline().strip() != "2":
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    monkeypatch.setattr(plan, "PART_SAMPLES", 1)
    rest = Blur()
    enhance_raster(source[0], tmp_path / "out.tif", rest, resume=True)
    enhance_raster(source[0], tmp_path / "whole.tif", Blur())
    assert rest.runs <= TILES - 2
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize("hole", ["mask", "alpha", "nodata"])
def test_rasters_with_holes_come_to_the_same_bytes_again_and_when_resumed(
    tmp_path, rng, monkeypatch, hole, cog
):
    monkeypatch.setattr(plan, "PART_SAMPLES", 1)
    bands = rng.integers(1, 255, (3 + (hole == "alpha"), 300, 410)).astype(np.uint8)
    holes = rng.random((300, 410)) < 0.1
    bands[-1 if hole == "alpha" else ..., holes] = 0
    colors = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    path = write(
        tmp_path / "in.tif",
        bands,
        mask=~holes if hole == "mask" else None,
        colors=colors if hole == "alpha" else None,
        nodata=0 if hole == "nodata" else None,
    )

    def interrupted(plan, indices):
        for index in indices[:5]:
            compute_part(plan, index, Blur())
        raise KeyboardInterrupt

    for name in ("once", "again"):
        enhance_raster(path, tmp_path / f"{name}.tif", Blur(), cog=cog)
    with pytest.raises(KeyboardInterrupt):
        enhance_raster(path, tmp_path / "resumed.tif", Blur(), cog=cog, run=on_plan(interrupted))
    enhance_raster(path, tmp_path / "resumed.tif", Blur(), cog=cog, resume=True)
    once, *others = (
        (tmp_path / f"{name}.tif").read_bytes() for name in ("once", "again", "resumed")
    )
    assert others == [once, once]


SAMPLES = (
    "RGB.byte RGBA.byte RGBA.uint16 alpha cogeo float_raster_with_nodata rgb1 rgb_deflate shade"
)


@pytest.mark.reference
@pytest.mark.parametrize("name", SAMPLES.split())
def test_sample_rasters_keep_extent_dtype_and_holes(reference_data, tmp_path, name):
    path = reference_data / "geo" / f"{name}.tif"
    options = {"input_range": (-1e4, 1e4)} if name.startswith("float") else {}
    enhance_raster(path, tmp_path / "out.tif", Blur(), **options)
    with rasterio.open(path) as src, rasterio.open(tmp_path / "out.tif") as out:
        assert np.allclose(out.bounds, src.bounds) and out.crs == src.crs
        assert out.dtypes == src.dtypes and out.colorinterp == src.colorinterp
        assert repr(out.nodatavals) == repr(src.nodatavals)
        assert out.mask_flag_enums == src.mask_flag_enums
        masks = src.read_masks().repeat(2, axis=1).repeat(2, axis=2)
        assert np.array_equal(out.read_masks() > 0, masks > 0)
