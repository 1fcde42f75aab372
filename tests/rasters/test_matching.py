"""Histogram matching of rasters, against the array function and rio-hist's formula."""

import subprocess
import sys

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.env import GDALVersion
from rasterio.rpc import RPC

import gluon_enhance as ge
from gluon_enhance.errors import ImageError
from gluon_enhance.rasters import match
from gluon_enhance.rasters import write as write_module
from gluon_enhance.rasters.match import match_rasters
from gluon_enhance.rasters.write import created

SIZE = 50, 70
PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}

AXES = "height", "lat", "line", "long", "samp"


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(match, "SAMPLES", 3 * 16 * 40)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path


def write(path, bands, mask=None, colors=None, **profile):
    """Write bands of shape (C, H, W) in small tiles, unless the profile says otherwise."""
    count, height, width = bands.shape
    layout = {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "lzw", **PLACE}
    if count == 4:
        layout["photometric"] = "minisblack"  # else the fourth of bytes is alpha
    profile = {"driver": "GTiff", "dtype": bands.dtype, "count": count, **layout, **profile}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", height=height, width=width, **profile) as out,
    ):
        if colors:
            out.colorinterp = [ColorInterp[color] for color in colors]
        out.write(bands)
        if mask is not None:
            out.write_mask(mask)
    return path


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read()


def sample(rng, dtype, low, high, count=3, size=SIZE):
    values = low + (high - low) * rng.random((count, *size)) ** 2
    return values.astype(dtype)


def as_image(bands):
    return np.moveaxis(bands, 0, -1)


def matched_by_bands(source, reference, source_masks, reference_masks):
    """Match each band by the array function, under masks of shape (C, H, W)."""
    return np.stack(
        [
            ge.match_histograms(*pair[:2], source_mask=pair[2], reference_mask=pair[3])
            for pair in zip(source, reference, source_masks, reference_masks)
        ]
    )


@pytest.mark.parametrize("proportion", [1.0, 0.4])
@pytest.mark.parametrize(
    "dtype, low, high",
    [
        ("uint8", 10, 200),
        ("uint16", 0, 60_000),
        ("int16", -9000, 20_000),
        ("uint32", 10, 4e9),
        ("float32", -3, 8000),
        ("float64", 0, 1),
    ],
)
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_raster_of_any_dtype_equals_the_array_function(
    folder, rng, dtype, low, high, interleave, proportion
):
    source = sample(rng, dtype, low, high)
    reference = sample(rng, dtype, (low + high) / 2, high, size=(33, 41))
    paths = [
        write(folder / f"{name}.tif", bands, interleave=interleave)
        for name, bands in (("source", source), ("reference", reference))
    ]
    match_rasters(*paths, folder / "out.tif", match_proportion=proportion)
    expected = ge.match_histograms(
        as_image(source), as_image(reference), match_proportion=proportion
    )
    assert np.array_equal(as_image(read(folder / "out.tif")), expected)


@pytest.mark.parametrize("color_space", ["Lab", "LCH", "LUV", "XYZ"])
@pytest.mark.parametrize("dtype, white", [("uint8", 255), ("uint16", 65535), ("float32", 1)])
def test_color_spaces_equal_the_array_function_and_leave_other_bands(
    folder, rng, color_space, dtype, white
):
    source = sample(rng, dtype, 0, 0.8 * white, count=4)
    reference = sample(rng, dtype, 0.3 * white, white)
    paths = write(folder / "s.tif", source), write(folder / "r.tif", reference)
    match_rasters(*paths, folder / "out.tif", color_space=color_space)
    expected = ge.match_histograms(
        as_image(source[:3]), as_image(reference), color_space=color_space
    )
    result = read(folder / "out.tif")
    assert np.array_equal(as_image(result[:3]), expected)
    assert np.array_equal(result[3], source[3])


