"""EXIF data checked by hand-made directories and with Pillow's reader."""

import io
import struct
import tracemalloc

import pytest
from PIL import Image
from samples import jpeg_with

from gluon_enhance.photos import exif, read_image

SHORT, LONG = 3, 4
THUMBNAIL = b"\xff\xd8 a small picture \xff\xd9"
MAKER_NOTE = b"maker note with positions of its own"


def directory(order, entries, following):
    packed = [
        struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
        for tag, kind, count, value in entries
    ]
    return (
        struct.pack(order + "H", len(packed))
        + b"".join(packed)
        + struct.pack(order + "I", following)
    )


def camera_exif(order, orientation=6):
    """What a camera writes: two directories, a subdirectory, a maker note, a thumbnail last."""

    def short(value):
        return struct.pack(order + "H", value)

    def long(value):
        return struct.pack(order + "I", value)

    first, inner, second = 8, 8 + 30, 8 + 30 + 42
    note, thumbnail = second + 30, second + 30 + len(MAKER_NOTE)
    return b"".join(
        [
            {"<": b"II*\0", ">": b"MM\0*"}[order],
            long(first),
            directory(
                order,
                [(0x0112, SHORT, 1, short(orientation)), (0x8769, LONG, 1, long(inner))],
                second,
            ),
            directory(
                order,
                [
                    (0x927C, 7, len(MAKER_NOTE), long(note)),
                    (0xA002, SHORT, 1, short(40)),
                    (0xA003, LONG, 1, long(30)),
                ],
                0,
            ),
            directory(
                order,
                [(0x0201, LONG, 1, long(thumbnail)), (0x0202, LONG, 1, long(len(THUMBNAIL)))],
                0,
            ),
            MAKER_NOTE,
            THUMBNAIL,
        ]
    )


def read(data):
    result = Image.Exif()
    result.load(data)
    return result


@pytest.mark.parametrize("order", "<>")
def test_orientation_is_taken_and_set_to_1(order):
    orientation, data = exif.take_orientation(camera_exif(order))
    assert orientation == 6
    assert read(data)[0x0112] == 1


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientation_that_does_not_exist_counts_as_upright(value):
    assert exif.take_orientation(camera_exif("<", value))[0] == 1


@pytest.mark.parametrize("order", "<>")
def test_resized_writes_the_new_size_even_beyond_16_bits(order):
    inner = read(exif.resized(camera_exif(order), 70000, 300)).get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == (70000, 300)


@pytest.mark.parametrize("order", "<>")
def test_resized_drops_the_thumbnail_and_leaves_the_maker_note_where_it_was(order):
    before = camera_exif(order)
    after = exif.resized(before, 160, 120)
    assert not read(after).get_ifd(0x0201) and THUMBNAIL not in after
    assert after.index(MAKER_NOTE) == before.index(MAKER_NOTE)


def test_data_cut_anywhere_is_refused_or_sound():
    data = camera_exif("<")
    for length in range(len(data)):
        try:
            exif.resized(exif.take_orientation(data[:length])[1], 1, 1)
        except ValueError:
            continue
        assert length >= data.index(MAKER_NOTE) - 4  # the last link may be left out


def test_directory_that_points_to_itself_is_no_endless_loop():
    data = bytearray(camera_exif("<"))
    struct.pack_into("<I", data, 8 + 2 + 12 + 8, 8)
    assert exif.resized(bytes(data), 1, 1)
    assert exif.from_tiff(bytes(data))


def test_from_tiff_copies_what_describes_the_photo_and_nothing_of_its_pixels():
    tags = Image.Exif()
    tags[0x010F], tags[0x8298] = "A camera", "Somebody"
    tags[0x8769] = {0x829A: 0.005, 0x9003: "2024:05:06 07:08:09", 0x927C: MAKER_NOTE}
    tags[0x8825] = {1: "N", 2: (48.0, 8.0, 30.5)}
    file = io.BytesIO()
    Image.new("RGB", (30, 20)).save(file, "TIFF", exif=tags.tobytes())
    copied = read(exif.from_tiff(file.getvalue()))
    assert dict(copied).keys() == {0x010F, 0x8298, 0x8769, 0x8825}
    assert (copied[0x010F], copied[0x8298]) == ("A camera", "Somebody")
    assert copied.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
    assert float(copied.get_ifd(0x8769)[0x829A]) == 0.005
    assert copied.get_ifd(0x8825)[2] == (48.0, 8.0, 30.5)


