"""What ``enhance``, ``score`` and ``evaluate`` take for rasters, and where results go."""

import functools
import http.server
import json
import threading
import zipfile

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from click.testing import CliRunner
from PIL import Image

from gluon_enhance.commands.enhance import enhance
from gluon_enhance.commands.evaluate import evaluate
from gluon_enhance.commands.jobs import plan_jobs
from gluon_enhance.commands.score import score

UNPLACED = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}
BANDS = np.stack([np.add.outer(np.arange(12), np.arange(9)) * k + k for k in (1, 2, 3)])
NEAREST = BANDS.repeat(4, axis=1).repeat(4, axis=2)


def run(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def write(path, bands=BANDS, mask=None, **profile):
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "dtype": "uint8", **profile}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", count=count, height=height, width=width, **profile) as out,
    ):
        out.write(bands)
        if mask is not None:
            out.write_mask(mask)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a raster in many guises, and one for results."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    write("in/a.tif", **PLACE)
    copies = {"VRT": "vrt", "HFA": "img", "JP2OpenJPEG": "jp2", "netCDF": "nc"}
    with rasterio.Env() as env:
        drivers = env.drivers()
    for driver, suffix in copies.items():
        options = {"QUALITY": "100", "REVERSIBLE": "YES"} if suffix == "jp2" else {}
        if driver in drivers:
            rasterio.shutil.copy("in/a.tif", f"in/a.{suffix}", driver=driver, **options)
    with zipfile.ZipFile("in/pack.zip", "w") as archive:
        archive.write("in/a.tif", "deep/a.tif")
    return tmp_path


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def host(folder, monkeypatch):
    """A web server of the folder, whose address is returned; it serves as S3 too."""
    handler = functools.partial(Quiet, directory=folder / "in")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    settings = {"NO_SIGN_REQUEST": "YES", "S3_ENDPOINT": address, "HTTPS": "NO"}
    for name, value in {**settings, "VIRTUAL_HOSTING": "FALSE"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
    yield address
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "name, stem, bands",
    [
        ("in/a.vrt", "a", 3),
        ("in/a.img", "a", 3),
        ("in/a.jp2", "a", 3),
        ("NETCDF:in/a.nc:Band2", "a_Band2", 1),
        ('netcdf:"in/a.nc":Band2', "a_Band2", 1),
        ("GTIFF_DIR:1:in/a.tif", "1_a", 3),
        ("/vsizip/in/pack.zip/deep/a.tif", "a", 3),
        ("zip://in/pack.zip!/deep/a.tif", "a", 3),
    ],
)
def test_all_that_gdal_opens_is_enhanced_to_geotiff(folder, name, stem, bands):
    result = run(enhance, name, "-m", "nearest", "-o", "out")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (folder / "out").iterdir()] == [f"{stem}_x4.tif"]
    with rasterio.open(folder / "out" / f"{stem}_x4.tif") as out:
        assert np.array_equal(out.read(), NEAREST if bands == 3 else NEAREST[1:2])
        assert out.driver == "GTiff" and out.crs.to_epsg() == 32633
        assert out.bounds == (500_000, 4_999_880, 500_090, 5_000_000)


@pytest.mark.parametrize(
    "form",
    [
        "http://{}/a.tif",
        "http://{}//a.tif?key=1",
        "/vsicurl/http://{}/a.tif",
        "/vsizip/vsicurl/http://{}/pack.zip/deep/a.tif",
        "s3://in/../a.tif",
        "/vsis3/in/../a.tif",
    ],
)
def test_addresses_keep_their_slashes_and_results_come_to_the_current_folder(folder, host, form):
    name = form.format(host)
    result = run(enhance, name, "-m", "nearest", "--json")
    assert result.exit_code == 0, result.output
    (file,) = json.loads(result.stdout)["files"]
    assert file["input"] == name and file["output"] == "a_x4.tif"
    with rasterio.open(folder / "a_x4.tif") as out:
        assert np.array_equal(out.read(), NEAREST)