def test_more_float_values_than_are_kept_come_close_to_the_array_function(folder, rng, monkeypatch):
    monkeypatch.setattr("gluon_enhance.imaging.quantiles.LIMIT", 1000)  # of 3500
    source, reference = sample(rng, "float32", 1, 2), sample(rng, "float32", 10, 20)
    paths = write(folder / "s.tif", source), write(folder / "r.tif", reference)
    match_rasters(*paths, folder / "out.tif")
    expected = ge.match_histograms(as_image(source), as_image(reference))
    errors = np.abs(as_image(read(folder / "out.tif")) - expected)
    assert 0 < errors.max() < 0.1


def test_nodata_and_nan_are_not_counted_and_stay_band_by_band(folder, rng):
    source, reference = sample(rng, "float32", 0, 1), sample(rng, "float32", 5, 9)
    holes, reference_holes = rng.random(source.shape) < 0.2, rng.random(source.shape) < 0.3
    holes[1, 3, 4] = False
    source[holes], reference[reference_holes] = -9999, -1
    source[1, 3, 4] = reference[2, 5, 6] = np.nan
    paths = (
        write(folder / "s.tif", source, nodata=-9999),
        write(folder / "r.tif", reference, nodata=-1),
    )
    match_rasters(*paths, folder / "out.tif")
    expected = matched_by_bands(source, reference, ~holes, ~reference_holes)
    result = read(folder / "out.tif")
    assert np.array_equal(result, expected, equal_nan=True)
    assert (result[holes] == -9999).all() and np.isnan(result[1, 3, 4])


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("nodata", [None, 0])
def test_alpha_is_heeded_and_copied(folder, rng, nodata, dtype):
    source = sample(rng, dtype, 1, 30_000, count=4)
    source[3] = 65535 * (rng.random(SIZE) < 0.7)
    reference = sample(rng, dtype, 20_000, 60_000)
    colors = ["red", "green", "blue", "alpha"]
    paths = (
        write(folder / "s.tif", source, colors=colors, nodata=nodata),
        write(folder / "r.tif", reference),
    )
    match_rasters(*paths, folder / "out.tif")
    expected = ge.match_histograms(
        as_image(source[:3]), as_image(reference), source_mask=source[3] > 0
    )
    result = read(folder / "out.tif")
    assert np.array_equal(as_image(result[:3]), expected)
    assert np.array_equal(result[3], source[3])


@pytest.mark.parametrize("color_space", ["RGB", "Lab"])
def test_mask_of_the_dataset_is_heeded_and_kept(folder, rng, color_space):
    source, reference = sample(rng, "uint8", 1, 90), sample(rng, "uint8", 50, 255)
    masks = rng.random((2, *SIZE)) < 0.6
    paths = (
        write(folder / "s.tif", source, mask=masks[0]),
        write(folder / "r.tif", reference, mask=masks[1]),
    )
    match_rasters(*paths, folder / "out" / "out.tif", color_space=color_space)
    expected = ge.match_histograms(
        as_image(source),
        as_image(reference),
        color_space=color_space,
        source_mask=masks[0],
        reference_mask=masks[1],
    )
    with rasterio.open(folder / "out" / "out.tif") as result:
        assert np.array_equal(as_image(result.read()), expected)
        assert all(np.array_equal(mask > 0, masks[0]) for mask in result.read_masks())
    assert [path.name for path in (folder / "out").iterdir()] == ["out.tif"]


