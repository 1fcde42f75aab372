"""PNG's chunks: what a file says beside its pixels, and the file as decoders take it.

Pillow refuses a sound picture for a profile or text of over 1 MB, and for a wrong checksum in a
chunk that is not needed. So decoders get no other chunks than the picture's.

References
----------
.. [1] W3C, Portable Network Graphics (third edition), sections 5, 11 and 14.2.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Optional

from gluon_enhance.errors import ImageError
from gluon_enhance.photos.photo import Contents

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
DECODED = (*CRITICAL, b"tRNS", b"pHYs", b"acTL", b"fcTL", b"fdAT")
COLORS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
OUTDATED = (b"sBIT", b"bKGD", b"hIST", b"sPLT", b"tIME", b"iDOT")
"""Of the pixels that were."""
XMP, COMMENT = b"XML:com.adobe.xmp", b"Comment"
MAX_CHUNKS = 1000
"""That are kept or named."""
UNPACKED, RATIO = 4 << 20, 8
"""Bytes that a chunk of any size may unpack to, and so many for each of its own."""

SRGB_GAMMA, SRGB_PRIMARIES = 45455, (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
SRGB_CODES = b"\x01\x0d\x00\x01"
"""What gAMA, cHRM and cICP say of sRGB."""


def read_png(data: bytes) -> Contents:
    """Take a file apart.

    Raises
    ------
    ValueError
        If it is cut short, or a chunk that is needed has a wrong checksum.
    ImageError
        If it needs a chunk that is not known.
    """
    picture, says, problems = bytearray(SIGNATURE), {}, []
    chunks, left_out, wrong, tried = [], {}, {}, set()
    for name, whole, is_sound in _chunks(data):
        if is_sound and name in DECODED:
            picture += whole
            continue
        body, label = bytes(whole[8:-4]), name.decode()
        field = _field(name, body)
        if len(chunks) + len(left_out) + len(wrong) >= MAX_CHUNKS:
            left_out["further chunks"] = True
        elif not is_sound:
            wrong[label] = True
        elif field and field not in tried:
            tried.add(field)
            try:
                says[field] = _value(name, body)
            except (ValueError, zlib.error) as error:
                problems.append(f"has a chunk {label} that is left out: {error}")
        elif name in COLORS or (name[3:].islower() and name != b"oFFs"):
            chunks.append((name, body))  # texts, and what by its name may be copied
        elif name not in OUTDATED:
            left_out[f"chunk {label}"] = True
    if wrong:
        problems.append(f"has wrong checksums in chunks that are left out: {', '.join(wrong)}")
    says.update(chunks=tuple(chunks), left_out=tuple(left_out))
    return Contents(bytes(picture), says, problems)


def _chunks(data) -> Iterator[tuple[bytes, memoryview, bool]]:
    """Yield name, the whole chunk, and whether its checksum is right."""
    position, name, view = len(SIGNATURE), b"", memoryview(data)
    while name != b"IEND":
        if position + 12 > len(data):
            raise ValueError("its end is missing")
        size, name = struct.unpack_from(">I4s", data, position)
        whole = view[position : position + 12 + size]
        if len(whole) < 12 + size:
            raise ValueError(f"its chunk {name!r} ends beyond the file")
        is_sound = zlib.crc32(whole[4:-4]) == int.from_bytes(whole[-4:], "big")
        if not name.isalpha() or (name[:1].isupper() and not is_sound):
            raise ValueError(f"its chunk {name!r} has a wrong checksum")
        if name[:1].isupper() and name not in CRITICAL:
            what = "Apple's PNG for apps" if name == b"CgBI" else f"a PNG with a chunk {name!r}"
            raise ImageError(f"is {what}, which is not supported; save it as plain PNG")
        yield name, whole, is_sound
        position += 12 + size


def _keyword(body) -> bytes:
    return body[:80].partition(b"\0")[0]


def _field(name, body) -> Optional[str]:
    """Return which field of a `Photo` a chunk is, if any."""
    if name in TEXTS:
        return {XMP: "xmp", COMMENT: "comment"}.get(_keyword(body))
    return {b"iCCP": "icc_profile", b"eXIf": "exif"}.get(name)


def _value(name, body):
    """Return a field's value: a text of a comment, else bytes."""
    if name == b"eXIf":
        return body
    keyword = _keyword(body)
    rest = body[len(keyword) + 1 :]
    if name in (b"iCCP", b"zTXt"):
        rest = _unpacked(rest[1:])
    elif name == b"iTXt":
        is_packed, (_, _, rest) = rest[:1] == b"\1", rest[2:].split(b"\0", 2)
        rest = _unpacked(rest) if is_packed else rest
    if name == b"iCCP" or keyword == XMP:
        return rest
    return rest.decode("utf-8" if name == b"iTXt" else "latin-1")


def _unpacked(packed) -> bytes:
    inflate = zlib.decompressobj()
    result = inflate.decompress(packed, UNPACKED + RATIO * len(packed))
    if not inflate.eof:
        raise ValueError(f"{len(packed):,} bytes unpack to over {len(result):,}, or are cut short")
    return result


def text_chunk(keyword: bytes, text: bytes) -> tuple[bytes, bytes]:
    """Return name and data of a chunk that holds a text in UTF-8."""
    return b"iTXt", keyword + b"\0\0\0\0\0" + text


def described(chunks, has_profile: bool) -> list[str]:
    """Name what is lost where chunks are left out; what says no more than sRGB is not."""
    names = {name for name, _ in chunks}
    lost = []
    for name, body in chunks:
        if name in TEXTS:
            lost.append(f"PNG text {_keyword(body).decode('latin-1')!r}")
        elif name == b"cICP" and body != SRGB_CODES:
            lost.append("colors (cICP)")
        elif name in (b"gAMA", b"cHRM") and not (has_profile or names & {b"cICP", b"sRGB"}):
            lost += [] if _is_srgb(name, body) else [f"colors ({name.decode()})"]
        elif name not in COLORS:
            lost.append(f"chunk {name.decode()}")
    return lost


def _is_srgb(name, body) -> bool:
    """Tell whether gamma or primaries are sRGB's, to a hundredth."""
    expected = (SRGB_GAMMA,) if name == b"gAMA" else SRGB_PRIMARIES
    if len(body) != 4 * len(expected):
        return True  # it says nothing
    found = struct.unpack(f">{len(expected)}I", body)
    return all(abs(a - b) <= 1000 for a, b in zip(found, expected))
