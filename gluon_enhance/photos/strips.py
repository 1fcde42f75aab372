"""Strips of a picture, in which PNG and TIFF files are packed: little memory beside the picture.

Pillow takes 4 bytes per pixel of RGB for a copy of the picture, and 16-bit colors it does not write
at all; OpenCV writes no metadata. So the two formats are written here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

STRIP_BYTES = 1 << 20
"""Of a strip's pixels: as many whole rows as fit, but at least one."""
DEFLATE_LEVEL = 1
"""ISA-L's: three times as fast as zlib's fastest, which would keep the net from the processor."""


def channels_of(pixels: np.ndarray) -> int:
    """Return the number of channels of an image of shape (H, W) or (H, W, C)."""
    return pixels.shape[2] if pixels.ndim == 3 else 1


def rows_per_strip(pixels: np.ndarray) -> int:
    """Return how many rows a strip has; the last one may have fewer."""
    return max(1, STRIP_BYTES // pixels[0].nbytes)


def strips_of(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield an image in strips, from the top to the bottom."""
    rows = rows_per_strip(pixels)
    return (pixels[start : start + rows] for start in range(0, len(pixels), rows))
