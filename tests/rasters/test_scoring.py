import json
import math

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image

from gluon_enhance.commands.score import score
from gluon_enhance.errors import ImageError
from gluon_enhance.rasters import score as score_module
from gluon_enhance.rasters.score import score_rasters

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 0, 0, -10, 0)}


def write(path, bands, **profile):
    count, height, width = bands.shape
    size = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **{**PLACE, **size, **profile}) as out:
        out.write(bands)
    return path


@pytest.mark.parametrize("border", [0, 3])
def test_errors_of_each_band_are_those_of_numpy_where_both_are_valid(
    tmp_path, rng, monkeypatch, border
):
    monkeypatch.setattr(score_module, "SAMPLES", 200)
    image, truth = rng.integers(0, 3000, (2, 2, 40, 50)).astype(np.uint16)
    paths = write(tmp_path / "a.tif", image, nodata=7), write(tmp_path / "b.tif", truth, nodata=9)
    rows = score_rasters(*paths, crop_border=border)
    inner = np.s_[border : 40 - border, border : 50 - border]
    for k, row in enumerate(rows):
        a, b = image[k][inner].astype(float), truth[k][inner].astype(float)
        valid = (a != 7) & (b != 9)
        errors = (a - b)[valid]
        assert row["band"] == k + 1 and row["valid"] == pytest.approx(valid.mean())
        assert row["bias"] == pytest.approx(errors.mean())
        assert row["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
        psnr = 20 * math.log10(65535 / row["rmse"])
        assert row["psnr"] == pytest.approx(psnr)


def test_peak_of_floats_is_the_references_span_or_what_is_given(tmp_path):
    truth = np.linspace(-1, 3, 100, dtype=np.float32).reshape(1, 10, 10)
    truth[0, 0, 0] = np.nan
    span = 3 - np.nanmin(truth)
    paths = write(tmp_path / "a.tif", truth + 0.5), write(tmp_path / "b.tif", truth)
    (row,) = score_rasters(*paths)
    assert row["bias"] == pytest.approx(0.5) and row["valid"] == 0.99
    assert row["psnr"] == pytest.approx(20 * math.log10(span / 0.5), abs=1e-4)
    assert score_rasters(*paths, data_range=5)[0]["psnr"] == pytest.approx(20, abs=1e-4)
    assert score_rasters(paths[1], paths[1])[0]["psnr"] == math.inf


def test_rasters_that_do_not_fit_are_named(tmp_path):
    small = write(tmp_path / "a.tif", np.ones((1, 8, 9), np.uint8), nodata=1)
    for name, shape in (("size", (1, 9, 9)), ("bands", (2, 8, 9))):
        other = write(tmp_path / f"{name}.tif", np.ones(shape, np.uint8))
        with pytest.raises(ImageError, match="they must be alike"):
            score_rasters(small, other)
    with pytest.raises(ImageError, match="a.tif has no pixel that is valid in both, in any band"):
        score_rasters(small, small)
    with pytest.raises(ImageError, match="no pixel left inside a border of 4"):
        score_rasters(small, small, crop_border=4)


def test_command_prints_a_row_for_each_band(tmp_path):
    paths = [write(tmp_path / f"{k}.tif", np.full((2, 8, 9), k, np.uint8)) for k in (10, 13)]
    result = CliRunner().invoke(score, [str(path) for path in paths])
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()[2:4]]
    assert [row[-5:-3] for row in rows] == [["1", "1.000"], ["2", "1.000"]]
    assert [row[-3:] for row in rows] == [["-3.000", "3.000", "38.588"]] * 2


@pytest.mark.parametrize(
    "place, bounds",
    [
        ({"transform": rasterio.Affine(10, 0, 50, 0, -10, 0)}, "50, -80, 140, 0 in EPSG:32633"),
        ({"transform": rasterio.Affine(20, 0, 0, 0, -20, 0)}, "0, -160, 180, 0 in EPSG:32633"),
        ({"crs": "EPSG:32632"}, "0, -80, 90, 0 in EPSG:32632"),
    ],
)
def test_rasters_of_different_places_are_refused_with_both_bounds(tmp_path, place, bounds):
    bands = np.ones((1, 8, 9), np.uint8)
    paths = write(tmp_path / "a.tif", bands), write(tmp_path / "b.tif", bands, **place)
    with pytest.raises(ImageError, match="a.tif covers 0, -80, 90, 0 in EPSG:32633; .*b.tif") as e:
        score_rasters(*paths)
    assert f"b.tif covers {bounds}: they must be of one place" in str(e.value)


