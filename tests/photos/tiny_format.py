"""A format of pictures that nobody has: the one module that adds it to those that are read.

A file is the signature, width and height in 16 bits each, and RGB of 8 bits.
"""

import struct

import numpy as np

from gluon_enhance.photos.photo import Encoder, Format, StoredPhoto

SIGNATURE = b"tiny picture"
HEADER = struct.Struct("<12sHH")


def read_size(file):
    return HEADER.unpack(file.read(HEADER.size))[1:]


def open_tiny(data):
    _, width, height = HEADER.unpack_from(data)

    def decode():
        return np.frombuffer(data, np.uint8, offset=HEADER.size).reshape(height, width, 3).copy()

    return StoredPhoto((width, height), decode)


def write_tiny(out, photo, quality):
    height, width = photo.pixels.shape[:2]
    out.write(HEADER.pack(SIGNATURE, width, height) + photo.pixels.tobytes())


FORMAT = Format(
    "Tiny",
    (".tiny", ".tny"),
    SIGNATURE,
    read_size,
    open_tiny,
    pixels_per_byte=1,
    encoder=Encoder(write_tiny, ("uint8",), (3,), max_side=65535),
)
