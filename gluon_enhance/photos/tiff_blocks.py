"""The strips or tiles of a TIFF file, here both blocks: where they lie, and what they unpack to.

No block is unpacked to more than it holds: memory and time are bounded by the size of the file and
of the picture.

References
----------
.. [1] Adobe, TIFF revision 6.0, sections 3, 9, 14 and 15.
"""

from __future__ import annotations

import math
import zlib
from typing import NamedTuple

import numpy as np

from gluon_enhance.photos import tiff_tags as tags
from gluon_enhance.photos.tiff_tags import Directory

NONE, DEFLATE, PACK_BITS = 1, (8, 32946), 32773
"""What Compression says of blocks that are unpacked here."""
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Bytes with their bits in the other order."""
WASTE = 256
"""Bytes that a packed block may have beyond what its pixels take and an eighth of that."""
EXPANSION = {PACK_BITS: 64, **dict.fromkeys(DEFLATE, 1032)}
"""Bytes that a byte of a packed block unpacks to at most."""


class Blocks(NamedTuple):
    """The strips or tiles of a page: how they lie, and where in the file.

    They are counted along the rows, then down, then by planes.

    Attributes
    ----------
    height, width : int
        Of one, in pixels; at the edges of the picture they reach beyond it. A strip is as wide as
        the picture.
    down, across, planes : int
        How many there are; several planes if each channel is stored by itself.
    offsets, counts : ndarray of shape (N,), int64
        Where in the file they begin, and how many bytes they have; of those that the file lists,
        which may be fewer.
    """

    height: int
    width: int
    down: int
    across: int
    planes: int
    offsets: np.ndarray
    counts: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of all together, which reach beyond the picture."""
        return self.across * self.width, self.down * self.height

    def box(self, index: int) -> tuple[int, slice, slice]:
        """Return plane, rows and columns of one."""
        plane, place = divmod(index, self.down * self.across)
        top, left = divmod(place, self.across)
        top, left = top * self.height, left * self.width
        return plane, slice(top, top + self.height), slice(left, left + self.width)

    @property
    def missing(self) -> np.ndarray:
        """Which of those that the file lists are not there: begin at 0, or hold nothing."""
        return (self.offsets == 0) | ((self.counts == 0) & (len(self.counts) > 1))


def blocks_of(page: Directory) -> Blocks:
    """Return a page's strips or tiles.

    Raises
    ------
    ValueError
        If there are no offsets, or a tile has no pixels.
    """
    width, length = page.number(tags.WIDTH), page.number(tags.LENGTH)
    tile_width, tile_length = width, min(page.number(tags.ROWS_PER_STRIP), length)
    if tags.TILE_WIDTH in page:
        tile_width, tile_length = page.number(tags.TILE_WIDTH), page.number(tags.TILE_LENGTH)
    offsets, counts = page.values(tags.TILE_OFFSETS), page.values(tags.TILE_COUNTS)
    if offsets is None:  # some writers list tiles as strips
        offsets, counts = page.values(tags.STRIP_OFFSETS), page.values(tags.STRIP_COUNTS)
    if offsets is None or tile_width < 1 or tile_length < 1:
        raise ValueError("it does not say where its pixels are")
    down, across = math.ceil(length / tile_length), math.ceil(width / tile_width)
    planes = page.number(tags.SAMPLES) if page.number(tags.PLANAR) == 2 else 1
    offsets = offsets[: down * across * planes].astype(np.int64)
    if counts is None or not counts.any():  # then each may reach to the end of the file
        counts = np.maximum(page.file_size - offsets, 0)
    counts = counts[: len(offsets)].astype(np.int64)
    offsets = offsets[: len(counts)]  # those without a count are not there
    return Blocks(tile_length, tile_width, down, across, planes, offsets, counts)


def missing_share(page: Directory, blocks: Blocks) -> float:
    """Return which share of a page's pixels is in strips or tiles that are not there."""
    width, length = page.number(tags.WIDTH), page.number(tags.LENGTH)
    there, heights, widths = _sizes(page, blocks)
    whole = width * length * blocks.planes
    return (whole - int((heights * widths).sum())) / whole


def _sizes(page, blocks):
    """Return the numbers of the blocks that are there, their heights and widths in the picture."""
    width, length = page.number(tags.WIDTH), page.number(tags.LENGTH)
    (there,) = np.nonzero(~blocks.missing)
    top, left = np.divmod(there % (blocks.down * blocks.across), blocks.across)
    heights = np.minimum(blocks.height, length - top * blocks.height)
    return there, heights, np.minimum(blocks.width, width - left * blocks.width)


