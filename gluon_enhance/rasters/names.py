"""What rasters are called, and where that leads; files and addresses of others' choice are refused.

A name may be of no plain file: a URL, a file in an archive, a part of a file. Such names must stay
text, as `pathlib.Path` makes one slash of two.

GDAL opens what a file names, and tells formats by their content: text called ``scene.tif`` may be a
VRT that takes its pixels from any file of this machine, or a service at any address. Unless they
are trusted, files are opened by what they are called, and may take pixels from files in their
folder only.
"""

from __future__ import annotations

import math
import os
import re
from functools import cached_property, lru_cache
from html import unescape
from pathlib import Path, PurePosixPath
from typing import Optional

from rasterio.env import ensure_env_with_credentials
from rasterio.io import DatasetReader

from gluon_enhance.errors import ImageError, untrusted
from gluon_enhance.photos.read import HEAD_BYTES, format_of
from gluon_enhance.photos.tiff_tags import HEADS as TIFF_HEADS
from gluon_enhance.rasters import claims, hdf, jpeg2000, netcdf, pictures, vrt
from gluon_enhance.small_files import is_endless, read_small

TIFF = (".tif", ".tiff")
"""Suffixes of what is written."""

# How names that are no plain file's are written.
_DATASET = re.compile(r"/vsi\w+[/?]|[A-Za-z][\w.+-]+:")
"""``/vsizip/..``, ``https://..``, ``NETCDF:"file":variable``; one letter is a drive of Windows."""
_URL = re.compile(r"[\w.+-]+://")
_HEAD = re.compile(r'(?:/vsi(?:zip|tar|gzip|7z|rar|sparse)/|(?:zip|tar|gzip)://|[\w.+-]{2,}:"?)*')
"""What may stand before the path of a file in such a name."""
_WRAPPED = re.compile(r"(?:vrt://|DERIVED_SUBDATASET:\w+:)([^?]+)", re.I)
"""Names that have the name of another dataset in them."""
_PLACE = re.compile(r"/vsi|(?!vrt:)[\w.+-]+://", re.I)
"""What begins the address of a file, which says nothing of the file's format."""

# Formats that hold their pixels themselves, and so lead nowhere else.
_SIGNATURES = re.compile(rb"II[*+]\0|MM\0[*+]|\0\0\0\x0cjP|\xffO\xffQ|EHFA_HEADER_TAG\0|UHL1|GRIB")
"""How files of TIFF, JPEG 2000, IMG, DTED and GRIB begin; pictures' are known besides."""
_HOLDERS = frozenset((
    "AAIGrid", "AVIF", "BAG", "BSB", "BT", "DTED", "ECW", "EHdr", "ENVI",
    "GRIB", "GSAG", "GSBG", "GS7BG", "GTX", "GTiff", "GXF", "HDF4",
    "HDF4Image", "HDF5", "HDF5Image", "HEIF", "HFA", "JP2ECW", "JP2KAK", "JP2MrSID",
    "JP2OpenJPEG", "JPEG", "JPEGXL", "KEA", "LAN", "MrSID", "NTv2",
    "PCRaster", "PNG", "PNM", "RMF", "ROI_PAC", "RST", "S102",
    "S104", "S111", "SAGA", "SIGDEM", "SRTMHGT", "Terragen",
    "USGSDEM", "WEBP", "XYZ", "netCDF",
))  # fmt: skip
"""GDAL's drivers of such formats. Of others, those of GIF, BMP, TGA, SGI, XPM and NITF take memory
or time for whatever a file claims, AIG's opens files beside its folder, GeoPackage and MBTiles hold
programs, in SQL, RRASTER a coordinate system of any name, and some are hardly in use."""
_AROUND = (".msk", ".ovr")
"""Suffixes of the files beside a raster that GDAL opens by their content."""
_NOTES = ".aux.xml"
"""How the name of the file ends that GDAL keeps what it knows of a raster in."""
_POINT = re.compile("<gcp[ \t\r\n/>]", re.I)
"""A control point in it."""
_LISTS = re.compile(
    r".*(?:\.(?:hdr|imd|rpb|pvl|att|eph|geo|dim)|_(?:mtl|metadata|rpc)\.txt)|(?:summary|hdr.*|rpc-.*)\.txt",
    re.I,
)
"""Names of files beside a raster of which GDAL makes lists, in quadratic time."""
_MAX_ITEMS = 10_000
_LONG = 1 << 15
"""Bytes from which on such a file is looked at: fewer hold fewer items, by far."""

# Text that describes a raster whose pixels lie elsewhere.
_TEXT_HEAD = 4096
"""Bytes at the beginning of a file that are looked at for such text."""
_TEXT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<[A-Za-z!?]|[{]\s*\")|.*<(?:VRTDataset|GDAL)", re.S)
"""What begins a description in XML or JSON; GDAL takes also what has a VRT after other text."""


