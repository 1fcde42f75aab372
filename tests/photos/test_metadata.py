"""What files say beside pixels: kept where the format holds it, checked with Pillow, else named."""

import io
import struct
import time
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import PIL
import pytest
import tifffile
from PIL import Image, IptcImagePlugin
from samples import PICTURE, jpeg_with, png, save

from gluon_enhance.photos import Photo, read_image, write_image
from gluon_enhance.photos.avif import has_avif

SUFFIXES = (".png", ".jpg", ".tif", ".webp", *[".avif"] * has_avif())
TIFF, MM = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/xap/1.0/mm/"
EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
IPTC = b"\x1c\x02\x78\x00\x0bA caption.." + b"\x1c\x02\x50\x00\x04Anna"


def packet(attributes="", inner=""):
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">'
        f'<rdf:Description rdf:about="" xmlns:tiff="{TIFF}" xmlns:xmpMM="{MM}" '
        f'xmlns:stEvt="{EVENT}" xmlns:xmp="http://ns.adobe.com/xap/1.0/" {attributes}>'
        f"<xmp:Rating>5</xmp:Rating>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


def xmp_of(path):
    """The packet of a file, as Pillow finds it, parsed by another parser than ours."""
    if int(PIL.__version__.partition(".")[0]) < 11:
        pytest.skip("this Pillow shows XMP data of some formats only")
    with Image.open(path) as image:
        found = image.info.get("xmp")
    return found and ET.fromstring(found.strip(b"\0").decode())


def values(root, namespace, name):
    key = f"{{{namespace}}}{name}"
    texts = [element.text for element in root.iter(key)]
    return texts + [e.get(key) for e in root.iter() if e.get(key) is not None]


def iptc_of(path):
    with Image.open(path) as image:
        return IptcImagePlugin.getiptcinfo(image)


def copied(path, target, **options):
    write_image(target, read_image(path), **options)
    return target


@pytest.mark.parametrize("target", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_xmp_is_kept_with_the_size_and_orientation_of_the_result(tmp_path, caplog, source, target):
    data = packet(
        'tiff:Orientation="6" tiff:ImageWidth="9"', "<tiff:ImageLength>7</tiff:ImageLength>"
    )
    write_image(tmp_path / f"a{source}", Photo(PICTURE, xmp=data))
    root = xmp_of(copied(tmp_path / f"a{source}", tmp_path / f"b{target}"))
    height, width = PICTURE.shape[:2]
    assert values(root, "http://ns.adobe.com/xap/1.0/", "Rating") == ["5"]
    assert values(root, TIFF, "Orientation") == ["1"]
    assert values(root, TIFF, "ImageWidth") == [str(width)]
    assert values(root, TIFF, "ImageLength") == [str(height)]
    assert not caplog.text


def test_xmp_that_pillow_wrote_is_found(tmp_path):
    for suffix, options in (
        (".jpg", {}),
        (".webp", {}),
        (".tif", {"tiffinfo": {700: packet()}}),
        (".png", {}),
    ):
        path = tmp_path / f"a{suffix}"
        if suffix == ".png":
            chunk = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet())
            path.write_bytes(png(PICTURE, 2, 8, (b"iTXt", chunk)))
        elif suffix == ".jpg":
            jpeg_with(path, (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet()))
        else:
            save(path, PICTURE, **(options or {"xmp": packet()}))
        assert read_image(path).xmp == packet()


@pytest.mark.parametrize("target", [".jpg", ".tif"])
@pytest.mark.parametrize("source", [".jpg", ".tif"])
def test_iptc_is_kept_where_the_format_holds_it(tmp_path, caplog, source, target):
    resources = (
        b"8BIM\x04\x25\0\0\0\0\0\3abc\0" + b"8BIM\x04\x04\3abc" + struct.pack(">I", len(IPTC))
    )
    path = tmp_path / f"a{source}"
    if source == ".jpg":
        jpeg_with(path, (0xED, b"Photoshop 3.0\0" + resources + IPTC + b"\0"))
    else:
        tifffile.imwrite(
            path, PICTURE, photometric="rgb", extratags=[(33723, 7, len(IPTC), IPTC, True)]
        )
    expected = {(2, 120): b"A caption..", (2, 80): b"Anna"}
    assert iptc_of(copied(path, tmp_path / f"b{target}")) == expected
    assert not caplog.text
    copied(path, tmp_path / "b.png")
    assert caplog.messages == [
        f"{tmp_path / 'b.png'} lacks some of its source's data, which is left out: IPTC data"
    ]


