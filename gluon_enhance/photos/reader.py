"""Read photos upright, in gray or RGB with or without alpha, at the depth they were stored in.

References
----------
.. [1] RFC 9649 (WebP), section 2.
.. [2] AOMedia, AV1 Codec ISO Media File Format Binding, section 2.3.
.. [3] ISO/IEC 14496-12, section 12.1.5; the numbers are ITU-T H.273's.
"""

from __future__ import annotations

import io
import logging
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from gluon_enhance.errors import ImageError
from gluon_enhance.photos import deep, exif
from gluon_enhance.photos.conversion import in_srgb
from gluon_enhance.photos.formats import HEAD_BYTES, NAMES, format_of, has_avif
from gluon_enhance.photos.heif import HeicFile
from gluon_enhance.photos.jpeg import read_jpeg
from gluon_enhance.photos.photo import Contents, Photo
from gluon_enhance.photos.png import read_png

logger = logging.getLogger(__name__)

MAX_PIXELS = 512_000_000
"""Larger pictures are refused by their header: a file of few bytes can claim to be one."""
SMALL_PIXELS = 16_000_000
PIXELS_PER_BYTE = {"JPEG": 512, "BMP": 128, "GIF": 2_800}
DEFLATED_PIXELS_PER_BYTE = 10_000
"""So many pixels a file of any size may claim to have, and so many for each of its bytes, by the
format. JPEG needs a bit for 64 pixels, BMP two bytes for 255, GIF 12 bits for 4,096 at most; with
deflate plain pictures have up to 8,000, of one color and 1 bit."""
MISSING = 0.01
"""The largest share of the pixels that a TIFF file may lack, unless reading is strict."""

BIG_TIFF = (b"II+\0", b"MM\0+")
TAKE_APART = {"PNG": read_png, "JPEG": read_jpeg}
"""Formats whose files are read by their parts; decoders get others whole."""
PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""By the color type."""
MODES = {"1": "L", "L": "L", "LA": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBA": "RGBA"}
"""Pillow's modes that are read, and what becomes of them."""
SRGB_PRIMARIES = (1, 2, 5, 6)
"""BT.709, unspecified, and those of television, which are near."""
HDR_TRANSFERS = (16, 18)
"""PQ and HLG."""
OPENERS = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "WebP": WebPImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
}
DECODING_ERRORS = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, SyntaxError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip
"""What decoders raise on damaged data."""


def read_image(path: str | os.PathLike, *, strict: bool = False) -> Photo:
    """Read a PNG, JPEG, TIFF, WebP, AVIF, HEIC, BMP or GIF file.

    Palettes become RGB, 1-bit pictures gray, CMYK sRGB by way of its profile; one transparent
    color becomes alpha. The orientation of the EXIF data is applied and set to 1.

    Parameters
    ----------
    path : path
        The content decides the format, not the suffix.
    strict : bool
        Refuse a JPEG that is cut short, and a TIFF that lacks a strip or tile. Otherwise what is
        there of the JPEG is read, with a warning; the rest is gray, or coarse. Of a TIFF that is
        uncompressed, or compressed by deflate or PackBits, up to 1% may be missing, which is blank.

    Returns
    -------
    Photo

    Raises
    ------
    ImageError
        If there is no such file, it is damaged or cut short, or holds what is not enhanced:
        several frames, over `MAX_PIXELS` pixels, other color spaces, values that are not finite
        or outside [0, 1].

    Examples
    --------
    >>> photo = read_image("photo.jpg")
    >>> photo.pixels.shape, photo.pixels.dtype, photo.format
    ((16, 20, 3), dtype('uint8'), 'JPEG')
    """
    path = Path(path)
    data, name = _read_bytes(path)
    problems = []
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata we say it
            if name in ("TIFF", "HEIC"):
                photo = {"TIFF": _decode_tiff, "HEIC": _decode_heic}[name](data, problems, strict)
            else:
                photo = _decode(data, name, problems, strict)
    except ImageError as error:
        raise ImageError(f"{path} {error}") from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, for WebP and GIF only
        raise ImageError(f"{path} is too large ({error}); cut it into parts") from error
    except DECODING_ERRORS as error:
        if str(error).startswith("Unsupported"):
            raise ImageError(
                f"{path} is of a kind not read here ({error}); save it as PNG"
            ) from error
        reason = " ".join(str(error).split())[:200]
        raise ImageError(
            f"{path} is damaged or cut short ({reason}); get the file again"
        ) from error
    if problems:
        logger.warning("%s %s", path, "; it ".join(problems))
    return photo


def read_size(path: str | os.PathLike) -> Optional[tuple[int, int]]:
    """Read a picture's width and height, as stored, from its header; None if there is no such."""
    try:
        if not os.path.isfile(path):  # to open a pipe could wait for ever
            return None
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            head = file.read(HEAD_BYTES)
            form = format_of(head)
            file.seek(0)
            if form is None:
                return None
            if form.name == "PNG":  # of which Pillow would unpack the profile
                return struct.unpack_from(">II", head, 16)
            if form.name == "TIFF":
                return deep.read_tiff_size(file)
            image = HeicFile(file.read()) if form.name == "HEIC" else _open(file, form.name)
            return image.size
    except (ImageError, Image.DecompressionBombError, *DECODING_ERRORS):
        return None


