import importlib.metadata
import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image

from gluon_enhance import zoo
from gluon_enhance.commands import enhance as enhance_module
from gluon_enhance.commands.enhance import enhance
from gluon_enhance.commands.evaluate import evaluate
from gluon_enhance.commands.jobs import Job
from gluon_enhance.commands.pipeline import run_on
from gluon_enhance.commands.rasters import RasterWork
from gluon_enhance.errors import GluonEnhanceError, ImageError
from gluon_enhance.imaging.resize import resize
from gluon_enhance.inference.enhancer import DEFAULT_MODEL, RASTER_MODEL
from gluon_enhance.rasters import plan


class FakeEnhancer:
    """Repeats each pixel."""

    scale, tile, halo = 2, 64, 1

    def __init__(self, *_, **__):
        self.spec = SimpleNamespace(name="fake", multiple=1, unit=1, min_size=1, tiling="exact")

    def describe(self):
        return {"engine": "openvino", "precision": "fp32", "deep_precision": "fp32"}

    def for_dtype(self, dtype):
        return self

    def run(self, batch):
        return batch.repeat(2, axis=2).repeat(2, axis=3)


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
    report = json.loads(result.stdout)
    used = [report["model"], *(one["model"] for one in report["also_used"])]
    assert sorted(used) == sorted({DEFAULT_MODEL, RASTER_MODEL})


@pytest.mark.parametrize("options, count", [((), 2), (("-m", "srcnn_x4"), 1)])
def test_photos_and_rasters_have_defaults_of_their_own_unless_a_model_is_named(
    options, count, raster, tmp_path, picture
):
    assert zoo.get_spec(DEFAULT_MODEL).scale == zoo.get_spec(RASTER_MODEL).scale
    Image.fromarray(picture).save(tmp_path / "photo.png")
    results = {}
    for name, model in (("photo.png", DEFAULT_MODEL), ("scene.tif", RASTER_MODEL)):
        result = run(tmp_path / name, *options, "--json")
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        assert report["model"] == (options[1] if options else model)
        assert "also_used" not in report
        results[name] = report["model"]
    assert len(set(results.values())) == count


def test_options_of_rasters_reach_them(raster, tmp_path):
    options = ["--input-range", "0,10000", "--rgb", "3,2,1", "--co", "COMPRESS=LZW", "--overviews"]
    result = run(raster, "-o", tmp_path / "out.tif", *options)
    assert result.exit_code == 0, result.output
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.profile["compress"] == "lzw"


def test_a_part_is_not_taken_for_the_wholes_result(raster):
    folder = raster.parent
    part = run(raster, "-m", "nearest", "--window", "8,8,16,16", "--json")
    assert part.exit_code == 0, part.stderr
    assert json.loads(part.stdout)["files"][0]["output"].endswith("scene_x4_part.tif")
    whole = run(folder, "-m", "nearest", "--json")
    report = json.loads(whole.stdout)
    assert [file["status"] for file in report["files"]] == ["done"]
    assert report["left_out"]["results"] == [str(folder / "scene_x4_part.tif")]
    again = run(folder, "-m", "nearest", "--window", "0,0,8,8", "--json")
    assert [file["status"] for file in json.loads(again.stdout)["files"]] == ["done"]
    with rasterio.open(folder / "scene_x4_part.tif") as result:
        assert result.shape == (32, 32)
    with rasterio.open(folder / "scene_x4.tif") as result:
        assert result.shape == (61 * 4, 47 * 4)


