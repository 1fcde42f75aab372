"""Photos as files: PNG, JPEG, TIFF, WebP and AVIF with their color profile and EXIF data.

What comes in goes out: depth, channels, profile, EXIF data, resolution, XMP, IPTC, comments and
PNG's texts, as far as the format holds them. Not kept: the quality of a JPEG, gain maps. HEIC, BMP
and GIF are read only.
"""

from gluon_enhance.photos.folders import scan
from gluon_enhance.photos.formats import IMAGE_SUFFIXES, WRITTEN_SUFFIXES, usual_suffixes
from gluon_enhance.photos.photo import MAX_PIXELS, Photo
from gluon_enhance.photos.read import read_image, read_size
from gluon_enhance.photos.write import check_writable, result_suffix, write_image

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "Photo",
    "WRITTEN_SUFFIXES",
    "check_writable",
    "read_image",
    "read_size",
    "result_suffix",
    "scan",
    "usual_suffixes",
    "write_image",
]