@pytest.mark.parametrize(
    "dtype, nodata, expected",
    [
        ("uint8", 0, [1, 7, 9]),
        ("uint8", 9, [0, 7, 10]),
        ("int16", 32767, [0, 7, 9]),
        ("float32", 7, [0, 7, 9]),
    ],
)
def test_a_valid_value_never_becomes_nodata(folder, dtype, nodata, expected):
    source = np.array([[[20, 30, 40, nodata]]], dtype)
    reference = np.array([[[0, 7, 9]]], dtype)
    layout = {"tiled": False, "blockysize": 1, "blockxsize": None}
    paths = (
        write(folder / "s.tif", source, nodata=nodata, **layout),
        write(folder / "r.tif", reference, **layout),
    )
    match_rasters(*paths, folder / "out.tif")
    with rasterio.open(folder / "out.tif") as result:
        assert result.read_masks(1).tolist() == [[255, 255, 255, 0]]
        assert np.allclose(result.read(1)[0, :3], expected, rtol=1e-5)
        assert result.read(1)[0, 3] == nodata


def test_a_valid_value_steps_down_from_nodata_at_the_top(folder):
    source, reference = np.array([[[1, 2, 255]]], "uint8"), np.array([[[3, 255]]], "uint8")
    paths = (
        write(folder / "s.tif", source, nodata=255, tiled=False),
        write(folder / "r.tif", reference, tiled=False),
    )
    match_rasters(*paths, folder / "out.tif")
    assert read(folder / "out.tif").tolist() == [[[3, 254, 255]]]


def metadata(path):
    with rasterio.open(path) as dataset:
        profile = dict(dataset.profile)
        names = "descriptions scales offsets units colorinterp nodatavals mask_flag_enums rpcs"
        tags = {
            (band, name): dataset.tags(band, ns=name)
            for band in (0, *dataset.indexes)
            for name in (None, *dataset.tag_namespaces(band))
            if name != "DERIVED_SUBDATASETS"
        }
        points = [(p.row, p.col, p.x, p.y, p.id) for p in dataset.gcps[0]], dataset.gcps[1]
        return profile, [getattr(dataset, name) for name in names.split()], tags, points


@pytest.mark.parametrize("place", ["transform", "gcps", "rpcs"])
@pytest.mark.parametrize("compression", [{"compress": "deflate", "predictor": 2}, {"tiled": False}])
def test_everything_else_is_kept(folder, rng, place, compression):
    bands = sample(rng, "uint16", 1, 9000, count=4)
    georeference = {}
    if place == "rpcs":
        lines = {"line_num_coeff": [1.0] * 20, "line_den_coeff": [2.0] * 20}
        samples = {"samp_num_coeff": [3.0] * 20, "samp_den_coeff": [4.0] * 20}
        names = [f"{axis}_{kind}" for axis in AXES for kind in ("off", "scale")]
        numbers = dict(zip(names, range(1, 11)))
        rpcs = RPC(**lines, **samples, **numbers)
        georeference = {"crs": None, "transform": None, "rpcs": rpcs}
    if place == "gcps":
        corners = [(0, 0), (0, 70), (50, 0)]
        points = [GroundControlPoint(r, c, 10.0 + c, 50.0 - r, 0, f"p{r}{c}") for r, c in corners]
        georeference = {"crs": "EPSG:4326", "transform": None, "gcps": points}
    write(folder / "s.tif", bands, nodata=0, **compression, **georeference)
    with rasterio.open(folder / "s.tif", "r+") as source:
        source.update_tags(SENSOR="X", TIFFTAG_ARTIST="somebody", AREA_OR_POINT="Area")
        source.update_tags(ns="OURS", key="value")
        if GDALVersion.runtime().at_least("3.10"):  # older ones write no profile from tags
            source.update_tags(ns="COLOR_PROFILE", SOURCE_ICC_PROFILE="AAAA")
        source.update_tags(ns="xml:XMP", **{"<x:xmpmeta xmlns:x": '"adobe:ns:meta/"/>'})
        source.update_tags(2, wavelength="560")
        source.update_tags(3, ns="OURS", note="third")
        source.descriptions = "blue", "green", None, "infrared"
        source.scales, source.offsets = (2, 3, 4, 5), (0, 1, 0, -1)
        source.units = "W", "W", "", "K"
        source.colorinterp = [
            ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined
        ]  # fmt: skip
    expected = metadata(folder / "s.tif")
    with rasterio.open(folder / "s.tif", "r+") as source:
        source.update_tags(1, STATISTICS_MEAN="12", STATISTICS_MAXIMUM="99")
    match_rasters(folder / "s.tif", folder / "s.tif", folder / "out" / "out.tif")
    assert metadata(folder / "out" / "out.tif") == expected
    assert np.array_equal(read(folder / "out" / "out.tif"), bands)
    assert [path.name for path in (folder / "out").iterdir()] == ["out.tif"]