def is_dataset_name(text: str) -> bool:
    """Tell whether a name is of no plain file, by how it is written."""
    return bool(_DATASET.match(text))


def stem_of(name: str) -> str:
    """Return what to call a file that is made of a dataset.

    Examples
    --------
    >>> stem_of("https://host:8080/tiles/scene.tif?key=1"), stem_of('NETCDF:"d/sst.nc":analysed')
    ('scene', 'sst_analysed')
    """
    if _URL.match(name) or name.startswith("/vsi"):
        texts = [re.split(r"[?#]", name)[0]]
    else:
        texts = re.findall(r'"[^"]*"|[^":]+', name)[1:]
    stems = (PurePosixPath(re.split(r"[/\\!]", text.strip('"/'))[-1]).stem for text in texts)
    return re.sub(r"[^\w.-]+", "_", "_".join(filter(None, stems))) or "raster"


def suffix_of(name: str) -> str:
    """Return how the path of a URL, or in an archive, ends, in lower case.

    Examples
    --------
    >>> suffix_of("https://host:8080/tiles/scene.TIF?key=1"), suffix_of("zip://a.zip!deep/b.vrt")
    ('.tif', '.vrt')
    """
    return PurePosixPath(re.split(r"[/\\!]", re.split(r"[?#]", name)[0])[-1]).suffix.lower()


def absolute_name(name: str) -> str:
    """Return what opens a dataset in any folder: a path in its name made absolute.

    Examples
    --------
    >>> absolute_name("/vsis3/bucket/scene.tif")
    '/vsis3/bucket/scene.tif'
    """
    if os.path.exists(name):
        return os.path.abspath(name)
    path = _HEAD.sub("", name, count=1)
    head = name[: len(name) - len(path)]
    first = re.split(r'[/:!"]', path)[0]
    return head + os.path.join(os.getcwd(), path) if first and os.path.exists(first) else name


def drivers_for(name: str) -> Optional[list[str]]:
    """Return the drivers that may open a raster, or None for any; refuse what leads elsewhere.

    A driver that is not among them does not look at the file: some open what it names at once.

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
        return drivers_for(name[len("file://") :])
    if not _says_format(name):
        if _PLACE.match(name):
            return ["GTiff"] if suffix_of(name) in TIFF else sorted(_HOLDERS)
        return _drivers_of_file(Path(name))
    wrapped = _WRAPPED.match(name)
    if wrapped:
        drivers_for(wrapped[1])
    return None


class _Reader(DatasetReader):
    """Asks GDAL once what masks the bands have; rasterio does with each band that is read."""

    @cached_property
    def mask_flag_enums(self):
        return super().mask_flag_enums


@ensure_env_with_credentials
def open_by(path, drivers: Optional[list[str]]) -> DatasetReader:
    """Open a dataset by some drivers, of which `rasterio.open` takes one alone, or by any."""
    return _Reader(os.fspath(path), driver=drivers)


def check_opened(dataset, name: str) -> None:
    """Refuse an open dataset that takes pixels or previews from other files, or claims much."""
    if dataset.driver in hdf.DRIVERS:
        for file in dataset.files:
            if not os.path.isfile(file):
                fault = "may take its numbers from other files, which is seen in files only"
                raise untrusted(name, fault)
            _check_numbers(file)
    overviews = dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE")
    if overviews:
        raise untrusted(name, f"names {overviews} as its overviews")
    if dataset.driver != "GTiff" and not _says_format(name):  # a TIFF file holds no names
        _check_folder(dataset.files, name)
    _refuse_if(name, claims.fault_of(dataset))


def _check_folder(files, name):
    """Refuse a dataset with a file outside its folder, as one whose name it holds itself."""
    for file in files:  # its own is the first
        if Path(os.path.abspath(files[0])).parent not in Path(os.path.abspath(file)).parents:
            raise untrusted(name, f"takes pixels from {file}, outside its folder")


def _drivers_of_file(path):
    """Return the drivers for a plain file, and refuse what it or the files beside it lead to."""
    if not path.is_file():
        if path.is_dir():
            raise untrusted(path, "is a folder, whose formats open files beside it")
        if path.exists():
            raise ImageError(f"{path} is no regular file; copy it to one")
        return sorted(_HOLDERS)
    _check_beside(path)
    if not _TEXT.match(_head(path)):
        _check_tiff(path)
        if path.suffix.lower() in TIFF:
            return ["GTiff"]
        _check_numbers(path)
        _check_picture(path)
        return sorted(_HOLDERS)
    if path.suffix.lower() != ".vrt":
        fault = "describes in text where its pixels are, which may be files or addresses"
        raise untrusted(path, fault)
    vrt.check(path, _is_vrt, _pixels_in)
    return ["VRT"]


def _check_numbers(path):
    """Refuse a file of HDF, netCDF or JPEG 2000 that leads elsewhere, or claims too much."""
    _refuse_if(path, hdf.fault_of(path) or netcdf.fault_of(path) or jpeg2000.fault_of(path))


def _check_tiff(path):
    """Refuse a TIFF file whose metadata take long to list, or that has large blocks."""
    _refuse_if(path, claims.fault_of_tiff(path))


def _check_pixels(path):
    """Refuse an image that GDAL opens with another, as the whole is: a source, a mask, previews."""
    with open(path, "rb") as file:
        if file.read(4) in TIFF_HEADS:
            return _check_tiff(path)
    _check_numbers(path)
    _check_picture(path)
    with open_by(path, sorted(_HOLDERS)) as dataset:
        check_opened(dataset, os.fspath(path))


def _check_picture(path):
    """Refuse a picture that takes more memory or time than its pixels do."""
    _refuse_if(path, pictures.fault_of(path))


def _head(path):
    """Read the beginning of a file up to its first zero, where it ends for GDAL's tests too."""
    with open(path, "rb") as file:
        return file.read(_TEXT_HEAD).partition(b"\0")[0]


