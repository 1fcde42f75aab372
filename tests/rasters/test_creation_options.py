"""Creation options that GDAL ignores, has no use for, or would let spoil holes."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from doubling_net import Doubling
from rasterio.enums import ColorInterp

from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.enhance import enhance_raster
from gluon_enhance.rasters.match import match_rasters

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}
RGBA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


def write(path, bands, colors=None, **profile):
    count, height, width = bands.shape
    size = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **{**PLACE, **size, **profile}) as out:
        if colors:
            out.colorinterp = colors
        out.write(bands)
    return path


@pytest.fixture
def source(tmp_path, rng):
    return write(tmp_path / "in.tif", rng.integers(1, 255, (3, 40, 50)).astype(np.uint8))


def enhanced(source, out, cog, options):
    enhancer = Doubling()
    enhance_raster(source, out, enhancer, cog=cog, creation_options=options, input_range=(0, 255))
    return enhancer


NOT_OBEYED = [
    ({"COMPRESS": "ZTSD"}, "'ZTSD' is an unexpected value for COMPRESS"),
    ({"compres": "zstd"}, "does not support creation option COMPRES"),
    ({"COMPRESS": "DEFLATE", "ZLEVEL": "99"}, "ZLEVEL=99 value not recognised"),
    ({"NBITS": "12"}, "NBITS=12 is invalid for data type Byte"),
    ({"PHOTOMETRIC": "CMYK"}, "does not correspond to number of bands"),
    ({"COMPRESS": "DEFLATE", "ZSTD_LEVEL": "9"}, "ZSTD_LEVEL=9 has no effect .* with ZSTD"),
    ({"COMPRESS": "NONE", "PREDICTOR": "2"}, "PREDICTOR=2 has no effect with COMPRESS=NONE"),
    ({"COMPRESS": "LZW", "JPEG_QUALITY": "50"}, "goes with JPEG"),
    ({"TILED": "yess"}, "TILED=yess is not obeyed"),
    ({"DTYPE": "float32"}, "DTYPE is no creation option"),
]


@pytest.mark.parametrize("options, message", NOT_OBEYED)
def test_an_option_that_is_not_obeyed_is_an_error_before_the_work(
    source, tmp_path, options, message
):
    for work in (
        lambda out: enhanced(source, out, False, options),
        lambda out: match_rasters(source, source, out, creation_options=options),
    ):
        with pytest.raises(ImageError, match=message):
            work(tmp_path / "out" / "a.tif")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.tif"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"COMPRESS": "ZTSD"}, "'ZTSD' is an unexpected value"),
        ({"TILED": "YES"}, "COG does not support creation option TILED"),
        ({"COMPRESS": "DEFLATE", "QUALITY": "50"}, "QUALITY=50 has no effect .* JPEG, WEBP"),
        ({"BLOCKSIZE": "100"}, ": a.tif cannot be written: .* value 100 for .TileWidth. tag"),
        ({"COMPRESS": "LZW", "LEVEL": "9"}, "LEVEL=9 has no effect"),
    ],
)
def test_an_option_that_is_not_obeyed_in_a_cog_is_an_error_too(source, tmp_path, options, message):
    with pytest.raises(ImageError, match=message):
        enhanced(source, tmp_path / "a.tif", True, options)


def test_blocks_of_strips_have_the_rasters_width(source, tmp_path):
    with pytest.raises(ImageError, match="BLOCKXSIZE=32 is not obeyed: .* give TILED=YES"):
        match_rasters(source, source, tmp_path / "a.tif", creation_options={"BLOCKXSIZE": "32"})
    options = {"BLOCKXSIZE": "32", "BLOCKYSIZE": "16", "TILED": "YES"}
    match_rasters(source, source, tmp_path / "a.tif", creation_options=options)
    with rasterio.open(tmp_path / "a.tif") as result:
        assert result.block_shapes == [(16, 32)] * 3


@pytest.mark.parametrize(
    "options",
    [
        {"COMPRESS": "ZSTD", "ZSTD_LEVEL": "1", "PREDICTOR": "2"},
        {"COMPRESS": "LERC_DEFLATE", "MAX_Z_ERROR": "0.5", "ZLEVEL": "1"},
        {"COMPRESS": "JPEG", "JPEG_QUALITY": "90", "PHOTOMETRIC": "YCBCR"},
        {"compress": "none", "tiled": "no", "blockysize": "16", "bigtiff": "yes"},
        {"INTERLEAVE": "BAND", "SPARSE_OK": "YES", "NUM_THREADS": "2"},
    ],
)
def test_options_that_are_obeyed_are_taken(source, tmp_path, options):
    enhanced(source, tmp_path / "a.tif", False, options)
    match_rasters(source, source, tmp_path / "b.tif", creation_options=options)


def test_what_gdal_says_anyway_is_no_error_of_the_options(source, tmp_path, monkeypatch):
    from gluon_enhance.rasters import creation_options

    created = creation_options.created

    def warning(*args, **options):
        logging.getLogger("rasterio._env").warning("of the source")
        return created(*args, **options)

    monkeypatch.setattr(creation_options, "created", warning)
    enhanced(source, tmp_path / "a.tif", False, {"COMPRESS": "LZW"})


def larger(bands):
    return bands.repeat(2, axis=-2).repeat(2, axis=-1)


def holed(shape):
    """Where a raster is valid, with holes that do not follow blocks of 8 x 8 pixels."""
    valid = np.ones(shape, bool)
    valid[5:14, 3:30] = valid[20:23, 20:41] = False
    return valid


LOSSY = [
    (False, {"COMPRESS": "JPEG", "JPEG_QUALITY": "40"}),
    (False, {"COMPRESS": "LERC", "MAX_Z_ERROR": "3"}),
    (False, {"COMPRESS": "WEBP", "WEBP_LEVEL": "30"}),
    (True, {"COMPRESS": "JPEG", "QUALITY": "40"}),
    (True, {"COMPRESS": "WEBP", "QUALITY": "40"}),
]


@pytest.mark.parametrize("cog, options", LOSSY)
@pytest.mark.parametrize("nodata", [0, 255])
def test_holes_of_nodata_are_in_a_mask_where_compression_has_losses(
    tmp_path, rng, nodata, cog, options
):
    valid = holed((40, 50))
    bands = np.where(valid, rng.integers(1, 255, (3, 40, 50)), nodata).astype(np.uint8)
    path = write(tmp_path / "in.tif", bands, nodata=nodata)
    outputs = [(tmp_path / "sr.tif", larger(valid))]
    enhanced(path, tmp_path / "sr.tif", cog, options)
    if not cog:
        outputs.append((tmp_path / "matched.tif", valid))
        match_rasters(path, path, tmp_path / "matched.tif", creation_options=options)
    for out, expected in outputs:
        with rasterio.open(out) as result:
            assert result.nodata is None
            assert all(np.array_equal(mask > 0, expected) for mask in result.read_masks())
    assert not list(tmp_path.glob("*.msk"))


@pytest.mark.parametrize("cog, options", LOSSY)
def test_holes_of_alpha_are_in_a_mask_where_compression_has_losses(tmp_path, rng, cog, options):
    valid = holed((40, 50))
    bands = rng.integers(1, 255, (4, 40, 50)).astype(np.uint8)
    bands[3] = np.where(valid, 255, 0)
    path = write(tmp_path / "in.tif", bands, colors=RGBA)
    enhanced(path, tmp_path / "sr.tif", cog, options)
    with rasterio.open(tmp_path / "sr.tif") as result:
        assert np.array_equal(result.dataset_mask() > 0, larger(valid))


def test_holes_of_one_band_are_holes_of_all_in_a_mask(tmp_path, rng):
    bands = rng.integers(1, 255, (3, 40, 50)).astype(np.uint8)
    bands[0, 3:9, 4:8] = bands[2, 8:12, 6:20] = 0
    path = write(tmp_path / "in.tif", bands, nodata=0)
    enhanced(path, tmp_path / "sr.tif", False, {"COMPRESS": "JPEG"})
    with rasterio.open(tmp_path / "sr.tif") as result:
        assert np.array_equal(result.dataset_mask() > 0, larger((bands != 0).all(axis=0)))


@pytest.mark.parametrize("nodata", [0, 255])
def test_nothing_hidden_is_smeared_into_what_is_valid(tmp_path, nodata):
    valid = holed((40, 50))
    bands = np.where(valid, 130, nodata).astype(np.uint8)[None].repeat(3, axis=0)
    path = write(tmp_path / "in.tif", bands, nodata=nodata)
    options = {"COMPRESS": "JPEG", "JPEG_QUALITY": "30"}
    enhanced(path, tmp_path / "sr.tif", False, options)
    match_rasters(path, path, tmp_path / "matched.tif", creation_options=options)
    for name in ("sr.tif", "matched.tif"):
        with rasterio.open(tmp_path / name) as result:
            values = result.read()[:, result.dataset_mask() > 0]
        assert np.abs(values.astype(int) - 130).max() <= 1


@pytest.mark.parametrize("options", [{"COMPRESS": "WEBP", "WEBP_LOSSLESS": "YES"}, {}])
def test_nodata_stays_where_nothing_is_lost(tmp_path, rng, options):
    bands = rng.integers(0, 255, (3, 40, 50)).astype(np.uint8)
    path = write(tmp_path / "in.tif", bands, nodata=0)
    enhanced(path, tmp_path / "sr.tif", False, options)
    with rasterio.open(tmp_path / "sr.tif") as result:
        assert result.nodata == 0 and np.array_equal(result.read(), larger(bands))


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("nodata", [None, 7, np.nan])
def test_blocks_without_anything_may_be_left_out(tmp_path, rng, nodata, interleave, cog):
    empty = 0 if nodata is None else nodata
    bands = np.full((2, 300, 700), empty, np.float32)
    bands[0, 20:30, 500:600] = 100
    bands[1, 290:, :10] = 50
    layout = {"nodata": nodata, "interleave": interleave}
    path = write(tmp_path / "in.tif", bands, **layout)
    options, out = {"SPARSE_OK": "YES"}, tmp_path / "sr.tif"
    enhance_raster(
        path,
        out,
        Doubling(),
        cog=cog,
        others="each",
        creation_options=options,
        input_range=(0, 100),
    )
    with rasterio.open(out) as result:
        assert np.allclose(result.read(), larger(bands), atol=1e-3, equal_nan=True)
        present = [
            bool(result.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", 1))
            for (row, column), _ in result.block_windows(1)
        ]
    assert 0 < sum(present) <= len(present) / 2


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file size there")
@pytest.mark.parametrize("options", ["SPARSE_OK=YES,COMPRESS=NONE", "SPARSE_OK=YES"])
def test_a_full_disk_is_noticed_where_blocks_may_be_left_out(tmp_path, rng, options):
    path = write(tmp_path / "in.tif", rng.integers(1, 255, (3, 400, 400)).astype(np.uint8))
    (tmp_path / "out").mkdir()
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        "from gluon_enhance.rasters.match import match_rasters;"
        "options = dict(text.split('=') for text in sys.argv.pop().split(','));"
        "match_rasters(*sys.argv[1:], creation_options=options)"
    )
    command = [sys.executable, "-c", code, path, path, tmp_path / "out" / "out.tif", options]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert "out.tif cannot be written" in result.stderr.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())
