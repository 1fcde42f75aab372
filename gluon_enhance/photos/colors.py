"""Colors made to fit: alpha put on a background or taken out, gray and CMYK pictures in RGB."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from typing import Optional

import numpy as np
from PIL import Image

from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.arrays import to_dtype, to_float
from gluon_enhance.photos import icc
from gluon_enhance.photos.photo import Photo

logger = logging.getLogger(__name__)

GRAY_SPACE = b"GRAY"
"""What an ICC profile has at bytes 16 to 19 if it is of gray pictures (ICC.1, section 7.2.6)."""


def flattened(photo: Photo, color: tuple[int, int, int]) -> Photo:
    """Put a photo with alpha on a color; others stay as they are.

    Parameters
    ----------
    photo : Photo
    color : tuple of int
        RGB from 0 to 255. A gray photo stays gray on gray.
    """
    if photo.pixels.shape[2:] not in ((2,), (4,)):
        return photo
    if photo.pixels.shape[2] == 2 and len(set(color)) > 1:
        photo = as_rgb(photo)
    values = to_float(photo.pixels)
    alpha = values[..., -1:]
    background = np.array(color[: values.shape[2] - 1], np.float32) / 255
    pixels = to_dtype(alpha * values[..., :-1] + (1 - alpha) * background, photo.pixels.dtype)
    return photo.with_pixels(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def unassociated(pixels) -> np.ndarray:
    """Divide the colors by the alpha that was multiplied into them."""
    values = to_float(pixels)
    color, alpha = values[..., :-1], values[..., -1:]
    color = np.divide(color, alpha, out=np.zeros_like(color), where=alpha > 0)
    return np.concatenate([to_dtype(color, pixels.dtype), pixels[..., -1:]], axis=2)


def as_rgb(photo: Photo) -> Photo:
    """Make a gray photo RGB, with or without alpha; a profile of gray turns it into sRGB."""
    pixels = np.atleast_3d(photo.pixels)
    if pixels.shape[2] >= 3:
        return photo
    rgb = pixels[..., [0, 0, 0]]
    if photo.icc_profile and photo.icc_profile[16:20] == GRAY_SPACE:
        rgb = _through_profile(pixels[..., 0], photo.icc_profile)
        photo = replace(photo, icc_profile=None)
    return photo.with_pixels(np.concatenate([rgb, pixels[..., 1:]], axis=2))


def cmyk_in_srgb(image: Image.Image, profile: Optional[bytes]) -> Image.Image:
    """Convert a picture of Pillow of mode CMYK to RGB.

    Raises
    ------
    ImageError
        If there is no profile, which says what color an ink is, or it fails.
    """
    from PIL import ImageCms

    if not profile:
        raise ImageError("is CMYK without a color profile; convert it to RGB")
    try:
        return _in_srgb(image, profile)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise ImageError(
            f"is CMYK with a color profile that fails ({error!s:.200}); convert it to RGB"
        ) from error


def _in_srgb(image, profile):
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(icc.reduced(profile)))
    return ImageCms.profileToProfile(
        image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )


def _through_profile(gray, profile) -> np.ndarray:
    """Convert gray values by the curve that the profile gives them in sRGB."""
    from PIL import ImageCms

    try:
        curve = _in_srgb(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), profile)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        logger.warning("a gray color profile fails and is left out: %s", error)
        return np.stack([gray] * 3, axis=2)
    values = 255 * to_float(gray)  # positions in the curve, which has a color for each of 256 grays
    channels = [np.interp(values, np.arange(256), np.asarray(curve)[0, :, k]) for k in range(3)]
    return to_dtype(np.stack(channels, axis=2) / 255, gray.dtype)