def _read_bytes(path) -> tuple[bytes, str]:
    """Return a file's content and the name of its format."""
    try:
        if path.exists() and not path.is_file():
            raise ImageError(f"{path} is {'a folder' if path.is_dir() else 'no file'}; name a file")
        with path.open("rb") as file:
            data = file.read(HEAD_BYTES)
            form = format_of(data)
            if form and data[:4] not in BIG_TIFF:  # what is not read may be large
                file.seek(0)
                data = file.read()
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read ({error.strerror}); check its name and rights"
        ) from error
    if not data:
        raise ImageError(f"{path} is empty (0 bytes); get the file again")
    if form is None:
        raise ImageError(f"{path} is no {NAMES} file; convert it to one")
    if data[:4] in BIG_TIFF:
        raise ImageError(
            f"{path} is a BigTIFF file, not supported for photos; save it as plain TIFF"
        )
    return data, form.name


def _decode(data, name, problems, strict) -> Photo:
    contents = TAKE_APART.get(name, _whole)(data)
    problems += contents.problems
    if contents.is_cut:
        if strict:
            raise ImageError("is cut short; get the file again")
        problems.append("is cut short: what is missing of the picture is gray or coarse")
    image = _open(io.BytesIO(contents.picture), name)
    _check_extent(*image.size, getattr(image, "n_frames", 1), len(data), name)
    image.load()
    if image.format == "PNG" and data[24] == 16:
        channels = PNG_CHANNELS[data[25]]
        pixels = deep.decode_png(contents.picture, channels, image.info.get("transparency"))
    else:
        pixels = _pixels(image)
    says = {**_said(image), **contents.says}
    orientation, says["exif"] = _read_exif(says.get("exif"), problems)
    if image.mode == "CMYK":  # it became sRGB, which needs no profile
        says["icc_profile"] = None
    if name == "AVIF":
        if _is_deep_avif(data):
            problems.append("has more than 8 bits, of which 8 are read")
        problems += _unlike_srgb(data, image.info)
    return Photo(
        _upright(pixels, orientation), format=image.format, dpi=_dpi(image),
        lossless=name == "WebP" and _is_lossless_webp(data), **says,
    )  # fmt: skip


def _whole(data) -> Contents:
    return Contents(data, {}, [])


def _said(image) -> dict:
    """Return the fields of a `Photo` that Pillow has found."""
    says = {name: image.info.get(name) or None for name in ("icc_profile", "exif", "xmp")}
    comment = image.info.get("comment")
    says["comment"] = comment.decode("latin-1") if isinstance(comment, bytes) else comment
    return says


def _is_lossless_webp(data) -> bool:
    """Look for the chunk of a lossless picture [1]_."""
    position = 12
    while position + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, position)
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        position += 8 + size + size % 2
    return False


def _is_deep_avif(data) -> bool:
    """Read the flag high_bitdepth of the codec's configuration [2]_."""
    start = data.find(b"av1C")
    return start >= 0 and bool(data[start + 6 : start + 7] and data[start + 6] & 0x40)


def _unlike_srgb(data, info) -> list[str]:
    """Say of AVIF and HEIC that numbers in place of a profile [3]_ tell colors unlike sRGB."""
    start = data.find(b"colrnclx")
    if info.get("icc_profile") or not 0 <= start <= len(data) - 12:
        return []
    primaries, transfer = struct.unpack_from(">HH", data, start + 8)
    if primaries in SRGB_PRIMARIES and transfer not in HDR_TRANSFERS:
        return []
    return [
        f"has colors of another space than sRGB (primaries {primaries}, transfer {transfer}), "
        "which is not kept; convert it first"
    ]


def _decode_heic(data, problems, _) -> Photo:
    file = HeicFile(data)
    _check_extent(*file.size, 1, len(data), "HEIC")
    left_out = []
    if file.count > 1:
        left_out.append(f"{file.count - 1} further pictures")
    if any("gainmap" in kind for kind in file.info.get("aux", ())):
        left_out.append("gain map")
    problems += _unlike_srgb(data, file.info)
    _, exif_data = _read_exif(file.info.get("exif"), problems)
    return Photo(
        file.decode(), file.info.get("icc_profile") or None, exif_data, format="HEIC",
        xmp=file.info.get("xmp") or None, left_out=tuple(left_out),
    )  # fmt: skip


def _open(file, name) -> Image.Image:
    """Read the header of a file of the format of this name.

    `PIL.Image.open` is passed by: its limit on pixels is a global of the process, and it would
    take a JPEG with an appended preview or gain map for an animation.
    """
    if name != "AVIF":
        return OPENERS[name](file)
    if not has_avif():
        raise ImageError("is AVIF, which needs pip install 'Pillow>=11.3'")
    from PIL.AvifImagePlugin import AvifImageFile

    return AvifImageFile(file)