def test_a_raster_of_points_keeps_its_place(folder, rng):
    path = write(folder / "s.tif", sample(rng, "uint8", 1, 9))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(AREA_OR_POINT="Point")
    match_rasters(path, path, folder / "out.tif")
    with rasterio.open(path) as source, rasterio.open(folder / "out.tif") as result:
        assert result.transform == source.transform
        assert result.tags() == source.tags()


def test_creation_options_replace_layout_and_compression(folder, rng):
    bands = sample(rng, "uint8", 1, 200)
    path = write(folder / "s.tif", bands, compress="lzw", predictor=2)
    options = {"COMPRESS": "zstd", "TILED": "yes", "BLOCKXSIZE": "64", "BLOCKYSIZE": "64"}
    match_rasters(path, path, folder / "out.tif", creation_options=options)
    with rasterio.open(folder / "out.tif") as result:
        assert result.profile["compress"] == "zstd" and result.block_shapes[0] == (64, 64)
        assert np.array_equal(result.read(), bands)


def test_jpeg_stays_jpeg_at_its_quality_unless_nodata_would_suffer(folder, rng):
    bands = sample(rng, "uint8", 1, 200)
    jpeg = {"compress": "jpeg", "photometric": "ycbcr", "jpeg_quality": 91, "interleave": "pixel"}
    write(folder / "plain.tif", bands, **jpeg)
    write(folder / "holes.tif", bands, nodata=0, **jpeg)
    for name in ("plain", "holes"):
        match_rasters(folder / f"{name}.tif", folder / "plain.tif", folder / f"{name}_out.tif")
    with rasterio.open(folder / "plain_out.tif") as result:
        assert result.profile["photometric"] == "ycbcr"
        assert result.tags(ns="IMAGE_STRUCTURE")["JPEG_QUALITY"] == "91"
    with rasterio.open(folder / "holes_out.tif") as result:
        assert result.profile["compress"] == "deflate"


def test_bands_choose_what_is_matched_and_curves_tell_of_it(folder, rng):
    source, reference = sample(rng, "uint8", 1, 90, 4), sample(rng, "uint8", 99, 255, 3)
    paths = write(folder / "s.tif", source), write(folder / "r.tif", reference)
    curves = match_rasters(*paths, folder / "out.tif", bands=[3, 1])
    result = read(folder / "out.tif")
    for band in (0, 2):
        expected = ge.match_histograms(source[band], reference[band])
        assert np.array_equal(result[band], expected)
    assert np.array_equal(result[[1, 3]], source[[1, 3]])
    assert list(curves) == ["band 3", "band 1"]
    for name, band in (("band 3", 2), ("band 1", 0)):
        for curve, bands in zip(curves[name], (source, reference, result)):
            shares = [np.mean(bands[band] <= value) for value in curve[0]]
            assert np.allclose(curve[1], shares) or curve is curves[name].result
        values, shares = curves[name].result
        assert np.isclose(shares[-1], 1) and values[-1] == result[band].max()


def test_bands_of_a_color_space_are_its_channels(folder, rng):
    source, reference = sample(rng, "uint8", 60, 120), sample(rng, "uint8", 100, 160)
    paths = write(folder / "s.tif", source), write(folder / "r.tif", reference)
    curves = match_rasters(*paths, folder / "out.tif", color_space="Lab", bands=[1])
    assert list(curves) == ["L"]
    lab, before, wanted = (
        ge.imaging.color.rgb_to_lab(as_image(bands) / 255)
        for bands in (read(folder / "out.tif"), source, reference)
    )
    assert np.abs(lab[..., 1:] - before[..., 1:]).max() < 1.5  # of rounding to 8 bits
    assert np.allclose(np.sort(lab[..., 0], None), np.sort(wanted[..., 0], None), atol=0.8)


