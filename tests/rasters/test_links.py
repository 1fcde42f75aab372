"""Rasters of strangers that name other files and addresses: GDAL would read these."""

import os
import shutil
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from gluon_enhance.commands.enhance import enhance
from gluon_enhance.commands.match import match
from gluon_enhance.commands.score import score
from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.enhance import enhance_raster
from gluon_enhance.rasters.io import gdal_environment
from gluon_enhance.rasters.match import match_rasters
from gluon_enhance.rasters.raster_or_photo import kind_of
from gluon_enhance.rasters.score import score_rasters

SECRET = 99
PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}
WMS = (
    '<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service>'
    "<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>16</UpperLeftY><LowerRightX>16</LowerRightX>"
    "<LowerRightY>0</LowerRightY><SizeX>16</SizeX><SizeY>16</SizeY></DataWindow><BlockSizeX>16"
    "</BlockSizeX><BlockSizeY>16</BlockSizeY><BandsCount>1</BandsCount></GDAL_WMS>"
)


def write(path, value=7):
    profile = {"driver": "GTiff", "width": 16, "height": 16, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, **PLACE) as out:
        out.write(np.full((1, 16, 16), value, np.uint8))
    return path


def vrt(source, relative="0", beside="", kind="SimpleSource", band=""):
    return (
        f'<VRTDataset rasterXSize="16" rasterYSize="16">{beside}<VRTRasterBand dataType="Byte" '
        f'band="1"{band}><{kind}><SourceFilename relativeToVRT="{relative}">{source}'
        f"</SourceFilename><SourceBand>1</SourceBand></{kind}></VRTRasterBand></VRTDataset>"
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A stranger's folder, with a raster; what it must not be read from is beside it."""
    folder = tmp_path / "theirs"
    (folder / "deep").mkdir(parents=True)
    write(folder / "a.tif")
    write(tmp_path / "secret.tif", SECRET)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def server():
    """An address, and the requests that it has got."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            seen.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def enlarged(path, **options):
    out = enhance_raster(path, "out.tif", "nearest", **options)
    with gdal_environment(), rasterio.open(out) as result:
        return result.read()


@pytest.mark.parametrize("name", ["x.tif", "x.jpg", "x.img", "x"])
@pytest.mark.parametrize("head", ["", "\n", "words ", "GIF89a", "\ufeff"])
def test_a_vrt_by_another_name_is_not_read(folder, name, head):
    (folder / name).write_text(head + vrt(Path("secret.tif").absolute()))
    with pytest.raises(ImageError, match="--trust|cannot be read"):
        enlarged(folder / name)
    assert not Path("out.tif").exists()


def test_what_is_trusted_is_read(folder):
    (folder / "x.tif").write_text(vrt(Path("secret.tif").absolute()))
    assert (enlarged(folder / "x.tif", trust=True) == SECRET).all()


@pytest.mark.parametrize("name", ["x.tif", "x.xml", "x.wms"])
def test_a_service_is_not_called(folder, server, name):
    url, seen = server
    (folder / name).write_text(WMS.format(url=url))
    with pytest.raises(ImageError, match="describes in text where its pixels are"):
        enlarged(folder / name)
    assert kind_of(folder / name) is None
    assert not seen
    with pytest.raises(ImageError):
        enlarged(folder / name, trust=True)
    assert seen


def test_text_in_a_folder_is_reported_and_the_others_go_on(folder, server):
    url, seen = server
    (folder / "b.tif").write_text(WMS.format(url=url))
    (folder / "c.tif").write_text(vrt(Path("secret.tif").absolute()))
    for options in ([], ["--bands", "each"], ["--cog"]):
        shutil.rmtree("out", ignore_errors=True)
        result = CliRunner().invoke(
            enhance, [str(folder), "-m", "nearest", "-o", "out", *options], catch_exceptions=False
        )
        assert result.exit_code == 1
        assert os.listdir("out") == ["a_x4.tif"]
    assert not seen


def test_the_other_commands_keep_to_it(folder):
    (folder / "x.tif").write_text(vrt(Path("secret.tif").absolute()))
    with pytest.raises(ImageError, match="--trust"):
        match_rasters(folder / "a.tif", folder / "x.tif", "out.tif")
    with pytest.raises(ImageError, match="--trust"):
        score_rasters(folder / "a.tif", folder / "x.tif")
    paths = [str(folder / "a.tif"), str(folder / "x.tif")]
    assert CliRunner().invoke(score, paths).exit_code == 2
    trusted = CliRunner().invoke(score, [*paths, "--trust"])
    assert trusted.exit_code == 0
    assert f"{7 - SECRET:.3f}" in trusted.stdout  # the bias
    assert CliRunner().invoke(match, [*paths, "out.tif"]).exit_code != 0
    assert CliRunner().invoke(match, [*paths, "out.tif", "--trust"]).exit_code == 0


@pytest.mark.parametrize("name", ["a.tif", "./a.tif", "deep/../a.tif", "deep/b.vrt"])
def test_a_vrt_takes_pixels_from_its_folder(folder, name):
    (folder / "deep" / "b.vrt").write_text(vrt("../a.tif", "1"))
    (folder / "x.vrt").write_text(vrt(name, "1"))
    assert (enlarged(folder / "x.vrt") == 7).all()
    (folder / "x.vrt").write_text(vrt(folder / "a.tif"))
    assert (enlarged(folder / "x.vrt") == 7).all()


def test_what_gdal_writes_of_files_in_the_folder_is_read(folder):
    with rasterio.open(folder / "a.tif", "r+") as dataset:
        dataset.update_tags(SOURCE="https://example.org/a:b", TIFFTAG_SOFTWARE="a/b")
        dataset.update_tags(1, NOTE="../x")
        dataset.descriptions = ("red: 630-690 nm / 10 m",)
        dataset.update_tags(ns="xml:XMP", XMP="xml:XMP=<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    rasterio.shutil.copy(folder / "a.tif", folder / "x.vrt", driver="VRT")
    assert (enlarged(folder / "x.vrt") == 7).all()


@pytest.mark.parametrize(
    ("source", "relative"),
    [
        ("../secret.tif", "1"),
        ("deep/../../secret.tif", "1"),
        ("secret.tif", "0"),
        ("link.tif", "1"),
        ("/vsigzip/secret.tif", "0"),
        ("/vsicurl/http://127.0.0.1:9/a.tif", "0"),
        ("http://127.0.0.1:9/a.tif", "1"),
        ("vrt://../secret.tif", "1"),
        ("GTIFF_DIR:1:secret.tif", "0"),
        ("&lt;VRTDataset/&gt;", "0"),
        ("text.tif", "1"),
        ("service.tif", "1"),
        ("hello.tif", "1"),
    ],
)
def test_a_vrt_leads_nowhere_else(folder, source, relative):
    (folder / "link.tif").symlink_to(Path("secret.tif").absolute())
    (folder / "text.tif").write_text(vrt("../secret.tif", "1"))
    (folder / "service.tif").write_text(WMS.format(url="http://127.0.0.1:9"))
    (folder / "hello.tif").write_text("hello " + vrt("../secret.tif", "1"))
    (folder / "x.vrt").write_text(vrt(source, relative))
    with pytest.raises(ImageError, match="--trust|cannot be read"):
        enlarged(folder / "x.vrt")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("evil.vrt ", "evil.vrt "),
        ("evil.vrt\n", "evil.vrt\r\n"),
        ("\u3000evil.vrt", "\u3000evil.vrt"),
        ("evil.vrt\u00a0", "evil.vrt\u00a0"),
        ("evil.vrt&#x85;", "evil.vrt\u0085"),
        ("e\r\nvil.vrt", "e\r\nvil.vrt"),
    ],
)
def test_white_space_in_a_name_hides_no_other_file(folder, source, name):
    """XML's readers drop it, or change it, at different places."""
    (folder / name).write_text(vrt(Path("secret.tif").absolute()))
    (folder / "x.vrt").write_bytes(vrt(source, "1").encode())
    with pytest.raises(ImageError, match="with white space that .* give --trust"):
        enlarged(folder / "x.vrt")


def test_a_declared_encoding_hides_no_other_file(folder):
    """GDAL does not heed it."""
    (folder / os.fsdecode("é.vrt".encode("latin-1"))).write_text(vrt(Path("secret.tif").absolute()))
    text = "<?xml version='1.0' encoding='ISO-8859-1'?>" + vrt("é.vrt", "1")
    (folder / "x.vrt").write_bytes(text.encode("latin-1"))
    with pytest.raises(ImageError, match="cannot be read: not well-formed"):
        enlarged(folder / "x.vrt")


def test_comments_and_spaced_numbers_in_a_vrt_are_read(folder):
    text = vrt(
        "a.tif", "1", "<!-- made by hand --><GeoTransform>\n 0, 1, 0, 0, 0, -1\n</GeoTransform>"
    )
    (folder / "x.vrt").write_bytes(text.replace("<Simple", "\r\n  <Simple").encode())
    assert (enlarged(folder / "x.vrt") == 7).all()


def test_vrts_lie_in_one_another_only_so_deep(folder):
    names = ["a.tif", *(f"{k}.vrt" for k in range(500))]
    for source, name in zip(names, names[1:]):
        (folder / name).write_text(vrt(source, "1"))
    assert (enlarged(folder / "8.vrt") == 7).all()
    for name in ("9.vrt", "499.vrt"):
        with pytest.raises(ImageError, match="lies in 9 other VRTs, one in another"):
            enlarged(folder / name)


def test_sources_of_vrts_in_one_another_are_counted_as_often_as_they_are_read(folder):
    """A few kilobytes would be read for years."""
    once = '<SimpleSource><SourceFilename relativeToVRT="1">{}</SourceFilename></SimpleSource>'
    names = ["a.tif", *(f"{k}.vrt" for k in range(6))]
    for source, name in zip(names, names[1:]):
        text = vrt(source, "1")
        (folder / name).write_text(text.replace("</VRTR", 19 * once.format(source) + "</VRTR"))
    with pytest.raises(ImageError, match="has over 1,048,576 sources, with those of the VRTs in"):
        enlarged(folder / "5.vrt")


def test_a_file_in_the_format_of_erdas_takes_its_pixels_from_no_other_folder(folder):
    profile = {"driver": "HFA", "width": 16, "height": 16, "count": 1, "dtype": "uint8"}
    for path in (folder / "a_long_name_of_a_file.img", folder.parent / "secret.img"):
        with rasterio.open(path, "w", USE_SPILL="YES", **profile, **PLACE) as out:
            out.write(np.full((1, 16, 16), SECRET, np.uint8))
    path = folder / "a_long_name_of_a_file.img"
    assert (enlarged(path) == SECRET).all()
    own, other = b"a_long_name_of_a_file.ige", b"../secret.ige"
    path.write_bytes(
        path.read_bytes().replace(own, other.replace(b"/", b"/" * (1 + len(own) - len(other))))
    )
    with pytest.raises(ImageError, match="secret.ige, outside its folder; .* give --trust"):
        enlarged(path)


SOURCE = '<SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
DATASET = "<VRTDataset rasterXSize='16' rasterYSize='16'>"
NAME = "<SourceFilename relativeToVRT='1'>../secret.tif</SourceFilename>"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SOURCE, NAME.replace("SourceFilename", "sOURCEfILENAME")),
        (SOURCE, "<SourceFilename>../secret.tif<relativeToVRT>1</relativeToVRT></SourceFilename>"),
        (SOURCE, "<SourceFilename relativeToVRT='1'><a/>../secret.tif</SourceFilename>"),
        ("<SimpleSource>", "<SimpleSource SourceFilename='../secret.tif'>"),
        ("</VRTRasterBand>", "<Overview>" + NAME + "</Overview></VRTRasterBand>"),
        ("</VRTDataset>", "<Argument name='gain_dataset_1'>../secret.tif</Argument></VRTDataset>"),
        ("</VRTDataset>", "<MaskBand>" + NAME + "</MaskBand></VRTDataset>"),
        ("</VRTDataset>", "<M><MDI key='X_DATASET'>../secret.tif</MDI></M></VRTDataset>"),
        (
            "</VRTDataset>",
            "<Metadata domain='OVERVIEWS'><MDI key='OVERVIEW_FILE'>../secret.tif</MDI></Metadata>"
            "</VRTDataset>",
        ),
        ("</VRTDataset>", "<![CDATA[x]]></VRTDataset>"),
        ("<VRTDataset", "<!DOCTYPE a [<!ENTITY b '../secret.tif'>]><VRTDataset"),
        (
            "<SimpleSource>",
            "<PixelFunctionType>f.f</PixelFunctionType><PixelFunctionLanguage>Python"
            "</PixelFunctionLanguage><SimpleSource>",
        ),
    ],
)
def test_nothing_in_a_vrt_leads_elsewhere(folder, old, new):
    text = vrt("a.tif", "1")
    assert old in text
    (folder / "x.vrt").write_text(text.replace(old, new))
    with pytest.raises(ImageError, match="--trust"):
        enlarged(folder / "x.vrt")


