"""HEIC, which is read only, at the depth it was stored in, by pillow-heif (extra ``[heif]``)."""

from __future__ import annotations

import importlib.util

import numpy as np

from gluon_enhance.imaging.arrays import to_dtype
from gluon_enhance.photos.colors import unassociated
from gluon_enhance.photos.heif_colors import unlike_srgb
from gluon_enhance.photos.heif_items import check_items
from gluon_enhance.photos.photo import Format, StoredPhoto


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
        If its items claim far more bytes than it has.
    OSError, ValueError, EOFError, SyntaxError, RuntimeError, LookupError, struct.error
        If the file is damaged, as pillow-heif has it, or the list of its items is.
    """

    def __init__(self, data: bytes):
        import pillow_heif

        check_items(data)
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
        return unassociated(pixels) if self._file.premultiplied_alpha else pixels


def open_heic(data: bytes) -> StoredPhoto:
    """Read the header, and what of the file is not kept."""
    file = HeicFile(data)
    left_out = [f"{file.count - 1} further pictures"] if file.count > 1 else []
    if any("gainmap" in kind for kind in file.info.get("aux", ())):
        left_out.append("gain map")
    says = {field: file.info.get(field) or None for field in ("icc_profile", "exif", "xmp")}
    says["left_out"] = tuple(left_out)
    problems = unlike_srgb(data, file.info)
    return StoredPhoto(file.size, file.decode, says=says, problems=problems, orientation=1)


def _missing_package():
    return "" if importlib.util.find_spec("pillow_heif") else "gluon-enhance[heif]"


FORMAT = Format(
    # A brand may be one of several that the file says it is compatible with.
    "HEIC", (".heic", ".heif", ".hif"), rb"....ftyp(....)*?he(ic|ix|im|is|vc|vx)",
    lambda file: HeicFile(file.read()).size, open_heic, missing_package=_missing_package,
)  # fmt: skip
