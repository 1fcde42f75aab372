"""Rasters whose tags are not what they should be: an error of one file, or read without them."""

import json
import os
import re
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from test_enhancing import write

from gluon_enhance.commands.enhance import enhance
from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.enhance import enhance_raster
from gluon_enhance.rasters.io import gdal_environment, open_raster

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

import rasters  # noqa: E402

RPC = {
    **dict.fromkeys(("LINE_OFF", "SAMP_OFF", "LAT_OFF", "LONG_OFF", "HEIGHT_OFF"), "8"),
    **dict.fromkeys(("LINE_SCALE", "SAMP_SCALE", "LAT_SCALE", "LONG_SCALE", "HEIGHT_SCALE"), "4"),
    **{f"{axis}_{part}_COEFF": "1 " * 20 for axis in ("LINE", "SAMP") for part in ("NUM", "DEN")},
}


@pytest.fixture
def raster(tmp_path):
    return write(tmp_path / "a.tif", np.arange(1, 257, dtype=np.uint8).reshape(1, 16, 16))


def beside(path, domain, **items):
    """Write an .aux.xml beside a raster."""
    text = "".join(f'<MDI key="{key}">{value}</MDI>' for key, value in items.items())
    metadata = f'<Metadata domain="{domain}">{text}</Metadata>'
    band = f'<PAMRasterBand band="1">{metadata}</PAMRasterBand>'
    path.with_name(f"{path.name}.aux.xml").write_text(
        f"<PAMDataset>{metadata}{band if domain == 'IMAGE_STRUCTURE' else ''}</PAMDataset>"
    )


def entries(data):
    """Yield where the entries of a little-endian TIFF's first directory begin, and their tags."""
    (offset,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, offset)
    for k in range(count):
        position = offset + 2 + 12 * k
        yield position, struct.unpack_from("<H", data, position)[0]


def enlarged(path, **options):
    out = enhance_raster(path, path.with_name("out.tif"), "nearest", **options)
    with gdal_environment(), rasterio.open(out) as result:
        return result.read()


@pytest.mark.parametrize("bits", ["20000000000", "-1", "0", "9", "1e9", "words", "٣"])
def test_bits_that_no_number_of_the_dtype_has_are_refused(raster, bits):
    beside(raster, "IMAGE_STRUCTURE", NBITS=bits)
    with pytest.raises(ImageError, match=f"NBITS={bits} of dtype uint8, which has 1 to 8"):
        enlarged(raster)


def test_bits_of_the_dtype_are_heeded(raster):
    beside(raster, "IMAGE_STRUCTURE", NBITS="7")
    enlarged(raster)
    with rasterio.open(raster.with_name("out.tif")) as result:
        assert result.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "7"


@pytest.mark.parametrize(
    "wrong", [{"LAT_OFF": None}, {"LAT_OFF": "words"}, {"LINE_NUM_COEFF": "words"}]
)
def test_rpcs_that_are_incomplete_are_left_out_with_a_warning(raster, caplog, wrong):
    items = {key: value for key, value in {**RPC, **wrong}.items() if value is not None}
    beside(raster, "RPC", **items)
    enlarged(raster)
    assert "a.tif has RPCs that are incomplete; the result has none" in caplog.text
    with rasterio.open(raster.with_name("out.tif")) as result:
        assert result.rpcs is None


def test_whole_rpcs_are_kept_without_one(raster, caplog):
    beside(raster, "RPC", **RPC)
    enlarged(raster)
    assert "RPC" not in caplog.text
    with rasterio.open(raster.with_name("out.tif")) as result:
        assert result.rpcs.lat_off == 8
        assert result.rpcs.line_scale == 16


def test_control_points_need_no_coordinate_system(raster):
    points = "".join(
        f'<GCP Id="{n}" Pixel="{c}" Line="{r}" X="{c * 10}" Y="{r * -10}"/>'
        for n, (c, r) in enumerate([(0, 0), (16, 0), (0, 16)])
    )
    bands = np.ones((1, 16, 16), np.uint8)
    with gdal_environment():
        write(raster, bands, crs=None, transform=None)
    raster.with_name("a.tif.aux.xml").write_text(
        f"<PAMDataset><GCPList>{points}</GCPList></PAMDataset>"
    )
    enlarged(raster)
    with gdal_environment(), rasterio.open(raster.with_name("out.tif")) as result:
        places = [(point.col, point.row, point.x, point.y) for point in result.gcps[0]]
    assert places == [(0, 0, 0, 0), (64, 0, 160, 0), (0, 64, 0, -160)]


