"""``gluon-enhance match``, as users call it."""

import subprocess
import sys

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image

from gluon_enhance.commands.match import match
from gluon_enhance.rasters import match as match_module

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}


def run(*arguments):
    return CliRunner().invoke(match, [str(argument) for argument in arguments])


@pytest.fixture
def paths(tmp_path, picture):
    bands = np.moveaxis(picture, 2, 0)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 47, "height": 61}
    for name, values in (("source", bands), ("reference", 255 - bands // 2)):
        with rasterio.open(tmp_path / f"{name}.tif", "w", **profile, **PLACE) as out:
            out.write(values)
    return tmp_path / "source.tif", tmp_path / "reference.tif", tmp_path / "out.tif"


def test_the_plot_is_a_picture_beside_the_output(paths):
    pytest.importorskip("matplotlib")
    result = run(*paths, "--plot")
    assert result.exit_code == 0, result.output
    with Image.open(paths[2].with_name("out_plot.png")) as plot:
        assert plot.format == "PNG" and min(plot.size) > 200
        assert len(np.unique(np.asarray(plot.convert("L")))) > 10
    names = {path.name for path in paths[2].parent.iterdir()}
    assert names == {"source.tif", "reference.tif", "out.tif", "out_plot.png"}


def test_what_is_matched_is_told_once(paths):
    command = [sys.executable, "-m", "gluon_enhance", "match", *map(str, paths), "-v"]
    result = subprocess.run(command, capture_output=True, text=True)
    lines = [line.partition(":")[0] for line in result.stderr.splitlines() if "source" in line]
    assert lines == ["band 1", "band 2", "band 3"]


@pytest.mark.parametrize("text", ["1,two", "1;2", ",", "1.5"])
def test_bands_that_are_no_numbers_are_named(paths, text):
    result = run(*paths, "--bands", text)
    assert result.exit_code == 2 and f"{text!r} is no list such as 1,2,3" in result.output
    assert not paths[2].exists()


def rio_hist(source, reference, proportion):
    """Match one band as rio-hist's match.py does, from 0 to 255, before it truncates."""
    source, reference = (band / np.iinfo(band.dtype).max for band in (source, reference))
    _, inverse, counts = np.unique(source, return_inverse=True, return_counts=True)
    levels, level_counts = np.unique(reference, return_counts=True)
    quantiles = (np.cumsum(part) / part.sum() for part in (counts, level_counts))
    target = np.interp(*quantiles, levels)[inverse].reshape(source.shape)
    return (source - (source - target) * proportion) * 255


def test_part_of_the_way_in_chosen_bands_follows_the_formula_of_rio_hist(paths):
    result = run(*paths, "-m", "0.5", "-b", "1,3")
    assert result.exit_code == 0, result.output
    source, reference, out = (read(path) for path in paths)
    assert np.array_equal(out[1], source[1])
    for band in (0, 2):
        expected = rio_hist(source[band], reference[band], 0.5)
        assert np.abs(out[band] - expected).max() <= 0.5 + 1e-9
        assert np.abs(out[band] - rio_hist(source[band], reference[band], 1)).max() > 5


def test_floats_which_rio_hist_refuses_are_matched(paths):
    source, reference, out = paths
    for path in (source, reference):
        with rasterio.open(path) as dataset:
            profile, bands = dataset.profile, dataset.read() * np.float32(0.1)
        with rasterio.open(path, "w", **{**profile, "dtype": "float32"}) as dataset:
            dataset.write(bands)
    with pytest.raises(ValueError, match="Invalid integer data type 'f'"):
        rio_hist(read(source)[0], read(reference)[0], 1)
    result = run(*paths)
    assert result.exit_code == 0, result.output
    for band in range(3):
        quantiles = [np.quantile(read(path)[band], [0.1, 0.5, 0.9]) for path in (reference, out)]
        assert np.allclose(*quantiles, atol=0.3)


class LastFirst:
    """Stands for Dask's workers, whose results come in any order."""

    def __init__(self, address):
        self.address = address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, function, items):
        assert self.address == "tcp://there:8786"
        results = list(enumerate(map(function, items)))
        return reversed(results)


def test_workers_do_the_work_and_their_results_come_in_any_order(paths, monkeypatch):
    cluster = pytest.importorskip("gluon_enhance.cluster", reason="Dask is not installed")
    monkeypatch.setattr(match_module, "SAMPLES", 3 * 5 * 47)
    monkeypatch.setattr(match_module, "GROUP", 2)
    assert run(*paths).exit_code == 0
    expected = paths[2].read_bytes()
    paths[2].unlink()
    monkeypatch.setattr(cluster, "Cluster", LastFirst)
    result = run(*paths, "--cluster", "tcp://there:8786")
    assert result.exit_code == 0, result.output
    assert paths[2].read_bytes() == expected


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read()
