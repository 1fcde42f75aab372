"""Small files that claim large blocks or many bands: they would fill memory, or take hours."""

import struct
import warnings

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from test_links import PLACE, vrt, write

from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.claims import MANY_BANDS
from gluon_enhance.rasters.io import gdal_environment, open_raster, read_bands

BLOCKS = r"{} claims blocks of [\d,]+ bytes, in a file of [\d,]+: .* give --trust"
SIDE = 16_000
TAGS = {256: SIDE, 257: SIDE, 258: 8, 259: 8, 262: 1, 277: 1, 322: 512, 323: 512, 324: 0, 325: 0}


def tiff(path, *pages):
    """A sparse TIFF of pages with these tags, of one value each."""
    data = b"II*\0" + struct.pack("<I", 8)
    for number, page in enumerate(pages, 1):
        entries = (struct.pack("<HHII", tag, 4, 1, page[tag]) for tag in sorted(page))
        size = 2 + 12 * len(page) + 4
        following = len(data) + size if number < len(pages) else 0
        data += struct.pack("<H", len(page)) + b"".join(entries) + struct.pack("<I", following)
    path.write_bytes(data)
    return path


def refuse(path, message, name=None):
    with gdal_environment(), pytest.raises(ImageError, match=message.format(name or path.name)):
        open_raster(path)


def look(path, trust=False):
    """Read the first pixels of a raster."""
    with gdal_environment(), open_raster(path, trust) as dataset:
        return read_bands(dataset, [1], rasterio.windows.Window(0, 0, 8, 8))[0]


HUGE = {**TAGS, 322: SIDE, 323: SIDE}
LONG = {**{tag: TAGS[tag] for tag in TAGS if tag < 300}, 273: 0, 278: SIDE, 279: 0}


@pytest.mark.parametrize("page", [HUGE, LONG, {**TAGS, 277: 1000}], ids=["tile", "strip", "bands"])
@pytest.mark.parametrize("kind", [0, 1, 4], ids=["own", "preview", "mask"])
def test_a_block_of_any_page_of_a_tiff_is_bounded(tmp_path, page, kind):
    pages = [page] if not kind else [TAGS, {**page, 254: kind}]
    refuse(tiff(tmp_path / "a.tif", *pages), BLOCKS)


def test_a_page_in_a_page_of_a_tiff_is_bounded_too(tmp_path):
    tiff(tmp_path / "a.tif", {**TAGS, 330: 8 + 2 + 12 * 11 + 4}, {**HUGE, 254: 1})
    refuse(tmp_path / "a.tif", BLOCKS)


def test_a_tiff_of_more_pages_than_are_looked_at_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("gluon_enhance.rasters.claims.MAX_PAGES", 3)
    look(tiff(tmp_path / "a.tif", TAGS, *[{**TAGS, 254: 1}] * 2))
    refuse(tiff(tmp_path / "a.tif", TAGS, *[{**TAGS, 254: 1}] * 3), "{} has over 3 pages")


@pytest.mark.parametrize("name", ["a.tif.msk", "a.tif.ovr", "a.msk", "a.tif.msk.ovr"])
def test_blocks_of_the_files_beside_a_raster_are_bounded(tmp_path, name):
    tiff(tmp_path / name, HUGE)
    refuse(write(tmp_path / "a.tif"), BLOCKS, name)


