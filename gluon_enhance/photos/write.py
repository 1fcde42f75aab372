"""Write photos: whole under the final name, or not at all."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Optional

import numpy as np
from numpy.typing import DTypeLike

from gluon_enhance.atomic import whole_file
from gluon_enhance.errors import ImageError, plural
from gluon_enhance.photos import exif, xmp
from gluon_enhance.photos.formats import (
    IMAGE_SUFFIXES,
    WRITTEN_SUFFIXES,
    usual_suffixes,
)
from gluon_enhance.photos.photo import Encoder, Format, Photo

logger = logging.getLogger(__name__)

QUALITY = 95
MAX_NAMES = 20
"""Of what is left out, in a warning."""
LABELS = {
    "icc_profile": "color profile",
    "exif": "EXIF data",
    "xmp": "XMP data",
    "iptc": "IPTC data",
    "comment": "comment",
}
CHANNELS = {1: "gray", 2: "gray and alpha", 3: "RGB", 4: "RGB and alpha"}
USUAL = next(iter(WRITTEN_SUFFIXES))
"""The suffix of results whose format is not their input's."""
ANY = f"--ext {USUAL[1:]}"
"""The option for what another format does not hold."""


def result_suffix(suffix: str) -> str:
    """Return the suffix of a result: the input's, or that of a format that can be written."""
    kind = suffix.lower()
    if kind in WRITTEN_SUFFIXES:
        return suffix
    usual = IMAGE_SUFFIXES[kind].suffixes[0] if kind in IMAGE_SUFFIXES else USUAL
    return usual if usual in WRITTEN_SUFFIXES else USUAL


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
    form, encoder = _format_of(path)
    problem, remedy = _misfit(encoder, shape, np.dtype(dtype))
    if lossless and encoder.is_lossy:
        problem, remedy = "always loses something", f"--ext {usual_suffixes(lossless=True)}"
    if form.missing_package():
        problem, remedy = f"needs pip install '{form.missing_package()}'", ANY
    if problem:
        raise ImageError(f"{path} cannot be written: {form.name} {problem}; use {remedy}")
    if path.is_dir():
        raise ImageError(f"{path} cannot be written: it is a folder; name a file in it")
    folder = next(parent for parent in path.parents if os.path.exists(parent))
    if not os.path.isdir(folder):
        raise ImageError(f"{path} cannot be written: {folder} is a file; choose a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ImageError(f"{path} cannot be written: no permission in {folder}; choose another")


def _format_of(path) -> tuple[Format, Encoder]:
    """Return the format that a path's suffix chooses, and its encoder."""
    form = WRITTEN_SUFFIXES.get(path.suffix.lower())
    if form is None or form.encoder is None:
        choices = ", ".join(WRITTEN_SUFFIXES)
        raise ImageError(f"{path} has the suffix {path.suffix!r}; choose {choices}")
    return form, form.encoder


def _misfit(encoder, shape, dtype) -> tuple[str, str]:
    """Return what hinders and the options that help, or two empty texts."""
    height, width, channels = (*shape, 1)[:3]
    if dtype.name not in encoder.dtypes:
        return _misfit_of_dtype(encoder, dtype)
    if channels not in encoder.channels:
        remedy = f"{ANY}, or --flatten white" if channels in (2, 4) else ANY
        return f"holds no {CHANNELS.get(channels, plural(channels, 'channel'))}", remedy
    if max(height, width) > encoder.max_side or min(height, width) < 1:
        return f"holds 1 to {encoder.max_side} pixels a side, not {width}x{height}", ANY
    if height * width * channels * dtype.itemsize > encoder.max_bytes:
        size = round(encoder.max_bytes / 2**30)
        return f"holds {size} GB, too little for {width}x{height} {dtype}", ANY
    return "", ""


def _misfit_of_dtype(encoder, dtype):
    forms = WRITTEN_SUFFIXES.values()
    other = next((form for form in forms if dtype.name in form.encoder.dtypes), None)
    if dtype.kind == "f" and other:
        return "holds no floating values", f"--ext {other.suffixes[0][1:]}, or --depth 8"
    return f"holds {' and '.join(encoder.dtypes)}, not {dtype}", f"{ANY}, or --depth 8"


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
        Its suffix, of those in `WRITTEN_SUFFIXES`, chooses the format.
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
    form, encoder = _format_of(path)
    if lossless or (photo.lossless and quality is None):
        quality = encoder.lossless_quality
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        photo = photo.with_pixels(pixels[:, :, 0])
    try:
        photo, lost = _fitted(form, photo, software)
        with whole_file(path) as draft, open(draft, "wb") as out:
            encoder.write(out, photo, quality or QUALITY)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(
            f"{path} cannot be written ({reason}); check its folder, rights and free space"
        ) from error
    if lost:
        lost = list(dict.fromkeys(lost))
        more = f" and {len(lost) - MAX_NAMES} more" if len(lost) > MAX_NAMES else ""
        names = ", ".join(lost[:MAX_NAMES]) + more
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
    for field, size in form.encoder.limits.items():
        if len(getattr(photo, field) or b"") > size:
            photo = replace(photo, **{field: None})
            lost.append(f"{LABELS[field]} (over {size:,} bytes)")
    return photo, lost + _unheld(form, photo)


def _unheld(form, photo):
    """Name what a format has no place for."""
    fields = (field for field in ("iptc", "comment") if getattr(photo, field))
    lost = [LABELS[field] for field in fields if field not in form.encoder.holds]
    for other in WRITTEN_SUFFIXES.values():
        for field, named in other.encoder.own.items():
            if other is not form and getattr(photo, field):
                lost += named(photo)
    return lost
