"""Pictures of Pillow: their pixels at full depth, and pictures like them of other pixels."""

from __future__ import annotations

import logging
import warnings
from typing import Callable

import numpy as np
from PIL import Image, ImageOps

from gluon_enhance.errors import ImageError
from gluon_enhance.photos import exif
from gluon_enhance.photos.photo import DECODING_ERRORS
from gluon_enhance.photos.read import MODES, plain_pixels

logger = logging.getLogger(__name__)

SIXTEEN_BITS = {"I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I;16N": "=u2", "I": "=i4"}
"""Modes of gray with 16 bits, and how they keep it. 'I' has 32, of which readers fill 16."""


def transformed(image, function: Callable[[np.ndarray], np.ndarray]):
    """Return a picture of Pillow with other pixels.

    Parameters
    ----------
    image : PIL.Image.Image
        Of 1 or 8 bits, gray or RGB, with or without alpha or a palette; of 16 bits, gray; or of
        mode F with values in [0, 1].
    function : callable
        Takes the pixels, upright, (H, W) or (H, W, 2|3|4), uint8, uint16 or float32; gives pixels
        of the same dtype and channels.

    Returns
    -------
    PIL.Image.Image
        Of the same mode, but L for 1 bit, and RGB or RGBA for a palette. Its `info` is the
        input's, with the EXIF data's orientation applied and the new size in it.

    Raises
    ------
    ImageError
        If the picture is of another mode, empty, damaged, or of mode I with values beyond 16 bits.
    """
    if 0 in image.size:
        raise ImageError(f"the picture is {image.width}x{image.height}: it holds no pixel")
    try:
        image.load()
    except DECODING_ERRORS as error:
        raise ImageError(f"the picture is damaged or cut short ({error!s:.200})") from error
    upright = _upright(image)
    pixels = function(_pixels(upright))
    if image.mode in SIXTEEN_BITS:
        data = pixels.astype(SIXTEEN_BITS[image.mode]).tobytes()
        height, width = pixels.shape[:2]
        result = Image.frombytes(image.mode, (width, height), data)
    else:
        result = Image.fromarray(pixels)
    kept = {k: v for k, v in upright.info.items() if k not in ("transparency", "exif")}
    result.info = {**kept, **_exif(image, *result.size)}
    return result


def _upright(image):
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged EXIF data we say it
            return ImageOps.exif_transpose(image)
    except DECODING_ERRORS:
        return image


def _pixels(image):
    if image.mode in MODES:
        return plain_pixels(image)
    if image.mode == "F":
        return np.array(image)
    if image.mode not in SIXTEEN_BITS:
        raise ImageError(f"the picture has mode {image.mode}; convert it to RGB or RGBA")
    values = np.frombuffer(image.tobytes(), SIXTEEN_BITS[image.mode]).reshape(image.size[::-1])
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(
            f"the picture has mode I and values from {values.min()} to {values.max()}, which 16 "
            "bits do not hold; give an array of float32 in [0, 1]"
        )
    return values.astype(np.uint16)


def _exif(image, width, height):
    """Return the entry for `info`: nothing if there is no EXIF data, or it is damaged."""
    data = image.info.get("exif")
    try:
        if data:
            _, data = exif.take_orientation(data.removeprefix(exif.PREFIX))
        elif image.format == "TIFF":  # it has them among what says how its pixels lie
            data = exif.from_tiff(image.getexif().tobytes().removeprefix(exif.PREFIX))
        return {"exif": exif.PREFIX + exif.resized(data, width, height)} if data else {}
    except ValueError as error:
        logger.warning("a picture has damaged EXIF data, which is left out: %s", error)
        return {}
