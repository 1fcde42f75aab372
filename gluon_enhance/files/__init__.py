"""Photos as files: PNG, JPEG, TIFF and WebP with their color profile and EXIF data.

What comes in goes out: depth, channels, profile, EXIF data, resolution, XMP, IPTC, comments and
PNG's texts, as far as the format holds them. Not kept: the quality of a JPEG, gain maps.
"""

from gluon_enhance.files.photo import Photo
from gluon_enhance.files.reader import MAX_PIXELS, read_image
from gluon_enhance.files.writer import FORMATS, check_writable, write_image

__all__ = ["FORMATS", "MAX_PIXELS", "Photo", "check_writable", "read_image", "write_image"]
