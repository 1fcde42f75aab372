"""Where a VRT, GDAL's description of a raster in XML, takes its pixels from.

It must be in the VRT's folder or below, and be images, or VRTs of which the same holds. What GDAL's
parser and Python's could take for different names is refused, so that both see the same.

References
----------
.. [1] GDAL, "VRT -- GDAL Virtual Format", and its parser, ``port/cpl_minixml.cpp``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Callable, Optional
from xml.etree import ElementTree

from gluon_enhance.errors import ImageError, untrusted
from gluon_enhance.rasters import vrt_work
from gluon_enhance.rasters.claims import fault_of_bands
from gluon_enhance.rasters.vrt_work import tag_of
from gluon_enhance.small_files import read_small

MAX_TEXT = 16 << 20
"""Bytes of a VRT, at most."""
MAX_DEPTH = 8
"""VRTs that a VRT may have in one another."""
MAX_SOURCES = 1 << 20
"""Of a VRT, with those of the VRTs in it as often as they are named: each may be opened."""
HEAD = b"<VRTDataset"
"""What is in the beginning of every VRT."""

_MARKUP = re.compile(
    rb"<!DOCTYPE|<!\[|.<\?|=\s*(?:\"[^\"<>]*[\t\r\n]|'[^'<>]*[\t\r\n])", re.S | re.I
)
"""XML that GDAL's parser and Python's may take for different things."""
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f]")
_SPACE = " \t\r\n\v\f"
"""What GDAL skips at the beginning of a text, and nowhere else."""
_PROSE = (
    "srs", "metadata", "description", "unittype", "category", "histograms", "mdi", "geotransform",
    "sourcesrs", "targetsrs", "gcplist", "lut", "coefs", "gdalrasterattributetable",
)  # fmt: skip
"""Elements, in lower case, whose texts name no file."""
_POINTERS = ("x_dataset", "y_dataset", "overview_file")
"""Keys of metadata that do name one."""
_CODE = ("pixelfunctioncode", "pixelfunctionlanguage")
"""Elements that hold a program."""
_INIT = re.compile(r"init\s*=\s*(?!(?:epsg|esri|ignf|iau\w*):)", re.I)
"""In a coordinate system: PROJ reads the file that is named behind it, but of these its own."""


def system_fault(text: str) -> Optional[str]:
    """Say what is wrong with the coordinate systems in a text; None if nothing is."""
    return "has a coordinate system that is in another file" if _INIT.search(text) else None


def check(
    path: Path, is_vrt: Callable[[Path, Path], bool], pixels_in: Callable[[Path], int]
) -> None:
    """Refuse a VRT that holds code, takes too long or leads out of its folder, also by its VRTs.

    Parameters
    ----------
    path : pathlib.Path
        Of the VRT.
    is_vrt : callable
        Tells of a source whether it is a VRT, and refuses one that is no image either. It is given
        the source and the VRT that names it.
    pixels_in : callable
        Tells how many pixels a source has that was looked at.

    Raises
    ------
    ImageError
        If it is refused, or is no XML.
    """
    path = Path(os.path.realpath(path))  # GDAL follows links too
    _Walk(path.parent, is_vrt, pixels_in).count(path, 0)


class _Walk:
    """Through the VRTs of a folder that lie in one another; counts their sources."""

    def __init__(self, folder: Path, is_vrt: Callable, pixels_in: Callable):
        self._folder, self._is_vrt, self._pixels_in = folder, is_vrt, pixels_in
        self._known: dict[Path, int] = {}
        """Sources of files that were looked at; none yet of a VRT that it is in."""

    def count(self, path: Path, depth: int) -> int:
        """Count a VRT's sources, those of the VRTs in it as often as they are named."""
        if depth > MAX_DEPTH:
            raise untrusted(path, f"lies in {depth} other VRTs, one in another")
        self._known[path] = 0
        root = _parsed(path)
        waiting, sources = [root], 0
        counted: dict[tuple, int] = {}  # most values are the same numbers again
        while waiting:
            element = waiting.pop()
            _check_systems(element, path)
            _refuse_if(path, vrt_work.fault_of(element))
            waiting += (child for child in element if not _is_prose(element) or _points(child))
            for name in _values(element, path):
                if name not in counted:
                    counted[name] = self._sources_of(name, path, depth)
                sources += counted[name]
                if sources > MAX_SOURCES:
                    fault = f"has over {MAX_SOURCES:,} sources, with those of the VRTs in it"
                    raise untrusted(path, fault)
            for source in _warped(element, path):
                fault = vrt_work.fault_of_ratio(self._pixels_in(source), vrt_work.pixels_of(root))
                _refuse_if(path, fault)
        self._known[path] = sources
        return sources

    def _sources_of(self, name, path, depth):
        """Count the sources that a value is the name of; refuse names that lead elsewhere."""
        value, bases = name
        rest = os.path.splitdrive(value)[1]
        if re.search(r"[:{}<]", rest) or rest.startswith(("/vsi", "~")):
            raise untrusted(path, f"names {value}")
        if value != value.strip() or _CONTROL.search(value):
            fault = f"has {value!r}, with white space that programs take for different names"
            raise untrusted(path, fault)
        sources = 0
        has_folders = "/" in value or os.sep in value
        for base in bases:
            if not has_folders and not os.path.lexists(base / value):
                continue  # as most values, which are numbers
            source = Path(os.path.realpath(base / value))
            is_inside = self._folder in source.parents
            if not is_inside and (has_folders or os.path.isfile(source)):
                fault = f"takes pixels from {source}, outside its folder"
                raise untrusted(path, fault)
            if is_inside:
                sources += self._sources_in(source, path, depth)
        return sources

    def _sources_in(self, source, path, depth):
        """Count the sources in a file: an image is one, and what is no file none."""
        if source not in self._known:
            if os.path.isfile(source):
                is_vrt = self._is_vrt(source, path)
                self._known[source] = self.count(source, depth + 1) if is_vrt else 1
            elif os.path.exists(source) and not os.path.isdir(source):
                raise ImageError(f"{source}, which {path} names, is no regular file")
            else:
                return 0
        return self._known[source]