def test_the_range_is_said_on_standard_error_and_the_constraint_can_be_left_out(
    raster, tmp_path, monkeypatch
):
    monkeypatch.setattr(enhance_module, "load", FakeEnhancer)
    monkeypatch.setattr(
        FakeEnhancer, "run", lambda self, batch: batch.repeat(2, axis=2).repeat(2, axis=3) * 0.8
    )
    with rasterio.open(raster) as src:
        bands = src.read(masked=True).astype(np.float64)
    low, high = np.percentile(bands[[0, 2]].compressed(), [1, 99], method="inverted_cdf")
    ranges = ["--input-range", "1%,99%", "--input-range", "2=0,10000"]
    results = {}
    for name, options in (("means", []), ("free", ["--unconstrained"])):
        path = tmp_path / f"{name}.tif"
        result = run(raster, "-m", "mine", "-o", path, "--json", *ranges, *options)
        said = f"sees {low:g} to {high:g} in bands 1,3 as black to white (percentiles 1 and 99)"
        assert said in result.stderr and json.loads(result.stdout)
        with rasterio.open(path) as out:
            results[name] = out.read().reshape(3, 61, 2, 47, 2).mean(axis=(2, 4))
    valid = ~bands.mask
    assert np.array_equal(results["means"][valid], bands.data[valid])
    middle = valid[1] & (bands.data[1] < 10_000)
    assert np.allclose(results["free"][1][middle], bands.data[1][middle] * 0.8, atol=1)