def _check_beside(path):
    """Refuse files beside a raster that GDAL would open as others than what they are called."""
    folder = path.absolute().parent
    names, fault = _listing(folder, folder.stat().st_mtime_ns)
    if fault:
        raise ImageError(f"{folder / fault[0]}, which lies beside {path.name}, {fault[1]}")
    stem = path.stem.lower()
    for name in names.get(stem.partition(".")[0], ()):
        beside = folder / name
        if not name.lower().startswith(f"{stem}.") or not beside.is_file():
            continue
        if beside.suffix.lower() in _AROUND:
            if not _holds_pixels(beside):
                raise untrusted(beside, f"lies beside {path.name}, and is no TIFF file")
            _check_pixels(beside)
        if name.lower().endswith(_NOTES):
            text = _text_of(beside)
            _refuse_if(beside, vrt.system_fault(unescape(text)))
            _refuse_if(beside, claims.too_many_points(len(_POINT.findall(text))))


def _text_of(path):
    try:
        return read_small(path).decode("utf-8", "replace")
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}; move it elsewhere") from error


@lru_cache(maxsize=8)
def _listing(folder, changed):
    """Return the names in a folder, by what they have before the first dot, and what is wrong.

    GDAL looks for files of many names beside a raster. The fault is a name and what it has.
    """
    names: dict[str, list] = {}
    fault = None
    with os.scandir(folder) as entries:
        for entry in entries:
            names.setdefault(entry.name.lower().partition(".")[0], []).append(entry.name)
            if entry.is_file():
                is_long = _LISTS.fullmatch(entry.name) and entry.stat().st_size > _LONG
                if is_long and _lines_of(entry) > _MAX_ITEMS:
                    fault = entry.name, f"has over {_MAX_ITEMS:,} lines; move it elsewhere"
            elif not entry.is_dir() and is_endless(entry):
                wait = "is no regular file, and GDAL may wait for it without end; move it elsewhere"
                fault = entry.name, wait
    return names, fault


def _lines_of(path):
    """Count a file's lines, and what else may part items; a file that is not small has too many."""
    try:
        return len(re.findall(rb"[\n\r;]", read_small(path)))
    except OSError:
        return math.inf


def _holds_pixels(path):
    """Tell whether a file begins as those of a format that holds its pixels itself."""
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    is_known = format_of(head) is not None or _SIGNATURES.match(head) is not None
    return is_known and not _TEXT.match(_head(path))


def _is_vrt(source, path):
    """Tell whether a source that a VRT names is one too; refuse it if it is no image either."""
    _check_beside(source)
    if vrt.HEAD in _head(source):
        return True
    if not _holds_pixels(source):
        fault = f"takes pixels from {source}, which may name other files or addresses"
        raise untrusted(path, fault)
    _check_pixels(source)
    return False


def _pixels_in(source):
    """Return how many pixels a source has that was looked at."""
    with open_by(source, ["VRT", *sorted(_HOLDERS)]) as dataset:
        return dataset.width * dataset.height


def _says_format(name):
    """Tell whether a name says of which format it is, and not only where a file lies."""
    is_file = os.path.exists(name) or not is_dataset_name(name)
    return not is_file and not _PLACE.match(name)


def _refuse_if(name, fault):
    if fault:
        raise untrusted(name, fault)
