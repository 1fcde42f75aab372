"""VRTs that compute: a few kilobytes could ask GDAL for hours."""

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.vrt import WarpedVRT
from test_claims import TAGS, look, tiff
from test_links import PLACE, vrt, write

from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.io import gdal_environment, open_raster

RECTS = (
    '<SrcRect xOff="0" yOff="0" xSize="{0}" ySize="{0}"/>'
    '<DstRect xOff="0" yOff="0" xSize="{1}" ySize="{1}"/>'
)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "a.tif")
    return tmp_path


def refuse(path, text, message):
    path.write_text(text)
    with gdal_environment(), pytest.raises(ImageError, match=f"x.vrt {message}.*give --trust"):
        open_raster(path)


def source(kind, inner, said="", side=16, made=16):
    """A VRT of a source of some kind, with what else it says."""
    text = vrt("a.tif", "1", kind=kind).replace(f"<{kind}>", f"<{kind} {said}>")
    return text.replace(f"</{kind}>", f"{RECTS.format(side, made)}{inner}</{kind}>")


def kernel(side, count):
    return f'<Kernel normalized="1"><Size>{side}</Size><Coefs>{"1 " * count}</Coefs></Kernel>'


def test_filters_are_read_up_to_a_size(folder):
    path = folder / "x.vrt"
    path.write_text(source("KernelFilteredSource", kernel(3, 9)))
    assert (look(path) == 7).all()
    for text in (kernel(4001, 4001), kernel(3, 9).replace("<Kernel", '<KERNEL SIZE="4001"')):
        text = text.replace("</Kernel>", "</KERNEL>") if "KERNEL" in text else text
        refuse(path, source("KernelFilteredSource", text), "has a filter of over 31 pixels a side")


@pytest.mark.parametrize(
    ("kind", "said"),
    [("AveragedSource", ""), ("SimpleSource", 'resampling="average"')],
)
def test_pixels_that_are_averaged_are_bounded(folder, kind, said):
    path = folder / "x.vrt"
    path.write_text(source(kind, "", said, 16, 8))
    assert (look(path) == 7).all()
    for side, made in ((2**15, 16), (2**15, "nan"), ("nan", 16), (2**15, 1e-300)):
        refuse(path, source(kind, "", said, side, made), "reads [a-z0-9,]+ pixels to make ")
    path.write_text(source("SimpleSource", ""))
    assert (look(path) == 7).all()


def test_tables_and_previews_of_a_vrt_are_read(folder):
    path = folder / "x.vrt"
    text = source("ComplexSource", "<LUT>0:0,7:9,255:255</LUT>")
    table = (
        '<GDALRasterAttributeTable><FieldDefn index="0"><Name>a: b</Name></FieldDefn><Row '
        'index="0"><F>x: y</F></Row></GDALRasterAttributeTable>'
    )
    previews = '<OverviewList resampling="average">2 4</OverviewList>'
    text = text.replace("<Complex", f"{table}<Complex").replace("</VRTD", f"{previews}</VRTD")
    path.write_text(text)
    assert (look(path) == 9).all()
    refuse(path, text.replace("2 4", "2 " * 65), "has over 64 previews")


@pytest.fixture
def warped(folder):
    """A VRT that warps a raster."""
    with (
        gdal_environment(),
        rasterio.open(folder / "a.tif") as src,
        WarpedVRT(src, crs="EPSG:32632") as out,
    ):
        rasterio.shutil.copy(out, folder / "x.vrt", driver="VRT")
    return folder / "x.vrt"


def test_a_warped_vrt_is_read_where_its_source_is_not_far_larger(warped):
    assert look(warped).any()
    sides = {256: 2**15, 257: 2**15, 322: 4096, 323: 4096}
    (warped.parent / "a.tif").unlink()
    tiff(warped.parent / "a.tif", {**TAGS, **sides})
    refuse(warped, warped.read_text(), "reads 1,073,741,824 pixels to make ")


@pytest.mark.parametrize("count", [500, 501])
def test_control_points_of_a_spline_are_bounded(warped, count, rng):
    points = (
        f'<GCP Id="" Pixel="{x * 16}" Line="{y * 16}" X="{x}" Y="{y}"/>'
        for x, y in rng.random((count, 2))
    )
    spline = (
        "<SrcTPSTransformer><TPSTransformer><Reversed>0</Reversed><GCPList>"
        f"{''.join(points)}</GCPList></TPSTransformer></SrcTPSTransformer>"
    )
    text = warped.read_text()
    first, last = text.index("<SrcGeoTransform>"), text.index("<DstGeoTransform>")
    text = text[:first] + spline + text[last:]
    if count > 500:
        refuse(warped, text, "has a thin plate spline of over 500 control points")
    else:
        warped.write_text(text)
        open_raster(warped).close()


POINT = '<GCP Id="" Pixel="1" Line="1" X="1" Y="1"/>'


def test_control_points_are_bounded_in_a_vrt_beside_a_raster_and_in_a_tiff(folder):
    points = f"<GCPList>{POINT * 10_001}</GCPList>"
    refuse(folder / "x.vrt", vrt("a.tif", "1", points), "has 10,001 control points, over 10,000")
    (folder / "a.tif.aux.xml").write_text(f"<PAMDataset>{points}</PAMDataset>")
    with pytest.raises(ImageError, match="a.tif.aux.xml has 10,001 control points"):
        open_raster(folder / "a.tif")
    points = [rasterio.control.GroundControlPoint(k, k, k, k) for k in range(10_001)]
    profile = {"driver": "GTiff", "width": 16, "height": 16, "count": 1, "dtype": "uint8"}
    for count, name in ((10_001, "b.tif"), (10_000, "c.tif")):
        with gdal_environment(), rasterio.open(folder / name, "w", **profile) as out:
            out.gcps = points[:count], PLACE["crs"]
            out.write(np.ones((1, 16, 16), np.uint8))
    with pytest.raises(ImageError, match="has 10,001 control points, over 10,000; .* give --trust"):
        open_raster(folder / "b.tif")
    open_raster(folder / "c.tif").close()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("<PixelFunctionType>expression</PixelFunctionType>", "holds code"),
        ("<subClass>VRTProcessedDataset</subClass>", "has a VRTProcessedDataset, which is not"),
    ],
)
def test_programs_in_a_vrt_are_refused(folder, said, message):
    text = vrt("a.tif", "1", band=' subClass="VRTDerivedRasterBand"')
    refuse(folder / "x.vrt", text.replace("<Simple", f"{said}<Simple"), message)


def test_functions_that_gdal_has_are_computed(folder):
    text = vrt("a.tif", "1", band=' subClass="VRTDerivedRasterBand"')
    function = "<PixelFunctionType>inv</PixelFunctionType>"
    (folder / "x.vrt").write_text(text.replace("<Simple", f"{function}<Simple"))
    look(folder / "x.vrt")
