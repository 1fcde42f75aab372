"""What is read from an image file and written to one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Optional

import numpy as np


@dataclass(frozen=True, eq=False)
class Photo:
    """Pixels, and what a file says about them.

    Attributes
    ----------
    pixels : ndarray of shape (H, W) or (H, W, 1|2|3|4), uint8, uint16 or float32 in [0, 1]
        Gray, gray and alpha, RGB, or RGB and alpha; alpha is not multiplied into the colors.
        Upright: the orientation of the file is applied.
    icc_profile : bytes, optional
        The color profile. None means sRGB, or the like for gray.
    exif : bytes, optional
        EXIF data, beginning with its byte order (``II*`` or ``MM``).
    dpi : tuple of float, optional
        Pixels per inch, horizontal and vertical.
    xmp : bytes, optional
        The XMP packet.
    iptc : bytes, optional
        IPTC data (IIM), as Photoshop stores it.
    comment : str, optional
    chunks : tuple of (bytes, bytes)
        Name and data of PNG chunks that only PNG has: texts, and colors by other means than a
        profile.
    left_out : tuple of str
        What the file holds beside, such as a gain map.
    format : str, optional
        The format read: 'PNG', 'JPEG', 'TIFF', 'WEBP', 'AVIF', 'HEIC', 'BMP' or 'GIF'.
    lossless : bool
        Whether it was read from a WebP file that had lost nothing.

    Examples
    --------
    >>> photo = Photo(np.zeros((4, 6, 3), np.uint8), dpi=(300, 300))
    >>> photo.pixels.shape, photo.icc_profile
    ((4, 6, 3), None)
    """

    pixels: np.ndarray
    icc_profile: Optional[bytes] = None
    exif: Optional[bytes] = None
    dpi: Optional[tuple[float, float]] = None
    format: Optional[str] = None
    xmp: Optional[bytes] = None
    iptc: Optional[bytes] = None
    comment: Optional[str] = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    left_out: tuple[str, ...] = ()
    lossless: bool = False

    def with_pixels(self, pixels: np.ndarray) -> Photo:
        """Return the photo with other pixels and all the rest kept."""
        return replace(self, pixels=pixels)


class Contents(NamedTuple):
    """A file taken apart.

    Attributes
    ----------
    picture : bytes
        The file as a decoder takes it.
    says : dict
        Fields of a `Photo` that have been found.
    problems : list of str
        What is wrong with the file and does not concern the pixels.
    is_cut : bool
        A part of the pixels may be missing.
    """

    picture: bytes
    says: dict
    problems: list[str]
    is_cut: bool = False
