"""What a raster says of itself, held against the size of its file: blocks, bands, metadata.

A block is unpacked as a whole, of a file or of what lies beside it: a mask, a preview. Memory is
taken for each band before there is a pixel. Items of metadata take quadratic time to list.

References
----------
.. [1] GDAL, GTiff driver: the tag GDAL_METADATA holds XML, an ``Item`` for each value.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from gluon_enhance.photos import tiff_tags
from gluon_enhance.photos.tiff_tags import Directory, read_directories

LARGE_BLOCK, PROPORTION = 64 << 20, 2000
"""Bytes of a block, and how many times those of the file it may have if it is larger: deflate comes
to 1032 times."""
GRIB_BYTES = 16
"""Of a number of a grid, while it is decoded."""
MANY_BANDS, BAND_BYTES = 1024, 256
"""Bands that a file of any size may claim, and bytes that one with more has for each of them."""
MAX_POINTS = 10_000
"""Of control: pixels whose place is known. Radar's scenes have some hundred."""
GDAL_METADATA, SUB_PAGES, TIE_POINTS = 42112, 330, 33922
"""Tags of TIFF; GDAL takes previews also from the pages in a page."""
MAX_ITEMS = 10_000
"""In one list, the file's or a band's, which take 0.2 s; those with many have some hundred."""
MAX_PAGES = 1 << 16
_OF_BAND = re.compile(rb'<Item name="[^"<>]*" sample="(0|[1-9]\d*)"')
"""An item of a band's list, as GDAL writes it. What is written otherwise may be of any list."""


def fault_of(dataset) -> str:
    """Say what an open dataset claims too much; an empty text if nothing, or it is in no file."""
    size = sum(os.path.getsize(file) for file in dataset.files if os.path.isfile(file))
    if not size:
        return ""
    if fault_of_bands(dataset.count, size):
        return fault_of_bands(dataset.count, size)
    is_mixed = dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL"
    blocks = zip(dataset.block_shapes, dataset.dtypes)
    largest = max((math.prod(shape) * _bytes_of(dtype) for shape, dtype in blocks), default=0)
    if dataset.driver == "GRIB":  # decodes the grid for a row of it
        largest = max(largest, dataset.width * dataset.height * GRIB_BYTES)
    return fault_of_block(largest * (dataset.count if is_mixed else 1), size)


def fault_of_bands(count: int, size: int) -> str:
    """Say that there are too many bands for a file's size; an empty text if not."""
    if count <= max(MANY_BANDS, size // BAND_BYTES):
        return ""
    return (
        f"claims {count:,} bands in a file of {size:,} bytes; up to {MANY_BANDS:,} are read, or "
        f"one for each {BAND_BYTES} bytes"
    )


def fault_of_block(nbytes: int, size: int) -> str:
    """Say that what is unpacked at once is too large for a file's size; an empty text if not."""
    if nbytes <= max(LARGE_BLOCK, PROPORTION * size):
        return ""
    return (
        f"claims blocks of {nbytes:,} bytes, in a file of {size:,}: it is damaged, or was made to "
        f"fill memory, as up to {LARGE_BLOCK >> 20} MiB or {PROPORTION:,} times the file are usual"
    )


def _bytes_of(dtype):
    return np.dtype("complex64" if dtype == "complex_int16" else dtype).itemsize


def fault_of_tiff(path: str | os.PathLike) -> str:
    """Say why a TIFF file is not to be read; an empty text if it is, or it is none.

    With a page GDAL reads the metadata of all previews in the file, and the blocks of its mask.
    """
    with open(path, "rb") as file:
        try:
            pages = read_directories(file, MAX_PAGES + 1)
        except ValueError:
            return ""
        if len(pages) > MAX_PAGES:
            return f"has over {MAX_PAGES:,} pages"
        size = pages[0].file_size
        all_pages = [*pages, *_sub_pages(pages)]
        block = max(map(_block_bytes, all_pages))
        return fault_of_block(block, size) or _fault_of_points(pages) or _fault_of_items(all_pages)


def _sub_pages(pages: Sequence[Directory]) -> Iterator[Directory]:
    """Yield the pages in pages, each once."""
    offsets: dict[int, Directory] = {}
    for page in pages:
        values = page.values(SUB_PAGES)
        if values is not None:
            offsets.update(dict.fromkeys(values[:MAX_PAGES].tolist(), page))
    for offset, page in list(offsets.items())[:MAX_PAGES]:
        try:
            yield page.at(offset)
        except ValueError:  # GDAL leaves it out too
            continue


def _block_bytes(page: Directory) -> int:
    """Return how many bytes a tile or a strip has, unpacked: each number has whole ones."""
    width = page.number(tiff_tags.TILE_WIDTH) or page.number(tiff_tags.WIDTH)
    rows = min(page.number(tiff_tags.LENGTH), page.number(tiff_tags.ROWS_PER_STRIP))
    height = page.number(tiff_tags.TILE_LENGTH) or rows
    samples = page.number(tiff_tags.SAMPLES) if page.number(tiff_tags.PLANAR) == 1 else 1
    return width * height * samples * -(-page.number(tiff_tags.BITS) // 8)


def _fault_of_points(pages: Sequence[Directory]) -> str:
    points = (page.values(TIE_POINTS) for page in pages)
    most = max(0 if values is None else len(values) // 6 for values in points)
    return too_many_points(most)


def too_many_points(count: int) -> str:
    """Say that there are too many points of control; an empty text if not."""
    return f"has {count:,} control points, over {MAX_POINTS:,}" if count > MAX_POINTS else ""


def _fault_of_items(pages: Sequence[Directory]) -> str:
    own, of_previews, read = 0, 0, 0
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