def test_an_address_that_does_not_answer_is_named_as_it_was_given(folder):
    result = run(enhance, "http://127.0.0.1:1//a.tif", "-m", "nearest")
    assert result.exit_code == 2
    assert "error: http://127.0.0.1:1//a.tif cannot be read" in result.stderr


def test_a_file_of_several_rasters_names_them(folder):
    result = run(enhance, "in/a.nc", "-m", "nearest")
    assert result.exit_code == 2
    assert "in/a.nc has 3 pages or subdatasets, and one is taken" in result.stderr
    assert "as in netcdf:in/a.nc:Band1; netcdf:" in result.stderr


def test_folders_hold_images_and_tiff_files_only(folder):
    result = run(enhance, "in", "-m", "nearest", "-o", "out", "--json")
    assert result.exit_code == 0, result.output
    assert [file["input"] for file in json.loads(result.stdout)["files"]] == ["in/a.tif"]


def test_photos_of_a_suffix_that_is_not_theirs_are_photos_still(folder, picture):
    Image.fromarray(picture).save("in/photo.gif")
    Image.fromarray(picture).save("in/photo", "PNG")
    result = run(enhance, "in/photo.gif", "in/photo", "-m", "nearest", "-o", "out")
    assert result.exit_code == 1 and "output of another" in result.stderr
    with Image.open("out/photo_x4.png") as photo:
        assert photo.size == (188, 244)


@pytest.mark.parametrize("name", ["x.jp2", "x.IMG", "x.vrt", "x.gif", "deep/x.nc"])
def test_an_output_of_a_format_that_is_not_written_is_no_folder(folder, name):
    result = run(enhance, "in/a.tif", "-m", "nearest", "-o", name)
    assert result.exit_code == 2 and f"-o is {name}, and" in result.stderr
    assert "are not written; name a folder, or a file that ends in .png" in result.stderr
    assert [path.name for path in folder.iterdir()] == ["in"]


def test_folders_may_have_dots_and_be_called_like_files(folder):
    (folder / "x.jp2").mkdir()
    for output in ("results.v2", "x.jp2"):
        plan = plan_jobs(["in/a.tif"], folder / output, "_x4", None, False, 4)
        assert plan.jobs[0].target == folder / output / "a_x4.tif"


def test_an_output_that_a_mosaic_reads_from_is_an_input(folder):
    result = run(enhance, "in/a.vrt", "-m", "nearest", "-o", "in/a.tif")
    assert result.exit_code == 2 and "a.tif is an input too" in result.stderr
    with rasterio.open("in/a.tif") as source:
        assert np.array_equal(source.read(), BANDS)


def test_scores_of_what_gdal_opens(folder, host):
    write("in/b.tif", BANDS + 2, **PLACE)
    for name in ("in/b.tif", f"http://{host}/b.tif"):
        result = run(score, name, "in/a.vrt", "--json")
        assert result.exit_code == 0, result.output
        rows = json.loads(result.stdout)["rasters"]["images"]
        assert [(row["image"], row["bias"]) for row in rows] == [
            (f"{name} band {band}", 2) for band in (1, 2, 3)
        ]


@pytest.mark.parametrize("options", [[], ["--scale", "4"]])
def test_a_kernel_is_evaluated_on_rasters_and_on_two_files(folder, options):
    large = {**PLACE, "transform": rasterio.Affine(2.5, 0, 500_000, 0, -2.5, 5_000_000)}
    write("in/hr.tif", NEAREST + 1, **large)
    result = run(
        evaluate, "-m", "nearest", "--hr", "in/hr.tif", "--lr", "in/a.vrt", "--json", *options
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)["rasters"]
    assert report["protocol"].startswith("4 pixels cropped")
    assert [row["bias"] for row in report["images"]] == [-1] * 3
    assert [row["rmse"] for row in report["images"]] == [1] * 3


def test_files_and_folders_are_no_pair(folder):
    for command in ([score, "in/a.tif", "in"], [evaluate, "-m", "nearest", "--hr", "in/a.tif"]):
        if command[0] is evaluate:
            command += ["--lr", "in"]
        result = run(*command)
        assert result.exit_code == 2 and "must be two files or two folders" in result.stderr


