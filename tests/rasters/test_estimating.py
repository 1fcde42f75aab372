"""What is said of a long run before it, with a clock that the tests turn."""

import time

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from runs import on_plan
from test_enhancing import TILES, Blur, write
from test_raster_strips import Centered

from gluon_enhance.commands import enhance as enhance_command
from gluon_enhance.commands.enhance import enhance
from gluon_enhance.rasters import enhance as enhance_module
from gluon_enhance.rasters import plan, whole_image
from gluon_enhance.rasters.compute import compute_part
from gluon_enhance.rasters.enhance import Estimate, enhance_raster


@pytest.fixture
def source(tmp_path, rng, monkeypatch):
    """Twelve tiles; a net takes five seconds for one, and eleven the first time."""
    monkeypatch.setattr(plan, "PART_SAMPLES", 1)
    monkeypatch.setattr(enhance_module, "ESTIMATED_FROM", 2)
    return write(tmp_path / "in.tif", rng.integers(0, 65536, (3, 300, 410)).astype(np.uint16))


class Slow(Blur):
    """Takes seconds of a clock that stands still otherwise."""

    def __init__(self, monkeypatch, **options):
        super().__init__(**options)
        self.now, self.compiled = 0, set()
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def describe(self):
        return {"model": "slow", "device": "cpu", "engine": "none", "precision": "none"}

    def run(self, batch):
        self.now += 5 if batch.shape in self.compiled else 11
        self.compiled.add(batch.shape)
        return super().run(batch)


def test_time_is_that_of_the_tiles_and_size_that_of_the_result(source, tmp_path, monkeypatch):
    told = []
    enhance_raster(source, tmp_path / "out.tif", Slow(monkeypatch), announce=told.append)
    assert told == [Estimate(5 * TILES, (600, 820), 600 * 820 * 3 * 2)]


def test_bands_by_themselves_take_so_many_times_as_long(source, tmp_path, monkeypatch):
    told = []
    options = {"others": "each", "announce": told.append}
    enhance_raster(source, tmp_path / "out.tif", Slow(monkeypatch), **options)
    assert told[0].seconds == 5 * TILES * 3


def test_parts_that_are_there_and_pixels_that_are_not_wanted_take_no_time(
    source, tmp_path, monkeypatch
):
    told = []

    def stopped(plan, indices):
        for index in indices[:5]:
            compute_part(plan, index, Blur())
        raise KeyboardInterrupt

    net = Slow(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        enhance_raster(source, tmp_path / "out.tif", net, run=on_plan(stopped))
    enhance_raster(source, tmp_path / "out.tif", net, resume=True, announce=told.append)
    assert told.pop().seconds == 5 * (TILES - 5)
    enhance_raster(
        source, tmp_path / "part.tif", net, window=(100, 0, 256, 128), announce=told.append
    )
    assert told == [Estimate(5 * 2, (256, 512), 256 * 512 * 3 * 2)]


def test_nothing_is_said_or_timed_of_a_short_run(source, tmp_path, monkeypatch):
    monkeypatch.setattr(enhance_module, "ESTIMATED_FROM", TILES + 1)
    net, told = Slow(monkeypatch), []
    enhance_raster(source, tmp_path / "out.tif", net, announce=told.append)
    assert told == [] and net.runs == TILES


@pytest.mark.parametrize(
    "device, seconds", [("cpu", 1.75 * 5 * 300 * 400 / 200**2), ("cuda", None), ("cuda:1", None)]
)
def test_nets_in_strips_are_timed_by_their_pixels(tmp_path, rng, monkeypatch, device, seconds):
    path = write(tmp_path / "in.tif", rng.integers(0, 65536, (3, 300, 400)).astype(np.uint16))
    for module in (whole_image, enhance_module):
        monkeypatch.setattr(module, "check_disk", lambda *_: None)
    monkeypatch.setattr(enhance_module, "ESTIMATED_FROM", 2)
    monkeypatch.setattr(enhance_module, "TIMED_SIDE", 200)
    net, clock, told = Centered(tile=64), Slow(monkeypatch), []
    run, describe = net.run, net.describe
    net.run = lambda batch: (clock.run(batch), run(batch))[1]
    net.describe = lambda: {**describe(), "device": device}
    enhance_raster(path, tmp_path / "out.tif", net, announce=told.append)
    assert [estimate.seconds for estimate in told] == ([seconds] if seconds else [])


@pytest.mark.parametrize("part", [[], ["--window", "0,0,410,300"]])
def test_the_command_says_it_on_standard_error(source, tmp_path, monkeypatch, part):
    monkeypatch.setattr(enhance_command, "load", lambda *_, **__: Slow(monkeypatch))
    command = [str(source), "-m", "slow", "-o", str(tmp_path / "out.tif"), "--json", *part]
    result = CliRunner().invoke(enhance, command)
    assert result.exit_code == 0, result.output
    said = "in.tif becomes 820 x 600 pixels in about 1 min, 0.0 GB before compression"
    assert said in result.stderr and said not in result.stdout
    assert ("--window tries a part first" in result.stderr) == (not part)


@pytest.mark.parametrize(
    "seconds, text", [(61, "1 min"), (3570, "1 h 0 min"), (7500, "2 h 5 min"), (90, "2 min")]
)
def test_times_are_in_hours_and_minutes(seconds, text):
    from gluon_enhance.commands.rasters import _duration

    assert _duration(seconds) == text


def test_a_run_under_a_minute_is_not_announced(source, tmp_path, monkeypatch):
    monkeypatch.setattr(enhance_command, "load", lambda *_, **__: Slow(monkeypatch))
    with rasterio.open(source) as src:
        assert src.count == 3
    output = ["-o", str(tmp_path / "out.tif")]
    command = [str(source), "-m", "slow", *output, "--window", "0,0,410,128"]
    result = CliRunner().invoke(enhance, command)
    assert result.exit_code == 0 and "becomes" not in result.stderr
