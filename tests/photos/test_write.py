"""Writing, checked with readers that are not ours: Pillow, OpenCV, tifffile."""

import errno
import io
import os
import resource
import signal
import stat
import subprocess
import sys
import tracemalloc

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from gluon_enhance.errors import ImageError
from gluon_enhance.photos import (
    WRITTEN_SUFFIXES,
    Photo,
    check_writable,
    read_image,
    write_image,
)
from gluon_enhance.photos.avif import has_avif

needs_avif = pytest.mark.skipif(not has_avif(), reason="this Pillow has no AVIF")

SHAPES = [(1, 1), (9, 14), (9, 14, 1), (9, 14, 2), (9, 14, 3), (9, 14, 4), (700, 620, 3)]
"""The last one takes more than one strip."""
LOSSLESS = [
    (".png", "uint8"),
    (".png", "uint16"),
    (".tif", "uint8"),
    (".tif", "uint16"),
    (".tif", "float32"),
]
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.random(shape, np.float32)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def without_single_channel(pixels):
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def exif_bytes(**tags):
    data = Image.Exif()
    data[0x010F], data[0x0112], data[0x0100] = "A camera", 1, 9
    data[0x8769] = {0x9003: "2024:05:06 07:08:09", 0xA002: 40, 0xA003: 30}
    return data.tobytes()[6:]


def files_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("suffix", "dtype"), LOSSLESS)
def test_lossless_formats_give_back_every_value(tmp_path, suffix, dtype, shape):
    pixels = noise(shape, dtype)
    write_image(tmp_path / f"a{suffix}", Photo(pixels))
    back = read_image(tmp_path / f"a{suffix}").pixels
    assert back.dtype == pixels.dtype
    np.testing.assert_array_equal(back, without_single_channel(pixels))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_opencv_reads_the_same_values_from_png(tmp_path, shape, dtype):
    pixels = noise(shape, dtype)
    write_image(tmp_path / "a.png", Photo(pixels))
    back = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    expected = without_single_channel(pixels)
    if shape[2:] == (2,):  # OpenCV makes BGRA of gray and alpha
        expected = expected[..., [0, 0, 0, 1]]
    elif expected.ndim == 3:
        expected = expected[..., [2, 1, 0, 3][: shape[2]]]
    np.testing.assert_array_equal(back, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pillow_reads_the_same_values_from_8_bits(tmp_path, shape, suffix):
    pixels = noise(shape, "uint8")
    write_image(tmp_path / f"a{suffix}", Photo(pixels))
    with Image.open(tmp_path / f"a{suffix}") as image:
        np.testing.assert_array_equal(np.asarray(image), without_single_channel(pixels))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("exif", [None, exif_bytes()])
def test_tifffile_reads_the_same_values_from_tiff(tmp_path, shape, dtype, exif):
    pixels = noise(shape, dtype)
    write_image(tmp_path / "a.tif", Photo(pixels, exif=exif))
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "a.tif"), without_single_channel(pixels)
    )