def _decode_tiff(data, problems, strict) -> Photo:
    header = deep.read_tiff_header(io.BytesIO(data))
    _check_extent(header.width, header.height, header.frames, len(data), "TIFF")
    _check_tiff(header, len(data))
    _check_missing(header, problems, strict)
    orientation, data = exif.take_orientation(data)
    says = header.says
    try:
        # Pillow refuses what lacks a strip, or takes the file's first bytes for it.
        is_ours = header.is_deep or header.missing
        pixels = deep.decode_tiff(data) if is_ours else _decode_8_bits(data, says)
    except DECODING_ERRORS as error:
        if header.rare:
            raise ImageError(header.rare) from error
        if isinstance(error, SyntaxError):  # Pillow has no mode for it
            raise ImageError(f"has {header.layout}, not supported; save it as RGB") from error
        raise
    try:
        says["exif"] = exif.from_tiff(data)
    except ValueError as error:
        problems.append(f"has damaged EXIF data, which is left out: {error}")
    return Photo(_upright(pixels, orientation), format="TIFF", **says)


def _check_tiff(header, size):
    """Check what a directory can claim beyond the picture's extent."""
    if header.depth > 1:
        raise ImageError(f"holds {header.depth} layers (ImageDepth); save the one you want")
    if header.padded != (header.width, header.height):
        try:
            _check_extent(*header.padded, 1, size, "TIFF")
        except ImageError as error:
            raise ImageError(f"has strips or tiles whose whole {error}") from error
    # Decoders read all values and all strips, however often they share the same bytes.
    if header.value_bytes > 2 * size:
        raise ImageError(f"is damaged: its tags claim {header.value_bytes:,} bytes of {size:,}")
    if header.stored_bytes > 2 * max(size, header.unpacked_bytes):
        raise ImageError(f"is damaged: its pixels claim {header.stored_bytes:,} bytes of {size:,}")


def _check_missing(header, problems, strict):
    if not header.missing:
        return
    lacks = f"lacks {100 * header.missing:.3g}% of its pixels"
    if strict or header.missing > MISSING or not header.is_unpacked_here:
        raise ImageError(f"{lacks} (strips or tiles that are not there); get the file again")
    problems.append(f"{lacks}, which are blank")


def _decode_8_bits(data, says) -> np.ndarray:
    image = TiffImageFile(io.BytesIO(data))
    image.load()
    if image.mode == "CMYK":  # it becomes sRGB, which needs no profile
        says.pop("icc_profile", None)
    return _pixels(image)


def _check_extent(width, height, frames, size, name):
    if width < 1 or height < 1:
        raise ImageError(f"is {width}x{height}: it holds no pixel")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"is {width}x{height}: over the limit of {MAX_PIXELS // 10**6} "
            "megapixels; cut it into parts"
        )
    per_byte = PIXELS_PER_BYTE.get(name, DEFLATED_PIXELS_PER_BYTE)
    if width * height > SMALL_PIXELS + per_byte * size:
        raise ImageError(f"is {width}x{height} in {size:,} bytes: no photo is as small")
    if frames != 1:
        raise ImageError(f"holds {frames} frames; save the one you want by itself")


def _pixels(image) -> np.ndarray:
    """Convert what Pillow has decoded to gray or RGB, with or without alpha."""
    if image.mode == "CMYK":
        image = _cmyk_to_srgb(image)
    if image.mode not in MODES:
        raise ImageError(f"has colors of the kind {image.mode}; convert it to RGB")
    return plain_pixels(image)


def plain_pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels of a picture in one of `MODES`; transparency becomes alpha."""
    mode = MODES[image.mode]
    if "transparency" in image.info and not mode.endswith("A"):
        mode += "A"
    return np.array(image if image.mode == mode else image.convert(mode))


def _cmyk_to_srgb(image) -> Image.Image:
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if not profile:
        raise ImageError("is CMYK without a color profile; convert it to RGB")
    try:
        return in_srgb(image, profile)
    except (ImageCms.PyCMSError, OSError) as error:
        raise ImageError(
            f"is CMYK with a color profile that fails ({error!s:.200}); convert it to RGB"
        ) from error


def _read_exif(data, problems) -> tuple[int, Optional[bytes]]:
    """Return the orientation, and the EXIF data with orientation 1; damaged data is left out."""
    if not data:
        return 1, None
    try:
        orientation, data = exif.take_orientation(data.removeprefix(exif.PREFIX))
        exif.resized(data, 1, 1)
    except ValueError as error:
        problems.append(f"has damaged EXIF data, which is left out: {error}")
        return 1, None
    return orientation, data


def _upright(pixels, orientation) -> np.ndarray:
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def _dpi(image) -> Optional[tuple[float, float]]:
    try:
        horizontal, vertical = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    # JPEG holds 16 bits; some writers put 0 or nonsense there.
    fits = 1 <= horizontal < 65536 and 1 <= vertical < 65536
    return (horizontal, vertical) if fits else None
