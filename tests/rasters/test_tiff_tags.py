"""What TIFF files say in ways that GDAL does not pass on: photometry, alpha, pages, encodings."""

import numpy as np
import pytest
import rasterio
import tifffile
from doubling_net import Doubling

from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.resize import resize
from gluon_enhance.rasters.enhance import enhance_raster
from gluon_enhance.rasters.match import match_rasters
from gluon_enhance.rasters.score import score_rasters

PLACE = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True),
]


def write(path, pixels, tags=(), **options):
    options = {"photometric": "minisblack", "metadata": None, **options}
    tifffile.imwrite(path, pixels, extratags=[*PLACE, *tags], **options)
    return path


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read()


def page_of(path):
    with tifffile.TiffFile(path) as tiff:
        return tiff.pages[0]


def larger(bands):
    return bands.repeat(2, axis=-2).repeat(2, axis=-1)


@pytest.mark.parametrize("dtype, white", [("uint8", 255), ("uint16", 65535)])
def test_where_the_least_number_is_white_it_stays_so_and_the_net_sees_no_negative(
    tmp_path, rng, dtype, white
):
    pixels = rng.integers(0, white // 4, (20, 30)).astype(dtype)  # bright
    path, enhancer = write(tmp_path / "in.tif", pixels, photometric="miniswhite"), Doubling()
    enhance_raster(path, tmp_path / "sr.tif", enhancer, input_range=(0, white))
    match_rasters(path, path, tmp_path / "matched.tif")
    for name, expected in (("sr.tif", larger(pixels)), ("matched.tif", pixels)):
        assert page_of(tmp_path / name).photometric == tifffile.PHOTOMETRIC.MINISWHITE
        assert np.array_equal(read(tmp_path / name)[0], expected)
        with rasterio.open(tmp_path / name) as result, rasterio.open(path) as src:
            assert result.colorinterp == src.colorinterp
    assert np.allclose(enhancer.seen[-1][0, 0], 1 - pixels / white, atol=1e-6)


def test_numbers_of_black_and_white_are_given_the_same_way_where_the_least_is_white(tmp_path):
    pixels = np.full((20, 30), 30, np.uint8)
    path, enhancer = write(tmp_path / "in.tif", pixels, photometric="miniswhite"), Doubling()
    enhance_raster(path, tmp_path / "sr.tif", enhancer, input_range=(0, 100))
    assert np.allclose(enhancer.seen[-1], 0.7) and (read(tmp_path / "sr.tif") == 30).all()


@pytest.mark.parametrize("kind, count", [("cmyk", 4), ("cmyk", 5), ("cielab", 3), ("icclab", 3)])
def test_colors_that_gdal_reads_as_they_are_are_said_to_be_the_same(tmp_path, rng, kind, count):
    bands = rng.integers(1, 60_000, (count, 20, 30)).astype(np.uint16)
    profile = {"count": count, "height": 20, "width": 30, "dtype": "uint16", "photometric": kind}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)}
    path = tmp_path / "in.tif"
    with rasterio.open(path, "w", driver="GTiff", **place, **profile) as out:
        out.write(bands)
    match_rasters(path, path, tmp_path / "matched.tif")
    options = {"input_range": (0, 65_535), "others": "each"}
    enhance_raster(path, tmp_path / "sr.tif", Doubling(), **options)
    for name, expected in (("matched.tif", bands), ("sr.tif", larger(bands))):
        assert page_of(tmp_path / name).photometric == page_of(path).photometric
        assert page_of(tmp_path / name).extrasamples == page_of(path).extrasamples
        assert np.array_equal(read(tmp_path / name), expected)


def test_a_raster_and_its_negative_are_not_compared(tmp_path):
    ones, out = np.ones((9, 9), np.uint8), tmp_path / "out.tif"
    paths = [
        write(tmp_path / f"{name}.tif", ones, photometric=name)
        for name in ("miniswhite", "minisblack")
    ]
    for pair in (paths, paths[::-1]):
        with pytest.raises(ImageError, match="miniswhite.tif has white at its least number"):
            match_rasters(*pair, out)
        with pytest.raises(ImageError, match="miniswhite.tif has white at its least number"):
            score_rasters(*pair)


def test_a_cog_cannot_say_that_the_least_number_is_white(tmp_path):
    path = write(tmp_path / "in.tif", np.ones((9, 9), np.uint8), photometric="miniswhite")
    with pytest.raises(ImageError, match="which a COG cannot say; leave out the COG, or invert"):
        enhance_raster(path, tmp_path / "out.tif", Doubling(), cog=True)


@pytest.fixture
def premultiplied(tmp_path, rng):
    """A raster of one color under alpha that differs, and what it is multiplied to."""
    alpha = rng.integers(40, 256, (20, 30))
    alpha[3:9, 5:14] = 0
    colors = np.array([200, 100, 50])
    pixels = np.dstack([np.rint(alpha[..., None] * colors / 255), alpha]).astype(np.uint8)
    options = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    return write(tmp_path / "in.tif", pixels, **options), pixels


