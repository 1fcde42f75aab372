"""A photo, a photo that still lies in its file, and what a format of such files declares."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Callable, Optional, Union

import numpy as np
from PIL import Image

from gluon_enhance.errors import ImageError

MAX_PIXELS = 512_000_000
"""Pictures of more are refused: a file of few bytes can claim to be one."""
SMALL_PIXELS = 16_000_000
"""So many pixels a file of any size may claim to have: they take little memory."""
PIXELS_PER_BYTE = 10_000
"""So many more for each of its bytes, unless its format declares another number. Deflate makes at
most 1,032 bytes of one, which are 8,256 pixels of one bit."""

DECODING_ERRORS = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, SyntaxError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip
"""What decoders raise on damaged data."""


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


@dataclass(eq=False)
class StoredPhoto:
    """A photo in a file, of which the header has been read and the pixels have not.

    Attributes
    ----------
    size : tuple of int
        Width and height as stored, before the orientation is applied.
    decode : function without arguments
        Returns the pixels as `Photo` has them, but for the orientation, or a picture of Pillow,
        whose `info` counts for what `says` does not have. It may add to `says` and `problems`, and
        raise `ImageError` or any of `DECODING_ERRORS`.
    frames : int
    says : dict
        Values of fields of a `Photo`, by their names. Resolution and EXIF data may be as they are
        stored: they are checked later.
    problems : list of str
        What is wrong with the file and does not hinder it, as "has wrong colors".
    missing : str
        What of the pixels is not there, as "is cut short", for which strict reading refuses the
        file; empty if they are all there.
    orientation : int, optional
        From 1 to 8, as EXIF counts. None is that of the EXIF data.
    """

    size: tuple[int, int]
    decode: Callable[[], Union[np.ndarray, Image.Image]]
    frames: int = 1
    says: dict = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    missing: str = ""
    orientation: Optional[int] = None


@dataclass(frozen=True)
class Encoder:
    """How a format is written, and what it holds.

    Attributes
    ----------
    write : function
        Takes a binary file, a `Photo` that the format holds, and a quality from 1 to 100.
    dtypes : tuple of str
    channels : tuple of int
    max_side : int
        Pixels of width and height at most.
    max_bytes : float
        Bytes of all pixels at most.
    holds : tuple of str
        Of `iptc` and `comment`, the fields of a `Photo` that only some formats have a place for.
    own : dict of str to function
        Fields of a `Photo` that no other format has a place for, each with a function of the photo
        that names what is lost without it.
    limits : dict of str to int
        Bytes at most of fields that are larger than that in some photos.
    unwritten : tuple of str
        Suffixes that are read only.
    is_lossy : bool
        Whether something is lost at any quality.
    lossless_quality : int, optional
        The quality at which nothing is lost, of a format that loses something at others.
    """

    write: Callable[[BinaryIO, Photo, int], None]
    dtypes: tuple[str, ...]
    channels: tuple[int, ...]
    max_side: int
    max_bytes: float = float("inf")
    holds: tuple[str, ...] = ()
    own: Mapping[str, Callable[[Photo], list[str]]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    unwritten: tuple[str, ...] = ()
    is_lossy: bool = False
    lossless_quality: Optional[int] = None


def _nothing(*_) -> str:
    return ""


@dataclass(frozen=True)
class Format:
    r"""A format of files: all that reading and writing know of it.

    Attributes
    ----------
    name : str
        As people write it; `Photo.format` is the same in capitals.
    suffixes : tuple of str
        In lower case; the first is the usual one.
    signature : bytes
        Regular expression of a file's first bytes, where ``.`` matches any byte.
    read_size : function
        Takes a binary file at its beginning; returns width and height as stored. It reads the
        header alone, and raises one of `DECODING_ERRORS` if that is damaged.
    open : function
        Takes the bytes of a file; returns a `StoredPhoto`. It may raise `ImageError` with the end
        of a sentence that begins with the file's name, or any of `DECODING_ERRORS`.
    pixels_per_byte : int
        At most so many pixels can a sound file have for each of its bytes.
    refusal : function
        Takes the first bytes of a file; returns why it is not even read whole, as "is a film", or
        an empty text.
    missing_package : function without arguments
        Returns what pip is to install before the format is read or written, or an empty text.
    encoder : Encoder, optional
        None if it is read only.
    """

    name: str
    suffixes: tuple[str, ...]
    signature: bytes
    read_size: Callable[[BinaryIO], tuple[int, int]]
    open: Callable[[bytes], StoredPhoto]
    pixels_per_byte: int = PIXELS_PER_BYTE
    refusal: Callable[[bytes], str] = _nothing
    missing_package: Callable[[], str] = _nothing
    encoder: Optional[Encoder] = None

    def check_claim(self, width: int, height: int, size: int) -> None:
        """Refuse a picture of more pixels than are read, or than a file of so many bytes can hold.

        Raises
        ------
        ImageError
        """
        if width < 1 or height < 1:
            raise ImageError(f"is {width}x{height}: it holds no pixel")
        if width * height > MAX_PIXELS:
            raise ImageError(
                f"is {width}x{height}: over the limit of {MAX_PIXELS // 10**6} "
                "megapixels; cut it into parts"
            )
        if not self.may_hold(width, height, size):
            raise ImageError(f"is {width}x{height} in {size:,} bytes: no photo is as small")

    def may_hold(self, width: int, height: int, size: int) -> bool:
        """Tell whether a file of so many bytes may claim a picture of so many pixels."""
        return width * height <= SMALL_PIXELS + self.pixels_per_byte * size
