"""Options of what files of photos hold, and pipes, checked in the files that result."""

import io
import subprocess

import numpy as np
import pytest
from PIL import Image
from test_enhance import COMMAND

from gluon_enhance.photos import Photo, read_image, write_image


@pytest.fixture
def noise(tmp_path):
    def save(name, channels=3, dtype=np.uint8):
        shape = (9, 7, channels) if channels > 1 else (9, 7)
        high = np.iinfo(dtype).max
        pixels = np.random.default_rng(0).integers(0, high, shape, dtype, endpoint=True)
        write_image(tmp_path / name, Photo(pixels), lossless=not name.endswith("jpg"))
        return tmp_path / name, pixels

    return save


def large(pixels):
    return np.repeat(np.repeat(pixels, 4, axis=0), 4, axis=1)


def test_alpha_is_put_on_the_color_for_jpeg(noise, enhance_with_repeats):
    path, pixels = noise("a.png", 4)
    assert "use --ext png, or --flatten white" in enhance_with_repeats(path, "--ext", "jpg").stderr
    assert enhance_with_repeats(path, "--flatten", "#ff0000", "--ext", "png").exit_code == 0
    alpha = pixels[..., 3:] / 255
    expected = alpha * pixels[..., :3] + (1 - alpha) * np.array([255, 0, 0])
    result = read_image(path.with_name("a_x4.png")).pixels
    assert np.abs(result - large(expected)).max() <= 0.51
    assert enhance_with_repeats(path, "--flatten", "white", "--ext", "jpg").exit_code == 0
    assert read_image(path.with_name("a_x4.jpg")).pixels.shape == (36, 28, 3)


def test_16_bits_become_8_for_jpeg(noise, enhance_with_repeats):
    path, pixels = noise("a.png", 3, np.uint16)
    assert "use --ext png, or --depth 8" in enhance_with_repeats(path, "--ext", "jpg").stderr
    assert enhance_with_repeats(path, "--depth", "8", "--ext", "jpg").exit_code == 0
    assert enhance_with_repeats(path, "--depth", "8").exit_code == 0
    result = read_image(path.with_name("a_x4.png")).pixels
    np.testing.assert_array_equal(result, large(np.round(pixels / 257).astype(np.uint8)))


def test_depth_16_is_the_nets_and_not_the_inputs(noise, enhance_with_repeats):
    path, pixels = noise("a.png")
    assert enhance_with_repeats(path, "--depth", "16").exit_code == 0
    result = read_image(path.with_name("a_x4.png")).pixels
    np.testing.assert_array_equal(result, large(pixels.astype(np.uint16) * 257))


def test_quality_reaches_the_file(noise, enhance_with_repeats):
    path, _ = noise("a.jpg")
    tables = io.BytesIO()
    Image.new("RGB", (8, 8)).save(tables, "JPEG", quality=40)
    assert enhance_with_repeats(path, "--quality", "40").exit_code == 0
    with Image.open(path.with_name("a_x4.jpg")) as image, Image.open(tables) as expected:
        assert image.quantization == expected.quantization


@pytest.mark.parametrize("options, name", [([], "a.webp"), (["--lossless"], "a.png")])
def test_webp_loses_nothing_if_the_input_had_not_or_it_is_asked_for(
    noise, enhance_with_repeats, options, name
):
    path, pixels = noise(name)
    assert enhance_with_repeats(path, "--ext", "webp", *options).exit_code == 0
    with Image.open(path.with_name("a_x4.webp")) as image:
        np.testing.assert_array_equal(np.asarray(image), large(pixels))


def test_gray_becomes_rgb_in_webp(noise, enhance_with_repeats):
    path, pixels = noise("a.png", 1)
    assert enhance_with_repeats(path, "--ext", "webp", "--lossless").exit_code == 0
    with Image.open(path.with_name("a_x4.webp")) as image:
        np.testing.assert_array_equal(np.asarray(image), large(pixels)[..., None].repeat(3, 2))


