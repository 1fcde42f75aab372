"""Small files that claim much: refused, or read in memory and time bounded by what they hold."""

import os
import re
import struct
import tracemalloc
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from samples import DEEP, PICTURE, jpeg_with, refusal, save

from gluon_enhance.photos import jpeg, read_image, read_size
from gluon_enhance.photos.tiff_tags import has_place

TAGS = {"width": 256, "height": 257, "bits": 258, "compression": 259, "photometric": 262,
        "offsets": 273, "rows": 278, "counts": 279, "fill_order": 266, "tile_width": 322,
        "tile_height": 323, "tile_offsets": 324, "tile_counts": 325, "depth": 32997}  # fmt: skip


def tiff(data=b"", **values):
    """Make a TIFF file of one gray page: `data` at position 8, then the tags, all LONG."""
    values = {"bits": 16, "photometric": 1, **values}
    tags = sorted((TAGS[name], np.ravel(value).astype("<u4")) for name, value in values.items())
    return tiff_of([(tag, 4, len(value), value.tobytes()) for tag, value in tags], data)


def tiff_of(entries, data=b""):
    data += bytes(len(data) % 2)
    start = 8 + len(data)
    after, packed, outer = start + 2 + 12 * len(entries) + 4, b"", b""
    for tag, kind, count, value in entries:
        if len(value) > 4:
            value, outer = struct.pack("<I", after + len(outer)), outer + value
        packed += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    count = struct.pack("<H", len(entries))
    return b"II*\0" + struct.pack("<I", start) + data + count + packed + bytes(4) + outer


@contextmanager
def memory(limit):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def test_tiff_of_many_layers_is_refused(tmp_path):
    picture = {"width": 3000, "height": 3000, "offsets": 8, "counts": 4, "compression": 8}
    (tmp_path / "a.tif").write_bytes(tiff(b"data", depth=100, **picture))
    with memory(1e6):
        assert refusal(tmp_path / "a.tif") == (
            "holds 100 layers (ImageDepth); save the one you want"
        )


@pytest.mark.parametrize("bits", [8, 16])
def test_tile_that_is_far_larger_than_the_picture_is_refused(tmp_path, bits):
    tile = {"tile_width": 20000, "tile_height": 20000, "tile_offsets": 8, "tile_counts": 4}
    data = tiff(b"data", width=1, height=1, compression=8, bits=bits, **tile)
    (tmp_path / "a.tif").write_bytes(data)
    with memory(1e6):
        assert refusal(tmp_path / "a.tif").startswith("has strips or tiles whose whole is 20000x")


@pytest.mark.parametrize("strips", [1, 1000])
def test_strips_are_unpacked_no_further_than_they_hold(tmp_path, strips):
    """All of them share one stretch of data."""
    bomb = zlib.compress(np.full(1 << 23, 0x0101, "<u2").tobytes())
    lists = {"offsets": [8] * strips, "counts": [len(bomb)] * strips}
    data = tiff(bomb, width=30, height=strips, rows=1, compression=8, **lists)
    (tmp_path / "a.tif").write_bytes(data)
    with memory(1e6):
        if strips == 1:
            np.testing.assert_array_equal(
                read_image(tmp_path / "a.tif").pixels, np.full((1, 30), 0x0101)
            )
        else:
            assert refusal(tmp_path / "a.tif").startswith("is damaged: its pixels claim 16,")


def test_strips_that_share_the_bytes_of_one_color_are_read(tmp_path):
    packed = zlib.compress(bytes(range(60)))
    lists = {"offsets": [8] * 1000, "counts": [len(packed)] * 1000}
    data = tiff(packed, width=30, height=1000, rows=1, compression=8, **lists)
    (tmp_path / "a.tif").write_bytes(data)
    expected = np.tile(np.frombuffer(bytes(range(60)), "<u2"), (1000, 1))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, expected)


