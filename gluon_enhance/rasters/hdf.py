"""HDF files, as of netCDF 4 and BAG, which may take their numbers from any other file.

An HDF5 file can say that the numbers of a dataset lie in another file, raw or of HDF5, whose name
it holds, and so can one of HDF4; the libraries that GDAL reads them by open these without a word.
"""

from __future__ import annotations

import math
import os
from typing import Optional

from gluon_enhance.rasters.claims import fault_of_block
from gluon_enhance.small_files import open_regular

DRIVERS = frozenset((
    "BAG", "HDF4", "HDF4Image", "HDF5", "HDF5Image", "KEA", "netCDF", "S102", "S104", "S111",
))  # fmt: skip
"""GDAL's drivers of such files; netCDF's own formats, up to 3, are none of them."""
HDF4, HDF5 = b"\x0e\x03\x13\x01", b"\x89HDF\r\n\x1a\n"
MAX_DEPTH = 64
"""Groups that a group may have in one another: names hold them all, and grow with each."""
MAX_ATTRIBUTES = 10_000
"""Of a file: GDAL lists them in quadratic time."""
FIRST = 512
"""HDF5's signature begins a file, or follows what else is there at this offset or twice it, ..."""


def fault_of(path: str | os.PathLike) -> Optional[str]:
    """Say what keeps a file from being safe to read; None if nothing does, or it is no HDF file.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with open_regular(path) as file:
        if file.read(len(HDF4)) == HDF4:
            return "is an HDF4 file, which may take its numbers from other files"
        if not _is_hdf5(file):
            return None
        try:
            import h5py
        except ImportError:
            return "may take its numbers from other files, which h5py tells (pip install h5py)"
        try:
            with h5py.File(file, "r") as content:
                return _fault_in(h5py, content, os.path.getsize(path))
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            return f"is a damaged HDF5 file ({error!s:.200})"


def _is_hdf5(file):
    size, offset = file.seek(0, os.SEEK_END), 0
    while offset < size:
        file.seek(offset)
        if file.read(len(HDF5)) == HDF5:
            return True
        offset = max(FIRST, 2 * offset)
    return False


def _fault_in(h5py, content, size):
    """Say what is not in the file itself, lies too deep in it, or is too much; None if nothing."""
    within = (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT)
    attributes = 0

    def link(name, info):
        if name.count(b"/") > MAX_DEPTH:
            return f"has groups in one another, over {MAX_DEPTH} deep"
        return None if info.type in within else _leads_out(name.decode(errors="replace"))

    def item(name, one):
        nonlocal attributes
        attributes += len(one.attrs)
        if attributes > MAX_ATTRIBUTES:
            return f"has over {MAX_ATTRIBUTES:,} attributes"
        if not isinstance(one, h5py.Dataset):
            return None
        if one.external or one.is_virtual:
            return _leads_out(name)
        # The library unpacks chunks of any number of dimensions, of which GDAL tells two.
        return fault_of_block(math.prod(one.chunks or ()) * one.dtype.itemsize, size) or None

    return content.id.links.visit(link, info=True) or item("/", content) or content.visititems(item)


def _leads_out(name):
    return f"takes {name:.100} from another file"
