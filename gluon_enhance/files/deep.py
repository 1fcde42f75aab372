"""What Pillow would reduce to 8 bits or not read at all: 16-bit PNG, 16-bit and floating TIFF."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import BinaryIO, NamedTuple, Optional

import numpy as np

from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.arrays import dtype_range, to_dtype, to_float

MAX_PAGES = 64
"""Looked at; the directories of a damaged file can go on without end."""
MIN_IS_WHITE, GRAYS_AND_RGB = 0, (0, 1, 2)
ASSOCIATED, UNASSOCIATED = 1, 2
"""What TIFF's ExtraSamples says of an alpha channel: multiplied into the colors, or not."""
XMP, IPTC, ICC_PROFILE, LAYERS = 700, 33723, 34675, 37724
"""Tags; the last one is Photoshop's."""
COMMON_CODECS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946)
"""What every build of libtiff decodes: fax, LZW and JPEG too."""
TIFFFILE_CODECS = (1, 8, 32946, 32773)
"""None, deflate (two numbers) and PackBits; the others need OpenCV."""


class TiffHeader(NamedTuple):
    """What the directories of a TIFF file say."""

    width: int
    height: int
    frames: int
    is_deep: bool
    says: dict
    """Fields of a `Photo`."""
    layout: str
    rare: str
    """Why a decoder may fail although the file is sound; empty where all decoders can."""


@contextmanager
def _open_tiff(file) -> Iterator:
    import tifffile

    try:
        with tifffile.TiffFile(file) as tiff:
            yield tiff.pages
    except tifffile.TiffFileError as error:  # in older versions no ValueError
        raise ValueError(str(error)) from error


def read_tiff_header(file: BinaryIO) -> TiffHeader:
    """Read the header; previews and masks do not count as frames."""
    with _open_tiff(file) as pages:
        page = pages[0]
        return TiffHeader(
            width=page.imagewidth,
            height=page.imagelength,
            frames=sum(not (p.is_reduced or p.is_mask) for p in islice(pages, MAX_PAGES)),
            is_deep=str(page.dtype) not in ("bool", "uint8") or _needs_tifffile(page),
            says=_fields(page),
            layout=f"{page.samplesperpixel} channels of the kind {_name(page.photometric)}",
            rare="" if page.compression in COMMON_CODECS else _refusal(page),
        )


def _needs_tifffile(page) -> bool:
    """Tell whether alpha goes with a gray that Pillow has no mode for."""
    is_plain = page.photometric != MIN_IS_WHITE and ASSOCIATED not in page.extrasamples
    return page.samplesperpixel == 2 and str(page.dtype) == "uint8" and not is_plain


def _fields(page) -> dict:
    found = {tag: page.tags.valueof(tag) for tag in (XMP, IPTC, ICC_PROFILE)}
    if isinstance(found[IPTC], tuple):  # some writers say that it is 32-bit numbers
        order = page.parent.byteorder
        found[IPTC] = np.array(found[IPTC], f"{order}u4").tobytes()
    says = {
        "xmp": found[XMP],
        "iptc": found[IPTC],
        "icc_profile": found[ICC_PROFILE],
    }
    says = {name: value for name, value in says.items() if isinstance(value, bytes)}
    if LAYERS in page.tags:
        says["left_out"] = ("Photoshop layers",)
    return says


def decode_tiff(data: bytes) -> np.ndarray:
    """Decode the first page of a TIFF file.

    Parameters
    ----------
    data : bytes
        With orientation 1: OpenCV applies it, tifffile does not.

    Returns
    -------
    ndarray of shape (H, W) or (H, W, 2|3|4), uint8, uint16 or float32 in [0, 1]

    Raises
    ------
    ImageError
        If the pixels are of another kind, or cut short.
    """
    with _open_tiff(io.BytesIO(data)) as pages:
        page = pages[0]
        alpha = _check_kind(page)
        ends = [start + size for start, size in zip(page.dataoffsets, page.databytecounts)]
        if max(ends) > len(data):
            raise ImageError("is cut short; get the file again")
        pixels = _decode_page(page, data)
    if pixels.dtype.kind == "f":
        try:
            to_float(pixels)
        except ValueError as error:
            raise ImageError(f"is no photo: {error!s:.200}") from error
    pixels = unassociated(pixels) if alpha == ASSOCIATED else pixels
    if page.photometric == MIN_IS_WHITE:
        inverted = pixels.dtype.type(dtype_range(pixels.dtype)) - pixels
        if alpha:
            inverted[..., -1] = pixels[..., -1]
        return inverted
    return pixels


def _check_kind(page) -> Optional[int]:
    """Check that the pixels are of a kind that is read; return the kind of alpha."""
    bits = np.ravel(page.bitspersample)
    is_read = str(page.dtype) in ("uint8", "uint16", "float32")
    if not is_read or any(bits != 8 * page.dtype.itemsize):
        raise ImageError(
            f"has {bits[0]}-bit values of type {page.dtype}; save it with 8 or 16 "
            "bits, or as 32-bit float"
        )
    if page.photometric not in GRAYS_AND_RGB:
        raise ImageError(
            f"has {bits[0]}-bit colors of the kind {_name(page.photometric)}; convert it to RGB"
        )
    channels = page.samplesperpixel
    # Some writers leave out what a fourth channel is; it is alpha.
    extra = page.extrasamples or (UNASSOCIATED,)
    has_alpha = channels % 2 == 0 and extra[-1] in (ASSOCIATED, UNASSOCIATED)
    if channels - has_alpha not in (1, 3):
        raise ImageError(f"has {channels} channels; need gray or RGB, with or without alpha")
    return extra[-1] if has_alpha else None


def _decode_page(page, data) -> np.ndarray:
    if page.compression in TIFFFILE_CODECS and page.predictor in (1, 2):
        pixels = page.asarray()
        if page.axes == "SYX":
            pixels = np.moveaxis(pixels, 0, -1)
    elif page.planarconfig == 1 and page.samplesperpixel != 2 and page.photometric != MIN_IS_WHITE:
        pixels = _decode_with_opencv(data)
    else:
        raise ImageError(_refusal(page))
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    pixels = pixels.astype(page.dtype.newbyteorder("="), copy=False)
    return pixels.reshape(shape if shape[2] > 1 else shape[:2])


def _refusal(page) -> str:
    return f"is compressed with {_name(page.compression)}, not supported here; save it with deflate"


def _name(value) -> str:
    """Name a number of the specification; tifffile leaves those it does not know as they are."""
    return getattr(value, "name", str(value))


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
