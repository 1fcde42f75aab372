"""HEIC and AVIF files whose items name the same bytes, each of which decoders would copy."""

import struct

import numpy as np
import pytest
from PIL import Image
from samples import PICTURE, refusal

from gluon_enhance.errors import ImageError
from gluon_enhance.photos import avif, read_image, read_size
from gluon_enhance.photos.heif_items import check_items

BYTES = 1_000_000


def box(kind, *parts, version=None, flags=0):
    head = b"" if version is None else struct.pack(">I", version << 24 | flags)
    body = head + b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def heif(kinds, *, brand=b"heic", parts=1, version=1, hidden=0, properties=b"", end=b""):
    """Make a file whose items have the same bytes, each in so many parts of `BYTES`."""
    wide = "I" if version == 2 else "H"
    entries = [
        box(b"infe", struct.pack(f">{wide}H4s", number, 0, kind), b"\0",
            version=3 if version == 2 else 2, flags=hidden)
        for number, kind in enumerate(kinds)
    ]  # fmt: skip
    layout = f">{wide}{'H' if version else ''}HH"
    places = [
        struct.pack(layout, number, *[0] * (2 if version else 1), parts)
        + struct.pack(">II", 0, BYTES) * parts
        for number in range(len(kinds))
    ]
    count = struct.pack(f">{wide}", len(kinds))
    items = box(b"iinf", struct.pack(">H", len(kinds)), *entries, version=0)
    located = box(b"iloc", b"\x44\0", count, *places, version=version)
    meta = box(b"meta", items, located, box(b"iprp", properties), version=0)
    return box(b"ftyp", brand, bytes(4), b"mif1", brand) + meta + box(b"mdat", bytes(BYTES)) + end


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("kind", [b"Exif", b"mime", b"uri ", b"hvc1"])
def test_items_that_share_their_bytes_may_claim_little_more_than_the_file_has(kind, version):
    check_items(heif([kind] * 60, version=version, hidden=1))
    with pytest.raises(ImageError, match="has items that claim 80,000,000 bytes, and has 1,0"):
        check_items(heif([kind] * 40, version=version, parts=2, hidden=1))


def test_pictures_that_share_data_or_properties_may_claim_little_more(tmp_path):
    check_items(heif([b"Exif"] + [b"hvc1"] * 60, hidden=1))
    with pytest.raises(ImageError, match="has items that claim"):
        check_items(heif([b"Exif"] + [b"hvc1"] * 60))
    with pytest.raises(ImageError, match="has items that claim"):
        check_items(heif([b"hvc1"] * 60, properties=bytes(BYTES)))


def test_items_and_their_parts_are_bounded():
    with pytest.raises(ImageError, match="has over 1,000 items; save it again"):
        check_items(heif([b"Exif"] * 1001))
    with pytest.raises(ImageError, match="has an item in over 32 parts; save it again"):
        check_items(heif([b"Exif"], parts=33))
    with pytest.raises(ImageError, match="has over 1,000 items; save it again"):
        check_items(heif([], end=box(b"free") * 10_000))
    with pytest.raises(ImageError, match="has a box of 7 bytes"):
        check_items(struct.pack(">I4s", 7, b"meta"))


@pytest.mark.parametrize("name", ["a.heic", "a.avif"])
def test_no_decoder_opens_a_file_whose_items_claim_too_much(tmp_path, monkeypatch, name):
    if name == "a.heic":
        pillow_heif = pytest.importorskip("pillow_heif")
        monkeypatch.setattr(pillow_heif, "open_heif", None)
    elif not avif.has_avif():
        pytest.skip("this Pillow does not read AVIF")
    else:
        monkeypatch.setattr("PIL.AvifImagePlugin.AvifImageFile", None)
    data = heif([b"Exif"] * 100, brand=name[2:].encode())
    (tmp_path / name).write_bytes(data)
    assert read_size(tmp_path / name) is None
    assert refusal(tmp_path / name).startswith("has items that claim 100,000,000 bytes")


def test_heic_of_many_pictures_is_read(tmp_path):
    """Each has data of 60 kB, as of a camera."""
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x10E] = "x" * 60_000
    pictures = pillow_heif.HeifFile()
    for _ in range(30):
        pictures.add_from_pillow(Image.fromarray(PICTURE)).info["exif"] = exif.tobytes()
    pictures.save(tmp_path / "a.heic", quality=-1, chroma=444, matrix_coefficients=0)
    photo = read_image(tmp_path / "a.heic")
    assert photo.left_out == ("29 further pictures",) and len(photo.exif) > 60_000
    np.testing.assert_array_equal(photo.pixels, PICTURE)
