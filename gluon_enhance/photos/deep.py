"""What Pillow would reduce to 8 bits or not read at all: 16-bit PNG, 16-bit and floating TIFF."""

from __future__ import annotations

import io
from typing import BinaryIO, NamedTuple, Optional

import numpy as np

from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.arrays import dtype_range, to_dtype, to_float
from gluon_enhance.photos import tiff

MIN_IS_WHITE, GRAYS_AND_RGB = 0, (0, 1, 2)
ASSOCIATED, UNASSOCIATED = 1, 2
"""What TIFF's ExtraSamples says of an alpha channel: multiplied into the colors, or not."""
XMP, IPTC, ICC_PROFILE, LAYERS = 700, 33723, 34675, 37724
"""Tags; the last one is Photoshop's."""
FIELDS = {"xmp": XMP, "iptc": IPTC, "icc_profile": ICC_PROFILE}
OLD_JPEG = 6
READ = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))
COMMON_CODECS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946)
"""What every build of libtiff decodes: fax, LZW and JPEG too."""
OWN_CODECS = (tiff.NONE, *tiff.DEFLATE, tiff.PACK_BITS)
"""What `tiff.decode` unpacks; the others need OpenCV."""
COMPRESSIONS = {5: "LZW", 7: "JPEG", 34712: "JPEG2000", 34887: "LERC", 34925: "LZMA",
                50000: "ZSTD", 50001: "WEBP"}  # fmt: skip
COLORS = {3: "PALETTE", 4: "MASK", 5: "SEPARATED", 6: "YCBCR", 8: "CIELAB", 9: "ICCLAB",
          32803: "CFA", 34892: "LINEAR_RAW"}  # fmt: skip
"""Names of what is not read, or not with all depths."""


class TiffHeader(NamedTuple):
    """What the directories of a TIFF file say."""

    width: int
    height: int
    frames: int
    padded: tuple[int, int]
    """Width and height of all strips or tiles together, which reach beyond the picture."""
    depth: int
    missing: float
    """The share of the pixels whose strips or tiles are not there."""
    is_unpacked_here: bool
    """Whether `decode_tiff` leaves blank what is missing."""
    value_bytes: int
    """What all tags hold together."""
    stored_bytes: int
    """What all strips or tiles hold together, which may share their bytes."""
    unpacked_bytes: int
    """The most that they may hold unpacked."""
    is_deep: bool
    says: dict
    """Fields of a `Photo`."""
    layout: str
    rare: str
    """Why a decoder may fail although the file is sound; empty where all decoders can."""


