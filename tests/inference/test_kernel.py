"""Kernels in the place of nets."""

import json

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image

import gluon_enhance as ge
from gluon_enhance.commands.enhance import enhance
from gluon_enhance.inference.kernel import Baseline, load
from gluon_enhance.photos import Photo, read_image, write_image

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}


def run(*arguments):
    return CliRunner().invoke(enhance, [str(argument) for argument in arguments])


def slope(height, width, scale=1):
    """A plane, sampled at the centers of the pixels of an enlarged grid."""
    rows, columns = ((np.arange(n * scale) + 0.5) / scale - 0.5 for n in (height, width))
    return 1000 + np.add.outer(7 * rows, 3 * columns)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint16"])
@pytest.mark.parametrize("kernel, scale", [("bicubic", 4), ("bilinear", 3)])
def test_rasters_of_any_dtype_and_number_of_bands_are_enlarged_in_float64(
    tmp_path, dtype, kernel, scale
):
    factor = {"float64": 1e6 + 1e-3, "int32": 10_000}.get(dtype, 1)  # too fine for float32
    bands = np.stack([slope(20, 600) * factor, -slope(20, 600) * factor * (dtype != "uint16")])
    profile = {"driver": "GTiff", "dtype": dtype, "count": 2, "height": 20, "width": 600, **PLACE}
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as out:
        out.write(bands.astype(dtype))
    result = run(tmp_path / "a.tif", "-m", kernel, "--outscale", scale, "-o", tmp_path / "b.tif")
    assert result.exit_code == 0, result.output
    with rasterio.open(tmp_path / "b.tif") as out:
        assert out.shape == (20 * scale, 600 * scale) and out.res[0] == pytest.approx(10 / scale)
        inner = np.s_[2 * scale : -2 * scale, 2 * scale : -2 * scale]
        error = out.read(1)[inner] - (slope(20, 600, scale) * factor)[inner]
    assert np.abs(error).max() <= (0.51 if dtype in ("int32", "uint16") else 4e-7 * factor * 1000)


def test_rasters_are_divided_by_whole_numbers_only(tmp_path):
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 9, "width": 9, **PLACE}
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as out:
        out.write(np.ones((1, 9, 9), np.uint8))
    result = run(tmp_path / "a.tif", "-m", "bicubic", "--outscale", "1.5")
    assert result.exit_code == 2 and "outscale is 1.5; rasters take whole numbers" in result.stderr


@pytest.mark.parametrize("scale, size", [(None, (188, 244)), ("2", (94, 122)), ("1.3", (61, 79))])
@pytest.mark.parametrize("kernel", ["bicubic", "nearest"])
def test_photos_are_enlarged_and_rounded_once(tmp_path, picture, kernel, scale, size):
    Image.fromarray(picture).save(tmp_path / "a.png")
    options = ["--outscale", scale] if scale else []
    result = run(tmp_path / "a.png", "-m", kernel, "--json", *options)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["model"] == kernel and report["engine"] == "numpy"
    made = read_image(report["files"][0]["output"]).pixels
    expected = ge.resize(picture / 255, size[::-1], kernel) * 255
    assert made.shape == (*size[::-1], 3)
    assert np.abs(made - np.clip(expected, 0, 255)).max() <= 0.501


def test_what_is_hidden_under_alpha_does_not_bleed(tmp_path):
    rows, columns = np.mgrid[0:24, 0:24]
    disc = (rows - 12) ** 2 + (columns - 12) ** 2 < 64
    pixels = np.dstack([disc * 255] * 4).astype(np.uint8)  # white, and black where it is hidden
    write_image(tmp_path / "a.png", Photo(pixels))
    assert run(tmp_path / "a.png", "-m", "bicubic").exit_code == 0
    assert (read_image(tmp_path / "a_x4.png").pixels[..., :3] == 255).all()


def test_a_kernels_name_gives_it_and_a_models_a_net():
    assert isinstance(load("bicubic"), Baseline) and load("nearest", 3).scale == 3
    assert isinstance(load("rrdb_lite_x4", scale=2, precision="fp32"), ge.Enhancer)


def test_workers_enlarge_with_a_kernel_too(tmp_path, picture):
    pytest.importorskip("distributed", reason="Dask is not installed")
    Image.fromarray(picture).save(tmp_path / "a.png")
    result = run(tmp_path / "a.png", "-m", "nearest", "--outscale", 2, "--cluster", "local:1")
    assert result.exit_code == 0, result.output
    made = read_image(tmp_path / "a_x2.png").pixels
    assert np.array_equal(made, picture.repeat(2, axis=0).repeat(2, axis=1))
