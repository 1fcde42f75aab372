"""Read photos upright, in gray or RGB with or without alpha, at the depth they were stored in."""

from __future__ import annotations

import logging
import os
import re
import warnings
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from gluon_enhance.errors import ImageError
from gluon_enhance.photos import exif
from gluon_enhance.photos.colors import cmyk_in_srgb
from gluon_enhance.photos.formats import FORMATS, names
from gluon_enhance.photos.photo import DECODING_ERRORS, Format, Photo

logger = logging.getLogger(__name__)

HEAD_BYTES = 64
"""So many of a file's first bytes tell its format."""
MODES = {"1": "L", "L": "L", "LA": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBA": "RGBA"}
"""Pillow's modes that are read, and what becomes of them."""
MAX_REASON = 200
"""Characters of what a decoder says."""


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
    data, form = _read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata we say it
            photo, problems = _decode(form, data, strict)
    except ImageError as error:
        raise ImageError(f"{path} {error}") from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, for WebP and GIF only
        raise ImageError(f"{path} is too large ({error}); cut it into parts") from error
    except DECODING_ERRORS as error:
        raise ImageError(f"{path} {_damage(error)}") from error
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
            form = format_of(file.read(HEAD_BYTES))
            file.seek(0)
            return form.read_size(file) if form and not form.missing_package() else None
    except (ImageError, Image.DecompressionBombError, *DECODING_ERRORS):
        return None


def format_of(head: bytes) -> Optional[Format]:
    """Tell the format of a file from its first `HEAD_BYTES` bytes; None if it is none of these."""
    head = head[:HEAD_BYTES]
    matches = (form for form in FORMATS.values() if re.match(form.signature, head, re.DOTALL))
    return next(matches, None)


def _read_bytes(path):
    """Return a file's content and its format."""
    try:
        if path.exists() and not path.is_file():
            raise ImageError(f"{path} is {'a folder' if path.is_dir() else 'no file'}; name a file")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            form = format_of(head)
            refusal = _refusal(form, head)
            file.seek(0)
            data = b"" if refusal else file.read()  # what is not read may be large
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read ({error.strerror}); check its name and rights"
        ) from error
    if refusal:
        raise ImageError(f"{path} {refusal}")
    return data, form


def _refusal(form, head) -> str:
    """Say why a file that begins with these bytes is not read; an empty text if it is."""
    if not head:
        return "is empty (0 bytes); get the file again"
    if form is None:
        return f"is no {names()} file; convert it to one"
    package = form.missing_package()
    if package:
        return f"is {form.name}, which needs pip install '{package}'"
    return form.refusal(head)


def _damage(error) -> str:
    """Say of a decoder's error what it means for the user."""
    if str(error).startswith("Unsupported"):
        return f"is of a kind not read here ({error}); save it as {next(iter(FORMATS))}"
    reason = " ".join(str(error).split())[:MAX_REASON]
    return f"is damaged or cut short ({reason}); get the file again"


def _decode(form, data, strict) -> tuple[Photo, list[str]]:
    """Return the photo, and what is wrong with the file that does not hinder it."""
    stored = form.open(data)
    form.check_claim(*stored.size, len(data))
    if stored.frames != 1:
        raise ImageError(f"holds {stored.frames} frames; save the one you want by itself")
    if strict and stored.missing:
        raise ImageError(f"{stored.missing}; get the file again")
    pixels, says = stored.decode(), stored.says
    if isinstance(pixels, Image.Image):
        pixels, says = _of_pillow(pixels, says)
    orientation, exif_data = _read_exif(says.get("exif"), stored.problems)
    pixels = _upright(pixels, stored.orientation or orientation)
    says = {**says, "exif": exif_data, "dpi": _plausible(says.get("dpi"))}
    return Photo(pixels, format=form.name.upper(), **says), stored.problems


def _of_pillow(image, says) -> tuple[np.ndarray, dict]:
    """Return the pixels of a picture of Pillow, and what it and the format say of it."""
    image.load()
    info = {name: image.info.get(name) or None for name in ("icc_profile", "exif", "xmp", "dpi")}
    comment = image.info.get("comment")
    info["comment"] = comment.decode("latin-1") if isinstance(comment, bytes) else comment
    says = {**info, **says}
    if image.mode == "CMYK":  # it becomes sRGB, which needs no profile
        image = cmyk_in_srgb(image, says["icc_profile"])
        says["icc_profile"] = None
    if image.mode not in MODES:
        raise ImageError(f"has colors of the kind {image.mode}; convert it to RGB")
    return plain_pixels(image), says


def plain_pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels of a picture in one of `MODES`; transparency becomes alpha."""
    mode = MODES[image.mode]
    if "transparency" in image.info and not mode.endswith("A"):
        mode += "A"
    return np.array(image if image.mode == mode else image.convert(mode))


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
    """Turn and flip pixels as one of EXIF's orientations from 1 to 8 says."""
    if orientation >= 5:  # the file's rows are columns
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def _plausible(dpi) -> Optional[tuple[float, float]]:
    """Return a resolution as numbers; None if there is none, or one that no writer meant."""
    try:
        horizontal, vertical = (float(value) for value in dpi)
    except (TypeError, ValueError, ArithmeticError):
        return None
    # JPEG holds 16 bits; some writers put 0 or nonsense there.
    fits = 1 <= horizontal < 65536 and 1 <= vertical < 65536
    return (horizontal, vertical) if fits else None
