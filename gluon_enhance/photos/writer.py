"""Write photos: whole under the final name, or not at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Callable, NamedTuple, Optional

import numpy as np
from numpy.typing import DTypeLike

from gluon_enhance.atomic import whole_file
from gluon_enhance.errors import ImageError
from gluon_enhance.photos import encoders, exif, png, xmp
from gluon_enhance.photos.formats import SUFFIXES, has_avif
from gluon_enhance.photos.photo import Photo

logger = logging.getLogger(__name__)

QUALITY = 95
MAX_NAMES = 20
"""Of what is left out, in a warning."""


class _Format(NamedTuple):
    """What a format holds: dtypes, channels, pixels a side, bytes in all."""

    name: str
    encode: Callable[[BinaryIO, Photo, int], None]
    dtypes: tuple[str, ...]
    channels: tuple[int, ...]
    max_side: int
    max_bytes: float = float("inf")
    holds: tuple[str, ...] = ()
    """Of `Photo`'s fields that not every format has a place for."""
    limits: Mapping[str, int] = MappingProxyType({})
    """Most bytes of fields."""


_PNG = _Format(
    "PNG", encoders.write_png, ("uint8", "uint16"), (1, 2, 3, 4), 2**31 - 1,
    holds=("chunks", "comment"),
)  # fmt: skip
_JPEG = _Format(
    "JPEG", encoders.write_jpeg, ("uint8",), (1, 3), 65500,
    holds=("iptc", "comment"), limits=encoders.JPEG_BYTES,
)  # fmt: skip
_WEBP = _Format("WebP", encoders.write_webp, ("uint8",), (1, 2, 3, 4), 16383)
_AVIF = _Format("AVIF", encoders.write_avif, ("uint8",), (1, 2, 3, 4), 65536)
# Positions in a TIFF file have 32 bits; deflate adds less than 1% to what it cannot compress.
_TIFF = _Format(
    "TIFF",
    encoders.write_tiff,
    ("uint8", "uint16", "float32"),
    (1, 2, 3, 4),
    2**31 - 1,
    0.99 * 2**32,
    ("iptc",),
)
FORMATS = {
    suffix: form
    for form in (_PNG, _JPEG, _TIFF, _WEBP, _AVIF)
    for suffix in SUFFIXES[form.name]
    if suffix != ".mpo"  # of several pictures
}


def result_suffix(suffix: str) -> str:
    """Return the suffix of a result: the input's, or that of a format that can be written."""
    kind = suffix.lower()
    if kind in FORMATS:
        return suffix
    usual = next((suffixes[0] for suffixes in SUFFIXES.values() if kind in suffixes), None)
    return usual if usual in FORMATS else ".png"


LABELS = {
    "icc_profile": "color profile",
    "exif": "EXIF data",
    "xmp": "XMP data",
    "iptc": "IPTC data",
    "comment": "comment",
}
LOSSY = ("JPEG", "AVIF")
"""WebP is at quality 100 not."""
CHANNELS = {1: "gray", 2: "gray and alpha", 3: "RGB", 4: "RGB and alpha"}


