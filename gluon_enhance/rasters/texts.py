"""Descriptions, units and tags of rasters, be they in UTF-8, as GDAL takes them for, or Latin-1."""

from __future__ import annotations

from pathlib import Path
from typing import Optional
from xml.etree import ElementTree

import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.env import GDALVersion
from rasterio.errors import RasterioError

from gluon_enhance.atomic import temporary_folder

CONTROLS = dict.fromkeys(set(range(32)) - {9, 10, 13})
"""What XML has no place for."""


class Texts:
    """What is said of a raster in words.

    Of what is not UTF-8 rasterio gives an error, or nothing; it is read from a VRT then.

    Parameters
    ----------
    src : rasterio dataset

    Attributes
    ----------
    descriptions, units : tuple of str or None
        One for each band.
    """

    def __init__(self, src) -> None:
        self._src, self._root = src, _root_of_other_encodings(src)
        if self._root is None:
            self.descriptions, self.units = src.descriptions, src.units
        else:
            bands = self._root.findall("VRTRasterBand")
            self.descriptions, self.units = (
                tuple(_decoded(band.findtext(name)) or None for band in bands)
                for name in ("Description", "UnitType")
            )

    def tags(self, band: int, namespace: Optional[str]) -> dict[str, str]:
        """Return the tags of a band, or of the dataset (0)."""
        tags = self._src.tags(band, ns=namespace)
        if self._root is None:
            return tags
        own = self._root.findall("VRTRasterBand")[band - 1] if band else self._root
        items = (
            item
            for domain in own.findall("Metadata")
            if domain.get("domain") == namespace and domain.get("format") != "xml"
            for item in domain.findall("MDI")
        )
        return {**{item.get("key"): _decoded(item.text or "") for item in items}, **tags}


def _root_of_other_encodings(src):
    """Return the VRT of a raster with texts that are no UTF-8, read as Latin-1; else None."""
    namespaces = {"copy_src_mdd": "yes"} if GDALVersion.runtime().at_least("3.8") else {}
    with temporary_folder() as folder:
        path = Path(folder, "texts.vrt")
        try:
            rasterio.shutil.copy(src, path, driver="VRT", **namespaces)
        except (RasterioError, CPLE_BaseError):
            return None
        written = path.read_bytes()
    try:
        written.decode()
    except UnicodeDecodeError:
        return ElementTree.fromstring(written.decode("latin-1").translate(CONTROLS))
    return None


def _decoded(text):
    """Decode what has been read as Latin-1, if it is UTF-8 after all."""
    try:
        return text and text.encode("latin-1").decode()
    except UnicodeDecodeError:
        return text
