"""What a raster leads to: files and addresses that its makers chose, and the user did not.

GDAL opens what a file names, and tells formats by their content: text called ``scene.tif`` may be a
VRT that takes its pixels from any file of this machine, or a service at any address. Unless they
are trusted, files are opened by what they are called, and may take pixels from files in their
folder only.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import NoReturn, Optional
from xml.etree import ElementTree

from gluon_enhance.errors import ImageError
from gluon_enhance.photos.formats import HEAD_BYTES, format_of
from gluon_enhance.rasters.names import TIFF, is_dataset_name, suffix_of
from gluon_enhance.small_files import read_small

SIGNATURES = re.compile(
    rb"II[*+]\0|MM\0[*+]|\0\0\0\x0cjP|\xffO\xffQ|EHFA_HEADER_TAG\0|UHL1|NITF0|GRIB"
)
"""TIFF, JPEG 2000, IMG, DTED, NITF and GRIB: beside pictures, formats that hold their pixels."""
HOLDERS = frozenset((
    "AAIGrid", "AIG", "AVIF", "BAG", "BIGGIF", "BMP", "BSB", "BT", "DTED", "ECW", "EHdr", "ENVI",
    "ESAT", "GIF", "GPKG", "GRIB", "GSAG", "GSBG", "GS7BG", "GTX", "GTiff", "GXF", "HDF4",
    "HDF4Image", "HDF5", "HDF5Image", "HEIF", "HFA", "JDEM", "JP2ECW", "JP2KAK", "JP2MrSID",
    "JP2OpenJPEG", "JPEG", "JPEGXL", "KEA", "L1B", "LAN", "MBTiles", "MrSID", "NITF", "NTv2",
    "NWT_GRC", "NWT_GRD", "PCRaster", "PNG", "PNM", "RMF", "ROI_PAC", "RRASTER", "RST", "S102",
    "S104", "S111", "SAGA", "SGI", "SIGDEM", "SNAP_TIFF", "SRTMHGT", "Terragen", "TGA",
    "USGSDEM", "WEBP", "XPM", "XYZ", "netCDF",
))  # fmt: skip
"""GDAL's drivers of such formats."""
TEXT_HEAD = 4096
TEXT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<[A-Za-z!?]|[{]\s*\")|.*<(?:VRTDataset|GDAL)", re.S)
"""What begins a description in XML or JSON; GDAL takes also what has a VRT after other text."""
MAX_TEXT = 16 << 20
"""Bytes of a VRT."""
MARKUP = re.compile(rb"<!DOCTYPE|<!\[|.<\?", re.S | re.I)
"""XML that GDAL's parser and Python's may take for different things."""
PROSE = ("srs", "metadata", "description", "unittype", "category", "histograms", "mdi")
"""Elements of a VRT, in lower case, whose texts name no file."""
POINTERS = ("x_dataset", "y_dataset", "overview_file")
"""Keys of metadata that do."""
CODE = ("pixelfunctioncode", "pixelfunctionlanguage")
AROUND = (".msk", ".ovr")
"""Ends of the files beside a raster that GDAL opens by their content."""
WRAPPED = re.compile(r"(?:vrt://|DERIVED_SUBDATASET:\w+:)([^?]+)", re.I)
"""Names that have one of a file in them."""
PLACE = re.compile(r"/vsi|(?!vrt:)[\w.+-]+://", re.I)
"""What begins the address of a file, which says nothing of its format."""
HINT = "if you trust who made it, give --trust (trust=True)"


def driver_for(name: str) -> Optional[str]:
    """Return the one driver that is to open a raster, or None for any; refuse what leads elsewhere.

    Parameters
    ----------
    name : str
        As GDAL takes it.

    Raises
    ------
    ImageError
        If it is text that names addresses or files outside its folder, or the files beside it are
        no raster's.
    """
    if name.startswith("file://"):
        return driver_for(name[len("file://") :])
    if not _is_said(name):
        if PLACE.match(name):
            return "GTiff" if suffix_of(name) in TIFF else None
        return _driver_of_file(Path(name))
    wrapped = WRAPPED.match(name)
    if wrapped:
        driver_for(wrapped[1])
    return None


def check_opened(dataset, name: str, driver: Optional[str]) -> None:
    """Refuse an open dataset of a format that is not known to hold its pixels itself.

    Names such as ``WMS:http://...`` say that they lead elsewhere. `driver` is what `driver_for`
    has said.
    """
    if dataset.driver not in HOLDERS and dataset.driver != driver and not _is_said(name):
        _refuse(name, f"is of the format {dataset.driver}, which may name other files or addresses")
    overviews = dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE")
    if overviews:
        _refuse(name, f"names {overviews} as its overviews")