def check_writable(
    path: str | os.PathLike, shape: tuple[int, ...], dtype: DTypeLike, lossless: bool = False
) -> None:
    """Check that an image can be written to a path, before the work of computing it.

    Parameters
    ----------
    path : path
        Its suffix is the format. Folders that do not exist yet are no error.
    shape : tuple of int
        (H, W) or (H, W, 1|2|3|4).
    dtype : uint8, uint16 or float32
    lossless : bool
        It must lose nothing.

    Raises
    ------
    ImageError
        If the format cannot hold such an image, or the folder cannot be written to.
    """
    path = Path(path)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise ImageError(f"{path} has the suffix {path.suffix!r}; choose {', '.join(FORMATS)}")
    problem, remedy = _misfit(form, shape, np.dtype(dtype))
    if lossless and form.name in LOSSY:
        problem, remedy = "always loses something", "--ext png, tif or webp"
    if form is _AVIF and not has_avif():
        problem, remedy = "needs Pillow 11.3 or newer", "--ext png"
    if problem:
        raise ImageError(f"{path} cannot be written: {form.name} {problem}; use {remedy}")
    if path.is_dir():
        raise ImageError(f"{path} cannot be written: it is a folder; name a file in it")
    folder = next(parent for parent in path.parents if os.path.exists(parent))
    if not os.path.isdir(folder):
        raise ImageError(f"{path} cannot be written: {folder} is a file; choose a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ImageError(f"{path} cannot be written: no permission in {folder}; choose another")


def _misfit(form, shape, dtype) -> tuple[str, str]:
    """Return what hinders and the options that help, or two empty texts."""
    height, width, channels = (*shape, 1)[:3]
    if dtype == np.float32 and form is not _TIFF:
        return "holds no floating values", "--ext tif, or --depth 8"
    if dtype.name not in form.dtypes:
        return f"holds {' and '.join(form.dtypes)}, not {dtype}", "--ext png, or --depth 8"
    if channels not in form.channels:
        remedy = "--ext png, or --flatten white" if channels in (2, 4) else "--ext png"
        return f"holds no {CHANNELS.get(channels, f'{channels} channels')}", remedy
    if max(height, width) > form.max_side or min(height, width) < 1:
        return f"holds 1 to {form.max_side} pixels a side, not {width}x{height}", "--ext png"
    if height * width * channels * dtype.itemsize > form.max_bytes:
        return f"holds 4 GB, too little for {width}x{height} {dtype}", "--ext png"
    return "", ""


def write_image(
    path: str | os.PathLike,
    photo: Photo | np.ndarray,
    *,
    quality: Optional[int] = None,
    lossless: bool = False,
    software: Optional[str] = None,
) -> None:
    """Write a photo with its color profile, EXIF data, resolution and all that the format holds.

    What it has no place for is named in one warning. PNG and TIFF are lossless, JPEG and AVIF are
    not, and WebP is at quality 100, or if the photo was read from a lossless WebP file and no
    quality is given. The file gets its name when it is complete; a file that bore the name before
    stays until then, or if writing fails. A process that is killed leaves at most a hidden folder,
    ``.gluon-enhance-*``.

    Parameters
    ----------
    path : path
        Its suffix, of those in `FORMATS`, chooses the format.
    photo : Photo, or ndarray of its pixels
    quality : int from 1 to 100, optional
        Of JPEG, WebP and AVIF. Default: 95.
    lossless : bool
        Refuse formats that lose something, and have WebP lose nothing.
    software : str, optional
        What made the picture of another: recorded as EXIF's software and in XMP's history.

    Raises
    ------
    ImageError
        If the format cannot hold the photo, or the file cannot be written.

    Examples
    --------
    >>> write_image("gray.png", np.full((4, 6), 128, np.uint8))
    """
    path = Path(path)
    photo = photo if isinstance(photo, Photo) else Photo(photo)
    pixels = photo.pixels
    check_writable(path, pixels.shape, pixels.dtype, lossless)
    form = FORMATS[path.suffix.lower()]
    if lossless or (form is _WEBP and photo.lossless and quality is None):
        quality = 100
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        photo = photo.with_pixels(pixels[:, :, 0])
    try:
        photo, lost = _fitted(form, photo, software)
        with whole_file(path) as draft, open(draft, "wb") as out:
            form.encode(out, photo, quality or QUALITY)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(
            f"{path} cannot be written ({reason}); check its folder, rights and free space"
        ) from error
    if lost:
        names = list(dict.fromkeys(lost))
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        names = ", ".join(names[:MAX_NAMES]) + more
        logger.warning("%s lacks some of its source's data, which is left out: %s", path, names)


def _fitted(form, photo, software) -> tuple[Photo, list[str]]:
    """Return what a format holds of a photo, with its size said anew; and the names of the rest."""
    height, width = photo.pixels.shape[:2]
    lost = list(photo.left_out)
    exif_data = exif.resized(photo.exif, width, height) if photo.exif else None
    if software:
        exif_data = exif.with_software(exif_data, software)
    try:
        packet = xmp.updated(photo.xmp, width, height, software)
    except ValueError as error:
        lost.append(f"XMP data ({error!s:.200})")
        packet = None
    photo = replace(photo, exif=exif_data, xmp=packet)
    for field, size in form.limits.items():
        if len(getattr(photo, field) or b"") > size:
            photo = replace(photo, **{field: None})
            lost.append(f"{LABELS[field]} (over {size:,} bytes)")
    for field in ("iptc", "comment"):
        if getattr(photo, field) and field not in form.holds:
            lost.append(LABELS[field])
    if "chunks" not in form.holds:
        lost += png.described(photo.chunks, bool(photo.icc_profile))
    return photo, lost