@pytest.mark.parametrize(
    ("compression", "packed"),
    [(1, b"\1" * 59), (8, zlib.compress(b"\1" * 59)), (32773, b"\x80\xc6\1"), (32773, b"\x3a")],
)
def test_strip_that_holds_too_little_is_refused(tmp_path, compression, packed):
    lists = {"offsets": 8, "counts": len(packed)}
    data = tiff(packed, width=30, height=1, compression=compression, **lists)
    (tmp_path / "a.tif").write_bytes(data if compression > 1 else data[: 8 + 59])
    if compression == 1:  # at the end of the file
        data = tiff(width=30, height=1, offsets=140, counts=59)
        (tmp_path / "a.tif").write_bytes(data.ljust(140, b"\0") + packed)
    message = refusal(tmp_path / "a.tif")
    assert re.search("part 1 of the pixels has (at most )?(59|0) of 60 bytes", message)


@pytest.mark.parametrize(
    ("compression", "most"),
    [(1, None), (8, 1032), (32773, 64)],
)
def test_no_memory_is_taken_for_pixels_that_a_strip_cannot_hold(tmp_path, compression, most):
    packed = zlib.compress(bytes(1000))
    data = tiff(packed, width=3000, height=3000, compression=compression, offsets=8, counts=9)
    (tmp_path / "a.tif").write_bytes(data)
    held = len(data) - 8 if compression == 1 else 9 * most
    with memory(1e6):
        assert f"part 1 of the pixels has at most {held:,} of 18,000,000 bytes" in refusal(
            tmp_path / "a.tif"
        )


def test_wrong_checksum_of_a_strip_is_refused(tmp_path):
    packed = bytearray(zlib.compress(bytes(range(60))))
    packed[-1] ^= 1
    data = tiff(bytes(packed), width=30, height=1, compression=8, offsets=8, counts=len(packed))
    (tmp_path / "a.tif").write_bytes(data)
    assert "is damaged" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [1, 8, 32773])
def test_bits_in_the_other_order_are_turned(tmp_path, compression):
    values = np.arange(300, 330, dtype="<u2")
    raw = values.tobytes()
    packed = {1: raw, 8: zlib.compress(raw), 32773: bytes([len(raw) - 1]) + raw}[compression]
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in packed)
    lists = {"offsets": 8, "counts": len(packed), "fill_order": 2}
    data = tiff(turned, width=30, height=1, compression=compression, **lists)
    (tmp_path / "a.tif").write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, values[None])


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_tiles_with_differences_are_read_as_tifffile_wrote_them(tmp_path, planar, order, dtype):
    photo = DEEP[..., :2].astype(dtype)
    stored = np.moveaxis(photo, -1, 0) if planar == "separate" else photo
    options = {"tile": (16, 32), "compression": "zlib", "predictor": True, "byteorder": order}
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="miniswhite", planarconfig=planar,
        extrasamples=["unassalpha"], metadata=None, **options,
    )  # fmt: skip
    pixels = read_image(tmp_path / "a.tif").pixels
    np.testing.assert_array_equal(pixels[..., 1], photo[..., 1])
    np.testing.assert_array_equal(pixels[..., 0], np.iinfo(dtype).max - photo[..., 0])


def in_parts(path, pixels, **options):
    """Write a TIFF; return its bytes, and a function that sets numbers of its tables."""
    tifffile.imwrite(path, pixels, photometric="rgb", metadata=None, **options)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as pages:
        tags = {tag.code: tag for tag in pages.pages[0].tags}

    def blank(index):
        for code in (273, 279, 324, 325):
            if code in tags:
                size = {3: 2, 4: 4}[int(tags[code].dtype)]
                start = tags[code].valueoffset + size * index
                data[start : start + size] = bytes(size)

    return data, tags, blank