def test_iptc_stored_as_32_bit_numbers_is_the_same_bytes(tmp_path):
    padded = IPTC + bytes(-len(IPTC) % 4)
    numbers = struct.unpack(f"<{len(padded) // 4}I", padded)
    tifffile.imwrite(
        tmp_path / "a.tif",
        PICTURE,
        photometric="rgb",
        extratags=[(33723, 4, len(numbers), numbers, True)],
    )
    assert read_image(tmp_path / "a.tif").iptc.rstrip(b"\0") == IPTC.rstrip(b"\0")


def test_comments_go_between_jpeg_png_and_gif(tmp_path, caplog):
    jpeg = jpeg_with(tmp_path / "a.jpg", (0xFE, "Grüße".encode()), (0xFE, b"of two lines\0"))
    text = "Grüße\nof two lines"
    with Image.open(copied(jpeg, tmp_path / "b.png")) as image:
        assert image.text == {"Comment": text}
    with Image.open(copied(tmp_path / "b.png", tmp_path / "c.jpg")) as image:
        assert image.info["comment"] == text.encode()
    gif = save(tmp_path / "a.gif", Image.fromarray(PICTURE[..., 0]), comment=b"made by hand")
    with Image.open(copied(gif, tmp_path / "d.jpg")) as image:
        assert image.info["comment"] == b"made by hand"
    assert not caplog.text
    copied(jpeg, tmp_path / "b.webp")
    assert "left out: comment" in caplog.text


CHUNKS = (
    (b"cICP", bytes([9, 16, 0, 1])),
    (b"gAMA", struct.pack(">I", 100000)),
    (b"cHRM", struct.pack(">8I", *[31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600])),
    (b"tEXt", b"Title\0A title"),
    (b"zTXt", b"parameters\0\0" + zlib.compress(b"a castle, Steps: 20")),
    (b"iTXt", b"Author\0\0\0de\0Autor\0" + "Jürgen".encode()),
)


@pytest.mark.parametrize("bits", [8, 16])
def test_png_s_texts_and_colors_are_kept_in_png_and_named_elsewhere(tmp_path, caplog, bits):
    (tmp_path / "a.png").write_bytes(png(PICTURE, 2, bits, *CHUNKS, (b"sBIT", b"\5\6\5")))
    with Image.open(copied(tmp_path / "a.png", tmp_path / "b.png")) as image:
        image.load()
        texts = {"Title": "A title", "parameters": "a castle, Steps: 20", "Author": "Jürgen"}
        assert image.text == texts
        assert image.info["gamma"] == 1
        assert image.info["chromaticity"][2:4] == (0.708, 0.292)
    assert b"cICP\x09\x10\x00\x01" in (tmp_path / "b.png").read_bytes()
    assert not caplog.text
    copied(tmp_path / "a.png", tmp_path / "b.tif")
    names = "colors (cICP), PNG text 'Title', PNG text 'parameters', PNG text 'Author'"
    assert [message.partition("left out: ")[2] for message in caplog.messages] == [names]