@pytest.mark.parametrize(
    "options, status, message",
    [
        (["--outscale", "2"], 2, "--outscale and --match-colors are for photos"),
        (["--quality", "80"], 2, "--depth, --quality and --lossless are for photos"),
        (["--rgb", "1,2,7"], 2, "rgb is 1,2,7; give three of the bands 1,2,3"),
        (["--input-range", "98%,2%"], 2, "input_range is 98%,2%; give LOW,HIGH in numbers"),
        (["--input-range", "9=1,2"], 2, "input_range has a range for band 9"),
        (["--rgb", "1,2"], 2, "'1,2' is no list of 3 numbers"),
        (["--co", "COMPRESS"], 2, "'COMPRESS' is not NAME=VALUE"),
        (["-o", "out.png"], 2, "out.png has the suffix '.png'; choose .tif or .tiff"),
        (["-m", "nothing"], 2, "error: there is no model 'nothing'"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing(raster, tmp_path, options, status, message):
    options = [str(tmp_path / text) if text == "out.png" else text for text in options]
    result = run(raster, *options)
    assert result.exit_code == status and message in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_a_batch_that_fails_as_a_whole_has_status_2_and_in_part_1(raster, tmp_path):
    assert run(tmp_path / "absent.tif").exit_code == 2
    assert run(raster, tmp_path / "absent.tif").exit_code == 1


def test_a_raster_that_fails_says_how_to_go_on_and_parts_that_vanish_are_told_of(
    raster, tmp_path, monkeypatch
):
    def stopped(compute, indices):
        compute(indices[0], FakeEnhancer())
        raise ImageError("stopped")

    monkeypatch.setattr(enhance_module, "load", FakeEnhancer)
    monkeypatch.setattr(RasterWork, "run", staticmethod(stopped))
    result = run(raster, "-m", "mine", "-o", tmp_path / "out.tif")
    folder = tmp_path / ".out.tif.parts"
    kept = f"kept in {folder}: 1 of 1 part; --resume goes on from there"
    lines = [line.strip() for line in result.stderr.replace("\r", "\n").splitlines()]
    assert result.exit_code == 2 and lines.index(kept) < lines.index(f"error: {raster}: stopped")
    monkeypatch.undo()
    monkeypatch.setattr(enhance_module, "load", FakeEnhancer)
    result = run(raster, "-m", "mine", "-o", tmp_path / "out.tif")
    deleted = f"{folder} of an earlier run is deleted, as --resume is not given"
    assert result.exit_code == 0 and deleted in result.stderr


def test_rio_has_both_commands():
    plugins = importlib.metadata.entry_points()
    plugins = plugins.select(group="rasterio.rio_plugins") if hasattr(plugins, "select") else []
    values = {plugin.name: plugin.value for plugin in plugins}
    if values:  # Python 3.9 lists them in another way
        assert values["enhance"] == "gluon_enhance.commands.enhance:enhance"
        assert values["match"] == "gluon_enhance.commands.match:match"


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


class OneWorker:
    """A cluster that does it here, and tells what it was given."""

    def __init__(self):
        self.whole, self.divided = [], []

    def run(self, function, items):
        if isinstance(function, partial):
            self.divided.append(Path(function.args[0].source).name)
        else:
            self.whole += [item.job.source.name for item in items]
        for k, item in enumerate(items):
            yield k, function(item, FakeEnhancer())


@pytest.mark.parametrize("samples, whole", [(61 * 47 * 3 * 4, 2), (61 * 47 * 3, 0)])
def test_many_small_rasters_are_divided_among_workers_as_they_are(
    raster, tmp_path, monkeypatch, samples, whole
):
    monkeypatch.setattr(plan, "PART_SAMPLES", samples)
    sources = [raster, tmp_path / "other.tif"]
    sources[1].write_bytes(raster.read_bytes())
    options = {"enhancer": None, "outscale": 2, "match_colors": False, "skip_existing": False}
    works = [
        RasterWork(
            Job(path, tmp_path / f"{k}.tif"), {}, **options, watched=lambda *_, **__: nullcontext()
        )
        for k, path in enumerate(sources)
    ]
    cluster = OneWorker()
    reports = list(run_on(cluster, works, FakeEnhancer()))
    assert [report["status"] for report in reports] == ["done"] * 2
    assert (len(cluster.whole), len(cluster.divided)) == (whole, 2 - whole)
    assert (tmp_path / "0.tif").read_bytes() == (tmp_path / "1.tif").read_bytes()


def test_workers_get_the_engine_and_the_precision_chosen_here(raster, monkeypatch):
    cluster = pytest.importorskip("gluon_enhance.cluster", reason="Dask is not installed")

    def taken(address, model, options):
        raise GluonEnhanceError(f"{address} {model} {options['engine']} {options['precision']}")

    monkeypatch.setattr(cluster, "ModelCluster", taken)
    monkeypatch.setattr(enhance_module, "load", FakeEnhancer)
    result = run(raster, "--cluster", "tcp://there", "-m", "mine")
    assert result.exit_code == 2 and "tcp://there mine openvino fp32" in result.output


def test_evaluate_scores_rasters_band_by_band_where_they_are_valid(tmp_path):
    rows, columns = np.mgrid[0:80, 0:60]
    hr = np.stack([2000 + 20 * rows, 3000 + 10 * columns, 1500 + 5 * (rows + columns)])
    lr = resize(np.moveaxis(hr, 0, 2).astype(np.float64), 1 / 4)
    lr = np.rint(np.moveaxis(lr, 2, 0)) + 100  # a bias
    hr[:, :20] = lr[:, :5] = 0
    for name, bands, size in (("hr", hr, 10), ("lr", lr, 40)):
        (tmp_path / name).mkdir()
        height, width = bands.shape[1:]
        profile = {"driver": "GTiff", "dtype": "uint16", "count": 3, "nodata": 0}
        place = {"crs": "EPSG:32633", "transform": rasterio.Affine(size, 0, 0, 0, -size, 0)}
        with rasterio.open(
            tmp_path / name / "a.tif", "w", height=height, width=width, **profile, **place
        ) as out:
            out.write(bands.astype(np.uint16))
    arguments = ["-m", "rrdb_lite_x4", "--hr", tmp_path / "hr", "--input-range", "0,5000"]
    arguments = [str(argument) for argument in arguments]
    result = CliRunner().invoke(evaluate, [*arguments, "--lr", str(tmp_path / "lr"), "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    bands = report["rasters"]["images"]
    assert [row["image"] for row in bands] == [f"a.tif band {k}" for k in (1, 2, 3)]
    for row in bands:
        assert row["bias"] == pytest.approx(100, abs=10) and row["rmse"] < 115
        assert row["valid"] == pytest.approx((80 - 20 - 4) / (80 - 8))
    result = CliRunner().invoke(evaluate, arguments)
    assert result.exit_code == 2
    assert "a.tif: this is a raster, which needs its reduction (--lr)" in result.output