def decode(page: Directory, blocks: Blocks, data: bytes) -> np.ndarray:
    """Decode a page that is not compressed, or by deflate or PackBits.

    Parameters
    ----------
    page : Directory
        Of a predictor of 1 or 2, and a dtype of whole bytes.
    blocks : Blocks
    data : bytes
        The file.

    Returns
    -------
    ndarray of shape (H, W, C), of the page's dtype
        What is missing is 0.

    Raises
    ------
    ValueError
        If a strip or tile is damaged or holds too little.
    """
    shape = page.number(tags.LENGTH), page.number(tags.WIDTH), page.number(tags.SAMPLES)
    assert page.dtype is not None
    unsigned = np.dtype(f"u{page.dtype.itemsize}")  # differences of floats are those of their bits
    _refuse_what_cannot_be_held(page, blocks, len(data))
    pixels, predictor = np.zeros(shape, unsigned), page.number(tags.PREDICTOR)
    storage = page.number(tags.COMPRESSION), page.number(tags.FILL_ORDER) == 2
    for index in np.nonzero(~blocks.missing)[0]:
        plane, rows, columns = blocks.box(int(index))
        channels = slice(plane, plane + 1) if blocks.planes > 1 else slice(None)
        part = pixels[rows, columns, channels]  # what of the block is in the picture
        needed = len(part) * blocks.width * part.shape[2] * unsigned.itemsize
        stored = data, int(blocks.offsets[index]), int(blocks.counts[index])
        try:
            unpacked = _unpacked(*stored, needed, *storage)
        except (ValueError, zlib.error) as error:
            raise ValueError(f"part {index + 1} of the pixels {error}") from error
        values = np.frombuffer(unpacked, unsigned.newbyteorder(page.order))
        values = values.reshape(len(part), blocks.width, part.shape[2])
        if predictor == 2:  # each is stored as the difference to its left neighbor
            values = np.cumsum(values, axis=1, dtype=unsigned)
        part[:] = values[:, : part.shape[1]]
    return pixels.view(page.dtype)


def _refuse_what_cannot_be_held(page, blocks, file_size):
    """Look before memory is taken: a few bytes can claim many pixels."""
    there, heights, _ = _sizes(page, blocks)
    compression, channels = page.number(tags.COMPRESSION), page.number(tags.SAMPLES)
    needed = heights * blocks.width * (channels // blocks.planes) * page.dtype.itemsize
    held = np.maximum(file_size - blocks.offsets[there], 0)
    if compression != NONE:  # else counts are often wrong
        held = np.minimum(held, blocks.counts[there]) * EXPANSION[compression]
    if (needed > held).any():
        k = int(np.argmax(needed > held))
        raise ValueError(
            f"part {there[k] + 1} of the pixels has at most {held[k]:,} of {needed[k]:,} bytes"
        )


def _unpacked(data, start, count, needed, compression, is_reversed) -> bytes:
    """Refuse a strip or tile of fewer bytes than needed; unpack no more of others."""
    # Counts of what is not compressed are often wrong. Strips may share one long stretch of data.
    count = needed if compression == NONE else min(count, needed + needed // 8 + WASTE)
    packed = data[start : start + count]
    if is_reversed:
        packed = packed.translate(REVERSED)
    if compression in DEFLATE:
        # One byte more than needed, so that the checksum behind them is read.
        packed = zlib.decompressobj().decompress(packed, needed + 1)
    elif compression == PACK_BITS:
        packed = _unpack_bits(packed, needed)
    if len(packed) < needed:
        raise ValueError(f"has {len(packed):,} of {needed:,} bytes")
    return packed[:needed]


def _unpack_bits(packed, needed) -> bytes:
    """Undo PackBits: a count, then so many bytes, or one that is repeated."""
    result, position = bytearray(), 0
    while len(result) < needed and position < len(packed):
        head = packed[position]
        if head < 128:
            result += packed[position + 1 : position + 2 + head]
            position += 2 + head
        else:  # 128 says nothing
            result += packed[position + 1 : position + 2] * (257 - head if head > 128 else 0)
            position += 2 if head > 128 else 1
    return bytes(result)
