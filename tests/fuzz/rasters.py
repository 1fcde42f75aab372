"""Small rasters of many kinds, and how they are read, for the fuzzer and for tests."""

import tempfile
from contextlib import suppress
from pathlib import Path
from unittest import mock

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC

from gluon_enhance.rasters import enhance
from gluon_enhance.rasters.enhance import enhance_raster
from gluon_enhance.rasters.io import check_uniform, gdal_environment, opened
from gluon_enhance.rasters.plan import samples_of
from gluon_enhance.rasters.raster_or_photo import kind_of
from gluon_enhance.rasters.write import created

LARGEST = 1 << 16
"""Samples of a raster that a fuzzer has time for."""
PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}
COEFFICIENTS = [1.0] * 20
RPCS = RPC(1, 1, 1, 1, COEFFICIENTS, COEFFICIENTS, 1, 1, 1, 1, COEFFICIENTS, COEFFICIENTS, 1, 1)


def rasters():
    """Yield files of GeoTIFF."""
    yield written(nodata=3)
    yield written(nodata=3, sparse_ok=True, blockysize=2, hollow=True)
    yield written(dtype="int16", nodata=-9, compress="deflate", predictor=2)
    yield written(dtype="float32", nodata=np.nan, compress="lzw", predictor=3)
    yield written(3, tiled=True, blockxsize=16, blockysize=16, compress="packbits")
    yield written(3, interleave="band", mask=True, compress="deflate")
    yield written(2, colors=(ColorInterp.gray, ColorInterp.alpha))
    yield written(dtype="uint16", nbits=12, bigtiff="yes")
    yield written(dtype="float64", endianness="big", described=True)
    yield written(photometric="miniswhite", rpcs=RPCS)
    yield written(points=True, dtype="int8")
    yield written(1, dtype="complex64")


def written(
    count=1, colors=None, mask=False, described=False, rpcs=None, points=False, hollow=False, **own
):
    """Return the bytes of a raster of 9 x 7 pixels."""
    profile = {"dtype": "uint8", "count": count, "width": 9, "height": 7, **own}
    if not points:
        profile.update(PLACE)
    bands = np.arange(count * 63).reshape(count, 7, 9) * 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tif")
        with gdal_environment(), rasterio.open(path, "w", driver="GTiff", **profile) as out:
            if colors:
                out.colorinterp = colors
            out.write((bands[:, :2] if hollow else bands).astype(profile["dtype"]),
                      window=rasterio.windows.Window(0, 0, 9, 2 if hollow else 7))  # fmt: skip
            if mask:
                out.write_mask(bands[0] > 90)
            if described:
                out.descriptions, out.units, out.scales, out.offsets = ["a"], ["m"], [2.0], [1.0]
                out.update_tags(AREA_OR_POINT="Point", NAME="a text")
                out.update_tags(1, ns="space", STATISTICS_MINIMUM="0")
            if rpcs:
                out.rpcs = rpcs
            if points:
                corners = [GroundControlPoint(r, c, c * 10.0, r * 10.0) for r in (0, 7)
                           for c in (0, 9)]  # fmt: skip
                out.gcps = corners, rasterio.CRS.from_epsg(32633)
        return path.read_bytes()


def descriptions():
    """Yield VRTs of `read_vrt`."""
    with tempfile.TemporaryDirectory() as folder:
        write_source(Path(folder))
        path = Path(folder, "a.vrt")
        with gdal_environment(), rasterio.open(Path(folder, "source.tif")) as source:
            rasterio.shutil.copy(source, path, driver="VRT")
        text = path.read_text()
    yield text.encode()
    yield text.replace("SimpleSource", "ComplexSource").encode()
    yield text.replace("</VRTRasterBand>", "<NoDataValue>3</NoDataValue></VRTRasterBand>").encode()


def write_source(folder):
    """Write what VRTs of `descriptions` take their pixels from."""
    (folder / "source.tif").write_bytes(written(nodata=3))


def read_vrt(path):
    """Enhance a VRT."""
    write_source(path.parent)
    read(path)


def _is_small(path):
    kind_of(path)
    return samples_of(path) <= LARGEST


def look(path):
    """Read a raster as planning does, if it is small; no part is made."""
    if not _is_small(path):
        return
    with (
        suppress(ValueError),
        gdal_environment(),
        tempfile.TemporaryDirectory() as folder,
        opened(path) as src,
    ):
        check_uniform(src)
        with created(Path(folder, "out.tif"), src, {}) as out:
            out.write(src.read(), rasterio.windows.Window(0, 0, src.width, src.height))


def read(path):
    """Enhance a raster, if it is small."""
    if not _is_small(path):
        return
    with (
        suppress(ValueError),
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(enhance, "try_creation_options"),  # takes more time than all else
    ):
        enhance_raster(path, Path(folder, "out.tif"), "nearest", others="each")
