"""PNG, of 8 and 16 bits: chunks that say something beside the pixels are kept.

Pillow refuses a sound picture for a profile or text of over 1 MB, and for a wrong checksum in a
chunk that is not needed. So decoders get no other chunks than the picture's.

References
----------
.. [1] W3C, Portable Network Graphics (third edition), sections 5, 9, 11 and 14.2.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, Optional

import numpy as np
from isal import isal_zlib
from PIL.PngImagePlugin import PngImageFile

from gluon_enhance.errors import ImageError
from gluon_enhance.photos.photo import Encoder, Format, Photo, StoredPhoto
from gluon_enhance.photos.sixteen_bits import decode_with_opencv
from gluon_enhance.photos.strips import DEFLATE_LEVEL, channels_of, strips_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_AT = len(SIGNATURE) + 8
"""Where the first chunk's data is: width, height, bits, color type."""
COLOR_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
COLOR_TYPES = {channels: kind for kind, channels in COLOR_CHANNELS.items()}
"""Numbers of channels by the color type, and the other way round; 3, a palette, has 8 bits."""
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
DECODED = (*CRITICAL, b"tRNS", b"pHYs", b"acTL", b"fcTL", b"fdAT")
"""Chunks that decoders get: the picture, its transparency, resolution and animation."""
COLORS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
"""Chunks that tell colors otherwise than by a profile."""
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
OUTDATED = (b"sBIT", b"bKGD", b"hIST", b"sPLT", b"tIME", b"iDOT")
"""Chunks of the pixels that were, which are not missed."""
XMP, COMMENT = b"XML:com.adobe.xmp", b"Comment"
"""Keywords of texts."""
MAX_CHUNKS = 1000
"""Of more, those beside the picture are neither kept nor named."""
UNPACKED, RATIO = 4 << 20, 8
"""Bytes that a chunk of any size may unpack to, and so many for each of its own: profiles and
texts are packed to a half or a quarter."""

