"""TIFF, of 8 and 16 bits and floats: Pillow reads plain ones of 8 bits, all others are read here.

References
----------
.. [1] Adobe, TIFF revision 6.0.
"""

from __future__ import annotations

import io
from typing import BinaryIO, Optional

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from gluon_enhance.errors import ImageError, plural
from gluon_enhance.imaging.arrays import dtype_range, to_float
from gluon_enhance.photos import exif, tiff_blocks
from gluon_enhance.photos import tiff_tags as tags
from gluon_enhance.photos.colors import unassociated
from gluon_enhance.photos.photo import DECODING_ERRORS, Encoder, Format, StoredPhoto
from gluon_enhance.photos.sixteen_bits import decode_with_opencv
from gluon_enhance.photos.tiff_write import write_tiff

BIG_TIFF = (b"II+\0", b"MM\0+")
MISSING = 0.01
"""The largest share of the pixels that a file may lack, unless reading is strict."""

FIELDS = {"icc_profile": tags.ICC_PROFILE, "xmp": tags.XMP, "iptc": tags.IPTC}
READ = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))
MIN_IS_WHITE, GRAYS_AND_RGB = 0, (0, 1, 2)
"""What PhotometricInterpretation says of the colors that are decoded here."""
COLORS = {3: "PALETTE", 4: "MASK", 5: "SEPARATED", 6: "YCBCR", 8: "CIELAB", 9: "ICCLAB",
          32803: "CFA", 34892: "LINEAR_RAW"}  # fmt: skip
"""Names of the others, of which Pillow reads some with 8 bits."""
OLD_JPEG = 6
"""The compression of the first TIFF with JPEG, whose strips lie otherwise."""
OWN_CODECS = (tiff_blocks.NONE, *tiff_blocks.DEFLATE, tiff_blocks.PACK_BITS)
"""What `tiff_blocks.decode` unpacks; the others need OpenCV or Pillow."""
COMMON_CODECS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946)
"""What every build of libtiff decodes: fax, LZW and JPEG too."""
COMPRESSIONS = {5: "LZW", 7: "JPEG", 34712: "JPEG2000", 34887: "LERC", 34925: "LZMA",
                50000: "ZSTD", 50001: "WEBP"}  # fmt: skip
"""Names of what is not read, or not with all depths."""


def open_tiff(data: bytes) -> StoredPhoto:
    """Read the directories; previews and masks do not count as frames.

    Raises
    ------
    ValueError
        If they are damaged.
    """
    tiff = _Tiff(data)
    return StoredPhoto(
        tiff.size, tiff.decode, tiff.frames, tiff.says, tiff.problems, tiff.lacks, tiff.orientation
    )


def read_size(file: BinaryIO) -> tuple[int, int]:
    """Read width and height of the first page."""
    (page,) = tags.read_directories(file, 1)
    return page.number(tags.WIDTH), page.number(tags.LENGTH)