def test_color_spaces_follow_the_declared_colors(folder, rng):
    source, reference = sample(rng, "uint8", 1, 90), sample(rng, "uint8", 99, 255)
    paths = (
        write(folder / "s.tif", source[::-1], colors=["blue", "green", "red"]),
        write(folder / "r.tif", reference),
    )
    match_rasters(*paths, folder / "out.tif", color_space="LUV")
    expected = ge.match_histograms(as_image(source), as_image(reference), color_space="LUV")
    assert np.array_equal(as_image(read(folder / "out.tif")[::-1]), expected)


def test_a_picture_without_georeference_becomes_a_geotiff(folder, rng):
    source = sample(rng, "uint8", 1, 90)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write(folder / "s.png", source, driver="PNG", transform=None, crs=None)
    match_rasters(folder / "s.png", folder / "s.png", folder / "out.tif")
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        assert np.array_equal(read(folder / "out.tif"), source)


def test_progress_counts_windows_to_the_end(folder, rng):
    path = write(folder / "s.tif", sample(rng, "uint8", 1, 90))
    calls = []
    match_rasters(path, path, folder / "out.tif", progress=lambda *call: calls.append(call))
    total = len(calls)
    assert total > 12 and calls == [(i, total) for i in range(1, total + 1)]


def test_files_beside_a_replaced_output_do_not_outlive_it(folder, rng):
    path = write(folder / "s.tif", sample(rng, "uint8", 1, 90))
    for suffix in ("", ".aux.xml", ".ovr", ".msk"):
        (folder / "out" / f"out.tif{suffix}").write_bytes(b"old")
    match_rasters(path, path, folder / "out" / "out.tif")
    assert [path.name for path in (folder / "out").iterdir()] == ["out.tif"]


def test_bits_that_are_declared_are_kept_and_not_exceeded(folder, rng):
    source, reference = sample(rng, "uint16", 1, 4095), sample(rng, "uint16", 1, 65535)
    source[:, :5, :5] = 4095
    paths = (
        write(folder / "s.tif", source, nbits=12, nodata=4095),
        write(folder / "r.tif", reference),
    )
    match_rasters(*paths, folder / "out.tif")
    with rasterio.open(folder / "out.tif") as result:
        assert result.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "12"
        assert np.array_equal(result.read() == 4095, source == 4095)
        assert result.read()[source != 4095].max() == 4094


@pytest.mark.parametrize("profile", ["BASELINE", "GDALGeoTIFF"])
def test_files_that_gdal_puts_beside_an_output_bear_its_name(folder, rng, profile):
    path = write(folder / "s.tif", sample(rng, "uint8", 1, 90))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="IMD", version="AA")
        dataset.update_tags(2, ns="OURS", key="value")
    out = folder / "out" / "out.tif"
    match_rasters(path, path, out, creation_options={"PROFILE": profile})
    assert {p.name for p in out.parent.iterdir()} <= {"out.tif", "out.tif.aux.xml", "out.IMD"}
    with rasterio.open(out) as result:
        assert result.tags(ns="IMD") == {"version": "AA"}
        assert result.tags(2, ns="OURS") == {"key": "value"}
        assert result.crs == PLACE["crs"] or profile == "BASELINE"


def test_a_system_without_a_transform_is_kept(folder, rng):
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(folder / "s.tif", sample(rng, "uint8", 1, 90), transform=None)
    match_rasters(path, path, folder / "out.tif")
    with rasterio.open(folder / "out.tif") as result:
        assert result.bounds == (0, 50, 70, 0) and result.crs == PLACE["crs"]


