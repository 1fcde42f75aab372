"""Reading files that Pillow, OpenCV and tifffile have written, or that are broken by hand."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from gluon_enhance.errors import ImageError
from gluon_enhance.files import MAX_PIXELS, read_image

PICTURE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
DEEP = np.random.default_rng(1).integers(0, 65536, (30, 40, 4), np.uint16)


def save(path, image, form=None, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, form, **options)
    return path


def png(pixels, color_type, bits, *chunks, size=None):
    """Make a PNG file by hand, from rows of bytes."""
    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = size or pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(f">u{max(1, bits // 8)}").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header),
                     *(chunk(*pair) for pair in chunks),
                     chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")])


def refusal(path):
    with pytest.raises(ImageError) as error:
        read_image(path)
    message = str(error.value)
    assert message.startswith(f"{path} ") and "\n" not in message
    return message[len(str(path)) + 1:]


def pages(path, *pictures, **options):
    with tifffile.TiffWriter(path) as tiff:
        for index, picture in enumerate(pictures):
            tiff.write(picture, metadata=None, subfiletype=1 if index and options else 0)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_orientation_is_applied_once_as_pillow_does(tmp_path, suffix, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    path = save(tmp_path / f"a{suffix}", PICTURE, exif=tags.tobytes())
    photo = read_image(path)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(photo.pixels, expected)
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


@pytest.mark.parametrize(("mode", "expected"), [("L", "L"), ("LA", "LA"), ("RGB", "RGB"),
                                                ("RGBA", "RGBA"), ("1", "L"), ("P", "RGB")])
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
    (tmp_path / "b.png").write_bytes(png(colors[..., 0:1] + [[0], [1]], 0, bits,
                                         (b"tRNS", struct.pack(">H", 2))))
    assert read_image(tmp_path / "b.png").pixels.tolist() == [[[1, white], [2, 0]]]


@pytest.mark.parametrize(("channels", "color_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_16_bit_png_keeps_every_bit(tmp_path, channels, color_type):
    deep = DEEP[..., :channels]
    (tmp_path / "a.png").write_bytes(png(deep, color_type, 16))
    pixels = read_image(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(pixels, deep[..., 0] if channels == 1 else deep)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("compression", [1, 5, 8, 32773])  # none, LZW, deflate, PackBits
def test_16_bit_tiff_of_opencv_keeps_every_bit(tmp_path, channels, compression):
    deep = DEEP[..., 0] if channels == 1 else DEEP[..., :channels]
    bgr = deep if channels == 1 else deep[..., [2, 1, 0, 3][:channels]]
    cv2.imwrite(str(tmp_path / "a.tif"), bgr, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, deep)


@pytest.mark.parametrize("options", [
    {"planarconfig": "contig"}, {"compression": "zlib", "predictor": True},
    {"byteorder": ">"}, {"tile": (16, 16)}, {"rowsperstrip": 7},
], ids=str)
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
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(DEEP[..., :3], -1, 0), photometric="rgb",
                     planarconfig="separate")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, DEEP[..., :3])


def test_gray_where_0_is_white_is_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, 65535 - DEEP[..., 0])


def test_alpha_multiplied_into_the_colors_is_taken_out(tmp_path):
    stored = np.array([[[1000, 2000, 3000, 32768], [9, 9, 9, 0]]], np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    expected = [[[2000, 4000, 6000, 32768], [0, 0, 0, 0]]]
    assert read_image(tmp_path / "a.tif").pixels.tolist() == expected


@pytest.mark.parametrize(("values", "message"), [
    ([0.5, np.nan], "is no photo: .*1 NaN"), ([0, np.inf], "is no photo: .*infinite"),
    ([-0.5, 2], r"spans \[-0.5, 2\]; need \[0, 1\]"),
])
def test_floating_values_that_are_no_picture_are_refused(tmp_path, values, message):
    tifffile.imwrite(tmp_path / "a.tif", np.array([values], np.float32))
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(("pixels", "options", "message"), [
    (DEEP.astype(np.int16), {"photometric": "rgb"}, "16-bit values of type int16"),
    (DEEP[..., 0].astype(np.float64), {}, "64-bit values of type float64"),
    (DEEP, {"photometric": "separated"}, "colors of the kind SEPARATED"),
    (np.dstack([DEEP, DEEP]), {"photometric": "minisblack", "planarconfig": "contig"},
     "has 8 channels"),
], ids=str)
def test_other_kinds_of_tiff_are_refused(tmp_path, pixels, options, message):
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    assert message in refusal(tmp_path / "a.tif")


def test_cmyk_without_profile_is_refused(tmp_path):
    path = save(tmp_path / "a.jpg", Image.fromarray(PICTURE).convert("CMYK"))
    assert refusal(path) == "is CMYK without a color profile; convert it to RGB"
    path = save(tmp_path / "b.jpg", Image.fromarray(PICTURE).convert("CMYK"), icc_profile=b"junk")
    assert "is CMYK with a color profile that fails" in refusal(path)


def gray_ink_profile():
    """An ICC profile of a press whose black ink alone matters: half of it gives L* = 50.

    ICC.1:2001-04, sections 6.1 and 6.5.7 (lut8Type).
    """
    ramp = bytes(range(256))
    # Of the 16 corners of C, M, Y, K (K fastest) those with K are black, all others white.
    corners = bytes([255, 128, 128, 0, 128, 128]) * 8
    matrix = struct.pack(">9i", *(65536 * value for value in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + corners + ramp * 3
    start = 128 + 4 + 12
    illuminant = struct.pack(">3i", 63190, 65536, 54061)
    header = struct.pack(">I4sI4s4s4s12x4s28x12s48x", start + len(table), b"none", 0x02400000,
                         b"prtr", b"CMYK", b"Lab ", b"acsp", illuminant)
    return header + struct.pack(">I4sII", 1, b"A2B0", start, len(table)) + table


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


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_animation_is_refused(tmp_path, form):
    frames = [Image.fromarray(np.roll(PICTURE, 5 * shift, 1)) for shift in range(3)]
    path = save(tmp_path / "a", frames[0], form, save_all=True, append_images=frames[1:])
    assert refusal(path) == "holds 3 frames; save the one you want by itself"


@pytest.mark.parametrize("pixels", [PICTURE, DEEP[..., :3]], ids=["8 bits", "16 bits"])
def test_tiff_of_several_pages_is_refused_but_not_for_a_preview(tmp_path, pixels):
    path = pages(tmp_path / "a.tif", pixels, pixels)
    assert refusal(path) == "holds 2 frames; save the one you want by itself"
    path = pages(tmp_path / "b.tif", pixels, pixels[::2, ::2].copy(), preview=True)
    np.testing.assert_array_equal(read_image(path).pixels, pixels)


def test_jpeg_with_an_appended_picture_is_no_animation(tmp_path):
    image = Image.fromarray(PICTURE)
    path = save(tmp_path / "a.jpg", image, "MPO", save_all=True, append_images=[image])
    assert read_image(path).pixels.shape == PICTURE.shape


SMOOTH = cv2.GaussianBlur(np.kron(PICTURE, np.ones((8, 8, 1), np.uint8)), (9, 9), 0)


def broken_sources():
    for form in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"):
        file = io.BytesIO()
        Image.fromarray(SMOOTH).save(file, form)
        yield pytest.param(file.getvalue(), id=form)
    deep = SMOOTH.astype(np.uint16) * 257
    yield pytest.param(png(deep, 2, 16), id="PNG of 16 bits")
    for compression in (1, 5, 8):
        data = cv2.imencode(".tif", deep, [cv2.IMWRITE_TIFF_COMPRESSION, compression])[1]
        yield pytest.param(data.tobytes(), id=f"TIFF of 16 bits, compression {compression}")


@pytest.mark.parametrize("data", list(broken_sources()))
@pytest.mark.parametrize("part", [0.02, 0.5, 0.95])
def test_file_cut_short_is_refused(tmp_path, data, part):
    (tmp_path / "a").write_bytes(data)
    assert read_image(tmp_path / "a").pixels.shape == SMOOTH.shape
    (tmp_path / "a").write_bytes(data[:int(part * len(data))])
    assert "cut short" in refusal(tmp_path / "a")


@pytest.mark.parametrize("bits", [8, 16])
def test_png_with_a_flipped_bit_is_refused(tmp_path, bits):
    data = bytearray(png(SMOOTH.astype(int), 2, bits))
    data[len(data) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    assert "is damaged" in refusal(tmp_path / "a.png")


def test_empty_file_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    assert refusal(tmp_path / "a.png") == "is empty (0 bytes); get the file again"


@pytest.mark.parametrize("data", [b"x", b"these are words, not a picture", bytes(1000)])
def test_what_is_no_image_is_refused(tmp_path, data):
    (tmp_path / "a.png").write_bytes(data)
    assert "is no PNG, JPEG, TIFF" in refusal(tmp_path / "a.png")


def test_picture_without_pixels_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(PICTURE[:0], 2, 8))
    assert refusal(tmp_path / "a.png")


def test_missing_file_folder_and_device_are_refused(tmp_path):
    assert "cannot be read (No such file or directory); check" in refusal(tmp_path / "a.png")
    assert refusal(tmp_path) == "is a folder; name a file"
    assert refusal(Path("/dev/null")) == "is no file; name a file"


def test_file_without_read_permission_is_refused(tmp_path, monkeypatch):
    def deny(self):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.setattr(Path, "read_bytes", deny)
    assert refusal(tmp_path / "a.png").startswith("cannot be read (Permission denied); check")


def bombs():
    side = int(MAX_PIXELS ** 0.5) + 1
    for bits in (8, 16):
        yield pytest.param(png(PICTURE, 2, bits, size=(side, side)), id=f"PNG of {bits} bits")
    jpeg = io.BytesIO()
    Image.fromarray(PICTURE).save(jpeg, "JPEG")
    data = bytearray(jpeg.getvalue())
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, side, side)
    yield pytest.param(bytes(data), id="JPEG")
    bmp = io.BytesIO()
    Image.fromarray(PICTURE).save(bmp, "BMP")
    data = bytearray(bmp.getvalue())
    struct.pack_into("<ii", data, 18, side, side)
    yield pytest.param(bytes(data), id="BMP")
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, DEEP[..., 0], metadata=None)
    with tifffile.TiffFile(io.BytesIO(tiff.getvalue())) as pages_:
        positions = [pages_.pages[0].tags[tag].valueoffset for tag in (256, 257)]
    data = bytearray(tiff.getvalue())
    for position in positions:
        struct.pack_into("<I", data, position, side)
    yield pytest.param(bytes(data), id="TIFF")


@pytest.mark.parametrize("data", list(bombs()))
def test_bomb_is_refused_by_its_header(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    message = refusal(tmp_path / "a")
    assert "over the limit of 512 megapixels; cut it into parts" in message


def test_damaged_exif_is_left_out_with_a_warning(tmp_path, caplog):
    path = save(tmp_path / "a.jpg", PICTURE, exif=b"Exif\0\0II*\0\xff\xff\0\0 junk")
    photo = read_image(path)
    assert photo.exif is None and photo.pixels.shape == PICTURE.shape
    assert f"{path} has damaged EXIF data" in caplog.text


def test_pixels_may_be_changed_in_place(tmp_path):
    assert read_image(save(tmp_path / "a.png", PICTURE)).pixels.flags.writeable


@pytest.mark.reference
def test_set5_equals_what_opencv_reads(reference_data):
    path = sorted((reference_data / "sets" / "Set5" / "x4" / "hr").glob("*.png"))[0]
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(read_image(path).pixels, expected)


@pytest.mark.reference
@pytest.mark.parametrize("name", ["rgb_lzw", "rgb_deflate", "world.rgb", "RGBA.byte",
                                  "RGBA.uint16"])
def test_rasters_equal_what_rasterio_reads(reference_data, name):
    rasterio = pytest.importorskip("rasterio")
    path = reference_data / "geo" / f"{name}.tif"
    with rasterio.open(path) as raster:
        expected = np.moveaxis(raster.read(), 0, -1)
    np.testing.assert_array_equal(read_image(path).pixels, expected)
