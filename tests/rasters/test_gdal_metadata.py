"""Files of so many items of metadata that GDAL would take quadratic time to list them."""

import struct

import numpy as np
import pytest
import rasterio.shutil
import tifffile

from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.claims import GDAL_METADATA
from gluon_enhance.rasters.enhance import enhance_raster
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


def netcdf(attributes, of_variable=0, dimensions=2):
    """A file of netCDF's first format, of 16 x 16 bytes [1]_.

    .. [1] Unidata, "NetCDF Classic Format Specification".
    """

    def name(text):
        return struct.pack(">I", len(text)) + text + bytes(-len(text) % 4)

    def listed(tag, entries):
        return struct.pack(">II", tag, len(entries)) + b"".join(entries)

    def values(count):
        return [name(b"k%d" % k) + struct.pack(">II3sx", 2, 3, b"abc") for k in range(count)]

    sides = [name(b"d%d" % k) + struct.pack(">I", 16) for k in range(dimensions)]
    head = b"CDF\1" + bytes(4) + listed(10, sides) + listed(12, values(attributes))
    variable = name(b"v") + struct.pack(">III", 2, 0, 1) + listed(12, values(of_variable))
    start = len(head) + 8 + len(variable) + 12
    return head + listed(11, [variable + struct.pack(">III", 1, 256, start)]) + b"\7" * 256


@pytest.mark.parametrize("counts", [(10_001,), (3, 10_001), (0, 0, 10_001)])
def test_a_netcdf_file_of_too_many_attributes_is_refused(tmp_path, counts):
    path = tmp_path / "x.nc"
    path.write_bytes(netcdf(*counts))
    with pytest.raises(ImageError, match="has over 10,000 dimensions, variables and attributes"):
        enhance_raster(path, tmp_path / "out.tif", "nearest")
    path.write_bytes(netcdf(50, 50))
    enhance_raster(path, tmp_path / "out.tif", "nearest")
    with gdal_environment(), open_raster(tmp_path / "out.tif") as result:
        assert (result.read() == 7).all()


def test_a_netcdf_file_that_is_cut_short_is_damaged(tmp_path):
    path = tmp_path / "x.nc"
    path.write_bytes(netcdf(50)[:200])
    with pytest.raises(ImageError, match="x.nc is a damaged netCDF file"):
        enhance_raster(path, tmp_path / "out.tif", "nearest")


@pytest.mark.parametrize("form", ["NC", "NC2", "NC4", "NC4C"])
def test_what_gdal_writes_as_netcdf_is_read(tmp_path, form):
    path = tmp_path / "x.nc"
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "int16"}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)}
    with rasterio.open(tmp_path / "x.tif", "w", **profile, **place) as out:
        out.write(np.full((1, 64, 64), 7, np.int16))
    rasterio.shutil.copy(tmp_path / "x.tif", path, driver="netCDF", FORMAT=form)
    with gdal_environment(), open_raster(path) as result:
        assert (result.read() == 7).all()


def test_an_hdf5_file_of_too_many_attributes_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", track_order=True) as file:
        file["d"] = PIXELS
        for k in range(2):
            group = file.create_group(f"g{k}", track_order=True)
            for j in range(5001):
                group.attrs[f"k{j}"] = 1
    with pytest.raises(ImageError, match="has over 10,000 attributes"):
        enhance_raster(path, tmp_path / "out.tif", "nearest")