@pytest.mark.parametrize("side, header", [(60_000, b"II+\0"), (6_000, b"II*\0")])
def test_a_raster_that_may_exceed_4_gigabytes_is_a_big_tiff(folder, monkeypatch, side, header):
    # It would find the blocks that are left out.
    monkeypatch.setattr(
        write_module, "_check_complete", lambda *_: None
    )  # of blocks that are left out
    layout = {"compress": "deflate", "sparse_ok": True, "width": side, "height": side}
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "tiled": True, **PLACE}
    with rasterio.open(folder / "s.tif", "w", bigtiff="no", **profile, **layout):
        pass
    options = {"SPARSE_OK": "yes"}
    with rasterio.open(folder / "s.tif") as src, created(folder / "out.tif", src, options):
        pass
    assert (folder / "out.tif").read_bytes()[:4] == header


@pytest.fixture
def files(folder, rng):
    bands = sample(rng, "uint8", 1, 90, 4)
    write(folder / "four.tif", bands)
    write(folder / "three.tif", bands[:3])
    write(folder / "one.tif", bands[:1])
    write(folder / "empty.tif", 0 * bands[:3], nodata=0)
    write(folder / "signed.tif", bands[:3].astype("int16"))
    write(folder / "long.tif", bands[:3].astype("int64"))
    write(folder / "metric.tif", bands[:3].astype("float32"))
    with rasterio.open(write(folder / "palette.tif", bands[:1]), "r+") as dataset:
        dataset.write_colormap(1, {i: (i, i, i, 255) for i in range(256)})
    whole = write(folder / "whole.tif", rng.integers(0, 255, (3, 64, 64), "uint8")).read_bytes()
    (folder / "damaged.tif").write_bytes(whole[:9000] + bytes([255]) * 4000 + whole[13000:])
    (folder / "link.tif").symlink_to(folder / "three.tif")
    (folder / "out" / "old.tif").write_bytes(b"old")
    return folder


@pytest.mark.parametrize(
    "source, reference, out, options, message",
    [
        ("four", "three", "new.tif", {}, "four.tif has 4 bands besides alpha, .*three.tif 3;.*--b"),
        ("four", "three", "new.tif", {"bands": [4]}, "bands are 4; the bands of .*three.tif are 1"),
        ("four", "four", "new.tif", {"bands": [1, 1]}, "bands are 1,1"),
        ("three", "three", "new.tif", {"bands": [0], "color_space": "Lab"}, "channels of Lab are"),
        ("one", "three", "new.tif", {"color_space": "Lab"}, "one.tif has no three bands"),
        ("three", "three", "new.tif", {"color_space": "HSV"}, "color_space is 'HSV'"),
        ("three", "three", "new.tif", {"match_proportion": 2}, "match_proportion is 2"),
        ("metric", "metric", "new.tif", {"color_space": "Lab"}, r"need \[0, 1\]"),
        ("signed", "three", "new.tif", {}, "source is int16, reference uint8"),
        ("long", "long", "new.tif", {}, "int64"),
        ("palette", "one", "new.tif", {}, "palette.tif has a color table"),
        ("three", "empty", "new.tif", {}, "reference has no valid value"),
        ("three", "nothing", "new.tif", {}, "nothing.tif cannot be read: .*No such file"),
        ("damaged", "three", "old.tif", {}, "damaged.tif cannot be read"),
        ("three", "damaged", "old.tif", {}, "damaged.tif cannot be read"),
        ("three", "three", "new.png", {}, "new.png has the suffix '.png'; choose .tif"),
        ("three", "one", "../three.tif", {"bands": [1]}, "three.tif is an input too"),
        ("three", "link", "../three.tif", {}, "three.tif is an input too"),
        ("link", "three", "../link.tif", {}, "link.tif is an input too"),
        (
            "three",
            "three",
            "old.tif",
            {"creation_options": {"blockxsize": "17"}},
            "cannot be written",
        ),
    ],
)
def test_what_cannot_be_matched_is_named_and_nothing_is_left(
    files, source, reference, out, options, message
):
    before = (files / "three.tif").read_bytes()
    paths = (files / f"{name}.tif" for name in (source, reference))
    with pytest.raises((ImageError, ValueError), match=message):
        match_rasters(*paths, files / "out" / out, **options)
    assert [path.name for path in (files / "out").iterdir()] == ["old.tif"]
    assert (files / "out" / "old.tif").read_bytes() == b"old"
    assert (files / "three.tif").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file size there")