def test_premultiplied_alpha_stays_so_and_the_net_sees_the_colors(premultiplied, tmp_path):
    path, pixels = premultiplied
    enhancer, colors = Doubling(), np.array([200, 100, 50])
    enhance_raster(path, tmp_path / "sr.tif", enhancer)
    assert page_of(tmp_path / "sr.tif").extrasamples == (tifffile.EXTRASAMPLE.ASSOCALPHA,)
    seen = enhancer.seen[-1][0].transpose(1, 2, 0) * 255
    assert np.abs(seen - colors).max() < 255 / 40  # what rounding to the alpha of 40 leaves
    *result, alpha = read(tmp_path / "sr.tif").astype(float)
    expected = np.clip(np.rint(resize(pixels[..., 3].astype(float), 2)), 1, 255)
    hole = larger(pixels[..., 3] == 0)
    assert np.array_equal(alpha, np.where(hole, 0, expected))
    assert np.abs(np.dstack(result) - alpha[..., None] * colors / 255)[~hole].max() < 4
    assert (np.dstack(result)[hole] == 0).all()


def test_premultiplied_alpha_stays_so_when_matched(premultiplied, tmp_path):
    path, pixels = premultiplied
    match_rasters(path, path, tmp_path / "out.tif")
    assert page_of(tmp_path / "out.tif").extrasamples == (tifffile.EXTRASAMPLE.ASSOCALPHA,)
    assert np.array_equal(np.moveaxis(read(tmp_path / "out.tif"), 0, 2), pixels)


def test_a_cog_whose_alpha_is_never_premultiplied_has_the_colors_themselves(
    premultiplied, tmp_path
):
    enhance_raster(premultiplied[0], tmp_path / "sr.tif", Doubling(), cog=True)
    assert page_of(tmp_path / "sr.tif").extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
    result = np.moveaxis(read(tmp_path / "sr.tif"), 0, 2).astype(float)
    assert np.abs(result[..., :3] - [200, 100, 50])[result[..., 3] > 0].max() < 255 / 40


def test_a_raster_of_several_pages_is_refused_with_their_names(tmp_path, rng):
    with tifffile.TiffWriter(tmp_path / "in.tif") as tiff:
        for height in (20, 30):
            page = rng.integers(0, 255, (height, 30)).astype(np.uint8)
            tiff.write(page, photometric="minisblack", extratags=PLACE, metadata=None)
    path, out = tmp_path / "in.tif", tmp_path / "out.tif"
    for work in (
        lambda: enhance_raster(path, out, Doubling()),
        lambda: match_rasters(path, path, out),
        lambda: score_rasters(path, path),
    ):
        with pytest.raises(ImageError, match="has 2 pages or subdatasets, .* GTIFF_DIR:1:.*in.tif"):
            work()
    enhance_raster(f"GTIFF_DIR:2:{path}", out, Doubling())
    assert np.array_equal(read(out)[0], larger(page))
    with rasterio.open(out) as result:
        assert "SUBDATASETS" not in result.tag_namespaces()


def test_a_page_that_is_a_mask_or_an_overview_is_none(tmp_path, rng):
    path = write(tmp_path / "in.tif", rng.integers(0, 255, (600, 30)).astype(np.uint8))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.eye(600, 30) == 0)
        dataset.build_overviews([2])
    enhance_raster(path, tmp_path / "out.tif", Doubling())
    with rasterio.open(tmp_path / "out.tif") as result:
        assert np.array_equal(result.dataset_mask() > 0, larger(np.eye(600, 30) == 0))


def described(encoding):
    """Metadata as GDAL writes it, but in an encoding of our choice."""
    items = (
        '<Item name="DESCRIPTION" sample="0" role="description">Grün</Item>'
        '<Item name="DESCRIPTION" sample="1" role="description">plain</Item>'
        '<Item name="UNITTYPE" sample="0" role="unittype">°C</Item>'
        '<Item name="AUTHOR">Müller</Item><Item name="BAND" sample="1">für zwei</Item>'
        '<Item name="PLACE" domain="OWN">Höhe\x07 \x7f</Item>'
    )
    text = f"<GDALMetadata>{items}</GDALMetadata>\0".encode(encoding)
    return [
        (42112, "s", len(text), text, True),
        (315, "s", 0, "Señor".encode(encoding), True),
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_texts_are_kept_in_whichever_encoding(tmp_path, rng, encoding):
    pixels = rng.integers(0, 255, (2, 20, 30)).astype(np.uint8)
    path = write(tmp_path / "in.tif", pixels, described(encoding), planarconfig="separate")
    enhance_raster(path, tmp_path / "sr.tif", Doubling(), others="each")
    match_rasters(path, path, tmp_path / "matched.tif")
    for name in ("sr.tif", "matched.tif"):
        with rasterio.open(tmp_path / name) as result:
            assert result.descriptions == ("Grün", "plain") and result.units == ("°C", None)
            tags = result.tags()
            assert (tags["AUTHOR"], tags["TIFFTAG_ARTIST"]) == ("Müller", "Señor")
            assert result.tags(2) == {"BAND": "für zwei"}
            assert result.tags(ns="OWN")["PLACE"].startswith("Höhe")
