"""TIFF files of so many items of metadata that GDAL would take quadratic time to list them."""

import struct

import numpy as np
import pytest
import rasterio
import tifffile

from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.enhance import enhance_raster
from gluon_enhance.rasters.gdal_metadata import GDAL_METADATA
from gluon_enhance.rasters.io import gdal_environment, open_raster
from gluon_enhance.rasters.raster_or_photo import kind_of

PIXELS = np.zeros((64, 64), np.uint8)
SAID = "over 10,000 items of GDAL's metadata in one list; if you trust who made it, give --trust"
PLACE = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True),
]


def items(count, form='<Item name="k{0}">v</Item>'):
    return f"<GDALMetadata>{''.join(map(form.format, range(count)))}</GDALMetadata>\0"


def tiff(path, *texts, tags=(), **options):
    """A TIFF with a page for each text, the first one whole and the others its previews."""
    with tifffile.TiffWriter(path, **options) as out:
        for k, text in enumerate(texts):
            tag = (GDAL_METADATA, 2, len(text), text, True)
            form = {"photometric": "minisblack", "metadata": None, "subfiletype": int(k > 0)}
            out.write(PIXELS[:: 2**k, :: 2**k], extratags=[*tags, tag], **form)
    return path


@pytest.mark.parametrize(
    "form",
    [
        '<Item name="k{0}">v</Item>',
        '<item\nNAME="k{0}">v</item>',
        '<Item name="k{0}" sample="0">v</Item>',
        "<Item name='k{0}' sample='{0}'>v</Item>",
        '<Item name="k{0}" SAMPLE="0" sample="{0}">v</Item>',
        '<Item name="k" domain="d{0}">v</Item>',
    ],
    ids=["plain", "capitals", "of a band", "quotes", "samples", "domains"],
)
@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_tiff_of_many_items_is_refused_unless_trusted(tmp_path, form, options):
    path = tiff(tmp_path / "a.tif", items(10_001, form), **options)
    with pytest.raises(ImageError, match=SAID):
        open_raster(path)
    with gdal_environment():
        open_raster(path, trust=True).close()


def test_a_refused_tiff_with_a_place_is_no_photo_that_would_lose_it(tmp_path):
    assert kind_of(tiff(tmp_path / "a.tif", items(10_001))) is None
    assert kind_of(tiff(tmp_path / "b.tif", items(10_001), tags=PLACE)) == "raster"


def test_previews_count_together(tmp_path):
    path = tiff(tmp_path / "a.tif", *[items(3000)] * 4)
    with pytest.raises(ImageError, match=SAID):
        open_raster(path)


@pytest.mark.parametrize("name", ["a.tif.ovr", "a.tif.msk"])
def test_files_beside_a_raster_are_looked_at_too(tmp_path, name):
    tiff(tmp_path / name, items(10_001))
    with pytest.raises(ImageError, match=f"{name} has {SAID}"):
        open_raster(tiff(tmp_path / "a.tif", items(1)))


def test_sources_of_a_mosaic_are_looked_at_too(tmp_path):
    tiff(tmp_path / "a.tif", items(10_001))
    source = '<SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1">'
        f"<SimpleSource>{source}<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        "</VRTDataset>"
    )
    with pytest.raises(ImageError, match=SAID):
        open_raster(tmp_path / "a.vrt")


def test_many_bands_with_many_items_each_are_read(tmp_path):
    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 40, "dtype": "uint8"}
    profile.update(crs="EPSG:32633", transform=rasterio.Affine(10, 0, 0, 0, -10, 0))
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as out:
        for band in out.indexes:
            out.update_tags(band, **{f"k{k}": "a < b" for k in range(300)})
    result = enhance_raster(tmp_path / "a.tif", tmp_path / "b.tif", "nearest")
    with rasterio.open(result) as out:
        assert out.count == 40 and out.tags(40)["k299"] == "a < b"


def test_pages_that_share_their_metadata_are_refused(tmp_path):
    """They would be read once for each page."""
    data = b"v" * 10_000
    for page in range(3):
        entry = struct.pack("<HHHII", 1, GDAL_METADATA, 2, 10_000, 8)
        data += entry + struct.pack("<I", (8 + len(data) + len(entry) + 4) * (page < 2))
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 10_008) + data)
    with pytest.raises(ImageError, match="has pages whose metadata share their bytes"):
        open_raster(tmp_path / "a.tif")