TALL = np.random.default_rng(2).integers(1, 256, (1000, 16, 3), np.uint8)
PARTS = {"strips": {"rowsperstrip": 10}, "tiles": {"tile": (16, 16)}}


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("parts", PARTS)
def test_missing_part_of_over_a_hundredth_is_refused(tmp_path, dtype, compression, parts):
    pixels = TALL[:160].astype(dtype)
    data, _, blank = in_parts(tmp_path / "a", pixels, compression=compression, **PARTS[parts])
    blank(3)
    (tmp_path / "a").write_bytes(data)
    share = "6.25" if parts == "strips" else "10"
    assert refusal(tmp_path / "a") == (
        f"lacks {share}% of its pixels (strips or tiles that are not there); get the file again"
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_table_of_one_strip_where_there_are_ten_is_refused(tmp_path, dtype):
    data, tags, _ = in_parts(tmp_path / "a", TALL[:100].astype(dtype), rowsperstrip=10)
    for code in (273, 279):  # the count of values, of which the first takes the place
        kind, start = int(tags[code].dtype), tags[code].valueoffset
        value = data[start : start + {3: 2, 4: 4}[kind]]
        struct.pack_into("<HHI4s", data, tags[code].offset, code, kind, 1, bytes(value))
    (tmp_path / "a").write_bytes(data)
    assert refusal(tmp_path / "a").startswith("lacks 90% of its pixels")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_missing_hundredth_is_blank_with_a_warning_and_refused_if_strict(
    tmp_path, caplog, dtype, compression
):
    pixels = TALL.astype(dtype)
    data, _, blank = in_parts(tmp_path / "a", pixels, compression=compression, rowsperstrip=10)
    blank(42)
    (tmp_path / "a").write_bytes(data)
    expected = pixels.copy()
    expected[420:430] = 0
    np.testing.assert_array_equal(read_image(tmp_path / "a").pixels, expected)
    assert f"{tmp_path / 'a'} lacks 1% of its pixels, which are blank" in caplog.text
    assert refusal(tmp_path / "a", strict=True).startswith("lacks 1% of its pixels (strips")


@pytest.mark.parametrize("bits", [8, 16])
def test_tags_that_share_their_bytes_take_no_memory(tmp_path, bits):
    body = bytes(200_000)
    share = struct.pack("<I", 8)
    shared = [(tag, 7, len(body), share) for tag in (*range(700, 800), *[34675] * 1000)]
    sizes = [(256, 4, 1, struct.pack("<I", 5)), (257, 4, 1, struct.pack("<I", 5))]
    strips = [(273, 4, 1, share), (279, 4, 1, struct.pack("<I", 50))]
    entries = [*sizes, (258, 3, 1, struct.pack("<H", bits)), *strips, *shared]
    (tmp_path / "a.tif").write_bytes(tiff_of(entries, body))
    with memory(5 * len(body)):
        assert read_size(tmp_path / "a.tif") == (5, 5)
        assert refusal(tmp_path / "a.tif").startswith("is damaged: its tags claim 220,")


def test_directories_without_end_are_not_all_read(tmp_path):
    page = struct.pack("<HHHI4sHHI4s", 2, 256, 4, 1, b"\5\0\0\0", 257, 4, 1, b"\5\0\0\0")
    data = b"II*\0\x08\0\0\0"
    for _ in range(5000):
        data += page + struct.pack("<I", len(data) + len(page) + 4)
    (tmp_path / "a.tif").write_bytes(data)
    with memory(1e6):
        assert "it does not say where its pixels are" in refusal(tmp_path / "a.tif")


def test_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    assert read_size(tmp_path / "a.tif") is None and not has_place(tmp_path / "a.tif")


def progressive(tmp_path, times, between=b""):
    """Repeat the last scan of a progressive JPEG."""
    data = save(tmp_path / "a.jpg", PICTURE, progressive=True).read_bytes()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    (tmp_path / "a.jpg").write_bytes(data[:last] + times * (between + scan) + data[-2:])
    return tmp_path / "a.jpg"


@pytest.mark.parametrize(
    "between",
    [b"", b"\xff\xfe\0\4\xff\xd9", b"\xff\xff\xff\xfe\0\4\xff\xd9", b"\xff\xd0\xff\0"],
    ids=["nothing", "an end in a comment", "fill bytes", "a restart"],
)
def test_jpeg_of_many_scans_is_refused(tmp_path, between):
    assert refusal(progressive(tmp_path, 10_000, between)) == "has over 100 scans; save it again"


def test_jpeg_of_not_so_many_scans_is_read(tmp_path, caplog):
    hidden = b"\xff\xfe" + struct.pack(">H", 2 + 800) + 200 * b"\xff\xda\xff\xd9"
    whole = read_image(progressive(tmp_path, 1)).pixels
    np.testing.assert_array_equal(read_image(progressive(tmp_path, 1, hidden)).pixels, whole)
    assert read_image(progressive(tmp_path, 80)).pixels.shape == PICTURE.shape
    assert not caplog.text


@pytest.mark.parametrize(("form", "mode"), [("JPEG", "RGB"), ("BMP", "L"), ("GIF", "P")])
def test_more_pixels_than_the_format_can_hold_are_refused(tmp_path, form, mode):
    data = bytearray(save(tmp_path / "a", Image.new(mode, (40, 30)), form).read_bytes())
    form_, position = {
        "JPEG": (">HH", data.find(b"\xff\xc0") + 5), "BMP": ("<ii", 18), "GIF": ("<HH", 6),
    }[form]  # fmt: skip
    struct.pack_into(form_, data, position, 5000, 5000)
    (tmp_path / "a").write_bytes(data)
    assert refusal(tmp_path / "a").endswith("bytes: no photo is as small")


@pytest.mark.parametrize(("form", "options"), [("JPEG", {"progressive": True}), ("GIF", {})])
def test_the_emptiest_picture_that_is_encoded_is_read(tmp_path, form, options):
    path = save(tmp_path / "a", Image.new("L", (5400, 3000), 128), form, **options)
    assert read_image(path).pixels.shape[:2] == (3000, 5400)
    assert path.stat().st_size < 100_000


EXIF_SEGMENT = 0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0"


@pytest.mark.parametrize(
    "segment", [EXIF_SEGMENT, (0xE2, b"MPF\0"), (0xE2, b"ICC_PROFILE\0"), (0xFE, b"")]
)
def test_jpeg_of_many_segments_is_refused(tmp_path, segment):
    path = jpeg_with(tmp_path / "a.jpg", *[segment] * 2000)
    assert refusal(path) == "has over 2,000 segments before its pixels; save it again"
    assert read_size(path) is None


def test_jpeg_of_not_so_many_segments_is_read(tmp_path):
    path = jpeg_with(tmp_path / "a.jpg", *[(0xE1, b"http://ns.adobe.com/xmp/extension/\0")] * 1900)
    assert read_size(path) == PICTURE.shape[1::-1] == read_image(path).pixels.shape[1::-1]


def overlapping(count):
    """EXIF data of values of which each is nearly the whole."""
    size = 12 * count
    entries = (struct.pack("<HHII", tag, 7, size, 8) for tag in range(1000, 1000 + count))
    return b"II*\0" + struct.pack("<IH", 8, count) + b"".join(entries) + bytes(4)


def test_exif_of_a_jpeg_whose_values_overlap_is_left_out_and_takes_no_memory(tmp_path, caplog):
    path = jpeg_with(tmp_path / "a.jpg", (0xE1, b"Exif\0\0" + overlapping(5000)), keep_jfif=False)
    with memory(5e6):
        photo = read_image(path)
    assert photo.exif is None and photo.pixels.shape == PICTURE.shape
    assert caplog.messages == [
        f"{path} has damaged EXIF data, which is left out: its values overlap"
    ]


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_exif_whose_values_overlap_is_left_out_of_any_photo(tmp_path, caplog, form):
    photo = read_image(save(tmp_path / "a", PICTURE, form, exif=overlapping(100)))
    assert photo.exif is None and "left out: its values overlap" in caplog.text


@pytest.mark.parametrize("hidden", ["behind junk", "in a segment", "in the open"])
def test_decoders_get_none_of_the_exif_data_of_a_jpeg(tmp_path, monkeypatch, hidden):
    marker, body = EXIF_SEGMENT
    data = struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body
    path = jpeg_with(tmp_path / "a.jpg", (0xF0, data) if hidden == "in a segment" else (0xFE, b""))
    if hidden != "in a segment":
        junk = b"junk" if hidden == "behind junk" else b""
        whole = path.read_bytes()
        path.write_bytes(whole[:20] + junk + data + whole[20:])
    got = []
    monkeypatch.setattr(jpeg, "JpegImageFile", lambda file: got.append(file) or JpegImageFile(file))
    np.testing.assert_array_equal(
        read_image(path).pixels, read_image(save(tmp_path / "b.jpg", PICTURE)).pixels
    )
    assert all(b"Exif" not in file.getvalue() for file in got) and got