@pytest.mark.parametrize(
    "options, message",
    [
        (["--lossless", "--ext", "jpg"], "JPEG always loses something; use --ext png, tif or webp"),
        (["--lossless", "--quality", "80"], "--lossless and --quality exclude each other"),
        (["--quality", "0"], "0 is not in the range 1<=x<=100"),
        (["--flatten", "whitish"], "'whitish' is no color such as white or #ffffff"),
        (["--depth", "12"], "'12' is not one of '8', '16'"),
        (["--outscale", "inf"], "'inf' is not a finite number"),
        (["--outscale", "nan"], "'nan' is not a finite number"),
        (["-o", "out.heic"], "out.heic has the suffix '.heic'; choose .png, .jpg"),
        (["-o", ""], "it is an empty text; name a file or folder"),
        (["-n", "RealESRGAN_x4plus"], "here it is -m MODEL"),
        (["-i", "a.png"], "here it is an argument: gluon-enhance enhance INPUT"),
        (["-s", "2"], "here it is --outscale N"),
        (["-t", "400"], "here it is --tile N"),
        (["-g", "0"], "here it is --device cuda:N"),
        (["-dn", "0.5"], "here it is --denoise N"),
        (["--fp32"], "here it is --precision fp32"),
        (["--denoise", "1.5"], "1.5 is not in the range 0<=x<=1"),
    ],
)
def test_wrong_use_says_what_is_right(noise, enhance_with_repeats, options, message):
    path, _ = noise("a.png")
    result = enhance_with_repeats(path, *options)
    assert result.exit_code == 2 and message in result.stderr
    assert list(path.parent.iterdir()) == [path]


def test_unknown_options_without_a_counterpart_are_refused_as_ever(noise, enhance_with_repeats):
    result = enhance_with_repeats(noise("a.png")[0], "--bands-of-brothers")
    assert result.exit_code == 2 and "No such option" in result.stderr
    assert "here it is" not in result.stderr


def test_empty_text_is_no_input(enhance_with_repeats, monkeypatch, tmp_path, noise):
    path, _ = noise("a.png")
    monkeypatch.chdir(tmp_path)
    result = enhance_with_repeats("")
    assert result.exit_code == 2 and "an input is an empty text" in result.stderr
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("arguments", [["-"], ["-", "-o", "-"]])
def test_a_picture_goes_through_pipes(noise, enhance_with_repeats, arguments):
    path, pixels = noise("a.png")
    result = enhance_with_repeats(*arguments, input=path.read_bytes())
    assert result.exit_code == 0, result.stderr
    with Image.open(io.BytesIO(result.stdout_bytes)) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), large(pixels))
    assert result.stderr == "wrote to standard output, 28 x 36 pixels\n"


def test_one_end_may_be_a_pipe(noise, enhance_with_repeats, tmp_path):
    path, pixels = noise("a.png")
    result = enhance_with_repeats(path, "-o", "-", "--ext", "tif")
    with Image.open(io.BytesIO(result.stdout_bytes)) as image:
        assert image.format == "TIFF"
        np.testing.assert_array_equal(np.asarray(image), large(pixels))
    result = enhance_with_repeats("-", "-o", tmp_path / "b.png", input=path.read_bytes())
    assert result.exit_code == 0 and result.stdout == ""
    np.testing.assert_array_equal(read_image(tmp_path / "b.png").pixels, large(pixels))


@pytest.mark.parametrize(
    "data, message",
    [(b"", "standard input is empty"), (b"words", "standard input is no PNG, JPEG")],
)
def test_what_is_no_picture_is_refused_at_the_pipe(enhance_with_repeats, data, message):
    result = enhance_with_repeats("-", input=data)
    assert result.exit_code == 2 and message in result.stderr and result.stdout == ""


def test_damaged_picture_writes_nothing_to_the_pipe(noise, enhance_with_repeats):
    path, _ = noise("a.png")
    result = enhance_with_repeats("-", input=path.read_bytes()[:60])
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith("error: - is damaged or cut short")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["-", "-"], "standard input (-) is given more than once"),
        (["a.png", "b.png", "-o", "-"], "-o - takes one file"),
        ([".", "-o", "-"], "-o - takes one file"),
        (["-", "--json"], "both take standard output"),
    ],
)
def test_pipes_that_cannot_serve_are_refused(enhance_with_repeats, arguments, message):
    result = enhance_with_repeats(*arguments, input=b"")
    assert result.exit_code == 2 and message in result.stderr


def test_raster_goes_through_pipes(tmp_path, enhance_with_repeats):
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 12, "height": 10}
    with rasterio.open(tmp_path / "a.tif", "w", **profile, **place) as out:
        out.write(np.random.default_rng(0).integers(0, 256, (3, 10, 12), np.uint8))
    done = subprocess.run(
        [*COMMAND, "enhance", "-"],
        input=(tmp_path / "a.tif").read_bytes(),
        capture_output=True,
        check=True,
    )
    (tmp_path / "out.tif").write_bytes(done.stdout)
    with rasterio.open(tmp_path / "a.tif") as src, rasterio.open(tmp_path / "out.tif") as out:
        assert out.bounds == src.bounds and out.crs == src.crs and out.shape == (40, 48)
