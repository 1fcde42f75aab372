"""What is refused: one line that begins with the path, and says what to do."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from samples import DEEP, PICTURE, png, refusal, save

from gluon_enhance.files import MAX_PIXELS, read_image


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