@UNPLACED  # the test's own files
@pytest.mark.parametrize("kind", ["nodata", "mask", "descriptions", "scales", "units", "int16"])
def test_a_tiff_file_that_says_what_a_photo_cannot_is_a_raster(folder, kind):
    mask = np.arange(108).reshape(12, 9) % 5 > 0
    profile = {"nodata": {"nodata": 7}, "int16": {"dtype": "int16"}}.get(kind, {})
    path = write(folder / "plain.tif", mask=mask if kind == "mask" else None, **profile)
    texts = {"descriptions": ("r", "g", "b"), "units": ("m",) * 3, "scales": (0.5,) * 3}
    if kind in texts:
        with rasterio.open(path, "r+") as raster:
            setattr(raster, kind, texts[kind])
    result = run(enhance, path, "-m", "nearest")
    assert result.exit_code == 0, result.output
    with rasterio.open(folder / "plain_x4.tif") as out:
        assert np.array_equal(out.read(), NEAREST)
        assert out.nodata == profile.get("nodata") and out.dtypes[0] == profile.get(
            "dtype", "uint8"
        )
        expected = mask.repeat(4, axis=0).repeat(4, axis=1) if kind == "mask" else NEAREST[0] != 7
        if kind in ("mask", "nodata"):
            assert np.array_equal(out.read_masks(1) > 0, expected)
        if kind in texts:
            assert getattr(out, kind) == texts[kind]


def test_a_plain_tiff_file_is_a_photo(folder, picture):
    Image.fromarray(picture).save("photo.tif", dpi=(300, 300))
    result = run(enhance, "photo.tif", "-m", "nearest")
    assert result.exit_code == 0, result.output
    with Image.open("photo_x4.tif") as photo:
        assert photo.info["dpi"] == (300, 300)


@pytest.fixture(params=["world file", "PAM"])
def placed_png(request, folder, picture):
    Image.fromarray(picture).save("map.png")
    if request.param == "world file":
        (folder / "map.pgw").write_text("10\n0\n0\n-10\n500005\n4999995\n")
    else:
        with rasterio.open("map.png", "r+") as raster:
            raster.crs, raster.transform = PLACE["crs"], PLACE["transform"]
    return folder / "map.png"


@UNPLACED
@pytest.mark.parametrize("option", [["--ext", "tif"], ["-o", "map_x4.tif"]])
def test_a_picture_with_a_place_beside_it_keeps_it_in_a_tiff_file(placed_png, picture, option):
    result = run(enhance, placed_png, "-m", "nearest", *option)
    assert result.exit_code == 0 and "a place on Earth" not in result.stderr, result.output
    with rasterio.open("map_x4.tif") as out:
        assert out.bounds == (500_000, 5_000_000 - 610, 500_470, 5_000_000)
        assert np.array_equal(
            out.read(), np.moveaxis(picture, 2, 0).repeat(4, axis=1).repeat(4, axis=2)
        )


@UNPLACED
def test_a_picture_that_loses_its_place_says_so_once(placed_png, caplog):
    result = run(enhance, placed_png, "-m", "nearest")
    assert result.exit_code == 0 and placed_png.with_name("map_x4.png").exists()
    (record,) = caplog.records
    assert record.levelname == "WARNING" and str(placed_png) in record.message
    assert "has a place on Earth" in record.message and "--ext tif" in record.message
    caplog.clear()
    run(enhance, placed_png, "-m", "nearest", "--skip-existing")
    assert not caplog.records


def test_statistics_beside_a_picture_are_no_place(folder, picture, caplog):
    Image.fromarray(picture).save("photo.jpg")
    (folder / "photo.jpg.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><Metadata><MDI key='STATISTICS_MEAN'>9</MDI>"
        "</Metadata></PAMRasterBand></PAMDataset>"
    )
    assert run(enhance, "photo.jpg", "-m", "nearest").exit_code == 0
    assert not caplog.records