def _check_systems(element, path):
    inside = element.iter() if _is_prose(element) else (element,)
    for one in inside:
        for text in (one.text, one.tail, *one.attrib.values()):
            fault = system_fault(text or "")
            if fault:
                raise untrusted(path, fault)


def _refuse_if(path, fault):
    if fault:
        raise untrusted(path, fault)


def _warped(element, path):
    """Yield the files that a VRT warps, of which GDAL may read all for a pixel."""
    for value in vrt_work.values_of(element, "sourcedataset"):
        for base in (path.parent, Path.cwd()):
            source = base / value.lstrip(_SPACE)
            if os.path.isfile(source):
                yield source


def _parsed(path):
    """Return the root of a VRT's elements, with comments, which part texts for GDAL."""
    data = read_small(path, MAX_TEXT)
    if _MARKUP.search(data):
        raise untrusted(path, "is no plain XML")
    # GDAL takes bytes for UTF-8 whatever the declaration says.
    builder = ElementTree.TreeBuilder(insert_comments=True)
    try:
        parser = ElementTree.XMLParser(target=builder, encoding="utf-8")
        root = ElementTree.fromstring(data, parser)
    except ElementTree.ParseError as error:
        raise ImageError(f"{path} cannot be read: {error}") from error
    bands = sum(tag_of(child) == "vrtrasterband" for child in root)
    _refuse_if(path, fault_of_bands(bands, len(data)))
    return root


def _is_prose(element):
    return tag_of(element) in _PROSE


def _points(element):
    return element.get("key", "").lower() in _POINTERS


def _values(element, path):
    """Yield what may be names in an element, and the folders that they may be relative to."""
    attributes = {name.lower(): value for name, value in element.attrib.items()}
    if tag_of(element) in _CODE:
        raise untrusted(path, "holds code")
    # GDAL takes attributes in any case, and elements in their place.
    if len(attributes) < len(element.attrib) or any(
        tag_of(child) in ("relativetovrt", "key") for child in element
    ):
        fault = f"has a <{element.tag}> that is not written as GDAL writes it"
        raise untrusted(path, fault)
    if _is_prose(element) and not _points(element):
        return
    beside, here = path.parent, Path.cwd()
    bases = {"1": (beside,), "0": (here,)}.get(attributes.get("relativetovrt"), (beside, here))
    own = () if element.tag is ElementTree.Comment else (element.text,)
    texts = [(text or "").lstrip(_SPACE) for text in (*own, *(child.tail for child in element))]
    for value in filter(None, (*texts, *attributes.values())):
        yield value, bases