def jpeg2000(path, side, tile, components=1, blocks=4, precincts=b"", before=b"", parts=9):
    """A JPEG 2000 code stream without pixels, of some tiles; `before` stands before the style."""

    def segment(marker, data):
        return struct.pack(">HH", marker, 2 + len(data)) + data

    levels = 5
    sizes = struct.pack(">H8IH", 0, side, side, 0, 0, tile, tile, 0, 0, components)
    style = struct.pack(">BBHBBBBBB", bool(precincts), 0, 1, 0, levels, blocks, blocks, 0, 1)
    data = b"\xff\x4f" + segment(0xFF51, sizes + b"\7\1\1" * components) + before
    data += segment(0xFF52, style + precincts * (levels + 1))
    data += segment(0xFF5C, b"\x40" + bytes([64] + [72, 72, 80] * levels))
    empty = bytes((levels + 1) * components)
    for k in range(min(parts, (-(-side // tile)) ** 2)):
        data += segment(0xFF90, struct.pack(">HIBB", k, 14 + len(empty), 0, 1)) + b"\xff\x93"
        data += empty
    path.write_bytes(data + b"\xff\xd9")
    return path


@pytest.mark.parametrize(
    "claims",
    [
        {"side": SIDE, "tile": SIDE},
        {"side": 2 * SIDE, "tile": SIDE, "components": 3},
        {"side": 4000, "tile": 4000, "components": 50},
        {"side": 4000, "tile": 4000, "blocks": 0},
        {"side": 4000, "tile": 4000, "precincts": b"\x11"},
        {"side": 200, "tile": 1, "components": 2},
    ],
    ids=["untiled", "tiles", "components", "code blocks", "precincts", "many tiles"],
)
@pytest.mark.parametrize("place", ["itself", "source", "mask"])
def test_what_a_jpeg_2000_file_has_a_decoder_take_is_bounded(tmp_path, claims, place):
    name = "b.jp2" if place != "mask" else "a.tif.msk"
    path = jpeg2000(tmp_path / name, **claims)
    if place == "source":
        path = tmp_path / "a.vrt"
        path.write_text(vrt(name, "1"))
    elif place == "mask":
        path = write(tmp_path / "a.tif")
    refuse(path, BLOCKS, name)


def test_a_jpeg_2000_file_with_what_decoders_skip_is_damaged(tmp_path):
    path = jpeg2000(tmp_path / "a.jp2", 64, 64, before=b"\xff\x30")
    refuse(path, "{} is a damaged JPEG 2000 file")


@pytest.mark.parametrize("options", [{}, {"TILEXSIZE": 64, "TILEYSIZE": 64}, {"CODEC": "J2K"}])
@pytest.mark.parametrize("count", [1, 3])
def test_jpeg_2000_files_are_read(tmp_path, options, count):
    tif, path = tmp_path / "a.tif", tmp_path / ("a.j2k" if "CODEC" in options else "a.jp2")
    profile = {"driver": "GTiff", "width": 200, "height": 150, "count": count, "dtype": "uint8"}
    with rasterio.open(tif, "w", **profile, **PLACE) as out:
        out.write(np.full((count, 150, 200), 7, np.uint8))
    rasterio.shutil.copy(tif, path, driver="JP2OpenJPEG", **options)
    assert (look(path) == 7).all()


def test_a_block_of_an_img_file_that_is_not_there_is_bounded(tmp_path):
    path = tmp_path / "a.img"
    profile = {"driver": "HFA", "width": 64, "height": 64, "count": 1, "dtype": "uint8", **PLACE}
    with rasterio.open(path, "w", **profile) as out:
        out.write(np.ones((1, 64, 64), np.uint8))
    sides = struct.pack("<2i", 64, 64)
    data = path.read_bytes()
    refused = 0
    for at in (k for k in range(len(data)) if data[k : k + 8] == sides):
        path.write_bytes(data[:at] + struct.pack("<2i", SIDE, SIDE) + data[at + 8 :])
        try:
            look(path)
        except ImageError as error:
            refused += "claims blocks of 256,000,000 bytes" in str(error)
    assert refused


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (2000, 300, 300)], ids=["sides", "depth"])
@pytest.mark.parametrize("name", ["a.h5", "a.nc"])
def test_chunks_of_hdf5_are_bounded_in_all_dimensions(tmp_path, shape, name):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / name, "w") as file:
        file.create_dataset("d", shape, "f8", chunks=shape, compression="gzip")
    refuse(tmp_path / name, BLOCKS)
    with h5py.File(tmp_path / name, "w") as file:
        file.create_dataset("d", shape[-2:], "f8", chunks=(64, 64))
    look(tmp_path / name)


def test_blocks_of_a_source_are_bounded(tmp_path):
    tiff(tmp_path / "a.tif", HUGE)
    (tmp_path / "b.vrt").write_text(vrt("a.tif", "1"))
    (tmp_path / "c.vrt").write_text(vrt("b.vrt", "1"))
    for name in ("b.vrt", "c.vrt"):
        refuse(tmp_path / name, BLOCKS, "a.tif")
    (tmp_path / "a.tif").unlink()
    write(tmp_path / "a.tif")
    tiff(tmp_path / "a.tif.msk", HUGE)
    refuse(tmp_path / "c.vrt", BLOCKS, "a.tif.msk")


def many_bands(path, count, size):
    """A raster of many bands of a pixel each, in a file that is filled up to a size."""
    if path.suffix == ".h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file.create_dataset("d", (count, 1, 1), "u1", chunks=(1, 1, 1))
    elif path.suffix == ".vrt":
        bands = (f'<VRTRasterBand dataType="Byte" band="{k + 1}"/>' for k in range(count))
        path.write_text(
            f'<VRTDataset rasterXSize="8" rasterYSize="8">{"".join(bands)}</VRTDataset>'
        )
    else:
        path.with_suffix(".hdr").write_text(
            f"ENVI\nsamples = 1\nlines = 1\nbands = {count}\nheader offset = 0\n"
            "file type = ENVI Standard\ndata type = 1\ninterleave = bsq\nbyte order = 0\n"
        )
        path.write_bytes(bytes(count))
    with open(path, "ab") as file:
        file.write(b" " * (size - file.tell()))
    return path


@pytest.mark.parametrize("name", ["a.dat", "a.h5", "a.vrt"])
def test_more_bands_than_the_file_speaks_for_are_refused(tmp_path, name):
    count = 3 * MANY_BANDS
    message = f"{{}} claims 3,072 bands in a file .*; up to {MANY_BANDS:,} .* give --trust"
    refuse(many_bands(tmp_path / name, count, 0), message)
    with warnings.catch_warnings():
        look(many_bands(tmp_path / name, MANY_BANDS, 0))
        look(many_bands(tmp_path / name, count, 256 * count))


def test_bands_are_read_in_linear_time(tmp_path):
    """Rasterio asks of each band what masks all have."""
    path = many_bands(tmp_path / "a.dat", 1000, 0)
    with gdal_environment(), open_raster(path) as dataset:
        assert dataset.mask_flag_enums is dataset.mask_flag_enums
        assert len(dataset.mask_flag_enums) == 1000


def test_an_img_file_in_a_mosaic_takes_no_pixels_from_elsewhere(tmp_path):
    own, folder = b"a_long_name_of_a_file.ige", tmp_path / "theirs"
    folder.mkdir()
    profile = {"driver": "HFA", "width": 16, "height": 16, "count": 1, "dtype": "uint8", **PLACE}
    for path in (folder / "a_long_name_of_a_file.img", tmp_path / "secret.img"):
        with rasterio.open(path, "w", USE_SPILL="YES", **profile) as out:
            out.write(np.full((1, 16, 16), 99, np.uint8))
    (folder / "a.vrt").write_text(vrt("a_long_name_of_a_file.img", "1"))
    assert (look(folder / "a.vrt") == 99).all()
    other = b"..".ljust(len(own) - len(b"secret.ige"), b"/") + b"secret.ige"
    path = folder / "a_long_name_of_a_file.img"
    path.write_bytes(path.read_bytes().replace(own, other))
    refuse(folder / "a.vrt", "secret.ige, outside its folder; .* give --trust")


def grib(path, side):
    """A GRIB 2 file of one field, a constant, which has no numbers."""

    def section(number, data):
        return struct.pack(">IB", 5 + len(data), number) + data

    shape = struct.pack(">BBIBIBI", 6, 0, 0, 0, 0, 0, 0)
    places = struct.pack(">IIIIIIBIIIIB", side, side, 0, 2**32 - 1, 50_000_000, 0, 48, 10_000_000,
                         10_000_000, 100, 100, 0)  # fmt: skip
    product = bytes([0, 0, 2, 0, 96, 0, 0, 0, 1, 0, 0, 0, 0, 1, *bytes(5), 255, *bytes(5)])
    body = b"".join((
        section(1, struct.pack(">HHBBBHBBBBBBB", 7, 0, 2, 1, 1, 2020, 1, 1, 0, 0, 0, 0, 1)),
        section(3, struct.pack(">BIBBH", 0, side * side, 0, 0, 0) + shape + places),
        section(4, struct.pack(">HH", 0, 0) + product),
        section(5, struct.pack(">IHfHHBB", side * side, 0, 5.0, 0, 0, 0, 0)),
        section(6, b"\xff"),
        section(7, b""),
        b"7777",
    ))  # fmt: skip
    path.write_bytes(b"GRIB\0\0\0\2" + struct.pack(">Q", 16 + len(body)) + body)
    return path


def test_a_grid_of_grib_counts_as_a_whole(tmp_path):
    """GDAL decodes it for one row."""
    look(grib(tmp_path / "small.grb2", 100))
    refuse(grib(tmp_path / "large.grb2", 10_000), BLOCKS)


@pytest.mark.parametrize("head", [b"NITF02.10", b"GIF89a"])
def test_formats_that_take_time_for_what_they_claim_are_not_opened(tmp_path, head):
    path = tmp_path / "scene.dat"
    path.write_bytes(head + bytes(400))
    with gdal_environment(), pytest.raises(ImageError, match="scene.dat .* give --trust"):
        open_raster(path)


def test_a_folder_is_no_raster(tmp_path):
    """Formats of folders open files beside them, as masks that may be anything."""
    (tmp_path / "grid").mkdir()
    refuse(tmp_path / "grid", "{} is a folder, whose formats open files beside it; .* give --trust")