@pytest.mark.parametrize(
    ("chunk", "lost"),
    [
        ((b"gAMA", struct.pack(">I", 45455)), ""),
        ((b"gAMA", struct.pack(">I", 100000)), "colors (gAMA)"),
        (
            (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
            "",
        ),
        (CHUNKS[2], "colors (cHRM)"),
        ((b"sRGB", b"\0"), ""),
        ((b"cICP", bytes([1, 13, 0, 1])), ""),
        ((b"cICP", bytes([1, 8, 0, 1])), "colors (cICP)"),
        ((b"tIME", bytes(7)), ""),
        ((b"caBX", b"signed"), "chunk caBX"),
    ],
)
def test_only_colors_other_than_srgb_s_are_missed_in_a_jpeg(tmp_path, caplog, chunk, lost):
    (tmp_path / "a.png").write_bytes(png(PICTURE, 2, 8, chunk))
    copied(tmp_path / "a.png", tmp_path / "b.jpg")
    assert "".join(message.partition("left out: ")[2] for message in caplog.messages) == lost


def second_picture():
    file = io.BytesIO()
    Image.fromarray(PICTURE[::4, ::4, 0].copy()).save(file, "JPEG")
    return file.getvalue()


ULTRA_HDR = packet(
    'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"',
    '<Container:Directory xmlns:Container="http://ns.google.com/photos/1.0/container/">'
    '<rdf:Seq><rdf:li rdf:parseType="Resource"/></rdf:Seq></Container:Directory>',
)


def test_gain_map_is_named_and_xmp_claims_none(tmp_path, caplog):
    segment = (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + ULTRA_HDR)
    path = jpeg_with(tmp_path / "a.jpg", segment, after=second_picture())
    target = copied(path, tmp_path / "b.jpg")
    assert len(caplog.messages) == 1 and caplog.text.endswith("left out: gain map\n")
    assert b"hdrgm" not in ET.tostring(xmp_of(target)) and b"Directory" not in target.read_bytes()
    assert values(xmp_of(target), "http://ns.adobe.com/xap/1.0/", "Rating") == ["5"]


@pytest.mark.parametrize(
    ("segment", "after"),
    [
        ((0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"), second_picture()),
        (None, second_picture() + b"HDRGainMapVersion"),
    ],
    ids=["ISO", "Apple"],
)
def test_gain_maps_of_other_makers_are_named(tmp_path, caplog, segment, after):
    path = jpeg_with(tmp_path / "a.jpg", *filter(None, [segment]), after=after)
    assert read_image(path).left_out == ("gain map",)
    assert not caplog.text  # nothing is lost by reading


def test_second_picture_is_named_and_a_preview_is_not(tmp_path):
    image = Image.fromarray(PICTURE)
    path = save(tmp_path / "a.jpg", image, "MPO", save_all=True, append_images=[image])
    assert read_image(path).left_out == ("further pictures",)
    data = bytearray(path.read_bytes())
    position = data.index(b"MPF\0") + 4
    order = "<" if data[position : position + 2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, position + 4)
    (count,) = struct.unpack_from(order + "H", data, position + directory)
    for entry in range(position + directory + 2, position + directory + 2 + 12 * count, 12):
        tag, _, _, offset = struct.unpack_from(order + "HHII", data, entry)
        if tag == 0xB002:
            struct.pack_into(order + "I", data, position + offset + 16, 0x010002)
    path.write_bytes(data)
    assert read_image(path).left_out == ()


def test_motion_photo_loses_its_video_with_a_word(tmp_path):
    camera = 'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"'
    segment = (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet(camera))
    path = jpeg_with(tmp_path / "a.jpg", segment, after=b"\0\0\0\x18ftypmp42" + bytes(99))
    assert read_image(path).left_out == ("video (motion photo)",)
    assert b"MotionPhoto" not in copied(path, tmp_path / "b.jpg").read_bytes()


def test_panorama_s_sizes_are_enlarged_with_it(tmp_path):
    height, width = PICTURE.shape[:2]
    sizes = {"FullPanoWidthPixels": 40, "FullPanoHeightPixels": 20, "CroppedAreaTopPixels": 5}
    texts = " ".join(f'GPano:{name}="{size}"' for name, size in sizes.items())
    inner = "<GPano:CroppedAreaImageWidthPixels>10</GPano:CroppedAreaImageWidthPixels>"
    pano = "http://ns.google.com/photos/1.0/panorama/"
    data = packet(f'xmlns:GPano="{pano}" GPano:UsePanoramaViewer="True" {texts}', inner)
    write_image(tmp_path / "a.png", Photo(PICTURE, xmp=data))  # 10 pixels wide, it became 40
    root = xmp_of(tmp_path / "a.png")
    assert width == 40
    for name, size in {**sizes, "CroppedAreaImageWidthPixels": 10}.items():
        assert values(root, pano, name) == [str(4 * size)]
    assert values(root, pano, "UsePanoramaViewer") == ["True"]


@pytest.mark.parametrize("exif", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_software_is_recorded_in_exif_and_in_the_history_of_xmp(tmp_path, suffix, exif):
    data = None
    if exif:
        tags = Image.Exif()
        tags[0x010F], tags[0x0131], tags[0x013B] = "A camera", "Firmware 1.2", "Anna"
        tags[0x8769] = {0x9003: "2024:05:06 07:08:09"}
        data = tags.tobytes()[6:]
    write_image(tmp_path / f"a{suffix}", Photo(PICTURE, exif=data), software="gluon-enhance 7 (x)")
    with Image.open(tmp_path / f"a{suffix}") as image:
        found = image.getexif()
        assert found[0x0131] == "gluon-enhance 7 (x)"
        if exif:
            assert (found[0x010F], found[0x013B]) == ("A camera", "Anna")
            assert found.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
        image.load()
    root = xmp_of(tmp_path / f"a{suffix}")
    path = f".//{{{MM}}}History/{{{RDF}}}Seq/{{{RDF}}}li"
    (event,) = root.findall(path)
    assert event.get(f"{{{EVENT}}}softwareAgent") == "gluon-enhance 7 (x)"
    assert event.get(f"{{{EVENT}}}action") == "edited"
    again = copied(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", software="another")
    agents = [e.get(f"{{{EVENT}}}softwareAgent") for e in xmp_of(again).findall(path)]
    assert agents == ["gluon-enhance 7 (x)", "another"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_recorded_unless_asked(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", Photo(PICTURE))
    assert read_image(tmp_path / f"a{suffix}").xmp is None
    assert not xmp_of(tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert 0x0131 not in image.getexif()


def test_pixels_and_profile_of_a_tiff_are_as_they_were_with_all_kinds_of_data(tmp_path):
    photo = Photo(PICTURE, b"profile", xmp=packet(), iptc=IPTC)
    write_image(tmp_path / "a.tif", photo, software="x")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        tags = tiff.pages[0].tags
        assert tags.valueof(34675) == b"profile" and tags.valueof(33723) == IPTC
        np.testing.assert_array_equal(tiff.asarray(), PICTURE)


@pytest.mark.parametrize("field", ["exif", "xmp", "iptc"])
@pytest.mark.parametrize("excess", [0, 1])
def test_what_is_over_a_jpeg_s_segment_is_named_and_what_fits_is_kept(
    tmp_path, caplog, field, excess
):
    room = {"exif": 65527, "xmp": 65504, "iptc": 65506}[field] + excess
    padding = room - {"exif": 27, "xmp": len(packet()), "iptc": len(IPTC)}[field]
    data = {
        "exif": b"II*\0\x08\0\0\0\1\0\x0e\1\2\0" + struct.pack("<II", padding + 1, 26) + bytes(4),
        "xmp": packet(f'xmp:Label="{"x" * (padding - 12)}"'),
        "iptc": IPTC + bytes(padding),
    }[field]
    if field == "exif":
        data += b"x" * padding + b"\0"
    assert len(data) == room
    write_image(tmp_path / "a.jpg", Photo(PICTURE, **{field: data}))
    kept = getattr(read_image(tmp_path / "a.jpg"), field)
    assert (kept is None) == bool(excess) == bool(caplog.messages)
    if excess:
        assert "left out" in caplog.text and f"{field.upper()} data (over " in caplog.text


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]>" + packet(), "declares a document type"),
        (packet()[:-60], "is no XML"),
        (b"\xff\xfe\0", "can't decode"),
        (packet(inner="<a>" * 5000 + "</a>" * 5000), "too deep"),
        (packet(inner="<a/>" * 300000), "1,000,000 are read"),
        (packet(f'xmlns:a="{"n" * 257}"', "<a:b/>"), "a namespace of 257 characters"),
    ],
    ids=["entities", "cut short", "no text", "deep", "long", "long namespace"],
)
def test_xmp_that_is_damaged_or_hostile_is_left_out_with_a_warning(tmp_path, caplog, data, why):
    write_image(tmp_path / "a.png", Photo(PICTURE, xmp=data), software="x")
    assert read_image(tmp_path / "a.png").xmp is None
    assert len(caplog.messages) == 1 and why in caplog.text


GAIN_MAP = 'xmlns:g="http://ns.adobe.com/hdr-gain-map/1.0/"'


def test_outdated_properties_of_xmp_are_left_out_wherever_they_stand(tmp_path):
    inner = '<g:a/><xmp:Label g:b="1" xmp:c="2">x<g:a><g:a/></g:a>y</xmp:Label><g:a/>'
    write_image(tmp_path / "a.png", Photo(PICTURE, xmp=packet(f'{GAIN_MAP} g:a="1"', inner)))
    data = read_image(tmp_path / "a.png").xmp
    assert b"g:a" not in data and b"g:b" not in data
    assert b'<xmp:Label xmp:c="2">xy</xmp:Label>' in data


def test_time_for_outdated_properties_of_xmp_is_in_proportion_to_their_number(tmp_path):
    """What is found by a search each, behind as many that stay, takes over 5 s."""
    data = packet(GAIN_MAP, "<b/>" * 20_000 + "<g:a/>" * 20_000)
    start = time.process_time()
    write_image(tmp_path / "a.png", Photo(PICTURE, xmp=data))
    assert time.process_time() - start < 2.5
    assert b"g:a" not in read_image(tmp_path / "a.png").xmp