def test_a_full_disk_is_noticed(folder, rng):
    path = write(folder / "s.tif", rng.integers(0, 255, (3, 400, 400), "uint8"))
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        "from gluon_enhance.rasters.match import match_rasters; match_rasters(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, path, path, folder / "out" / "out.tif"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert "out.tif cannot be written" in result.stderr.splitlines()[-1]
    assert not list((folder / "out").iterdir())


def rio_hist(source, reference, valid, reference_valid):
    """Match one band as rio-hist's match.py does, from 0 to 255, before it truncates."""
    source, reference = (band / np.iinfo(band.dtype).max for band in (source, reference))
    _, inverse, counts = np.unique(source[valid], return_inverse=True, return_counts=True)
    levels, level_counts = np.unique(reference[reference_valid], return_counts=True)
    quantiles = (np.cumsum(part) / part.sum() for part in (counts, level_counts))
    return np.interp(*quantiles, levels)[inverse] * 255


@pytest.mark.reference
@pytest.mark.parametrize("pair", [1, 2])
def test_samples_of_rio_hist_are_matched_as_there_but_for_its_flaws(reference_data, folder, pair):
    # Of what rio-hist computes, it truncates the fraction, which darkens by half a level; here it
    # is rounded. Its mask takes a pixel for valid if one band is, so that nodata of the others is
    # counted and matched: pair 2 has 91,946 such pixels in band 1. Its output has no nodata value.
    # Pair 1 gives a uint8 raster the histogram of a uint16 one.
    paths = [reference_data / f"geo/rio-hist/{name}{pair}.tif" for name in ("source", "reference")]
    match_rasters(*paths, folder / "out.tif", creation_options={"compress": "none"})
    (source, valid), (reference, reference_valid) = (bands_and_masks(path) for path in paths)
    result, still_valid = bands_and_masks(folder / "out.tif")
    assert np.array_equal(still_valid, valid)
    for band in range(3):
        args = source[band], reference[band], valid[band], reference_valid[band]
        assert np.array_equal(result[band][valid[band]], np.rint(rio_hist(*args)))


def bands_and_masks(path):
    with rasterio.open(path) as dataset:
        return dataset.read(), dataset.read_masks() > 0


@pytest.mark.reference
@pytest.mark.parametrize(
    "name", ["RGB.byte", "RGBA.byte", "RGBA.uint16", "cogeo", "goes", "shade", "rgb_deflate"]
)
def test_sample_rasters_keep_values_masks_and_metadata_when_matched_to_themselves(
    reference_data, folder, name
):
    path = reference_data / f"geo/{name}.tif"
    with rasterio.open(path) as source:
        options = {"compress": "deflate"} if source.profile.get("compress") == "jpeg" else {}
    match_rasters(path, path, folder / "out.tif", creation_options=options)
    for before, after in zip(bands_and_masks(path), bands_and_masks(folder / "out.tif")):
        assert np.array_equal(before, after)
    with rasterio.open(path) as source, rasterio.open(folder / "out.tif") as result:
        assert result.tags() == source.tags() and result.colorinterp == source.colorinterp
        assert (result.crs, result.transform) == (source.crs, source.transform)
        assert result.block_shapes == source.block_shapes