def test_bad_rasters_do_not_stop_the_others(raster, tmp_path):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for name in ("a.tif", "b.tif", "c.tif", "z.tif"):
        shutil.copy(raster, inputs / name)
    beside(inputs / "a.tif", "IMAGE_STRUCTURE", NBITS="20000000000")
    beside(inputs / "b.tif", "RPC", **{**RPC, "LAT_OFF": "words"})
    data = (inputs / "c.tif").read_bytes()
    (inputs / "c.tif").write_bytes(data[: len(data) // 2])
    bad = [inputs / "a.tif", inputs / "c.tif"]
    if sys.platform == "linux":
        name = os.fsdecode(os.fsencode(inputs) + b"/n\xff.tif")
        shutil.copy(raster, name)
        bad.append(Path(name))
    for options in ([], ["--bands", "each"]):
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        result = CliRunner().invoke(
            enhance,
            [str(inputs), "-m", "nearest", "-o", str(out), "--json", *options],
            catch_exceptions=False,
        )
        assert result.exit_code == 1
        files = json.loads(result.stdout)["files"]
        failed = {report["input"] for report in files if report["status"] == "failed"}
        assert failed == set(map(str, bad))
        results = sorted(path.name for path in out.glob("[a-z]*"))
        assert results == ["b_x4.tif", "z_x4.tif"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_a_raster_whose_name_is_no_text_is_named_as_such_and_a_photo_is_read(raster, picture):
    from PIL import Image

    folder = raster.parent
    name = os.fsdecode(os.fsencode(folder) + b"/n\xff.tif")
    shutil.move(raster, name)
    with pytest.raises(ImageError, match="a name that is not UTF-8, which GDAL does not take"):
        enlarged(Path(name))
    Image.fromarray(picture).save(folder / "photo.tif")
    photo = os.fsdecode(os.fsencode(folder) + b"/p\xff.tif")
    shutil.move(folder / "photo.tif", photo)
    result = CliRunner().invoke(enhance, [photo, "-m", "nearest"], catch_exceptions=False)
    assert result.exit_code == 0


@pytest.mark.parametrize("change", ["kind", "count", "value"])
def test_no_wrong_tag_raises_what_is_not_an_error_of_the_file(tmp_path, change):
    """Every tag of several rasters, one at a time, of another type, count or value."""
    seeds = [seed for seed in rasters.rasters() if seed[:3] == b"II*"]
    tried = 0
    for data in seeds[:4]:
        for position, _ in entries(data):
            changed = bytearray(data)
            start = {"kind": 2, "count": 4, "value": 8}[change]
            changed[position + start : position + start + 2] = (
                b"\x0c\0" if tried % 2 else b"\xff\xff"
            )
            path = tmp_path / "a.tif"
            path.write_bytes(changed)
            tried += 1
            try:
                rasters.look(path)
            except ImageError as error:
                assert ".tif" in str(error)
    assert tried > 40


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({256: 2**31 - 1, 257: 2**31 - 1}, r"more than 2\*\*40|cannot be read"),
        ({322: 2**15, 323: 2**15}, "claims blocks of|cannot be read"),
    ],
)
def test_claims_beyond_all_proportion_are_refused(tmp_path, tags, message):
    path = write(tmp_path / "a.tif", np.ones((1, 128, 128), np.uint8), compress="deflate")
    data = bytearray(path.read_bytes())
    for position, tag in entries(bytes(data)):
        if tag in tags:
            struct.pack_into("<HII", data, position + 2, 4, 1, tags[tag])
    path.write_bytes(data)
    with pytest.raises(ImageError, match=message):
        open_raster(path)


@pytest.mark.parametrize("nodata", [None, 5])
@pytest.mark.parametrize("way", ["no data", "short table"])
def test_strips_that_are_missing_are_nodata_or_else_zero(tmp_path, nodata, way):
    """As GDAL reads sparse files."""
    path = tmp_path / "a.tif"
    bands = np.full((1, 40, 16), 77, np.uint8)
    options = {"tiled": False, "blockxsize": None, "blockysize": 10, "sparse_ok": True}
    with rasterio.open(
        path, "w", driver="GTiff", width=16, height=40, count=1, dtype="uint8", nodata=nodata,
        crs="EPSG:32633", transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
        **{key: value for key, value in options.items() if value is not None},
    ) as out:  # fmt: skip
        rows = 10 if way == "no data" else 40
        out.write(bands[:, :rows], window=rasterio.windows.Window(0, 0, 16, rows))
    if way == "short table":
        data = bytearray(path.read_bytes())
        for position, tag in entries(bytes(data)):
            if tag in (273, 279):
                kind, _, place = struct.unpack_from("<HII", data, position + 2)
                (first,) = struct.unpack_from("<I" if kind == 4 else "<H", data, place)
                struct.pack_into("<HII", data, position + 2, 4, 1, first)
        path.write_bytes(data)
    result = enlarged(path)
    assert (result[:, :40] == 77).all()
    assert (result[:, 40:] == (nodata or 0)).all()
    with rasterio.open(path.with_name("out.tif")) as out:
        assert out.nodata == nodata
        assert (out.dataset_mask()[40:] == (255 if nodata is None else 0)).all()


def test_an_interleaving_that_rasterio_does_not_know_is_no_fault(tmp_path):
    bands = np.arange(126, dtype=np.uint8).reshape(2, 7, 9)
    source, vrt = write(tmp_path / "in.tif", bands), tmp_path / "in.vrt"
    rasterio.shutil.copy(source, vrt, driver="VRT")
    text = re.sub('<MDI key="INTERLEAVE">.*?</MDI>', "", vrt.read_text())
    said = '<Metadata domain="IMAGE_STRUCTURE"><MDI key="INTERLEAVE">BCND</MDI></Metadata>'
    vrt.write_text(text.replace("<VRTRasterBand", f"{said}<VRTRasterBand", 1))
    with rasterio.open(vrt) as src, pytest.raises(ValueError, match="BCND"):
        assert src.interleaving
    enhance_raster(vrt, tmp_path / "out.tif", "nearest")
    with rasterio.open(tmp_path / "out.tif") as out:
        np.testing.assert_array_equal(out.read()[:, ::4, ::4], bands)


def test_more_bands_than_the_bytes_of_the_file_can_tell_of_are_refused(tmp_path):
    tags = {256: 9, 257: 7, 258: 8, 259: 1, 262: 1, 273: 8, 277: 65_000, 278: 2, 279: 63}
    entries = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags.items())
    path = tmp_path / "in.tif"
    path.write_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(400))
    with pytest.raises(ImageError, match=r"claims 65,000 bands in a file of 5\d\d bytes"):
        enhance_raster(path, tmp_path / "out.tif", "nearest")