@pytest.mark.parametrize(
    "turned",
    [
        rasterio.Affine(0, 10, 0, 10, 0, -80),  # a mirror on the diagonal
        rasterio.Affine(0, -10, 80, -10, 0, 0),
        rasterio.Affine(-10, 0, 80, 0, 10, -80),  # by 180 degrees
    ],
)
def test_rasters_of_one_place_that_are_turned_are_refused(tmp_path, turned):
    bands = np.ones((1, 8, 8), np.uint8)
    paths = write(tmp_path / "a.tif", bands), write(tmp_path / "b.tif", bands, transform=turned)
    with pytest.raises(ImageError, match="transforms, 10, 0, 0, 0, -10, 0 and .* not alike"):
        score_rasters(*paths)
    assert score_rasters(paths[1], paths[1])[0]["valid"] == 1


def test_rasters_from_south_to_north_are_scored(tmp_path):
    bands, place = np.ones((1, 8, 8), np.uint8), rasterio.Affine(10, 0, 0, 0, 10, 0)
    paths = [write(tmp_path / f"{k}.tif", bands + k, transform=place) for k in range(2)]
    assert score_rasters(*paths)[0]["bias"] == -1


def test_each_band_has_its_own_nodata(tmp_path):
    # GeoTIFFs hold one nodata value; those of single bands lie beside them.
    truth = np.array([[[0, 50, 60, 255]], [[0, 50, 60, 255]]], np.uint8)
    image = np.array([[[9, 51, 61, 255]], [[45, 95, 105, 200]]], np.uint8)
    paths = [write(tmp_path / name, bands) for name, bands in (("a.tif", image), ("b.tif", truth))]
    bands = "".join(
        f'<PAMRasterBand band="{band}"><NoDataValue>{nodata}</NoDataValue></PAMRasterBand>'
        for band, nodata in ((1, 0), (2, 255))
    )
    (tmp_path / "b.tif.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")
    with rasterio.open(paths[1]) as dataset:
        assert dataset.nodatavals == (0, 255)
    first, second = score_rasters(*paths)
    assert (first["valid"], first["bias"]) == (0.75, pytest.approx(2 / 3))
    assert (second["valid"], second["bias"], second["rmse"]) == (0.75, 45, 45)


def test_a_band_without_anything_valid_has_no_scores_and_the_others_have(tmp_path):
    image = np.stack([np.full((8, 9), k, np.uint8) for k in (7, 0, 9)])
    truth = np.stack([np.full((8, 9), k, np.uint8) for k in (5, 5, 5)])
    paths = write(tmp_path / "a.tif", image, nodata=0), write(tmp_path / "b.tif", truth)
    rows = score_rasters(*paths)
    assert [row["bias"] for row in rows] == [2, pytest.approx(math.nan, nan_ok=True), 4]
    assert [row["valid"] for row in rows] == [1, 0, 1]
    report = json.loads(run(*paths, "--json").stdout)["rasters"]
    assert report["mean"]["bias"] == 3 and report["mean"]["valid"] == pytest.approx(2 / 3)
    assert report["images"][1]["psnr"] is None
    result = run(*paths)
    assert result.exit_code == 0 and result.output.splitlines()[3].split()[-3:] == ["nan"] * 3


def test_rasters_whose_places_differ_by_rounding_are_of_one_place(tmp_path):
    bands = np.ones((1, 8, 9), np.uint8)
    near = rasterio.Affine(10, 0, 1e-4, 0, -10, 0)
    paths = write(tmp_path / "a.tif", bands), write(tmp_path / "b.tif", bands, transform=near)
    assert score_rasters(*paths)[0]["rmse"] == 0


@pytest.fixture
def folders(tmp_path):
    """A photo and a raster, and the same with all values 3 and 2 lower."""
    for name, drop in (("images", 0), ("references", 1)):
        (tmp_path / name).mkdir()
        photo = np.full((20, 20, 3), 100 - 3 * drop, np.uint8)
        Image.fromarray(photo).save(tmp_path / name / "photo.png")
        write(tmp_path / name / "scene.tif", np.full((2, 20, 20), 50 - 2 * drop, np.uint8))
    return tmp_path / "images", tmp_path / "references"


def run(*arguments):
    return CliRunner().invoke(score, [str(argument) for argument in arguments])


def test_photos_and_rasters_are_one_json_object(folders):
    result = run(*folders, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    (photo,) = report["images"]
    assert photo["image"].endswith("photo.png") and report["mean"]["psnr"] == photo["psnr"]
    assert [row["bias"] for row in report["rasters"]["images"]] == [2, 2]
    assert (
        report["rasters"]["mean"]["rmse"] == 2
        and "valid in both" in (report["rasters"]["protocol"])
    )


def test_y_channel_of_rasters_is_refused(folders):
    result = run(*folders, "--y-channel")
    assert result.exit_code == 1
    assert "scene.tif: --y-channel is for photos, and this is a raster" in result.stderr
    assert "psnr_y" in result.stdout and "bias" not in result.stdout