def read_tiff_header(file: BinaryIO) -> TiffHeader:
    """Read the header; previews and masks do not count as frames.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    pages = tiff.read_directories(file)
    page = pages[0]
    width, height = page.number(tiff.WIDTH), page.number(tiff.LENGTH)
    compression = page.number(tiff.COMPRESSION)
    padded, missing, stored = (width, height), 0.0, 0
    if compression != OLD_JPEG and width and height:
        segments = tiff.segments_of(page)
        padded = segments.across * segments.width, segments.down * segments.height
        missing = tiff.missing_share(page, segments)
        stored = int(np.minimum(segments.counts, page.file_size).sum())
    channels, color = page.number(tiff.SAMPLES), page.number(tiff.PHOTOMETRIC)
    return TiffHeader(
        width=width,
        height=height,
        frames=sum(not page.is_preview for page in pages),
        padded=padded,
        depth=page.number(tiff.IMAGE_DEPTH),
        missing=missing,
        is_unpacked_here=_is_unpacked_here(page) and page.dtype in READ and color in GRAYS_AND_RGB,
        value_bytes=page.value_bytes,
        stored_bytes=stored,
        unpacked_bytes=padded[0] * padded[1] * channels * max(1, page.number(tiff.BITS) // 8),
        is_deep=page.dtype != np.uint8 or _is_gray_with_odd_alpha(page),
        says=_fields(page),
        layout=f"{channels} channels of the kind {COLORS.get(color, color)}",
        rare="" if compression in COMMON_CODECS else _refusal(compression),
    )


def read_tiff_size(file: BinaryIO) -> tuple[int, int]:
    """Read width and height of the first page.

    Raises
    ------
    ValueError
        If its directory is damaged.
    """
    (page,) = tiff.read_directories(file, 1)
    return page.number(tiff.WIDTH), page.number(tiff.LENGTH)


def _is_gray_with_odd_alpha(page) -> bool:
    """Tell whether alpha goes with a gray that Pillow has no mode for."""
    is_plain = page.number(tiff.PHOTOMETRIC) != MIN_IS_WHITE and ASSOCIATED not in extra_samples(
        page
    )
    return page.number(tiff.SAMPLES) == 2 and page.dtype == np.uint8 and not is_plain


def _is_unpacked_here(page) -> bool:
    return page.number(tiff.COMPRESSION) in OWN_CODECS and page.number(tiff.PREDICTOR) in (1, 2)


def extra_samples(page) -> tuple[int, ...]:
    """Return what a directory says of the samples beyond the colors, such as `ASSOCIATED`."""
    values = page.values(tiff.EXTRA_SAMPLES)
    return () if values is None else tuple(values.tolist())


def _fields(page) -> dict:
    says = {name: page.bytes(tag) for name, tag in FIELDS.items()}
    says = {name: value for name, value in says.items() if value is not None}
    if LAYERS in page:
        says["left_out"] = ("Photoshop layers",)
    return says


def decode_tiff(data: bytes) -> np.ndarray:
    """Decode the first page of a TIFF file.

    Parameters
    ----------
    data : bytes
        With orientation 1: OpenCV applies it, `tiff.decode` does not.

    Returns
    -------
    ndarray of shape (H, W) or (H, W, 2|3|4), uint8, uint16 or float32 in [0, 1]

    Raises
    ------
    ImageError
        If the pixels are of another kind, or cut short.
    """
    (page,) = tiff.read_directories(io.BytesIO(data), 1)
    segments = tiff.segments_of(page)
    alpha = _check_kind(page)
    there = ~segments.missing
    if (segments.offsets + segments.counts)[there].max() > len(data):
        raise ImageError("is cut short; get the file again")
    pixels = _decode_page(page, segments, data)
    if pixels.dtype.kind == "f":
        try:
            to_float(pixels)
        except ValueError as error:
            raise ImageError(f"is no photo: {error!s:.200}") from error
    pixels = unassociated(pixels) if alpha == ASSOCIATED else pixels
    if page.number(tiff.PHOTOMETRIC) == MIN_IS_WHITE:
        inverted = pixels.dtype.type(dtype_range(pixels.dtype)) - pixels
        if alpha:
            inverted[..., -1] = pixels[..., -1]
        return inverted
    return pixels


def _check_kind(page) -> Optional[int]:
    """Check that the pixels are of a kind that is read; return the kind of alpha."""
    bits, color, channels = (
        page.number(tag) for tag in (tiff.BITS, tiff.PHOTOMETRIC, tiff.SAMPLES)
    )
    if page.dtype not in READ or bits != 8 * page.dtype.itemsize:
        raise ImageError(
            f"has {bits}-bit values of type {page.dtype}; save it with 8 or 16 "
            "bits, or as 32-bit float"
        )
    if color not in GRAYS_AND_RGB:
        raise ImageError(
            f"has {bits}-bit colors of the kind {COLORS.get(color, color)}; convert it to RGB"
        )
    # Some writers leave out what a fourth channel is; it is alpha.
    extra = extra_samples(page) or (UNASSOCIATED,)
    has_alpha = channels % 2 == 0 and extra[-1] in (ASSOCIATED, UNASSOCIATED)
    if channels - has_alpha not in (1, 3):
        raise ImageError(f"has {channels} channels; need gray or RGB, with or without alpha")
    return extra[-1] if has_alpha else None


def _decode_page(page, segments, data) -> np.ndarray:
    channels, compression = page.number(tiff.SAMPLES), page.number(tiff.COMPRESSION)
    is_plain = page.number(tiff.PLANAR) == 1 and page.number(tiff.PHOTOMETRIC) != MIN_IS_WHITE
    if _is_unpacked_here(page):
        pixels = tiff.decode(page, segments, data)
    elif is_plain and channels != 2:
        pixels = _decode_with_opencv(data)
    else:
        raise ImageError(_refusal(compression))
    shape = (page.number(tiff.LENGTH), page.number(tiff.WIDTH), channels)
    return pixels.reshape(shape if channels > 1 else shape[:2])


def _refusal(compression) -> str:
    name = COMPRESSIONS.get(compression, compression)
    return f"is compressed with {name}, not supported here; save it with deflate"


def unassociated(pixels) -> np.ndarray:
    """Divide the colors by the alpha that was multiplied into them."""
    values = to_float(pixels)
    color, alpha = values[..., :-1], values[..., -1:]
    color = np.divide(color, alpha, out=np.zeros_like(color), where=alpha > 0)
    return np.concatenate([to_dtype(color, pixels.dtype), pixels[..., -1:]], axis=2)


def decode_png(data: bytes, channels: int, transparent=None) -> np.ndarray:
    """Decode a 16-bit PNG file.

    Parameters
    ----------
    channels : {1, 2, 3, 4}
        What the header says.
    transparent : int or tuple of int, optional
        The gray or color that is transparent, which becomes alpha.

    Returns
    -------
    ndarray of shape (H, W) or (H, W, 2|3|4), uint16
    """
    pixels = np.atleast_3d(_decode_with_opencv(data))
    if channels == 2:
        pixels = pixels[..., [0, 3]]  # OpenCV makes RGBA of gray and alpha
    pixels = pixels[..., :channels]
    if transparent is not None:
        opaque = np.any(pixels != np.array(transparent), axis=2)
        pixels = np.dstack([pixels, opaque * np.uint16(65535)])
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _decode_with_opencv(data) -> np.ndarray:
    import cv2

    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(error.err) from error
    if pixels is None:
        raise ValueError("OpenCV cannot decode it")
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels
