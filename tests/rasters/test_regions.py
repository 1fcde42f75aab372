"""A part of a raster, enhanced to try what the whole will be."""

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.windows import Window
from test_enhancing import Blur, write
from test_raster_strips import Centered

from gluon_enhance.commands.enhance import enhance
from gluon_enhance.errors import ImageError
from gluon_enhance.rasters import enhance as enhance_module
from gluon_enhance.rasters import plan, whole_image
from gluon_enhance.rasters.enhance import enhance_raster
from gluon_enhance.rasters.plan import region_of

WINDOW = 71, 133, 90, 101
"""Columns 71 to 161, rows 133 to 234."""


def part_of(array, scale=2):
    column, row, width, height = (scale * number for number in WINDOW)
    return array[:, row : row + height, column : column + width]


def read(path):
    with rasterio.open(path) as raster:
        return raster.read()


@pytest.fixture
def source(tmp_path, rng):
    return write(tmp_path / "in.tif", rng.integers(0, 65536, (3, 300, 410)).astype(np.uint16))


@pytest.mark.parametrize("samples", [1, 1 << 20])
@pytest.mark.parametrize("multiple", [1, 4])
def test_a_window_equals_that_part_of_the_whole(source, tmp_path, monkeypatch, samples, multiple):
    monkeypatch.setattr(plan, "PART_SAMPLES", samples)
    net = Phases(multiple)
    enhance_raster(source, tmp_path / "whole.tif", net)
    enhance_raster(source, tmp_path / "part.tif", net, window=WINDOW)
    assert np.array_equal(read(tmp_path / "part.tif"), part_of(read(tmp_path / "whole.tif")))


class Phases(Blur):
    """A net that blurs, and knows of each pixel which one it is of its cell of pixels."""

    def __init__(self, multiple):
        super().__init__(tile=32, multiple=multiple)
        self.halo, self._multiple = 2, multiple

    def run(self, batch):
        rows, columns = (np.arange(n) % self._multiple for n in batch.shape[2:])
        return super().run(batch * (1 - 0.1 * np.add.outer(rows, columns)).astype(np.float32))


def test_a_window_has_its_place_and_all_else(source, tmp_path):
    with rasterio.open(source, "r+") as src:
        src.descriptions, src.nodata = ("r", "g", "b"), 7
    enhance_raster(source, tmp_path / "part.tif", Blur(), window=WINDOW, cog=True)
    with rasterio.open(tmp_path / "part.tif") as part:
        assert part.shape == (202, 180) and part.res == (5, 5) and part.crs.to_epsg() == 32633
        assert part.bounds == (500_710, 5_000_000 - 2340, 501_610, 5_000_000 - 1330)
        assert part.descriptions == ("r", "g", "b") and part.nodata == 7


def test_points_and_rpcs_count_from_the_windows_first_pixel(tmp_path, rng):
    bands = rng.integers(1, 255, (3, 20, 30)).astype(np.uint8)
    points = [GroundControlPoint(2, 3, 11.0, 48.0), GroundControlPoint(9.5, 20, 12, 47)]
    path = write(tmp_path / "gcps.tif", bands, transform=None, crs="EPSG:4326", gcps=points)
    enhance_raster(path, tmp_path / "out.tif", Blur(), window=(5, 2, 10, 10))
    with rasterio.open(tmp_path / "out.tif") as out:
        assert [(point.row, point.col) for point in out.gcps[0]] == [(0, -4), (15, 30)]
    ones = {f"{a}_{k}_coeff": [1.0] * 20 for a in ("line", "samp") for k in ("num", "den")}
    place = {f"{a}_{k}": 1.0 for a in ("lat", "long", "height") for k in ("off", "scale")}
    rpcs = RPC(**ones, **place, line_off=9.5, line_scale=10, samp_off=14.5, samp_scale=15)
    path = write(tmp_path / "rpcs.tif", bands, transform=None, crs=None, rpcs=rpcs)
    enhance_raster(path, tmp_path / "out.tif", Blur(), window=(5, 2, 10, 10))
    with rasterio.open(tmp_path / "out.tif") as out:
        # The middle, 10 rows and 15 columns from the corner, is 8 and 10 from the window's.
        assert (out.rpcs.line_off, out.rpcs.samp_off) == (15.5, 19.5)


