"""What is refused: one line that begins with the path, and says what to do."""

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from samples import DEEP, PICTURE, png, refusal, save

from gluon_enhance.photos import MAX_PIXELS, read_image


def pages(path, *pictures, **options):
    with tifffile.TiffWriter(path) as tiff:
        for index, picture in enumerate(pictures):
            tiff.write(picture, metadata=None, subfiletype=1 if index and options else 0)
    return path


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
    (tmp_path / "a").write_bytes(data[: int(part * len(data))])
    assert "cut short" in refusal(tmp_path / "a", strict=True)


@pytest.mark.parametrize("bits", [8, 16])
def test_png_with_a_flipped_bit_is_refused(tmp_path, bits):
    data = bytearray(png(SMOOTH.astype(int), 2, bits))
    data[len(data) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    assert "is damaged" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("missing", [1, 2, 3])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_that_lacks_its_end_alone_is_read_whole_with_a_warning(
    tmp_path, caplog, missing, progressive
):
    data = save(tmp_path / "a.jpg", SMOOTH, progressive=progressive).read_bytes()
    whole = read_image(tmp_path / "a.jpg").pixels
    assert not caplog.text
    (tmp_path / "b.jpg").write_bytes(data[:-missing])
    pixels = read_image(tmp_path / "b.jpg").pixels
    # The last byte of the scan may hold the last block's last bits.
    np.testing.assert_array_equal(pixels[:-8], whole[:-8])
    if missing <= 2:
        np.testing.assert_array_equal(pixels, whole)
    assert f"{tmp_path / 'b.jpg'} is cut short" in caplog.text and len(caplog.records) == 1
    assert refusal(tmp_path / "b.jpg", strict=True) == "is cut short; get the file again"


@pytest.mark.parametrize("padding", [b"", bytes(5000)])
def test_upper_half_of_half_a_jpeg_is_what_it_was(tmp_path, caplog, padding):
    data = save(tmp_path / "a.jpg", SMOOTH, quality=95).read_bytes()
    whole = read_image(tmp_path / "a.jpg").pixels
    (tmp_path / "b.jpg").write_bytes(data[: len(data) * 2 // 3] + padding)
    pixels = read_image(tmp_path / "b.jpg").pixels
    np.testing.assert_array_equal(pixels[: len(whole) // 2], whole[: len(whole) // 2])
    assert (pixels[-8:] != whole[-8:]).mean() > 0.5
    assert "is cut short" in caplog.text and "cut short" in refusal(tmp_path / "b.jpg", strict=True)


def test_jpeg_of_which_only_the_header_is_there_is_refused(tmp_path):
    data = save(tmp_path / "a.jpg", SMOOTH).read_bytes()
    scan = data.index(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[: scan + 2 + 12])
    assert "its pixels are missing" in refusal(tmp_path / "a.jpg")


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("chunk", [b"gAMA", b"iCCP", b"tEXt", b"eXIf", b"pHYs", b"sBIT"])
def test_wrong_checksum_of_what_is_not_needed_leaves_that_out(tmp_path, caplog, bits, chunk):
    picture = PICTURE.astype(int)
    whole = png(picture, 2, bits, (chunk, b"some words\0\0of it"))
    data = bytearray(whole)
    data[whole.index(chunk) + 6] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    photo = read_image(tmp_path / "a.png", strict=True)
    np.testing.assert_array_equal(photo.pixels, picture)
    assert photo.chunks == () and photo.icc_profile is None and photo.exif is None
    name = chunk.decode()
    assert f"has wrong checksums in chunks that are left out: {name}" in caplog.text


@pytest.mark.parametrize("bits", [8, 16])
def test_profile_and_texts_of_over_a_megabyte_are_read(tmp_path, caplog, bits):
    profile = np.random.default_rng(3).bytes(2_000_000)
    text = b"Title\0\0" + zlib.compress(b"x" * 3_000_000)
    chunks = [
        (b"iCCP", b"big\0\0" + zlib.compress(profile)),
        (b"zTXt", text),
        (b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b"y" * 3_000_000)),
    ]
    (tmp_path / "a.png").write_bytes(png(PICTURE, 2, bits, *chunks))
    photo = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.pixels, PICTURE)
    assert photo.icc_profile == profile and photo.comment == "y" * 3_000_000
    assert photo.chunks == ((b"zTXt", text),) and not caplog.text


def test_texts_that_unpack_to_a_thousand_times_their_size_take_no_memory(tmp_path, caplog):
    packed = zlib.compress(bytes(1 << 26))
    chunks = [
        (b"iCCP", b"a\0\0" + packed),
        (b"iTXt", b"Comment\0\1\0\0\0" + packed),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed),
    ]
    (tmp_path / "a.png").write_bytes(png(PICTURE, 2, 8, *chunks))
    tracemalloc.start()
    photo = read_image(tmp_path / "a.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(photo.pixels, PICTURE)
    assert peak < 16e6 and photo.comment is photo.xmp is photo.icc_profile is None
    assert caplog.text.count("unpack to over") == 3 and len(caplog.records) == 1


def test_chunks_without_end_are_not_all_kept(tmp_path):
    texts = [(b"tEXt", b"a\0")] * 2000 + [(b"zzZz", b"")] * 2
    (tmp_path / "a.png").write_bytes(png(PICTURE, 2, 8, *texts))
    photo = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.pixels, PICTURE)
    assert len(photo.chunks) == 1000 and photo.left_out == ("further chunks",)


def sound_but_unsupported():
    jpeg = io.BytesIO()
    Image.fromarray(PICTURE).save(jpeg, "JPEG")
    frame = jpeg.getvalue().index(b"\xff\xc0")
    for position, value, name in (
        (1, 0xC3, "a JPEG of the kind SOF3"),
        (1, 0xF7, "a JPEG-LS file"),
        (4, 12, "a JPEG of 12 bits"),
    ):
        data = bytearray(jpeg.getvalue())
        data[frame + position] = value
        yield pytest.param(bytes(data), name, id=name)
    yield pytest.param(png(PICTURE, 2, 8, (b"CgBI", b"")), "is Apple's PNG for apps", id="CgBI")
    bmp = io.BytesIO()
    Image.fromarray(PICTURE).save(bmp, "BMP")
    data = bytearray(bmp.getvalue())
    struct.pack_into("<I", data, 30, 4)
    yield pytest.param(bytes(data), "Unsupported BMP compression (4)", id="BMP")
    for options, name in (
        ({"photometric": "cfa"}, "1 channel of the kind CFA, not supported"),
        ({"bigtiff": True}, "is a BigTIFF file, not supported"),
    ):
        tiff = io.BytesIO()
        tifffile.imwrite(tiff, PICTURE[..., 0].copy(), metadata=None, **options)
        yield pytest.param(tiff.getvalue(), name, id=name)
    for dtype in (np.uint8, np.uint16):
        tiff = io.BytesIO()
        tifffile.imwrite(tiff, PICTURE.astype(dtype), photometric="rgb", metadata=None)
        data = bytearray(tiff.getvalue())
        with tifffile.TiffFile(io.BytesIO(data)) as pages_:
            position = pages_.pages[0].tags[259].valueoffset
        struct.pack_into("<H", data, position, 34887)
        yield pytest.param(
            bytes(data), "is compressed with LERC, not supported", id=f"LERC {dtype}"
        )


@pytest.mark.parametrize(("data", "message"), list(sound_but_unsupported()))
def test_kinds_that_are_not_supported_are_not_called_damaged(tmp_path, data, message):
    (tmp_path / "a").write_bytes(data)
    found = refusal(tmp_path / "a")
    assert (
        message in found and "damaged" not in found and "save it as" in found.replace("with", "as")
    )


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
    def deny(self, mode):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.setattr(Path, "open", deny)
    assert refusal(tmp_path / "a.png").startswith("cannot be read (Permission denied); check")


def bombs():
    side = int(MAX_PIXELS**0.5) + 1
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
