"""The formats of pictures, told by the first bytes of a file, and in folders by its suffix."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from PIL import features

HEAD_BYTES = 64
"""So many of a file's first bytes tell its format."""


class Format(NamedTuple):
    """What tells a format.

    Attributes
    ----------
    name : str
    suffixes : tuple of str
        In lower case; the first is the usual one.
    signature : bytes
        Pattern of a file's first bytes.
    """

    name: str
    suffixes: tuple[str, ...]
    signature: bytes


FORMATS = (
    Format("PNG", (".png",), rb"\x89PNG\r\n\x1a\n"),
    Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), rb"\xff\xd8\xff"),
    Format("TIFF", (".tif", ".tiff"), rb"II[*+]\0|MM\0[*+]"),
    Format("WebP", (".webp",), rb"RIFF....WEBP"),
    # A brand may be one of several that the file says it is compatible with.
    Format("AVIF", (".avif",), rb"....ftyp(....)*?avi[fs]"),
    Format("HEIC", (".heic", ".heif", ".hif"), rb"....ftyp(....)*?he(ic|ix|im|is|vc|vx)"),
    Format("BMP", (".bmp",), rb"BM"),
    Format("GIF", (".gif",), rb"GIF8"),
)
"""All that are read."""
SUFFIXES = {form.name: form.suffixes for form in FORMATS}
IMAGE_SUFFIXES = tuple(suffix for form in FORMATS for suffix in form.suffixes)
"""What files in folders must end in, in lower case, to be taken for pictures."""
NAMES = ", ".join(form.name for form in FORMATS[:-1]) + f" or {FORMATS[-1].name}"


def has_avif() -> bool:
    """Tell whether Pillow reads and writes AVIF; before 11.3 it does not know the word."""
    return "avif" in features.modules and features.check("avif")


def format_of(head: bytes) -> Optional[Format]:
    """Tell the format of a file from its first `HEAD_BYTES` bytes; None if it is none of these."""
    head = head[:HEAD_BYTES]
    matches = (form for form in FORMATS if re.match(form.signature, head, re.DOTALL))
    return next(matches, None)
