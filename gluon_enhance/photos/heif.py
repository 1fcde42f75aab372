"""HEIC files, at the depth they were stored in, by pillow-heif (extra ``[heif]``)."""

from __future__ import annotations

import importlib.util

import numpy as np

from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.arrays import to_dtype
from gluon_enhance.photos import deep


class HeicFile:
    """A file whose header has been read.

    Parameters
    ----------
    data : bytes

    Attributes
    ----------
    size : tuple of int
        Width and height, upright: the file tells how it is turned elsewhere than in EXIF data.
    count : int
        Pictures in the file; it names one of them as the primary one, which is meant here.
    info : dict
        As Pillow's: ``exif`` and ``icc_profile`` are bytes, if there are such.

    Raises
    ------
    ImageError
        If pillow-heif is not installed.
    OSError, ValueError, EOFError, SyntaxError, RuntimeError
        If the file is damaged, as pillow-heif has it.
    """

    def __init__(self, data: bytes):
        if importlib.util.find_spec("pillow_heif") is None:
            raise ImageError("is HEIC, which needs pip install 'gluon-enhance[heif]'")
        import pillow_heif

        self._file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
        self.size, self.count, self.info = self._file.size, len(self._file), self._file.info

    def decode(self) -> np.ndarray:
        """Decode the picture; alpha that was multiplied into the colors is taken out.

        Returns
        -------
        ndarray of shape (H, W) or (H, W, 3|4), uint8, or uint16 if there were more than 8 bits
        """
        pixels = np.array(self._file)
        bits = self.info["bit_depth"]
        if bits > 8:
            pixels = to_dtype(pixels.astype(np.float32) / (2**bits - 1), np.uint16)
        return deep.unassociated(pixels) if self._file.premultiplied_alpha else pixels
