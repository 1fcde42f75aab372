"""The formats of pictures: the one list of them, and of the suffixes of their files."""

from __future__ import annotations

from collections.abc import Iterable

from gluon_enhance.photos import avif, bmp, gif, heic, jpeg, png, tiff, webp
from gluon_enhance.photos.photo import Format

FORMATS: dict[str, Format] = {}
"""All that are read, by name. The first that fits a file's first bytes is the file's. The first of
all is written where a result cannot have the format of its input."""
IMAGE_SUFFIXES: dict[str, Format] = {}
"""What files in folders must end in, in lower case, to be taken for pictures."""
WRITTEN_SUFFIXES: dict[str, Format] = {}
"""What files that are written may end in."""


def register(form: Format) -> None:
    """Have a format be read, found in folders, and written if it has an encoder."""
    FORMATS[form.name] = form
    IMAGE_SUFFIXES.update(dict.fromkeys(form.suffixes, form))
    if form.encoder:
        written = (suffix for suffix in form.suffixes if suffix not in form.encoder.unwritten)
        WRITTEN_SUFFIXES.update(dict.fromkeys(written, form))


for _module in (png, jpeg, tiff, webp, avif, heic, bmp, gif):
    register(_module.FORMAT)


def names() -> str:
    """Return the names of the formats that are read, as in "PNG, JPEG or TIFF"."""
    return listed(FORMATS)


def usual_suffixes(*, lossless: bool = False) -> str:
    """Return what ``--ext`` may be, as in "png, jpg or tif".

    Parameters
    ----------
    lossless : bool
        Leave out the formats that always lose something.
    """
    encoders = {form.suffixes[0][1:]: form.encoder for form in FORMATS.values() if form.encoder}
    return listed(suffix for suffix, one in encoders.items() if not (lossless and one.is_lossy))


def listed(words: Iterable[str]) -> str:
    """Join words by commas and the last two by "or"."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
