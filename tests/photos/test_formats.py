"""Formats told by their first bytes, those that need a decoder of their own, and folders of all."""

import io
import os
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from samples import DEEP, PICTURE, refusal, save

from gluon_enhance.photos import IMAGE_SUFFIXES, Photo, read_image, read_size, scan, write_image
from gluon_enhance.photos import heic as heic_module
from gluon_enhance.photos.avif import has_avif
from gluon_enhance.photos.read import format_of

needs_avif = pytest.mark.skipif(not has_avif(), reason="this Pillow has no AVIF")


def heic(image, **options):
    """Make a HEIC file that loses nothing."""
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    options = {"quality": -1, "chroma": 444, "matrix_coefficients": 0, **options}
    pillow_heif.from_pillow(image).save(file, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "head, name",
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"RIFF\n\0\0\0WEBPVP8L", "WebP"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1", "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0miafavif", "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"BM", "BMP"),
        (b"GIF89a", "GIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp42", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"", None),
    ],
)
def test_first_bytes_tell_the_format(head, name):
    form = format_of(head)
    assert (form and form.name) == name


def test_large_file_that_is_no_picture_is_refused_by_its_first_bytes(tmp_path):
    with open(tmp_path / "film.png", "wb") as file:
        file.truncate(3_000_000_000)  # sparse: takes no room on the disk
    tracemalloc.start()
    try:
        assert "is no PNG, JPEG, TIFF" in refusal(tmp_path / "film.png")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("suffix", [".jpe", ".jfif"])
def test_other_suffixes_of_jpeg_are_written_and_read(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", Photo(PICTURE))
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.format == "JPEG" and image.size == (40, 30)


@needs_avif
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_avif_is_read_as_pillow_reads_it_and_written_close_to_the_pixels(tmp_path, mode):
    smooth = Image.fromarray(PICTURE).resize((80, 60), Image.Resampling.BICUBIC).convert(mode)
    if mode == "RGBA":
        smooth.putalpha(Image.linear_gradient("L").resize(smooth.size))
    path = save(tmp_path / "a.avif", smooth)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_image(path).pixels, np.asarray(image))
    write_image(tmp_path / "b.avif", Photo(np.asarray(smooth)))
    with Image.open(tmp_path / "b.avif") as image:
        expected = np.asarray(smooth.convert(image.mode), float)
        assert image.mode == ("RGBA" if mode == "RGBA" else "RGB")
        assert np.abs(np.asarray(image) - expected).mean() < 3


@needs_avif
def test_avif_of_10_bits_is_read_in_8_with_a_warning(tmp_path, caplog):
    path = save(tmp_path / "a.avif", PICTURE)
    read_image(path)
    assert not caplog.text
    data = path.read_bytes()
    # A configuration with the flag high_bitdepth, where decoders look for brands only.
    path.write_bytes(data.replace(b"mif1miaf", b"av1C\x81\0\x40\0", 1))
    read_image(path)
    assert f"{path} has more than 8 bits, of which 8 are read" in caplog.text


@pytest.mark.parametrize(
    "primaries, transfer, is_warned", [(1, 13, False), (9, 16, True), (1, 18, True), (12, 13, True)]
)
def test_heic_in_another_space_than_srgb_is_read_with_a_warning(
    tmp_path, caplog, primaries, transfer, is_warned
):
    numbers = {"color_primaries": primaries, "transfer_characteristics": transfer}
    data = heic(Image.fromarray(PICTURE), save_nclx_profile=True, **numbers)
    (tmp_path / "a.heic").write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / "a.heic").pixels, PICTURE)
    warning = f"another space than sRGB (primaries {primaries}, transfer {transfer})"
    assert (warning in caplog.text) == is_warned


def test_gain_map_of_heic_is_named_as_left_out(tmp_path, monkeypatch):
    class WithGainMap(heic_module.HeicFile):
        def __init__(self, data):
            super().__init__(data)
            self.info["aux"] = {"urn:com:apple:photo:2020:aux:hdrgainmap": [2]}

    monkeypatch.setattr("gluon_enhance.photos.heic.HeicFile", WithGainMap)
    (tmp_path / "a.heic").write_bytes(heic(Image.fromarray(PICTURE)))
    assert read_image(tmp_path / "a.heic").left_out == ("gain map",)


