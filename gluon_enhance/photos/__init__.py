"""Photos as files: PNG, JPEG, TIFF, WebP and AVIF with their color profile and EXIF data.

What comes in goes out: depth, channels, profile, EXIF data, resolution, XMP, IPTC, comments and
PNG's texts, as far as the format holds them. Not kept: the quality of a JPEG, gain maps.
"""

from gluon_enhance.photos.formats import IMAGE_SUFFIXES
from gluon_enhance.photos.photo import Photo
from gluon_enhance.photos.reader import MAX_PIXELS, read_image, read_size
from gluon_enhance.photos.scanning import scan
from gluon_enhance.photos.writer import FORMATS, check_writable, result_suffix, write_image

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "Photo",
    "check_writable",
    "read_image",
    "read_size",
    "result_suffix",
    "scan",
    "write_image",
]