def test_numbers_of_any_file_are_no_band_of_a_vrt(folder):
    """VRTRawRasterBand takes bytes as they are."""
    (folder / "data").write_bytes(bytes(256))
    for name in ("/etc/hostname", "data"):
        (folder / "x.vrt").write_text(
            f'{DATASET}<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
            f'<SourceFilename relativeToVRT="1">{name}</SourceFilename><ImageOffset>0</ImageOffset>'
            "<PixelOffset>1</PixelOffset><LineOffset>1</LineOffset></VRTRasterBand></VRTDataset>"
        )
        with pytest.raises(ImageError, match="--trust"):
            enlarged(folder / "x.vrt")


@pytest.mark.parametrize("end", ["tif.msk", "tif.MSK", "tif.ovr", "msk"])
def test_files_beside_a_raster_are_no_text(folder, server, end):
    url, seen = server
    (folder / f"a.{end}").write_text(vrt(f"/vsicurl/{url}/a.tif"))
    with pytest.raises(ImageError, match="lies beside a.tif, and is no TIFF file"):
        enlarged(folder / "a.tif")
    (folder / "x.vrt").write_text(vrt("a.tif", "1"))
    with pytest.raises(ImageError, match="lies beside a.tif"):
        enlarged(folder / "x.vrt")
    assert not seen


