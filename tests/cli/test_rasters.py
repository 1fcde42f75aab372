import importlib.metadata

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image

from gluon_enhance.cli.enhance import enhance


def run(*arguments):
    return CliRunner().invoke(enhance, [str(argument) for argument in arguments])


@pytest.fixture
def raster(tmp_path, picture):
    path = tmp_path / "scene.tif"
    bands = np.moveaxis(picture, 2, 0).astype(np.uint16) * 40
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 3, "width": 47, "height": 61}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}
    with rasterio.open(path, "w", **profile, **place, nodata=0) as out:
        out.write(bands)
    return path


def test_rasters_and_photos_are_told_apart_in_one_batch(raster, tmp_path, picture):
    for name in ("photo.tif", "photo.png"):
        Image.fromarray(picture).save(tmp_path / name)
    result = run(tmp_path, "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    with rasterio.open(raster) as src, rasterio.open(tmp_path / "out" / "scene_x4.tif") as out:
        assert out.bounds == src.bounds and out.crs == src.crs and out.nodata == 0
        assert out.shape == (244, 188) and out.dtypes == src.dtypes
        means = [dataset.read().mean(axis=(1, 2)) for dataset in (src, out)]
        assert np.allclose(means[0], means[1], rtol=0.1)
    with Image.open(tmp_path / "out" / "photo_x4.tif") as photo:
        assert photo.size == (188, 244)


def test_options_of_rasters_reach_them(raster, tmp_path):
    options = ["--input-range", "0,10000", "--rgb", "3,2,1", "--co", "COMPRESS=LZW", "--overviews"]
    result = run(raster, "-o", tmp_path / "out.tif", *options)
    assert result.exit_code == 0, result.output
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.profile["compress"] == "lzw"


@pytest.mark.parametrize(
    "options, status, message",
    [
        (["--outscale", "2"], 1, "--outscale and --match-colors are for photos"),
        (["--rgb", "1,2,7"], 1, "rgb is 1,2,7; give three of the bands 1,2,3"),
        (["--rgb", "1,2"], 2, "'1,2' is no list of 3 numbers"),
        (["--co", "COMPRESS"], 2, "'COMPRESS' is not NAME=VALUE"),
        (["-o", "out.png"], 1, "out.png has the suffix '.png'; choose .tif or .tiff"),
        (["-m", "nothing"], 2, "error: there is no model 'nothing'"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing(raster, tmp_path, options, status, message):
    options = [str(tmp_path / text) if text == "out.png" else text for text in options]
    result = run(raster, *options)
    assert result.exit_code == status and message in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_rio_has_both_commands():
    plugins = importlib.metadata.entry_points()
    plugins = plugins.select(group="rasterio.rio_plugins") if hasattr(plugins, "select") else []
    values = {plugin.name: plugin.value for plugin in plugins}
    if values:  # Python 3.9 lists them in another way
        assert values["enhance"] == "gluon_enhance.cli.enhance:enhance"
        assert values["match"] == "gluon_enhance.cli.match:match"


def test_cluster_gives_the_same_files_and_reports_bad_ones(raster, tmp_path, picture):
    pytest.importorskip("distributed", reason="Dask is not installed")
    Image.fromarray(picture).save(tmp_path / "photo.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    results = [
        run(tmp_path, "-o", tmp_path / "out" / name, "--precision", "fp32", *options)
        for name, options in (("local", []), ("cluster", ["--cluster", "local:2"]))
    ]
    assert [result.exit_code for result in results] == [1, 1]
    assert all("bad.png is no PNG" in result.output for result in results)
    names = {path.name for path in (tmp_path / "out" / "local").iterdir()}
    assert names == {"photo_x4.png", "scene_x4.tif"}
    for name in names:
        first, second = (tmp_path / "out" / kind / name for kind in ("local", "cluster"))
        assert first.read_bytes() == second.read_bytes()
