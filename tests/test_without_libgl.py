"""Containers have no libGL, which OpenCV with windows loads: the headless build has to do."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gluon_enhance as ge
from gluon_enhance.framework import is_mxnet_installed
from gluon_enhance.photos import Photo, read_image, write_image

rasterio = pytest.importorskip("rasterio")
CHECKOUT = Path(ge.__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run Python where ``libGL.so.1`` is no library."""
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        pytest.skip(
            f"opencv-python {importlib.metadata.version('opencv-python')}, which another package "
            "has brought, lies over the headless build here"
        )
    mask = tmp_path_factory.mktemp("mask")
    (mask / "libGL.so.1").write_text("no library")
    paths = {"PYTHONPATH": str(CHECKOUT), "LD_LIBRARY_PATH": str(mask)}

    def run(*arguments):
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **paths}, cwd=mask
        )

    return run


def test_libgl_cannot_be_loaded_there(run):
    result = run("-c", "import ctypes; ctypes.CDLL('libGL.so.1')")
    assert "OSError" in result.stderr and "libGL.so.1" in result.stderr


def test_images_of_16_bits_and_rasters_with_holes_are_enhanced(run, tmp_path, rng):
    photo = rng.integers(0, 65536, (12, 10, 3)).astype(np.uint16)
    write_image(tmp_path / "deep.png", Photo(photo))
    values = rng.integers(1, 255, (3, 16, 20)).astype(np.uint8)
    values[:, 4:9, 5:12] = 0
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 16, "width": 20}
    place = rasterio.Affine(10, 0, 500000, 0, -10, 4600000)
    path = tmp_path / "holes.tif"
    with rasterio.open(path, "w", nodata=0, crs="EPSG:32631", transform=place, **profile) as raster:
        raster.write(values)
    arguments = ["enhance", tmp_path / "deep.png", path, "-m", "srcnn_x4"]
    result = run("-m", "gluon_enhance", *arguments)
    assert result.returncode == 0, result.stderr
    assert read_image(tmp_path / "deep_x4.png").pixels.dtype == np.uint16
    with rasterio.open(tmp_path / "holes_x4.tif") as raster:
        assert not raster.read(1, masked=True).mask[:16].any()
        assert raster.read(1, masked=True).mask[16:36, 20:48].all()


@pytest.mark.skipif(not is_mxnet_installed(), reason="MXNet is not installed")
def test_scripts_run(run, tmp_path, picture):
    for k in range(3):
        write_image(tmp_path / f"{k}.png", Photo(np.tile(picture, (4, 4, 1))))
    script = CHECKOUT / "train_scripts" / "train_srcnn.py"
    out = tmp_path / "out"
    arguments = ["--data", tmp_path, "--out", out, "--patch-size", 8, "--dry-run"]
    result = run(script, *arguments)
    assert result.returncode == 0, result.stderr
    assert '"patch_size": 8' in result.stdout
