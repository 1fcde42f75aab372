"""A format is added by one module: all that knows formats learns of it by the list of them."""

import struct
from unittest import mock

import numpy as np
import pytest
import tiny_format
from click.testing import CliRunner
from samples import PICTURE, png, refusal

from gluon_enhance.commands import cli
from gluon_enhance.errors import ImageError
from gluon_enhance.photos import Photo, read_image, read_size, result_suffix, scan, write_image
from gluon_enhance.photos import formats as registry


@pytest.fixture(autouse=True)
def registered():
    with (
        mock.patch.dict(registry.FORMATS),
        mock.patch.dict(registry.IMAGE_SUFFIXES),
        mock.patch.dict(registry.WRITTEN_SUFFIXES),
    ):
        registry.register(tiny_format.FORMAT)
        yield


@pytest.mark.parametrize("suffix", [".tiny", ".TNY"])
def test_added_format_is_written_and_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(path, Photo(PICTURE))
    assert path.read_bytes() == b"tiny picture\x28\0\x1e\0" + PICTURE.tobytes()
    photo = read_image(path)
    assert photo.format == "TINY" and read_size(path) == (40, 30)
    np.testing.assert_array_equal(photo.pixels, PICTURE)


def test_what_is_not_read_of_an_added_format_is_refused_as_of_others(tmp_path):
    path = tmp_path / "a.tiny"
    for size, message in (
        ((40, 30), "is damaged or cut short (cannot reshape array"),
        ((0, 30), "is 0x30: it holds no pixel"),
        ((65535, 65535), "is 65535x65535: over the limit of 512 megapixels"),
        ((5000, 5000), "is 5000x5000 in 21 bytes: no photo is as small"),
    ):
        path.write_bytes(b"tiny picture" + struct.pack("<HH", *size) + b"words")
        assert message in refusal(path)
    path.write_bytes(b"words")
    assert refusal(path).endswith("HEIC, BMP, GIF or Tiny file; convert it to one")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (PICTURE[..., 0], "Tiny holds no gray; use --ext png"),
        (PICTURE.astype(np.uint16), "Tiny holds uint8, not uint16; use --ext png"),
        (PICTURE.astype(np.float32), "Tiny holds no floating values; use --ext tif"),
        (np.zeros((1, 65536, 3), np.uint8), "Tiny holds 1 to 65535 pixels a side"),
    ],
    ids=["gray", "16 bits", "floats", "wide"],
)
def test_what_an_added_format_does_not_hold_is_refused_as_of_others(tmp_path, pixels, message):
    with pytest.raises(ImageError, match=message):
        write_image(tmp_path / "a.tiny", pixels)


def test_what_an_added_format_has_no_place_for_is_named(tmp_path, caplog):
    (tmp_path / "a.png").write_bytes(png(PICTURE, 2, 8, (b"tEXt", b"Title\0A title")))
    photo = read_image(tmp_path / "a.png")
    write_image(tmp_path / "a.tiny", photo)
    assert caplog.text.endswith("left out: PNG text 'Title'\n")


def test_command_finds_files_of_an_added_format_in_folders_and_writes_them(tmp_path):
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "a.tiny", PICTURE)
    assert scan(tmp_path / "in").pictures == [tmp_path / "in" / "a.tiny"]
    assert result_suffix(".tiny") == ".tiny"
    options = ["enhance", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", "bicubic"]
    result = CliRunner().invoke(cli, options)
    assert result.exit_code == 0, result.output
    assert read_image(tmp_path / "out" / "a_x4.tiny").pixels.shape == (120, 160, 3)
    assert "tiny" in CliRunner().invoke(cli, [*options, "--ext", "words"]).output