class _Tiff:
    """A file of which the directories have been read.

    Attributes
    ----------
    page : Directory
        The first one; it is the photo.
    blocks : Blocks, optional
        None if there are no pixels, or they lie otherwise.
    missing : float
        The share of the pixels that is not there.
    lacks : str
        How much that is; empty if nothing is missing.
    data : bytes
        The file with orientation 1: OpenCV would apply another one, the others would not.
    """

    def __init__(self, data):
        pages = tags.read_directories(io.BytesIO(data))
        self.page = page = pages[0]
        self.frames = sum(not page.is_preview for page in pages)
        self.size = page.number(tags.WIDTH), page.number(tags.LENGTH)
        self.channels, self.color = page.number(tags.SAMPLES), page.number(tags.PHOTOMETRIC)
        self.compression = page.number(tags.COMPRESSION)
        has_blocks = self.compression != OLD_JPEG and all(self.size)
        self.blocks = tiff_blocks.blocks_of(page) if has_blocks else None
        self.missing = tiff_blocks.missing_share(page, self.blocks) if has_blocks else 0.0
        share = f"lacks {100 * self.missing:.3g}% of its pixels"
        self.lacks = f"{share} (strips or tiles that are not there)" if self.missing else ""
        self.problems = [f"{share}, which are blank"] if self.missing else []
        self.orientation, self.data = exif.take_orientation(data)
        self.says = {}

    def decode(self):
        """Return the pixels, or a picture of Pillow."""
        self._check_claims()
        self._check_missing()
        # Pillow refuses what lacks a strip, or takes the file's first bytes for it.
        is_own = self.page.dtype != np.uint8 or self._is_gray_with_odd_alpha() or self.missing
        try:
            pixels = self._decode_here() if is_own else _decode_with_pillow(self.data)
        except DECODING_ERRORS as error:
            if self.compression not in COMMON_CODECS:  # the file may be sound
                raise ImageError(_refusal(self.compression)) from error
            if not isinstance(error, SyntaxError):
                raise
            kind = COLORS.get(self.color, self.color)  # which Pillow has no mode for
            raise ImageError(
                f"has {plural(self.channels, 'channel')} of the kind {kind}, not supported; save "
                "it as RGB"
            ) from error
        self._read_fields()
        return pixels

    def _check_claims(self):
        """Refuse layers, and tags and blocks that claim more than the file can hold.

        Decoders read all values and all blocks, however often they share the same bytes.
        """
        page, size = self.page, len(self.data)
        if page.number(tags.IMAGE_DEPTH) > 1:
            layers = page.number(tags.IMAGE_DEPTH)
            raise ImageError(f"holds {layers} layers (ImageDepth); save the one you want")
        whole = self.blocks.size if self.blocks else self.size
        if whole != self.size:
            try:
                FORMAT.check_claim(*whole, size)
            except ImageError as error:
                raise ImageError(f"has strips or tiles whose whole {error}") from error
        if page.value_bytes > 2 * size:
            raise ImageError(f"is damaged: its tags claim {page.value_bytes:,} bytes of {size:,}")
        unpacked = whole[0] * whole[1] * self.channels * max(1, page.number(tags.BITS) // 8)
        stored = int(np.minimum(self.blocks.counts, size).sum()) if self.blocks else 0
        if stored > 2 * max(size, unpacked):
            raise ImageError(f"is damaged: its pixels claim {stored:,} bytes of {size:,}")

    def _check_missing(self):
        """Refuse a file that lacks too many pixels, or some that would not be blank."""
        is_blank = self.page.dtype in READ and self.color in GRAYS_AND_RGB
        if self.missing > (MISSING if is_blank and self._is_unpacked_here() else 0):
            raise ImageError(f"{self.lacks}; get the file again")

    def _is_gray_with_odd_alpha(self) -> bool:
        """Tell whether alpha goes with a gray that Pillow has no mode for."""
        is_odd = self.color == MIN_IS_WHITE or tags.ASSOCIATED in tags.extra_samples(self.page)
        return self.channels == 2 and is_odd

    def _is_unpacked_here(self) -> bool:
        return self.compression in OWN_CODECS and self.page.number(tags.PREDICTOR) in (1, 2)

    def _read_fields(self):
        """Have `says` what tags say; the resolution is among the EXIF data's tags."""
        for field, tag in FIELDS.items():
            self.says[field] = self.page.bytes(tag)
        if tags.LAYERS in self.page:
            self.says["left_out"] = ("Photoshop layers",)
        self.says.update(exif=None, dpi=None, comment=None)  # whatever Pillow says
        try:
            self.says["exif"] = exif.from_tiff(self.data)
        except ValueError as error:
            self.problems.append(f"has damaged EXIF data, which is left out: {error}")

    def _decode_here(self) -> np.ndarray:
        """Decode the page without Pillow.

        Returns
        -------
        ndarray of shape (H, W) or (H, W, 2|3|4), uint8, uint16 or float32 in [0, 1]

        Raises
        ------
        ImageError
            If the pixels are of another kind, or cut short.
        """
        alpha = self._check_kind()
        pixels = self._decode_blocks()
        if pixels.dtype.kind == "f":
            try:
                to_float(pixels)
            except ValueError as error:
                raise ImageError(f"is no photo: {error!s:.200}") from error
        if alpha == tags.ASSOCIATED:
            pixels = unassociated(pixels)
        if self.color == MIN_IS_WHITE:
            inverted = pixels.dtype.type(dtype_range(pixels.dtype)) - pixels
            if alpha:
                inverted[..., -1] = pixels[..., -1]
            pixels = inverted
        return pixels

    def _check_kind(self) -> Optional[int]:
        """Refuse pixels of a kind that is not read; else return the kind of alpha."""
        bits, dtype = self.page.number(tags.BITS), self.page.dtype
        if dtype not in READ or bits != 8 * dtype.itemsize:
            raise ImageError(
                f"has {bits}-bit values of type {dtype}; save it with 8 or 16 bits, or as "
                "32-bit float"
            )
        if self.color not in GRAYS_AND_RGB:
            kind = COLORS.get(self.color, self.color)
            raise ImageError(f"has {bits}-bit colors of the kind {kind}; convert it to RGB")
        # Some writers leave out what a fourth channel is; it is alpha.
        extra = tags.extra_samples(self.page) or (tags.UNASSOCIATED,)
        has_alpha = self.channels % 2 == 0 and extra[-1] in (tags.ASSOCIATED, tags.UNASSOCIATED)
        if self.channels - has_alpha not in (1, 3):
            raise ImageError(
                f"has {plural(self.channels, 'channel')}; need gray or RGB, with or without alpha"
            )
        return extra[-1] if has_alpha else None

    def _decode_blocks(self) -> np.ndarray:
        """Return the values as they are stored, (H, W) or (H, W, C)."""
        if self.blocks is None:  # of the old kind of JPEG, which Pillow reads in 8 bits alone
            raise ImageError(_refusal(self.compression))
        there = ~self.blocks.missing
        if (self.blocks.offsets + self.blocks.counts)[there].max() > len(self.data):
            raise ImageError("is cut short; get the file again")
        is_plain = self.page.number(tags.PLANAR) == 1 and self.color != MIN_IS_WHITE
        if self._is_unpacked_here():
            pixels = tiff_blocks.decode(self.page, self.blocks, self.data)
        elif is_plain and self.channels != 2:
            pixels = decode_with_opencv(self.data)
        else:
            raise ImageError(_refusal(self.compression))
        width, height = self.size
        shape = (height, width, self.channels)
        return pixels.reshape(shape if self.channels > 1 else shape[:2])


def _decode_with_pillow(data) -> TiffImageFile:
    image = TiffImageFile(io.BytesIO(data))
    image.load()
    return image


def _refusal(compression) -> str:
    name = COMPRESSIONS.get(compression, compression)
    return f"is compressed with {name}, not supported here; save it with deflate"


def _refusal_of_big(head) -> str:
    """Refuse a BigTIFF, which may be large."""
    if not head.startswith(BIG_TIFF):
        return ""
    return "is a BigTIFF file, not supported for photos; save it as plain TIFF"


FORMAT = Format(
    "TIFF", (".tif", ".tiff"), rb"II[*+]\0|MM\0[*+]", read_size, open_tiff,
    refusal=_refusal_of_big,
    encoder=Encoder(
        write_tiff, ("uint8", "uint16", "float32"), (1, 2, 3, 4), max_side=2**31 - 1,
        max_bytes=0.99 * 2**32,  # positions have 32 bits, and deflate adds less than 1%
        holds=("iptc",),
    ),
)  # fmt: skip
