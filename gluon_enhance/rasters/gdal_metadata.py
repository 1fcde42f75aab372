"""How many items of metadata a TIFF file has for GDAL, which takes quadratic time to list them.

References
----------
.. [1] GDAL, GTiff driver: the tag GDAL_METADATA holds XML, an ``Item`` for each value.
"""

from __future__ import annotations

import os
import re
from collections import Counter

from gluon_enhance.photos.tiff_tags import read_directories

GDAL_METADATA = 42112
MAX_ITEMS = 10_000
"""In one list, the file's or a band's, which take 0.2 s; those with many have some hundred."""
MAX_PAGES = 1 << 16
_OF_BAND = re.compile(rb'<Item name="[^"<>]*" sample="(0|[1-9]\d*)"')
"""An item of a band's list, as GDAL writes it. What is written otherwise may be of any list."""


def fault_of(path: str | os.PathLike) -> str:
    """Say why a TIFF file's metadata are not to be read; an empty text if they are, or it is none.

    With a page GDAL reads the metadata of all previews in the file.
    """
    own, of_previews, read = 0, 0, 0
    with open(path, "rb") as file:
        try:
            pages = read_directories(file, MAX_PAGES)
        except ValueError:
            return ""
        for page in pages:
            text = page.bytes(GDAL_METADATA) or b""
            read += len(text)
            if page.is_preview:
                of_previews += _longest_list(text)
            else:
                own = max(own, _longest_list(text))
            if own + of_previews > MAX_ITEMS:
                return f"has over {MAX_ITEMS:,} items of GDAL's metadata in one list"
            if read > page.file_size:
                return "has pages whose metadata share their bytes"
    return ""


def _longest_list(text) -> int:
    """Return how many items there are at most in a list; all that XML has tags for may be one."""
    counts = Counter(_OF_BAND.findall(text))
    others = text.count(b"<") - text.count(b"</") - sum(counts.values())
    return max(others, *counts.values(), 0)
