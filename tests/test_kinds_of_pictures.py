"""What `enhance` takes besides arrays, and gives back: Pillow's pictures, photos, files."""

import multiprocessing
import pickle

import numpy as np
import pytest
import rasterio
from PIL import Image

import gluon_enhance as ge
from gluon_enhance.errors import ImageError

ORIENTATION, MAKE, WIDTH, EXIF = 0x0112, 0x010F, 0xA002, 0x8769
OPTIONS = {"model": "edsr_lite_x2", "precision": "fp32", "threads": 1}


@pytest.fixture(scope="module")
def enhancer():
    return ge.Enhancer(**OPTIONS)


@pytest.fixture
def small(picture):
    return picture[:20, :28]


def rgba(pixels):
    alpha = np.linspace(1, 255, pixels.shape[1]).astype(np.uint8)
    return np.dstack([pixels, np.broadcast_to(alpha, pixels.shape[:2])])


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_picture_of_pillow_comes_back_in_its_mode(enhancer, small, mode):
    image = Image.fromarray(rgba(small)).convert(mode)
    result = enhancer(image)
    assert isinstance(result, Image.Image) and (result.mode, result.size) == (mode, (56, 40))
    assert np.array_equal(np.array(result), enhancer(np.array(image)))


@pytest.mark.parametrize("mode, becomes", [("1", "L"), ("P", "RGB"), ("PA", "RGBA")])
def test_palettes_and_single_bits_come_back_in_the_colors_they_stand_for(
    enhancer, small, mode, becomes
):
    image = Image.fromarray(small).convert("P" if mode == "PA" else mode).convert(mode)
    result = enhancer(image)
    assert result.mode == becomes
    assert np.array_equal(np.array(result), enhancer(np.array(image.convert(becomes))))


def test_transparent_color_of_a_palette_becomes_alpha(enhancer, small):
    image = Image.fromarray(small).convert("P")
    image.info["transparency"] = image.getpixel((0, 0))
    result = enhancer(image)
    assert result.mode == "RGBA" and "transparency" not in result.info
    assert np.array_equal(np.array(result), enhancer(np.array(image.convert("RGBA"))))


@pytest.mark.parametrize("mode, kind", [("I;16", "<u2"), ("I;16B", ">u2"), ("I", "i4")])
def test_sixteen_bits_of_pillow_stay(enhancer, small, mode, kind):
    gray = small[..., 0].astype(np.uint16) * 257 + 3
    image = Image.frombytes(mode, gray.shape[::-1], gray.astype(kind).tobytes())
    result = enhancer(image)
    assert result.mode == mode
    values = np.frombuffer(result.tobytes(), kind).reshape(result.size[::-1])
    assert np.array_equal(values, enhancer(gray)) and len(np.unique(values)) > 500


def test_floats_of_pillow_stay(enhancer, small):
    gray = small[..., 0] / np.float32(255)
    result = enhancer(Image.fromarray(gray))
    assert result.mode == "F" and np.array_equal(np.array(result), enhancer(gray))


@pytest.mark.parametrize(
    "image, message",
    [
        (Image.new("CMYK", (9, 9)), "mode CMYK; convert it to RGB"),
        (Image.new("I", (9, 9), 70_000), "70000, which 16 bits do not hold"),
        (Image.new("RGB", (0, 9)), "0x9: it holds no pixel"),
    ],
)
def test_pictures_that_cannot_be_enhanced_are_refused_with_what_to_do(enhancer, image, message):
    with pytest.raises(ImageError, match=message):
        enhancer(image)


def test_other_kinds_are_refused_with_those_that_are_taken(enhancer):
    with pytest.raises(ValueError, match="image is a list; give an array, a picture of Pillow"):
        enhancer([[0, 1], [2, 3]])


