"""Single things that make a photo worse: blur, noise, compression, colors.

Images are (H, W, 3) float32 RGB in [0, 1], given and returned.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from gluon_enhance.imaging.arrays import LUMA, to_dtype, to_float

FRAME = (1536, 2048)
"""Rows and columns of the photo that a patch is taken to be a part of."""

RESAMPLINGS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
SHARPENING, SHARPENING_SIZE, SHARPENING_THRESHOLD = 0.5, 51, 10


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian of standard deviation `sigma` in pixels; edges are mirrored."""
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)


def blur_with(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlate with a kernel of shape (k, k), float32; edges are mirrored."""
    blurred = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.clip(blurred, 0, 1)  # a sinc kernel overshoots


def add_gaussian_noise(
    image: np.ndarray, sigma: float, rng: np.random.Generator, gray: bool = False
) -> np.ndarray:
    """Add normal noise.

    Parameters
    ----------
    sigma : float
        Standard deviation in [0, 1], the range of the image.
    gray : bool
        The same noise in all channels.
    """
    shape = (*image.shape[:2], 1 if gray else 3)
    return np.clip(image + np.float32(sigma) * rng.standard_normal(shape, np.float32), 0, 1)


def add_poisson_noise(
    image: np.ndarray, scale: float, rng: np.random.Generator, gray: bool = False
) -> np.ndarray:
    """Add the noise of counting 256 photons per pixel at white, `scale` times.

    Its standard deviation is ``scale * sqrt(value / 256)``; it is drawn as normal noise, which
    differs below some 10 photons only and takes a tenth of the time. Real-ESRGAN, where this comes
    from, takes the number of distinct values for 256, rounded up to a power of two.

    Parameters
    ----------
    gray : bool
        Noise of the luma, the same in all channels.
    """
    clean = (image @ np.array(LUMA, np.float32))[..., None] if gray else image
    noise = np.sqrt(clean / 256) * rng.standard_normal(clean.shape, np.float32)
    return np.clip(image + np.float32(scale) * noise, 0, 1)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Compress as JPEG with a quality of 1 to 100, colors at half resolution, and decompress."""
    bgr = to_dtype(image, np.uint8)[..., ::-1]
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return to_float(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def mix_colors(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Multiply every color by a (3, 3) matrix and clip."""
    return np.clip(image @ matrix.T.astype(np.float32), 0, 1)


def saturation_matrix(saturation: float) -> np.ndarray:
    """Matrix for `mix_colors`: 1 leaves colors as they are, 0 leaves their BT.601 luma."""
    return saturation * np.eye(3) + (1 - saturation) * np.tile(LUMA, (3, 1))


def vignette(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Darken towards the corners: by the fraction `strength` in the corners of the photo.

    An image smaller than `FRAME` is taken for a part of it at a random place.
    """
    squared = [
        (np.arange(n) + 0.5 - max(n, frame) / 2 + rng.uniform(0, max(frame - n, 0))) ** 2
        for n, frame in zip(image.shape, FRAME)
    ]
    corner = sum(max(n, frame) ** 2 / 4 for n, frame in zip(image.shape, FRAME))
    distance = (squared[0][:, None] + squared[1])[..., None] / corner
    return image * (1 - strength * distance).astype(np.float32)


def resample_somehow(
    image: np.ndarray, size: Sequence[int], rng: np.random.Generator
) -> np.ndarray:
    """Resize to (columns, rows) by areas, bilinearly or bicubically, at random."""
    resampling = RESAMPLINGS[rng.integers(len(RESAMPLINGS))]
    return np.clip(cv2.resize(image, size, interpolation=resampling), 0, 1)


def sharpen(image: np.ndarray) -> np.ndarray:
    """Sharpen a true photo as Real-ESRGAN's training does: an unsharp mask where there are edges.

    The blur has a kernel of 51x51 pixels; half of what it takes away is added where that is over 10
    levels of 255 in a channel, and around.
    """
    kernel = (SHARPENING_SIZE, SHARPENING_SIZE)
    lost = image - cv2.GaussianBlur(image, kernel, 0)
    edges = (np.abs(lost) * 255 > SHARPENING_THRESHOLD).astype(np.float32)
    share = cv2.GaussianBlur(edges, kernel, 0)
    return image + share * (np.clip(image + SHARPENING * lost, 0, 1) - image)


def round_to_8_bits(image: np.ndarray) -> np.ndarray:
    """Clip to [0, 1] and round to the values that 8 bits hold."""
    return to_float(to_dtype(image, np.uint8))