@pytest.mark.parametrize("small", [True, False])
def test_a_net_that_needs_the_whole_image_runs_on_it(tmp_path, rng, monkeypatch, caplog, small):
    monkeypatch.setattr(whole_image, "check_disk", lambda *_: None)
    monkeypatch.setattr(enhance_module, "check_disk", lambda *_: None)
    path = write(tmp_path / "in.tif", rng.integers(0, 65536, (3, 256, 200)).astype(np.uint16))
    net = Centered(tile=400 if small else 64)
    enhance_raster(path, tmp_path / "whole.tif", net, input_range=(0, 65_535))
    enhance_raster(path, tmp_path / "part.tif", net, window=WINDOW, input_range=(0, 65_535))
    assert np.array_equal(read(tmp_path / "part.tif"), part_of(read(tmp_path / "whole.tif")))
    told = [record.message for record in caplog.records]
    assert told == ([] if small else ["centered needs the whole image: it runs on all of it"])


def test_bounds_take_all_pixels_that_they_touch(source):
    with rasterio.open(source) as src:  # 10 m a pixel, from 500000 and 5000000 on
        for bounds, region in {
            (500_710, 4_997_660, 501_610, 4_998_670): ((133, 234), (71, 161)),
            (500_711, 4_997_661, 501_609, 4_998_669): ((133, 234), (71, 161)),
            (500_709.9999999, 4_997_660, 501_610, 4_998_670): ((133, 234), (71, 161)),
            (500_709, 4_997_659, 501_611, 4_998_671): ((132, 235), (70, 162)),
            (0, 0, 500_005, 10_000_000): ((0, 300), (0, 1)),
        }.items():
            assert region_of(src, bounds=bounds) == region
        assert region_of(src) == ((0, 300), (0, 410))
        assert region_of(src, window=(400, -5, 100, 10)) == ((0, 5), (400, 410))
        assert region_of(src, window=Window(70.5, 133, 90.4, 101)) == ((133, 234), (70, 161))


def test_bounds_of_turned_rasters_are_those_of_their_corners(tmp_path):
    turned = rasterio.Affine(0, 10, 0, 10, 0, 0)  # x counts rows, y columns
    path = write(tmp_path / "turned.tif", np.ones((1, 40, 30), np.uint8), transform=turned)
    with rasterio.open(path) as src:
        assert region_of(src, bounds=(20, 50, 70, 90)) == ((2, 7), (5, 9))


@pytest.mark.parametrize(
    "part, message",
    [
        ({"window": (410, 0, 5, 5)}, "window is 410,0,5,5, and .* has 410 x 300 pixels: nothing"),
        ({"window": (5, 5, 0, 5)}, "window is 5,5,0,5"),
        (
            {"bounds": (0, 0, 9, 9)},
            "bounds is 0,0,9,9, and .* covers 500000,4997000,504100,",
        ),
        ({"bounds": (0, 0, float("inf"), 9)}, "bounds is 0,0,inf,9; give four finite numbers"),
        ({"window": (0, 0, 5, 5), "bounds": (0, 0, 9, 9)}, "both given; choose one"),
    ],
)
def test_parts_without_a_pixel_are_named_before_the_work(source, tmp_path, part, message):
    with pytest.raises(ValueError, match=message):
        enhance_raster(source, tmp_path / "out.tif", Blur(), **part)
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_bounds_need_coordinates(tmp_path):
    plain = {"transform": None, "crs": None}
    path = write(tmp_path / "plain.tif", np.ones((1, 40, 30), np.uint8), **plain)
    with pytest.raises(ImageError, match="has no coordinates of its pixels; give a window"):
        enhance_raster(path, tmp_path / "out.tif", Blur(), bounds=(0, 0, 9, 9))


def test_the_command_takes_both_and_refuses_them_for_photos(source, tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "photo.png")
    for name, part in (
        ("window", ["--window", ",".join(map(str, WINDOW))]),
        ("bounds", ["--bounds", "500710,4997660,501610,4998670"]),
    ):
        files = [str(source), str(tmp_path / "photo.png"), "-o", str(tmp_path / name)]
        result = CliRunner().invoke(enhance, [*files, "-m", "nearest", *part])
        assert result.exit_code == 1
        assert "photo.png: --window and --bounds are for rasters" in result.stderr
        expected = part_of(read(source).repeat(4, axis=1).repeat(4, axis=2), 4)
        assert np.array_equal(read(tmp_path / name / "in_x4_part.tif"), expected)
    result = CliRunner().invoke(enhance, [str(source), "--window", "1,2,3"])
    assert result.exit_code == 2 and "'1,2,3' is no list of 4 numbers" in result.stderr
