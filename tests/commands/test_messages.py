"""What GDAL warns of, said by the commands."""

import io
import logging
import sys

import numpy as np
import PIL.Image
import pytest
import rasterio
import tifffile
from click.testing import CliRunner

from gluon_enhance.commands import one_line
from gluon_enhance.commands.enhance import enhance
from gluon_enhance.commands.match import match
from gluon_enhance.commands.score import score

GEO_KEYS = (1, 1, 0, 4, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 1234, 3076, 0, 1, 9001)


@pytest.fixture
def odd(tmp_path, rng):
    """A GeoTIFF with a code that is no system's, of which GDAL warns when it is read."""
    tags = [
        (33550, "d", 3, (10.0, 10.0, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True),
        (34735, "H", 20, GEO_KEYS, True),
    ]
    pixels = rng.integers(0, 255, (20, 30)).astype(np.uint8)
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack", extratags=tags)
    return path


@pytest.mark.parametrize("command", [score, match])
def test_gdals_warnings_are_said_once(odd, tmp_path, monkeypatch, command):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's, which the command has not
    arguments = [odd, odd, *([tmp_path / "out.tif"] if command is match else [])]
    result = CliRunner().invoke(command, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    assert result.stderr.count("GDAL: ") == result.stderr.count("1234") > 0
    lines = [line for line in result.stderr.splitlines() if "GDAL: " in line]
    assert len(lines) == len(set(lines))


def test_every_file_of_a_batch_hears_of_an_option_that_is_not_obeyed(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 0, 0, -10, 0)}
    for name in ("a.tif", "b.tif"):
        profile = {"width": 30, "height": 20, "count": 3, "dtype": "uint8", **place}
        with rasterio.open(tmp_path / name, "w", driver="GTiff", **profile) as out:
            out.write(rng.integers(0, 255, (3, 20, 30)).astype(np.uint8))
    options = ["-m", "edsr_lite_x2", "--precision", "fp32", "--co", "COMPRESS=ZTSD"]
    result = CliRunner().invoke(enhance, [str(tmp_path), *options])
    assert result.exit_code == 2
    assert result.stderr.count("creation options are not obeyed: GDAL says 'ZTSD'") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif"]


NAMES = pytest.mark.parametrize(
    ("name", "said"),
    [
        ("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("a\nerror: b", "error: b"),  # errors join their lines, warnings escape them
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("\x9b2J", r"\x9b2J"),
    ],
)


@NAMES
@pytest.mark.parametrize("kind", ["error", "warning"])
def test_names_of_files_do_not_steer_the_terminal(tmp_path, monkeypatch, kind, name, said):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    path = tmp_path / f"{name}.jpg"
    PIL.Image.new("RGB", (20, 10)).save(path, "JPEG")
    data = path.read_bytes()
    path.write_bytes(data[:-2] if kind == "warning" else data[:50])
    result = CliRunner().invoke(enhance, [str(tmp_path), "-m", "edsr_lite_x2", "--json"])
    assert said in result.stderr
    assert not set(result.stderr) & set("\x1b\x07\x9b\u202e")
    lines = result.stderr.splitlines()
    assert sum(line.startswith("error:") for line in lines) == (kind == "error")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@NAMES
def test_names_of_files_on_bars_do_not_steer_the_terminal(tmp_path, monkeypatch, name, said):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(sys, "stderr", Terminal())
    PIL.Image.new("RGB", (20, 10)).save(tmp_path / f"{name}.jpg", "JPEG")
    arguments = [str(tmp_path), "-m", "edsr_lite_x2", "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        enhance.main(arguments, standalone_mode=False)
    shown = sys.stderr.getvalue()
    assert "tile/s" in shown and said.split("\n")[0][:8] in shown
    assert not set(shown) & set("\x1b\x07\x9b\u202e")


def test_messages_are_of_bounded_length():
    assert one_line(ValueError("x" * 10**6)).count("x") == 2000
    assert one_line(ValueError("\n")) == "ValueError"
    assert one_line(ValueError("b\udcffc d\u3000e 一")) == "b\\udcffc d e 一"
