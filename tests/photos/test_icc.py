"""Color profiles that lcms would follow for minutes, or take memory for: it sees one tag only."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms
from samples import gray_ink_profile, refusal, save

from gluon_enhance.photos import read_image
from gluon_enhance.photos.icc import reduced

INKS = Image.fromarray(np.random.default_rng(3).integers(0, 256, (16, 16, 4), np.uint8), "CMYK")


def with_tags(profile, **tags):
    """Put other tags in a profile, or more."""
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = (struct.unpack_from(">4sII", profile, 132 + 12 * k) for k in range(count))
    old = {name.decode(): profile[start : start + size] for name, start, size in entries}
    tags = {name: data + bytes(-len(data) % 4) for name, data in {**old, **tags}.items()}
    listed, body, start = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        listed += struct.pack(">4sII", name.encode(), start + len(body), len(data))
        body += data
    size = struct.pack(">I", start + len(body))
    return size + profile[4:128] + struct.pack(">I", len(tags)) + listed + body


def chain(count):
    """A table in floats that names one element many times; the result is black."""
    matrix = b"matf" + bytes(4) + struct.pack(">HH", 4, 4) + bytes(4 * (4 * 4 + 4))
    last = b"matf" + bytes(4) + struct.pack(">HH", 4, 3) + bytes(4 * (4 * 3 + 3))
    start = 16 + 8 * (count + 1)
    places = struct.pack(">II", start, len(matrix)) * count
    places += struct.pack(">II", start + len(matrix), len(last))
    return b"mpet" + bytes(4) + struct.pack(">HHI", 4, 3, count + 1) + places + matrix + last


def two_step_table(width=1, steps=2):
    """A table of a profile of version 4, with straight curves."""
    curves = (b"para" + bytes(4) + struct.pack(">HHi", 0, 0, 65536)) * 3
    matrix = struct.pack(">12i", *[65536, 0, 0, 0] * 3)
    table = bytes([steps] * 4 + [0] * 12 + [width, 0, 0, 0]) + bytes(range(48 * width))
    parts, places = b"", []
    for part in (curves, matrix, curves, table, curves + curves[:16]):
        places.append(32 + len(parts))
        parts += part
    return b"mAB " + bytes(4) + bytes([4, 3, 0, 0]) + struct.pack(">5I", *places) + parts


def in_srgb(profile):
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(
        ImageCms.profileToProfile(INKS, opened, ImageCms.createProfile("sRGB"), outputMode="RGB")
    )


@pytest.mark.parametrize("count", [1, 100_000])
def test_tables_in_floats_are_left_out(tmp_path, count):
    profile = with_tags(gray_ink_profile(), D2B0=chain(count))
    path = save(tmp_path / "a.jpg", INKS, icc_profile=profile)
    plain = save(tmp_path / "b.jpg", INKS, icc_profile=gray_ink_profile())
    np.testing.assert_array_equal(read_image(path).pixels, read_image(plain).pixels)


@pytest.mark.parametrize("width", [1, 2])
def test_colors_are_those_of_the_whole_profile(width):
    profile = with_tags(gray_ink_profile(), wtpt=bytes(20), A2B1=b"junk")
    for whole in (profile, with_tags(profile, A2B0=two_step_table(width))):
        assert len(reduced(whole)) < len(whole)
        np.testing.assert_array_equal(in_srgb(reduced(whole)), in_srgb(whole))


LARGE_TABLES = {
    "mft1": struct.pack(">8B", 0, 0, 0, 0, 4, 3, 150, 0) + bytes(2000),
    "mft2": struct.pack(">8B", 0, 0, 0, 0, 4, 3, 120, 0) + bytes(36) + b"\1\0\1\0" + bytes(5000),
    "mAB ": two_step_table(2, 120)[4:],
}


@pytest.mark.parametrize("kind", LARGE_TABLES)
def test_table_that_claims_more_than_its_tag_has_is_refused(tmp_path, kind):
    profile = with_tags(gray_ink_profile(), A2B0=kind.encode() + LARGE_TABLES[kind])
    said = refusal(save(tmp_path / "a.jpg", INKS, icc_profile=profile))
    assert said == (
        "is CMYK with a color profile that fails (its tag A2B0 is cut short); convert it to RGB"
    )


@pytest.mark.parametrize(
    ("profile", "fault"),
    [
        (with_tags(gray_ink_profile(), A2B0=chain(2)), "its tag A2B0 is of the type b'mpet'"),
        (gray_ink_profile()[:-1], "its tag A2B0 ends beyond it"),
        (gray_ink_profile()[:140], "it is cut short"),
        (gray_ink_profile()[:128] + struct.pack(">I", 101) + bytes(1212), "it has 101 tags"),
        (gray_ink_profile()[:128] + bytes(4), "it has none of the tags A2B0 and kTRC"),
        (with_tags(gray_ink_profile(), A2B0=b"mft1" + bytes(1 << 24)), "over 16,777,216 bytes"),
    ],
    ids=["type", "beyond", "cut", "many", "none", "large"],
)
def test_profile_that_does_not_fit_is_a_fault(profile, fault):
    with pytest.raises(ValueError) as error:
        reduced(profile)
    assert fault in str(error.value)