def test_from_tiff_of_a_bare_file_is_none():
    width = (0x0100, SHORT, 1, struct.pack("<H", 30))
    assert exif.from_tiff(b"II*\0\x08\0\0\0" + directory("<", [width], 0)) is None


@pytest.mark.parametrize("data", [b"", b"JUNK" * 4, b"II*\0", b"II*\0\xff\xff\xff\xff"])
def test_junk_is_refused(data):
    for function in (exif.take_orientation, exif.directory, exif.from_tiff):
        with pytest.raises(ValueError, match="begins with|beyond the end"):
            function(data)


def test_pointers_to_one_directory_are_followed_once(monkeypatch):
    """A directory of pointers to itself would be read as often as it has entries."""
    count = 3000
    pointers = [(0x8769, LONG, 1, struct.pack("<I", 8))] * count
    data = b"II*\0\x08\0\0\0" + directory("<", pointers, 8)
    read_entries, read_values = exif._entries, []

    def counted(*arguments):
        for entry in read_entries(*arguments):
            read_values.append(entry[0])
            yield entry

    monkeypatch.setattr(exif, "_entries", counted)
    exif.resized(data, 1, 1)
    assert exif.from_tiff(data) is not None
    assert len(read_values) <= 8 * count


def test_values_that_overlap_take_no_more_memory_than_twice_the_data():
    """Each of the values is nearly the whole data."""
    count, padding = 2000, bytes(100_000)
    large = [(tag, 7, len(padding), struct.pack("<I", 60)) for tag in range(1, count)]
    inner = directory("<", large, 0)
    pointer = (0x8769, LONG, 1, struct.pack("<I", 26))
    data = b"II*\0\x08\0\0\0" + directory("<", [pointer], 0) + inner + padding
    tracemalloc.start()
    with pytest.raises(ValueError, match="its values overlap"):
        exif.from_tiff(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(data)


def resolution_of(unit, *value):
    entries = [
        (0x011A, 5, 1, struct.pack("<I", 8 + 2 + 2 * 12 + 4)),
        (0x0128, SHORT, 1, struct.pack("<H", unit)),
    ]
    return b"II*\0\x08\0\0\0" + directory("<", entries, 0) + struct.pack("<II", *value)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's
@pytest.mark.parametrize(
    ("data", "dpi"),
    [
        (resolution_of(2, 3000, 10), 300),
        (resolution_of(3, 100, 1), 254),
        (resolution_of(2, 300, 0), 72),
        (resolution_of(2, 300, 1)[:-4], 72),
        (camera_exif("<"), 72),
        (b"junk", 72),
    ],
    ids=["inches", "centimeters", "zero", "cut short", "none", "junk"],
)
def test_resolution_of_a_jpeg_is_its_exif_s_where_it_has_no_other(tmp_path, data, dpi):
    assert exif.resolution(data) == pytest.approx((dpi, dpi))
    segment = 0xE1, exif.PREFIX + data
    bare = jpeg_with(tmp_path / "a.jpg", segment, keep_jfif=False)
    with Image.open(bare) as image:
        assert image.info["dpi"] == pytest.approx((dpi, dpi))
    assert read_image(bare).dpi == pytest.approx((dpi, dpi))
    header = 0xE0, b"JFIF\0\1\1\1" + struct.pack(">HHBB", 150, 100, 0, 0)
    assert read_image(jpeg_with(bare, header, segment, keep_jfif=False)).dpi == (150, 100)


def test_exif_of_a_jpeg_in_several_segments_is_joined(tmp_path):
    data = camera_exif(">")
    pieces = [(0xE1, exif.PREFIX + piece) for piece in (data[:50], data[50:])]
    photo = read_image(jpeg_with(tmp_path / "a.jpg", *pieces))
    assert photo.exif == exif.take_orientation(data)[1]
    assert photo.pixels.shape == (40, 30, 3)  # turned upright