def test_opencv_reads_the_same_values_from_16_bit_tiff(tmp_path):
    pixels = noise((9, 14, 3), "uint16")
    write_image(tmp_path / "a.tif", Photo(pixels))
    back = cv2.imread(str(tmp_path / "a.tif"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(back[..., ::-1], pixels)


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_of_quality_100_is_lossless(tmp_path, channels):
    pixels = noise((9, 14, channels), "uint8")
    write_image(tmp_path / "a.webp", Photo(pixels), quality=100)
    np.testing.assert_array_equal(read_image(tmp_path / "a.webp").pixels, pixels)


@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_webp_stays_so_unless_a_quality_is_asked_for(tmp_path, channels):
    pixels = noise((9, 14, channels), "uint8")
    Image.fromarray(pixels).save(tmp_path / "a.webp", lossless=True, exact=True)
    Image.fromarray(pixels).save(tmp_path / "lossy.webp", quality=95)
    photo = read_image(tmp_path / "a.webp")
    assert photo.lossless and not read_image(tmp_path / "lossy.webp").lossless
    write_image(tmp_path / "b.webp", photo)
    write_image(tmp_path / "c.webp", Photo(pixels), lossless=True)
    write_image(tmp_path / "d.webp", photo, quality=95)
    for name, is_equal in (("b", True), ("c", True), ("d", False)):
        with Image.open(tmp_path / f"{name}.webp") as image:
            assert np.array_equal(np.asarray(image), pixels) == is_equal


def test_quality_sets_the_tables_of_a_jpeg(tmp_path):
    for quality in (30, 95):
        write_image(tmp_path / "a.jpg", Photo(noise((16, 16, 3), "uint8")), quality=quality)
        whole = io.BytesIO()
        Image.new("RGB", (16, 16)).save(whole, "JPEG", quality=quality)
        with Image.open(tmp_path / "a.jpg") as image, Image.open(whole) as expected:
            assert image.quantization == expected.quantization


@pytest.mark.parametrize("shape", [(1, 1), (64, 9), (200, 75), (1, 75, 3), (129, 75, 3)])
def test_jpeg_from_strips_decodes_as_one_from_the_whole(tmp_path, shape):
    pixels = cv2.blur(noise(shape, "uint8"), (7, 7)).reshape(shape)
    write_image(tmp_path / "a.jpg", Photo(pixels), quality=90)
    whole = io.BytesIO()
    Image.fromarray(pixels).save(whole, "JPEG", quality=90, subsampling=0)
    with Image.open(tmp_path / "a.jpg") as image, Image.open(whole) as expected:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_red_stays_red(tmp_path, suffix):
    pixels = np.zeros((70, 20, 3), np.uint8)
    pixels[..., 0] = 255
    write_image(tmp_path / f"a{suffix}", Photo(pixels))
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert np.abs(np.asarray(image, int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize(("suffix", "dtype"), [*LOSSLESS, (".jpg", "uint8"), (".webp", "uint8")])
def test_profile_and_exif_survive(tmp_path, suffix, dtype):
    photo = Photo(noise((60, 80, 3), dtype), PROFILE, exif_bytes())
    write_image(tmp_path / f"a{suffix}", photo)
    back = read_image(tmp_path / f"a{suffix}")
    assert back.icc_profile == PROFILE
    tags = Image.Exif()
    tags.load(back.exif)
    assert tags[0x010F] == "A camera"
    inner = tags.get_ifd(0x8769)
    assert (inner[0x9003], inner[0xA002], inner[0xA003]) == ("2024:05:06 07:08:09", 80, 60)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_pillow_finds_profile_and_exif(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", Photo(noise((60, 80, 3), "uint8"), PROFILE, exif_bytes()))
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.info["icc_profile"] == PROFILE
        assert image.getexif()[0x010F] == "A camera"
        assert image.getexif().get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_resolution_survives(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", Photo(noise((9, 14, 3), "uint8"), dpi=(300.0, 150.0)))
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert [round(float(dpi)) for dpi in image.info["dpi"]] == [300, 150]


def test_exif_too_long_for_jpeg_is_left_out_with_a_warning(tmp_path, caplog):
    data = Image.Exif()
    data[0x010E] = "x" * 70000
    write_image(tmp_path / "a.jpg", Photo(noise((9, 14), "uint8"), exif=data.tobytes()[6:]))
    assert "left out" in caplog.text
    assert read_image(tmp_path / "a.jpg").exif is None


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "message"),
    [
        ("a.jpg", (4, 4, 4), "uint8", "JPEG holds no RGB and alpha; use --ext png"),
        ("a.jpg", (4, 4, 2), "uint8", "JPEG holds no gray and alpha; use --ext png"),
        ("a.JPEG", (4, 4, 3), "uint16", "JPEG holds uint8, not uint16; use --ext png"),
        ("a.jpg", (4, 65501, 3), "uint8", "JPEG holds 1 to 65500 pixels a side, not 65501x4"),
        ("a.webp", (16384, 4, 3), "uint8", "WebP holds 1 to 16383 pixels a side, not 4x16384"),
        ("a.jpg", (4, 4, 4), "uint8", "--ext png, or --flatten white"),
        pytest.param(
            "a.avif",
            (4, 4, 3),
            "uint16",
            "AVIF holds uint8, not uint16; use --ext png, or --depth 8",
            marks=needs_avif,
        ),
        ("a.webp", (4, 4, 3), "uint16", "WebP holds uint8, not uint16"),
        ("a.png", (4, 4, 3), "float32", "PNG holds no floating values; use --ext tif"),
        ("a.tif", (40000, 40000, 3), "uint8", "TIFF holds 4 GB, too little for 40000x40000 uint8"),
        ("a.png", (0, 4, 3), "uint8", "not 4x0"),
        ("a.png", (4, 4, 5), "uint8", "PNG holds no 5 channels"),
        ("a.tif", (4, 4), "int32", "TIFF holds uint8 and uint16 and float32, not int32"),
        ("a.gif", (4, 4), "uint8", "has the suffix '.gif'; choose .png, .jpg"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_beforehand(tmp_path, name, shape, dtype, message):
    with pytest.raises(ImageError, match=message) as error:
        check_writable(tmp_path / name, shape, dtype)
    assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".jpg", ".jfif", pytest.param(".avif", marks=needs_avif)])
def test_what_loses_something_is_refused_where_nothing_may_be_lost(tmp_path, suffix):
    with pytest.raises(ImageError, match="always loses something; use --ext png, tif or webp"):
        check_writable(tmp_path / f"a{suffix}", (4, 4, 3), "uint8", lossless=True)
    for name in ("a.png", "a.tif", "a.webp"):
        check_writable(tmp_path / name, (4, 4, 3), "uint8", lossless=True)


def test_places_that_cannot_be_written_are_refused_beforehand(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    check_writable(tmp_path / "not" / "yet" / "a.png", (4, 4), "uint8")
    with pytest.raises(ImageError, match="is a file; choose a folder"):
        check_writable(tmp_path / "file" / "a.png", (4, 4), "uint8")
    with pytest.raises(ImageError, match="it is a folder"):
        check_writable(tmp_path / "folder.png", (4, 4), "uint8")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ImageError, match="no permission in"):
        check_writable(tmp_path / "a.png", (4, 4), "uint8")


def test_missing_folder_is_a_clear_error(tmp_path):
    with pytest.raises(ImageError, match=r"none/a\.png cannot be written \(No such file"):
        write_image(tmp_path / "none" / "a.png", Photo(noise((4, 4), "uint8")))


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_failure_at_the_end_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failure):
    def fail(*_):
        raise failure

    (tmp_path / "a.png").write_bytes(b"the old file")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((ImageError, KeyboardInterrupt)) as error:
        write_image(tmp_path / "a.png", Photo(noise((4, 4), "uint8")))
    if isinstance(failure, OSError):
        assert "a.png cannot be written (No space left on device); check" in str(error.value)
    assert files_in(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"the old file"


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, suffix):
    target = tmp_path / f"a{suffix}"
    target.write_bytes(b"the old file")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(ImageError, match="cannot be written"):
            write_image(target, Photo(noise((200, 200, 3), "uint8")))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files_in(tmp_path) == [target.name]
    assert target.read_bytes() == b"the old file"


def test_killed_process_leaves_no_file_under_the_final_name(tmp_path):
    program = (
        "import os, signal, sys, numpy as np\n"
        "from gluon_enhance.photos import Photo, write_image\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_image(sys.argv[1], Photo(np.zeros((9, 9), np.uint8)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.png")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "a.png").exists()
    assert all(name.startswith(".gluon-enhance-") for name in files_in(tmp_path))


def test_file_gets_the_rights_of_a_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_image(tmp_path / "a.png", Photo(noise((4, 4), "uint8")))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640


def test_pixels_that_are_a_view_are_written_as_they_look(tmp_path):
    pixels = noise((100, 90, 3), "uint8")[::-2, ::3, ::-1]
    for suffix in (".png", ".tif"):
        write_image(tmp_path / f"a{suffix}", Photo(pixels))
        np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}").pixels, pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_writing_takes_little_memory_beside_the_picture(tmp_path, suffix):
    photo = Photo(np.zeros((2000, 3000, 3), np.uint8))
    write_image(tmp_path / f"b{suffix}", photo.with_pixels(photo.pixels[:1]))
    tracemalloc.start()
    try:
        write_image(tmp_path / f"a{suffix}", photo)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.5 * photo.pixels.nbytes


def test_every_format_is_read_back_under_its_suffix(tmp_path):
    for suffix, form in WRITTEN_SUFFIXES.items():
        if suffix == ".avif" and not has_avif():
            continue
        write_image(tmp_path / f"a{suffix}", Photo(noise((9, 14, 3), "uint8")))
        assert read_image(tmp_path / f"a{suffix}").format == form.name.upper()