def _driver_of_file(path):
    if not path.is_file():
        if path.exists() and not path.is_dir():
            raise ImageError(f"{path} is no regular file; copy it to one")
        return None
    _check_beside(path)
    if not TEXT.match(_head(path)):
        return "GTiff" if path.suffix.lower() in TIFF else None
    if path.suffix.lower() != ".vrt":
        _refuse(path, "describes in text where its pixels are, which may be files or addresses")
    path = Path(os.path.realpath(path))  # GDAL follows links too
    _check_vrt(path, path.parent, set())
    return "VRT"


def _head(path):
    """Read the beginning of a file up to its first zero, where it ends for GDAL's tests too."""
    with open(path, "rb") as file:
        return file.read(TEXT_HEAD).partition(b"\0")[0]


def _check_beside(path):
    """Refuse files beside a raster that GDAL would open as others than what they are called."""
    folder = path.absolute().parent
    stem = path.stem.lower()
    for name in _listing(folder, folder.stat().st_mtime_ns).get(stem.partition(".")[0], ()):
        beside = folder / name
        if not name.lower().startswith(f"{stem}.") or beside.is_dir():
            continue
        if beside.exists() and not beside.is_file():
            raise ImageError(f"{beside}, which lies beside {path.name}, is no regular file")
        if beside.suffix.lower() in AROUND and beside.is_file() and not _holds_pixels(beside):
            _refuse(beside, f"lies beside {path.name}, and is no TIFF file")


@lru_cache(maxsize=8)
def _listing(folder, changed):
    """Return the names of files in a folder, by what they have before the first dot."""
    names: dict[str, list] = {}
    for name in os.listdir(folder):
        names.setdefault(name.lower().partition(".")[0], []).append(name)
    return names


def _holds_pixels(path):
    """Tell whether a file begins as those of a format that holds its pixels itself."""
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    is_known = format_of(head) is not None or SIGNATURES.match(head) is not None
    return is_known and not TEXT.match(_head(path))


def _check_vrt(path, folder, known):
    """Refuse a VRT with code, or with sources outside a folder; `known` are those looked at."""
    known.add(path)
    data = read_small(path, MAX_TEXT)
    if MARKUP.search(data):
        _refuse(path, "is no plain XML")
    try:
        waiting = [ElementTree.fromstring(data)]
    except ElementTree.ParseError as error:
        raise ImageError(f"{path} cannot be read: {error}") from error
    while waiting:
        element = waiting.pop()
        waiting += (child for child in element if _tag(element) not in PROSE or _points(child))
        for value, bases in _values(element, path):
            _check_value(value, bases, path, folder, known)


def _tag(element):
    return element.tag.lower()


def _points(element):
    return element.get("key", "").lower() in POINTERS


def _values(element, path):
    """Yield what may be names in an element, and the folders that they may be relative to."""
    attributes = {name.lower(): value for name, value in element.attrib.items()}
    if _tag(element) in CODE:
        _refuse(path, "holds code")
    # GDAL takes attributes in any case, and elements in their place.
    if len(attributes) < len(element.attrib) or any(
        _tag(child) in ("relativetovrt", "key") for child in element
    ):
        _refuse(path, f"has a <{element.tag}> that is not written as GDAL writes it")
    if _tag(element) in PROSE and not _points(element):
        return
    beside, here = path.parent, Path.cwd()
    bases = {"1": (beside,), "0": (here,)}.get(attributes.get("relativetovrt"), (beside, here))
    for text in (element.text, *attributes.values(), *(child.tail for child in element)):
        if text and text.strip():
            yield text.strip(), bases


def _check_value(value, bases, path, folder, known):
    """Refuse a value that can be the name of something outside a folder, or of other text."""
    rest = os.path.splitdrive(value)[1]
    if re.search(r"[:{}<]", rest) or rest.startswith(("/vsi", "~")):
        _refuse(path, f"names {value}")
    for base in bases:
        source = Path(os.path.realpath(base / value))
        is_inside = folder in source.parents
        if not is_inside and ("/" in value or os.sep in value or os.path.isfile(source)):
            _refuse(path, f"takes pixels from {source}, outside its folder")
        if is_inside and source not in known:
            _check_source(source, path, folder, known)


def _check_source(source, path, folder, known):
    if not os.path.isfile(source):
        if os.path.exists(source) and not os.path.isdir(source):
            raise ImageError(f"{source}, which {path} names, is no regular file")
        return
    if b"<VRTDataset" in _head(source):
        _check_vrt(source, folder, known)
    elif not _holds_pixels(source):
        _refuse(path, f"takes pixels from {source}, which may name other files or addresses")
    _check_beside(source)


def _is_said(name):
    """Tell whether a name says of which format it is, and not only where a file lies."""
    is_file = os.path.exists(name) or not is_dataset_name(name)
    return not is_file and not PLACE.match(name)


def _refuse(name, fault) -> NoReturn:
    raise ImageError(f"{name} {fault}; {HINT}")
