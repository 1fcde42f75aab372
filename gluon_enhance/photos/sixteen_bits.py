"""Pictures of 16 bits a channel, which Pillow would reduce to 8, and the change between the two."""

from __future__ import annotations

import numpy as np

from gluon_enhance.imaging.arrays import to_dtype, to_float


def decode_with_opencv(data: bytes) -> np.ndarray:
    """Decode a file of a format that OpenCV knows, at its full depth.

    Returns
    -------
    ndarray of shape (H, W) or (H, W, 3|4)
        Gray, RGB or RGBA; OpenCV makes RGBA of gray with alpha.

    Raises
    ------
    ValueError
        If OpenCV cannot decode it.
    """
    import cv2

    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(error.err) from error
    if pixels is None:
        raise ValueError("OpenCV cannot decode it")
    if pixels.ndim == 3:  # OpenCV has BGR
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels


def with_depth(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Convert an image to 8 or 16 bits."""
    dtype = np.dtype(f"uint{bits}")
    return pixels if pixels.dtype == dtype else to_dtype(to_float(pixels), dtype)