def turned(pixels):
    """A picture as a camera held upright gives it: stored on its side."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = 6, "maker"
    exif[EXIF] = {WIDTH: pixels.shape[1]}
    image = Image.fromarray(pixels)
    image.info.update(icc_profile=b"profile", dpi=(300, 300), exif=exif.tobytes())
    return image


def test_profile_and_exif_data_stay_and_the_orientation_is_applied(enhancer, small, tmp_path):
    image = turned(small)
    result = enhancer(image)
    assert np.array_equal(np.array(result), enhancer(np.rot90(small, -1)))
    assert (result.info["icc_profile"], result.info["dpi"]) == (b"profile", (300, 300))
    exif = result.getexif()
    assert (exif[ORIENTATION], exif[MAKE], exif.get_ifd(EXIF)[WIDTH]) == (1, "maker", 40)
    assert image.getexif()[ORIENTATION] == 6  # as it was


def test_exif_data_of_a_tiff_file_stays_without_what_says_where_its_pixels_lie(
    enhancer, small, tmp_path
):
    Image.fromarray(small).save(tmp_path / "a.tif", tiffinfo={MAKE: "maker"})
    with Image.open(tmp_path / "a.tif") as image:
        exif = enhancer(image).getexif()
    assert exif[MAKE] == "maker" and 0x0111 not in exif


@pytest.mark.parametrize("data", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"nothing of the kind"])
def test_damaged_exif_data_is_left_out_with_a_warning(enhancer, small, caplog, data):
    image = Image.fromarray(small)
    image.info["exif"] = data
    assert "exif" not in enhancer(image).info
    assert "damaged EXIF data" in caplog.text


def test_picture_that_is_cut_short_is_refused(enhancer, small, tmp_path):
    Image.fromarray(small).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with (
        Image.open(tmp_path / "a.png") as image,
        pytest.raises(ImageError, match="the picture is damaged or cut short"),
    ):
        enhancer(image)


def test_path_gives_the_path_of_a_file_that_has_been_written_beside_it(small, tmp_path):
    image = turned(small)
    image.save(tmp_path / "a.png", exif=image.info["exif"])
    result = ge.enhance(str(tmp_path / "a.png"), **OPTIONS)
    assert result == tmp_path / "a_x2.png"
    with Image.open(result) as got:
        assert np.array_equal(np.array(got), np.array(ge.enhance(image, **OPTIONS)))
        assert (got.getexif()[MAKE], got.getexif()[ORIENTATION]) == ("maker", 1)
    assert ge.enhance(tmp_path / "a.png", **OPTIONS) == result


def test_file_goes_to_the_target_that_is_named(enhancer, small, tmp_path):
    Image.fromarray(small).save(tmp_path / "a.bmp")
    assert enhancer.enhance_file(tmp_path / "a.bmp") == tmp_path / "a_x2.png"
    Image.fromarray(small).save(tmp_path / "a.mpo", format="JPEG")
    assert enhancer.enhance_file(tmp_path / "a.mpo") == tmp_path / "a_x2.jpg"  # as the command
    seen = []
    target = enhancer.enhance_file(
        tmp_path / "a.bmp", tmp_path / "b.tif", progress=lambda *counts: seen.append(counts)
    )
    assert target == tmp_path / "b.tif" and seen == [(1, 1)]
    assert np.array_equal(ge.read_image(target).pixels, enhancer(small))


@pytest.mark.parametrize(
    "source, target, message",
    [
        ("a.png", "a.png", "both source and target"),
        ("a.png", "b.jpg", "JPEG holds no RGB and alpha"),
        ("none.png", "b.png", "none.png cannot be read"),
    ],
)
def test_files_that_cannot_be_served_are_refused_before_the_work(
    enhancer, small, tmp_path, monkeypatch, source, target, message
):
    Image.fromarray(rgba(small)).save(tmp_path / "a.png")
    monkeypatch.setattr(enhancer, "run", lambda batch: pytest.fail("the net ran"))
    with pytest.raises(ImageError, match=message):
        enhancer.enhance_file(tmp_path / source, tmp_path / target)


def test_raster_with_a_place_is_not_taken_for_a_photo(enhancer, small, tmp_path):
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 20, "width": 28}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)}
    with rasterio.open(tmp_path / "scene.tif", "w", **profile, **place) as dst:
        dst.write(small.transpose(2, 0, 1))
    with pytest.raises(ImageError, match="scene.tif has a place on Earth.*enhance_raster"):
        enhancer.enhance_file(tmp_path / "scene.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_photo_gives_a_photo_with_all_else_kept(enhancer, small, tmp_path):
    turned(small).save(tmp_path / "a.jpg", exif=turned(small).info["exif"], quality=95)
    photo = ge.read_image(tmp_path / "a.jpg")
    result = enhancer(photo)
    assert isinstance(result, ge.Photo) and result.exif == photo.exif
    assert np.array_equal(result.pixels, enhancer(photo.pixels))
    ge.write_image(tmp_path / "b.png", result)
    assert np.array_equal(ge.read_image(tmp_path / "b.png").pixels, result.pixels)


def test_array_is_written_as_it_is(small, tmp_path):
    ge.write_image(tmp_path / "a.png", small)
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.array(image), small)


def test_pickled_enhancer_gives_the_same(enhancer, small):
    again = pickle.loads(pickle.dumps(enhancer))
    assert again.describe() == enhancer.describe()
    assert np.array_equal(again(small), enhancer(small))


def test_enhancer_can_be_sent_to_other_processes(enhancer, small):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (result,) = pool.map(enhancer, [small])
    assert np.array_equal(result, enhancer(small))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_neutral_rgb_stays_neutral(enhancer, small, dtype):
    gray = small[..., 0].astype(dtype) * dtype(np.iinfo(dtype).max // 255)
    result = enhancer(np.dstack([gray] * 3))
    assert np.array_equal(result, np.dstack([enhancer(gray)] * 3))
    colored = np.dstack([gray] * 3)
    colored[0, 0, 0] ^= 1
    assert np.ptp(enhancer(colored).astype(int), axis=2).max() > 0


def test_public_names_are_there_and_documented():
    for name in ("Photo", "read_image", "write_image", "enhance", "Enhancer"):
        assert name in ge.__all__ and len(getattr(ge, name).__doc__) > 40