SRGB_GAMMA, SRGB_PRIMARIES = 45455, (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
SRGB_CODES = b"\x01\x0d\x00\x01"
"""What gAMA (1 / 2.2), cHRM (white, red, green and blue, x and y) and cICP say of sRGB."""
FILTER_AVERAGE = 3
INCHES_PER_METER = 1 / 0.0254


def open_png(data: bytes) -> StoredPhoto:
    """Take a file apart.

    Raises
    ------
    ValueError
        If it is cut short, or a chunk that is needed has a wrong checksum.
    ImageError
        If it needs a chunk that is not known.
    """
    picture, says, problems = _take_apart(data)
    image = PngImageFile(io.BytesIO(picture))
    decode = partial(_decode, picture, image, says)
    return StoredPhoto(image.size, decode, image.n_frames, says, problems)


def read_size(file: BinaryIO) -> tuple[int, int]:
    """Read width and height from the first chunk; Pillow would unpack the profile too."""
    return struct.unpack_from(">II", file.read(HEADER_AT + 8), HEADER_AT)


def _decode(picture, image, says):
    """Return Pillow's picture, or its 16-bit pixels, (H, W) or (H, W, 2|3|4)."""
    bits, color_type = picture[HEADER_AT + 8 : HEADER_AT + 10]
    if bits < 16:
        return image
    image.load()  # it tells what is damaged, and which color is transparent
    says["dpi"] = image.info.get("dpi")
    channels = COLOR_CHANNELS[color_type]
    pixels = np.atleast_3d(decode_with_opencv(picture))
    if channels == 2:
        pixels = pixels[..., [0, 3]]  # of the RGBA that OpenCV makes
    pixels = pixels[..., :channels]
    if "transparency" in image.info:
        opaque = np.any(pixels != np.array(image.info["transparency"]), axis=2)
        pixels = np.dstack([pixels, opaque * np.uint16(65535)])
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _take_apart(data) -> tuple[bytes, dict, list[str]]:
    """Return the picture alone, fields of a `Photo`, and what is wrong with what is left out."""
    picture, says, problems, tried = bytearray(SIGNATURE), {}, [], set()
    chunks: list[tuple[bytes, bytes]] = []
    left_out: dict[str, bool] = {}  # for a set that keeps the order
    wrong: dict[str, bool] = {}
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
    return bytes(picture), says, problems


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
    """Refuse what unpacks to far more than it has; else return that."""
    inflate = zlib.decompressobj()
    result = inflate.decompress(packed, UNPACKED + RATIO * len(packed))
    if not inflate.eof:
        raise ValueError(f"{len(packed):,} bytes unpack to over {len(result):,}, or are cut short")
    return result


def _only_here(photo) -> list[str]:
    """Name what is lost without a photo's chunks; what says no more than sRGB is not."""
    names = {name for name, _ in photo.chunks}
    lost = []
    for name, body in photo.chunks:
        if name in TEXTS:
            lost.append(f"PNG text {_keyword(body).decode('latin-1')!r}")
        elif name == b"cICP" and body != SRGB_CODES:
            lost.append("colors (cICP)")
        elif name in (b"gAMA", b"cHRM") and not (photo.icc_profile or names & {b"cICP", b"sRGB"}):
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


def write_png(out: BinaryIO, photo: Photo, quality: int) -> None:
    """Write uint8 or uint16 pixels of 1 to 4 channels; `quality` does not matter."""
    pixels = photo.pixels
    height, width = pixels.shape[:2]
    out.write(SIGNATURE)
    header = (width, height, 8 * pixels.itemsize, COLOR_TYPES[channels_of(pixels)], 0, 0, 0)
    _chunk(out, b"IHDR", struct.pack(">IIBBBBB", *header))
    for chunk in _chunks_of(photo):
        _chunk(out, *chunk)
    deflate = isal_zlib.compressobj(DEFLATE_LEVEL)
    above = np.zeros((1, pixels[0].nbytes), np.uint8)
    for strip in strips_of(pixels):
        rows = np.ascontiguousarray(strip, strip.dtype.newbyteorder(">"))
        rows = rows.view(np.uint8).reshape(len(strip), -1)  # bytes, of 16 bits the high one first
        filtered = np.full((len(rows), rows.shape[1] + 1), FILTER_AVERAGE, np.uint8)
        step = channels_of(pixels) * pixels.itemsize
        filtered[:, 1:] = _less_neighbors(rows, np.concatenate([above, rows[:-1]]), step)
        above = rows[-1:]
        _chunk(out, b"IDAT", deflate.compress(filtered))
    _chunk(out, b"IDAT", deflate.flush())
    _chunk(out, b"IEND", b"")


def _chunks_of(photo) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and data of all that is said beside the pixels."""
    if photo.icc_profile:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(photo.icc_profile)
    if photo.dpi:
        per_meter = [round(dpi * INCHES_PER_METER) for dpi in photo.dpi]
        yield b"pHYs", struct.pack(">IIB", *per_meter, 1)
    if photo.exif:
        yield b"eXIf", photo.exif
    yield from photo.chunks
    for keyword, text in ((COMMENT, (photo.comment or "").encode()), (XMP, photo.xmp)):
        if text:
            yield b"iTXt", keyword + b"\0\0\0\0\0" + text


def _less_neighbors(rows, above, step):
    """Subtract the means of the bytes to the left and above: photos get 9% smaller than by one."""
    left = np.zeros_like(rows)
    left[:, step:] = rows[:, :-step]
    return rows - ((left & above) + ((left ^ above) >> 1))  # the mean, rounded down, in 8 bits


def _chunk(out, name, data):
    out.write(struct.pack(">I", len(data)) + name)
    out.write(data)
    out.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))


FORMAT = Format(
    "PNG", (".png",), re.escape(SIGNATURE), read_size, open_png,
    encoder=Encoder(
        write_png, ("uint8", "uint16"), (1, 2, 3, 4), max_side=2**31 - 1,
        holds=("comment",), own={"chunks": _only_here},
    ),
)  # fmt: skip