@pytest.mark.parametrize("name", ["a.avif", "b.heic"])
def test_missing_decoder_is_named_with_what_to_install(tmp_path, monkeypatch, name):
    brand = name[-4:].encode()
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(40))
    monkeypatch.setattr("gluon_enhance.photos.avif.has_avif", lambda: False)
    monkeypatch.setattr(heic_module.importlib.util, "find_spec", lambda _: None)
    package = "'Pillow>=11.3'" if name == "a.avif" else "'gluon-enhance[heif]'"
    assert f"which needs pip install {package}" in refusal(tmp_path / name)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_heic_is_read_to_the_bit_with_its_profile_and_exif(tmp_path, mode):
    image = Image.fromarray(PICTURE).convert(mode)
    tags = Image.Exif()
    tags[0x010F] = "A camera"
    image.info.update(icc_profile=b"a profile of this camera" * 8, exif=tags.tobytes())
    (tmp_path / "a.heic").write_bytes(heic(image))
    photo = read_image(tmp_path / "a.heic")
    np.testing.assert_array_equal(photo.pixels, np.asarray(image))
    assert photo.format == "HEIC" and photo.icc_profile == b"a profile of this camera" * 8
    again = Image.Exif()
    again.load(photo.exif)
    assert again[0x010F] == "A camera" and again.get(0x0112, 1) == 1
    assert read_size(tmp_path / "a.heic") == (40, 30)


def test_turned_heic_is_upright_once(tmp_path):
    image = Image.fromarray(PICTURE)
    tags = Image.Exif()
    tags[0x0112] = 6  # a quarter turn
    (tmp_path / "a.heic").write_bytes(heic(image, exif=tags.tobytes()))
    photo = read_image(tmp_path / "a.heic")
    np.testing.assert_array_equal(photo.pixels, np.rot90(PICTURE, -1))


def test_heic_of_10_bits_becomes_16_with_white_at_white(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    deep = DEEP[..., :3].copy()
    deep[0, 0], deep[0, 1] = 0, 65535
    file = io.BytesIO()
    heif = pillow_heif.from_bytes("RGB;16", (40, 30), deep.tobytes())
    heif.save(file, quality=-1, chroma=444, matrix_coefficients=0)
    (tmp_path / "a.heic").write_bytes(file.getvalue())
    pixels = read_image(tmp_path / "a.heic").pixels
    expected = np.round((deep >> 6) * 65535.0 / 1023)  # the encoder drops 6 bits
    np.testing.assert_array_equal(pixels, expected)
    assert pixels[0, 0, 0] == 0 and pixels[0, 1, 0] == 65535


@pytest.mark.parametrize("form", [pytest.param("AVIF", marks=needs_avif), "HEIC"])
def test_damaged_file_is_refused_in_one_line(tmp_path, form):
    file = io.BytesIO()
    if form == "AVIF":
        Image.fromarray(PICTURE).save(file, form)
    data = file.getvalue() or heic(Image.fromarray(PICTURE))
    for part in (0.05, 0.5, 0.9):
        (tmp_path / "a").write_bytes(data[: int(part * len(data))])
        assert "is damaged or cut short" in refusal(tmp_path / "a")
    start = data.index(b"mdat") + 4  # whole, with other bytes for the picture's
    (tmp_path / "a").write_bytes(data[:start] + bytes(len(data) - start))
    assert "is damaged or cut short" in refusal(tmp_path / "a")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp", ".gif"])
def test_size_is_read_from_the_header(tmp_path, suffix):
    assert read_size(save(tmp_path / f"a{suffix}", PICTURE)) == (40, 30)


def test_size_of_what_is_no_picture_is_unknown(tmp_path):
    (tmp_path / "a.png").write_bytes(b"words")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "c.tif").write_bytes(b"II*\0")
    for name in ("a.png", "b.png", "c.tif", "absent.png"):
        assert read_size(tmp_path / name) is None


def test_scan_sorts_out_a_folder(tmp_path):
    for name in ("b.HEIC", "a.gif", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    for folder in ("sub", ".scene.tif.parts", "named.png"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "c.tif").write_bytes(b"")
    found = scan(tmp_path)
    names = ["a.gif", "b.HEIC", os.path.join("named.png", "c.tif"), os.path.join("sub", "c.tif")]
    assert found.pictures == [tmp_path / name for name in names]
    assert found.others == [tmp_path / "notes.txt"] and not found.unreadable
    shallow = scan(tmp_path, recursive=False)
    assert shallow.pictures == found.pictures[:2]
    assert shallow.subfolders == [tmp_path / "named.png", tmp_path / "sub"]


def test_every_suffix_of_the_table_is_taken_for_a_picture(tmp_path):
    for suffix in IMAGE_SUFFIXES:
        (tmp_path / f"a{suffix}").write_bytes(b"")
    assert len(scan(tmp_path).pictures) == len(IMAGE_SUFFIXES)
    assert {".heic", ".avif", ".gif", ".jfif", ".jpe", ".mpo"} <= set(IMAGE_SUFFIXES)
