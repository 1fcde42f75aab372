"""Pictures of the formats of photos that GDAL would read: of what they claim it sees nothing."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

import gluon_enhance as ge
from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.io import open_raster
from gluon_enhance.rasters.raster_or_photo import is_placed, kind_of

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
PLACE = "10\n0\n0\n-10\n500005\n4999995\n"
FORMS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def picture(form, size=None, **options):
    file = io.BytesIO()
    image = Image.new("L", size) if size else Image.fromarray(PICTURE)
    image.save(file, form, **options)
    return file.getvalue()


def with_chunks(*chunks, size=None, interlaced=False):
    """A PNG with chunks of a name and data each behind its first."""
    data = bytearray(picture("PNG"))
    if size:
        struct.pack_into(">II", data, 16, *size)
    data[28] = interlaced
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    made = b"".join(
        struct.pack(">I4s", len(body), name) + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return bytes(data[:33]) + made + bytes(data[33:])


def refusal(path):
    with pytest.raises(ImageError) as error:
        open_raster(path)
    assert str(error.value).startswith(f"{path} ")
    return str(error.value)[len(str(path)) + 1 :]


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_by_any_name_is_a_photo_before_gdal_sees_it(tmp_path, monkeypatch, form):
    (tmp_path / "a.dat").write_bytes(picture(form))
    monkeypatch.setattr("gluon_enhance.rasters.raster_or_photo.open_dataset", None)
    assert kind_of(tmp_path / "a.dat") == "photo"


def test_raw_numbers_that_begin_as_a_bmp_file_are_a_raster(tmp_path):
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(2, 0, 500000, 0, -2, 5000000)}
    shape = {"width": 32, "height": 24, "count": 1, "dtype": "uint8"}
    numbers = np.full((1, 24, 32), ord("B"), np.uint8)
    numbers[..., 1::2] = ord("M")
    with rasterio.open(tmp_path / "a", "w", driver="ENVI", **shape, **place) as out:
        out.write(numbers)
    assert kind_of(tmp_path / "a") == "raster"
    with open_raster(tmp_path / "a") as raster:
        assert np.array_equal(raster.read(), numbers)


@pytest.mark.parametrize("form", ["GIF", "BMP"])
def test_pictures_for_photos_only_are_no_rasters_unless_trusted(tmp_path, form):
    (tmp_path / "a.dat").write_bytes(picture(form))
    assert refusal(tmp_path / "a.dat") == (
        f"is {form}, which is for photos only; save it as PNG or TIFF; if you trust who made it, "
        "give --trust (trust=True)"
    )
    with open_raster(tmp_path / "a.dat", trust=True) as raster:
        assert raster.driver == form


def test_a_tga_file_that_claims_much_is_not_opened(tmp_path):
    head = struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 65535, 65535, 32, 8)
    (tmp_path / "a.tga").write_bytes(head + bytes(100))
    assert "in none of the formats" in refusal(tmp_path / "a.tga")


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
@pytest.mark.parametrize("count", [1, 100])
def test_a_png_of_many_packed_texts_is_refused(tmp_path, name, count):
    packed = b"k\0\1" + bytes(70_000 // count)
    (tmp_path / "a.png").write_bytes(with_chunks(*[(name, packed)] * count))
    said = refusal(tmp_path / "a.png")
    assert "bytes of packed texts and profiles; if you trust who made it" in said


def test_a_png_with_a_text_and_a_profile_is_read(tmp_path):
    profile = b"iCCP", b"p\0\0" + zlib.compress(bytes(9000))
    texts = (b"tEXt", b"k\0" + b"x" * 100_000), (b"iTXt", b"k\0\0\0\0\0" + b"x" * 100_000)
    (tmp_path / "a.png").write_bytes(with_chunks(profile, *texts))
    (tmp_path / "a.pgw").write_text(PLACE)
    assert is_placed(tmp_path / "a.png")
    result = ge.enhance_raster(tmp_path / "a.png", tmp_path / "b.tif", "nearest")
    with rasterio.open(result) as raster:
        assert raster.bounds[0] == 500_000 and raster.shape == (96, 128)


CLAIMS = {
    "PNG": with_chunks(size=(100_000, 100_000)),
    "JPEG": picture("JPEG").replace(b"\0\x18\0\x20\3", b"\xff\xdc\xff\xdc\3"),
}


@pytest.mark.parametrize("form", CLAIMS)
def test_a_picture_that_claims_what_it_cannot_hold_is_refused(tmp_path, form):
    (tmp_path / "a").write_bytes(CLAIMS[form])
    assert " bytes: no picture is as small" in refusal(tmp_path / "a")


def test_an_interlaced_png_is_no_larger_than_a_photo(tmp_path):
    pixels = (b"IDAT", bytes(200_000))
    for interlaced in (False, True):
        (tmp_path / "a").write_bytes(
            with_chunks(pixels, size=(30_000, 20_000), interlaced=interlaced)
        )
        if interlaced:
            assert "is an interlaced PNG of 30000x20000 pixels" in refusal(tmp_path / "a")
        else:
            open_raster(tmp_path / "a").close()


def test_a_jpeg_of_many_scans_or_segments_is_refused(tmp_path):
    data = picture("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    (tmp_path / "a").write_bytes(data[:last] + 200 * data[last:-2] + data[-2:])
    assert refusal(tmp_path / "a").startswith("has over 100 scans")
    (tmp_path / "a").write_bytes(data[:2] + 2000 * b"\xff\xfe\0\2" + data[2:])
    assert "header that is damaged, or claims too much" in refusal(tmp_path / "a")


@pytest.mark.parametrize("how", ["source", "mask"])
@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_sources_and_masks_are_pictures_of_the_same_bounds(tmp_path, how, form):
    data = with_chunks((b"zTXt", b"k\0\0" + bytes(70_000))) if form == "PNG" else picture("GIF")
    fault = "packed texts" if form == "PNG" else "is for photos only"
    name = Path("b.tif" if how == "source" else "a.tif.msk")
    (tmp_path / name).write_bytes(data)
    if how == "source":
        (tmp_path / "a.vrt").write_text(
            '<VRTDataset rasterXSize="32" rasterYSize="24"><VRTRasterBand dataType="Byte" band="1">'
            f'<SimpleSource><SourceFilename relativeToVRT="1">{name}</SourceFilename>'
            "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
        )
    else:
        Image.fromarray(PICTURE).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=f"{name} .*{fault}"):
        open_raster(tmp_path / ("a.vrt" if how == "source" else "a.tif"))


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_a_place_that_is_not_read_is_not_lost_in_silence(tmp_path, form):
    path = tmp_path / f"a.{form.lower()}"
    path.write_bytes(picture("GIF") if form == "GIF" else CLAIMS["PNG"])
    path.with_suffix(f".{form[0].lower()}{form[-1].lower()}w").write_text(PLACE)
    assert is_placed(path)
    path.write_bytes(picture(form))
    assert is_placed(path, trust=True)
