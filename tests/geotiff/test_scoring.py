import math

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from gluon_enhance.cli.score import score
from gluon_enhance.errors import ImageError
from gluon_enhance.geotiff import scoring
from gluon_enhance.geotiff.scoring import score_rasters

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 0, 0, -10, 0)}


def write(path, bands, **profile):
    count, height, width = bands.shape
    size = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **PLACE, **size, **profile) as out:
        out.write(bands)
    return path


@pytest.mark.parametrize("border", [0, 3])
def test_errors_of_each_band_are_those_of_numpy_where_both_are_valid(
    tmp_path, rng, monkeypatch, border
):
    monkeypatch.setattr(scoring, "SAMPLES", 200)
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
    with pytest.raises(ImageError, match="no pixel that is valid in both"):
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