def test_a_mask_beside_a_raster_is_heeded(folder):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(folder / "a.tif", "r+") as own:
        own.write_mask(np.arange(16)[:, None] * np.ones((16, 16)) > 7)
    assert (folder / "a.tif.msk").exists()
    enlarged(folder / "a.tif")
    with rasterio.open("out.tif") as result:
        assert not result.dataset_mask()[:32].any()
        assert result.dataset_mask()[32:].all()


@pytest.mark.parametrize("where", ["in it", "beside it"])
def test_overviews_elsewhere_are_not_looked_for(folder, server, where):
    url, seen = server
    if where == "in it":
        with rasterio.open(folder / "a.tif", "r+") as own:
            own.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=f"/vsicurl/{url}/a.tif")
    else:
        (folder / "a.tif.aux.xml").write_text(
            f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">/vsicurl/{url}/a'
            "</MDI></Metadata></PAMDataset>"
        )
    write("out.tif")  # an input's files are compared with an output that is there
    with pytest.raises(ImageError, match="as its overviews"):
        enlarged(folder / "a.tif")
    assert not seen
    enlarged(folder / "a.tif", trust=True)
    with rasterio.open("out.tif") as result:
        assert "OVERVIEWS" not in result.tag_namespaces()


def test_an_address_of_a_tiff_file_gives_no_other_format(folder, tmp_path):
    shutil.make_archive("a", "zip", folder)
    (folder / "x.tif").write_text(vrt(Path("secret.tif").absolute()))
    shutil.make_archive("b", "zip", folder)
    assert (enlarged(f"zip://{tmp_path}/a.zip!a.tif") == 7).all()
    assert (enlarged("/vsizip/b.zip/a.tif") == 7).all()
    for name in (f"zip://{tmp_path}/b.zip!x.tif", "/vsizip/b.zip/x.tif", f"file://{folder}/x.tif"):
        with pytest.raises(ImageError):
            enlarged(name)
    (folder / "x.tif").rename(folder / "x.vrt")
    shutil.make_archive("c", "zip", folder)
    for name in (f"zip://{tmp_path}/c.zip!x.vrt", "/vsizip/c.zip/x.vrt", f"vrt://{folder}/x.vrt"):
        with pytest.raises(ImageError, match="--trust"):
            enlarged(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are of Unix")
@pytest.mark.parametrize(
    "name", ["a.tif", "a.tif.aux.xml", "a.tfw", "a.tif.msk", "a_RPC.TXT", "METADATA.DIM"]
)
def test_a_pipe_in_a_files_place_is_refused(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(ImageError, match="no regular file"):
        enlarged(folder / "a.tif")


def test_what_is_known_of_a_raster_beside_it_is_bounded(folder):
    with open(folder / "a.tif.aux.xml", "wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(ImageError, match=r"a.tif.aux.xml: it has more than 64 MiB"):
        enlarged(folder / "a.tif")


MAP = (
    "OziExplorer Map Data File Version 2.2\nmap\n{}\n1 ,Map Code,\nWGS 84,WGS 84, 0.0, 0.0,WGS 84\n"
    "Reserved 1\nReserved 2\nMagnetic Variation,,,E\nMap Projection,Latitude/Longitude,PolyCal,No,"
    "AutoCalOnly,No,BSBUseWPX,No\nPoint01,xy,0,0,in, deg,45,0,N,9,0,E, grid,,,,N\n"
)


def test_formats_that_open_what_they_name_do_not_see_a_file(folder, server):
    """A map of OziExplorer opens its picture before anybody can ask what it is."""
    url, seen = server
    for picture in (f"/vsicurl/{url}/map.png", str(Path("secret.tif").absolute())):
        (folder / "m.map").write_text(MAP.format(picture))
        with pytest.raises(ImageError, match="none of the formats that hold .* give --trust"):
            enlarged(folder / "m.map")
        assert kind_of(folder / "m.map") is None
    assert not seen


@pytest.mark.parametrize("driver", ["GPKG", "RRASTER"])
def test_formats_that_hold_programs_or_any_name_are_opened_if_trusted(folder, driver):
    path = folder / f"x.{'gpkg' if driver == 'GPKG' else 'grd'}"
    place = {**PLACE, "crs": "EPSG:3857"}
    shape = {"width": 256, "height": 256, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", driver=driver, **shape, **place) as out:
        out.write(np.full((1, 256, 256), 7, np.uint8))
    with pytest.raises(ImageError, match="give --trust"):
        enlarged(path)
    assert enlarged(path, trust=True).shape[1:] == (1024, 1024)


@pytest.mark.parametrize(
    "system", ["+init={}:key", "+proj=utm +zone=33 +INIT={}:key", "&#105;nit={}:k"]
)
def test_no_file_is_read_for_a_coordinate_system(folder, system):
    """PROJ reads any file, or waits for a pipe, that is named so."""
    text = system.format(Path("secret.tif").absolute())
    (folder / "x.vrt").write_text(vrt("a.tif", "1", f"<SRS>{text}</SRS>"))
    with pytest.raises(ImageError, match="x.vrt has a coordinate system that is in another file"):
        enlarged(folder / "x.vrt")
    (folder / "a.tif.aux.xml").write_text(f"<PAMDataset><SRS>{text}</SRS></PAMDataset>")
    with pytest.raises(ImageError, match="aux.xml has a coordinate system that is in another file"):
        enlarged(folder / "a.tif")
    (folder / "a.tif.aux.xml").write_text("<PAMDataset><SRS>+init=epsg:4326</SRS></PAMDataset>")
    assert (enlarged(folder / "a.tif") == 7).all()


@pytest.mark.parametrize("name", ["a.IMD", "A_MTL.txt", "b.hdr"])
def test_long_lists_beside_a_raster_are_refused(folder, name):
    """GDAL takes time for them that is quadratic in their length."""
    (folder / name).write_text("".join(f"k{k} = 1\n" for k in range(9_000)))
    assert (enlarged(folder / "a.tif") == 7).all()
    (folder / name).write_text("".join(f"k{k} = 1\n" for k in range(11_000)))
    os.utime(folder)
    with pytest.raises(ImageError, match=f"{name}, which lies beside a.tif, has over 10,000 lines"):
        enlarged(folder / "a.tif")


def hdf(path, **storage):
    """Write an HDF5 file of a dataset of zeros, or of what is stored elsewhere."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.create_dataset("d", (16, 16), "u1", **storage)
    return path


def leading_out(path, kind, secret):
    """Write an HDF5 file whose numbers are another file's."""
    h5py = pytest.importorskip("h5py")
    if kind == "external":
        return hdf(path, external=[(str(secret), 0, 256)])
    hdf(secret.with_suffix(".h5"))
    with h5py.File(path, "w") as file:
        if kind == "link":
            file["a/d"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "d")
        else:
            layout = h5py.VirtualLayout((16, 16), "u1")
            layout[:] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "d", (16, 16))
            file.create_virtual_dataset("d", layout)
    return path


@pytest.mark.parametrize("name", ["x.h5", "x.nc", "x.img"])
@pytest.mark.parametrize("kind", ["external", "link", "virtual"])
def test_hdf_files_take_no_numbers_from_other_files(kind, name, folder, tmp_path):
    (tmp_path / "secret").write_bytes(bytes([SECRET]) * 256)
    path = leading_out(folder / name, kind, tmp_path / "secret")
    with pytest.raises(ImageError, match=r"takes \S*d from another file; .* give --trust"):
        enhance_raster(path, tmp_path / "out.tif", "nearest")
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize("form", ["HDF5:{}://d", 'NETCDF:"{}":d'])
def test_the_name_of_a_format_trusts_no_file_of_it(form, folder, tmp_path):
    (tmp_path / "secret").write_bytes(bytes([SECRET]) * 256)
    name = form.format(leading_out(folder / "x.nc", "external", tmp_path / "secret"))
    with pytest.raises(ImageError, match="takes d from another file"):
        enhance_raster(name, tmp_path / "out.tif", "nearest")
    enhance_raster(name, tmp_path / "out.tif", "nearest", trust=True)
    with gdal_environment(), rasterio.open(tmp_path / "out.tif") as out:
        assert (out.read() == SECRET).all()


def test_hdf_files_that_hold_their_numbers_are_read(folder, tmp_path, monkeypatch):
    path = hdf(folder / "x.h5", data=np.full((16, 16), 7, np.uint8))
    enhance_raster(path, tmp_path / "out.tif", "nearest")
    with gdal_environment(), rasterio.open(tmp_path / "out.tif") as out:
        assert (out.read() == 7).all()
    monkeypatch.setitem(sys.modules, "h5py", None)  # as where it is not installed
    with pytest.raises(ImageError, match="which h5py tells .*--trust"):
        enhance_raster(path, tmp_path / "other.tif", "nearest")


def test_groups_of_hdf_files_lie_in_one_another_only_so_deep(folder, tmp_path):
    """Their names are as long as they are deep, so that to read all takes the square of it."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "x.h5", "w", libver="latest") as file:
        group = file.id
        for _ in range(2000):
            group = h5py.h5g.create(group, b"a")
    start = time.process_time()
    with pytest.raises(ImageError, match="has groups in one another, over 64 deep"):
        enhance_raster(folder / "x.h5", tmp_path / "out.tif", "nearest")
    assert time.process_time() - start < 1


@pytest.mark.parametrize("offset", [0, 512, 4096])
def test_damaged_hdf_files_and_those_of_old_are_refused(offset, folder, tmp_path):
    pytest.importorskip("h5py")
    path = folder / "x.h5"
    path.write_bytes(bytes(offset) + b"\x89HDF\r\n\x1a\n" + bytes(90))
    with pytest.raises(ImageError, match="is a damaged HDF5 file"):
        enhance_raster(path, tmp_path / "out.tif", "nearest")
    path.write_bytes(b"\x0e\x03\x13\x01" + bytes(90))
    with pytest.raises(ImageError, match="is an HDF4 file, which may take its numbers"):
        enhance_raster(path, tmp_path / "out.tif", "nearest")


def test_hdf_files_in_archives_are_not_read(folder, tmp_path):
    path = hdf(folder / "x.h5")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "x.h5")
    with pytest.raises(ImageError, match="which is seen in files only"):
        enhance_raster(f"/vsizip/{tmp_path}/a.zip/x.h5", tmp_path / "out.tif", "nearest")
