"""Reading files that Pillow, OpenCV and tifffile have written, or that are made by hand."""

import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps
from samples import DEEP, PICTURE, gray_ink_profile, png, refusal, save

from gluon_enhance.errors import ImageError
from gluon_enhance.photos import read_image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_orientation_is_applied_once_as_pillow_does(tmp_path, suffix, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    photo = read_image(save(tmp_path / f"a{suffix}", PICTURE, exif=tags.tobytes()))
    stored = Image.fromarray(read_image(save(tmp_path / f"b{suffix}", PICTURE)).pixels)
    stored.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(photo.pixels, np.asarray(ImageOps.exif_transpose(stored)))
    if photo.exif:
        again = Image.Exif()
        again.load(photo.exif)
        assert again.get(0x0112, 1) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [3, 4])
def test_orientation_of_16_bit_tiff_is_applied_once(tmp_path, orientation, channels):
    deep = DEEP[..., :channels]
    tag = [(0x0112, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", extratags=tag)
    shallow = Image.fromarray((deep[..., 0] >> 8).astype(np.uint8))
    shallow.getexif()[0x0112] = orientation
    pixels = read_image(tmp_path / "a.tif").pixels
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels[..., 0] >> 8, ImageOps.exif_transpose(shallow))


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_orientation_of_16_bit_png_is_applied_once(tmp_path, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    (tmp_path / "a.png").write_bytes(png(DEEP, 6, 16, (b"eXIf", tags.tobytes()[6:])))
    expected = {1: DEEP, 3: np.rot90(DEEP, 2), 6: np.rot90(DEEP, -1)}[orientation]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, expected)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("L", "L"), ("LA", "LA"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("1", "L"), ("P", "RGB")],
)
def test_png_of_every_8_bit_kind_is_read_as_gray_or_rgb(tmp_path, mode, expected):
    image = Image.fromarray(PICTURE).convert(mode)
    pixels = read_image(save(tmp_path / "a.png", image)).pixels
    np.testing.assert_array_equal(pixels, np.asarray(image.convert(expected)))


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".tif", ".jpg"])
def test_other_formats_are_read_as_pillow_reads_them(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", PICTURE)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_image(path).pixels, np.asarray(image.convert("RGB")))


def test_format_is_decided_by_the_content_not_the_suffix(tmp_path):
    assert read_image(save(tmp_path / "a.png", PICTURE, "JPEG")).format == "JPEG"


def test_palette_with_transparency_becomes_rgba(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    path = save(tmp_path / "a.png", image, transparency=bytes([255, 64]))
    assert read_image(path).pixels.tolist() == [[[255, 0, 0, 255], [0, 0, 255, 64]]]


@pytest.mark.parametrize("bits", [8, 16])
def test_transparent_color_becomes_alpha(tmp_path, bits):
    white = 2**bits - 1
    colors = np.array([[[1, 2, 3], [1, 2, 4]]])
    key = (b"tRNS", struct.pack(">HHH", 1, 2, 3))
    (tmp_path / "a.png").write_bytes(png(colors, 2, bits, key))
    assert read_image(tmp_path / "a.png").pixels.tolist() == [[[1, 2, 3, 0], [1, 2, 4, white]]]
    (tmp_path / "b.png").write_bytes(
        png(colors[..., 0:1] + [[0], [1]], 0, bits, (b"tRNS", struct.pack(">H", 2)))
    )
    assert read_image(tmp_path / "b.png").pixels.tolist() == [[[1, white], [2, 0]]]


@pytest.mark.parametrize(("channels", "color_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_16_bit_png_keeps_every_bit(tmp_path, channels, color_type):
    deep = DEEP[..., :channels]
    (tmp_path / "a.png").write_bytes(png(deep, color_type, 16))
    pixels = read_image(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(pixels, deep[..., 0] if channels == 1 else deep)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("compression", [1, 5, 8])  # none, LZW, deflate
def test_16_bit_tiff_of_opencv_keeps_every_bit(tmp_path, channels, compression):
    deep = DEEP[..., 0] if channels == 1 else DEEP[..., :channels]
    bgr = deep if channels == 1 else deep[..., [2, 1, 0, 3][:channels]]
    cv2.imwrite(str(tmp_path / "a.tif"), bgr, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, deep)


def test_packbits_are_read(tmp_path):
    path = save(tmp_path / "a.tif", DEEP[..., 0].copy(), compression="packbits")
    np.testing.assert_array_equal(read_image(path).pixels, DEEP[..., 0])


@pytest.mark.parametrize(
    "options",
    [
        {"planarconfig": "contig"},
        {"compression": "zlib", "predictor": True},
        {"byteorder": ">"},
        {"tile": (16, 16)},
        {"rowsperstrip": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_deep_tiff_layouts_of_tifffile_are_read(tmp_path, options, dtype):
    if dtype == "float32" and "predictor" in options:
        options = {"compression": "zlib"}
    deep = DEEP[..., :3] if dtype == "uint16" else (DEEP[..., :3] / 65535).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", **options)
    pixels = read_image(tmp_path / "a.tif").pixels
    assert pixels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(pixels, deep)


def test_planes_are_interleaved(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(DEEP[..., :3], -1, 0),
        photometric="rgb",
        planarconfig="separate",
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, DEEP[..., :3])


def test_gray_where_0_is_white_is_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, 65535 - DEEP[..., 0])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_gray_where_0_is_white_is_inverted_and_its_alpha_is_not(tmp_path, dtype, compression):
    stored = DEEP[..., :2] >> 8 if dtype == "uint8" else DEEP[..., :2]
    white = 1 if dtype == "float32" else np.iinfo(dtype).max
    stored = (stored / 65535 if white == 1 else stored).astype(dtype)
    options = {"planarconfig": "contig", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="miniswhite", compression=compression, **options
    )
    photo = read_image(tmp_path / "a.tif")
    assert photo.pixels.dtype == np.dtype(dtype) and photo.pixels.flags.writeable
    np.testing.assert_array_equal(photo.pixels[..., 1], stored[..., 1])
    np.testing.assert_array_equal(photo.pixels[..., 0], np.array(white, dtype) - stored[..., 0])


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_8_bits_and_1_bit_where_0_is_white_are_inverted(tmp_path, compression):
    gray = PICTURE[..., 0].copy()
    options = {"photometric": "miniswhite", "compression": compression}
    tifffile.imwrite(tmp_path / "a.tif", gray, **options)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, 255 - gray)
    tifffile.imwrite(tmp_path / "b.tif", gray > 99, **options)
    np.testing.assert_array_equal(
        read_image(tmp_path / "b.tif").pixels, np.where(gray > 99, 0, 255)
    )


def test_fax_is_black_on_white(tmp_path):
    ink = PICTURE[..., 0] > 99
    path = save(tmp_path / "a.tif", Image.fromarray(~ink), compression="group4")
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].photometric in (0, 1)
    np.testing.assert_array_equal(read_image(path).pixels, np.where(ink, 0, 255))


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_8_bit_gray_multiplied_by_its_alpha_is_divided(tmp_path, photometric):
    stored = np.array([[[50, 100], [9, 0], [200, 255]]], np.uint8)
    options = {"planarconfig": "contig", "extrasamples": ["assocalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric, **options)
    pixels = read_image(tmp_path / "a.tif").pixels
    gray = np.array([[128, 0, 200]], np.uint8)
    expected = gray if photometric == "minisblack" else 255 - gray
    np.testing.assert_array_equal(pixels[..., 1], stored[..., 1])
    assert np.abs(pixels[..., 0].astype(int) - expected).max() <= 1


def test_alpha_multiplied_into_the_colors_is_taken_out(tmp_path):
    stored = np.array([[[1000, 2000, 3000, 32768], [9, 9, 9, 0]]], np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    expected = [[[2000, 4000, 6000, 32768], [0, 0, 0, 0]]]
    assert read_image(tmp_path / "a.tif").pixels.tolist() == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, np.nan], "is no photo: .*NaN or infinity in 1 of 2 values"),
        ([0, np.inf], "is no photo: .*NaN or infinity in 1 of 2 values"),
        ([-0.5, 2], r"spans \[-0.5, 2\]; need \[0, 1\]"),
    ],
)
def test_floating_values_that_are_no_picture_are_refused(tmp_path, values, message):
    tifffile.imwrite(tmp_path / "a.tif", np.array([values], np.float32))
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (DEEP.astype(np.int16), {"photometric": "rgb"}, "16-bit values of type int16"),
        (DEEP[..., 0].astype(np.float64), {}, "64-bit values of type float64"),
        (DEEP, {"photometric": "separated"}, "colors of the kind SEPARATED"),
        (
            np.dstack([DEEP, DEEP]),
            {"photometric": "minisblack", "planarconfig": "contig"},
            "has 8 channels",
        ),
    ],
    ids=str,
)
def test_other_kinds_of_tiff_are_refused(tmp_path, pixels, options, message):
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    assert message in refusal(tmp_path / "a.tif")


def test_cmyk_without_profile_is_refused(tmp_path):
    path = save(tmp_path / "a.jpg", Image.fromarray(PICTURE).convert("CMYK"))
    assert refusal(path) == "is CMYK without a color profile; convert it to RGB"
    path = save(tmp_path / "b.jpg", Image.fromarray(PICTURE).convert("CMYK"), icc_profile=b"junk")
    assert "is CMYK with a color profile that fails" in refusal(path)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_becomes_srgb_by_way_of_its_profile(tmp_path, suffix):
    inks = np.zeros((24, 48, 4), np.uint8)
    inks[:, 16:32, 3], inks[:, 32:, 3] = 128, 255
    image = Image.frombytes("CMYK", (48, 24), inks.tobytes())
    path = save(tmp_path / f"a{suffix}", image, icc_profile=gray_ink_profile())
    photo = read_image(path)
    assert photo.icc_profile is None
    # L* = 50 is 119 of 255 in sRGB.
    expected = np.repeat([255, 119, 0], 16)[None, :, None]
    assert np.abs(photo.pixels.astype(int) - expected).max() <= 2


def test_pixels_may_be_changed_in_place(tmp_path):
    assert read_image(save(tmp_path / "a.png", PICTURE)).pixels.flags.writeable


@pytest.mark.reference
def test_set5_equals_what_opencv_reads(reference_data):
    path = sorted((reference_data / "sets" / "Set5" / "x4" / "hr").glob("*.png"))[0]
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(read_image(path).pixels, expected)


@pytest.mark.reference
@pytest.mark.parametrize(
    "name", ["rgb_lzw", "rgb_deflate", "world.rgb", "RGBA.byte", "RGBA.uint16"]
)
def test_rasters_equal_what_rasterio_reads(reference_data, name):
    rasterio = pytest.importorskip("rasterio")
    path = reference_data / "geo" / f"{name}.tif"
    with rasterio.open(path) as raster:
        expected = np.moveaxis(raster.read(), 0, -1)
    np.testing.assert_array_equal(read_image(path).pixels, expected)
