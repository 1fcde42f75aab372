"""What a raster has of the one it is made from: layout, compression, georeference, tags."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Optional
from xml.etree import ElementTree

import rasterio.shutil
from rasterio import Affine
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, PhotometricInterp
from rasterio.env import GDALVersion
from rasterio.errors import RasterioError

from gluon_enhance.atomic import temporary_folder
from gluon_enhance.photos.tiff_tags import (
    ASSOCIATED,
    PHOTOMETRIC,
    extra_samples,
    read_directories,
)
from gluon_enhance.rasters.io import bits_of, is_min_is_white, rpcs_of, what_is_said

logger = logging.getLogger(__name__)

COMPRESSION_DETAILS = ("PREDICTOR", "JPEG_QUALITY", "WEBP_LEVEL", "MAX_Z_ERROR")
"""Creation options that a file tells under the same name."""
COG_METHODS = ("none", "lzw", "deflate", "lzma", "zstd", "jpeg", "webp", "lerc")
"""Compressions that the COG driver has too."""
COG_PREDICTORS = {"2": "STANDARD", "3": "FLOATING_POINT"}
"""Predictor of the GTiff driver -> of the COG driver."""
OWN_NAMESPACES = ("IMAGE_STRUCTURE", "SUBDATASETS", "DERIVED_SUBDATASETS", "RPC", "OVERVIEWS")
"""Metadata that GDAL makes itself, or that names another file's overviews."""
PHOTOMETRICS = {5: "cmyk", 8: "cielab", 9: "icclab", 10: "itulab"}
"""TIFF's PhotometricInterpretation -> the creation option, of colors that GDAL does not convert."""
CONTROLS = dict.fromkeys(set(range(32)) - {9, 10, 13})
"""Characters that XML has no place for, as `str.translate` takes them; tabs and lines are none."""


def profile_of(src, options, scale: int, region) -> dict:
    """Return what to create a GeoTIFF with that is made from a region of another raster.

    Parameters
    ----------
    src : rasterio dataset
    options : mapping
        Creation options as they were given, which go before the source's.
    scale : int
        Ratio of the output's size to the region's.
    region : ((int, int), (int, int))
        First row and the one after the last, and the same of columns.
    """
    (top, bottom), (left, right) = region
    options = _lower(options)
    profile = {
        **{key: src.meta[key] for key in ("dtype", "nodata", "count", "crs")},
        "width": (right - left) * scale,
        "height": (bottom - top) * scale,
        "driver": "GTiff",
        "bigtiff": "if_safer",
    }
    points, _ = src.gcps
    # The identity stands for no transform, but for a raster with a CRS and no other place.
    if not src.transform.is_identity or (src.crs and not points and not rpcs_of(src)):
        a, b, c, d, e, f = src.transform[:6]
        c, f = c + a * left + b * top, f + d * left + e * top
        profile["transform"] = Affine(a / scale, b / scale, c, d / scale, e / scale, f)
    if src.driver == "GTiff":
        blocks = () if "tiled" in options else ("tiled", "blockxsize", "blockysize")
        profile.update({key: src.profile[key] for key in ("interleave", *blocks)})
    else:
        profile["tiled"] = True
    if "compress" not in options:
        profile.update(compression_of(src))
    if bits_of(src):
        profile["nbits"] = bits_of(src)
    if _photometric_of(src):
        profile["photometric"] = _photometric_of(src)
    return {**profile, **options}


def compression_of(src) -> dict:
    """Return the creation options of a GeoTIFF that is compressed as the source.

    Deflate where the source is none, or has losses that would change nodata or alpha.
    """
    structure = src.tags(ns="IMAGE_STRUCTURE")
    compression = what_is_said(src, "compression")
    method = compression.name if compression else None
    lossy = method == "jpeg" or "WEBP_LEVEL" in structure or "MAX_Z_ERROR" in structure
    if src.driver != "GTiff" or (lossy and _tells_holes_by_values(src)):
        return {"compress": "deflate"}
    result = {key.lower(): structure[key] for key in COMPRESSION_DETAILS if key in structure}
    if method == "webp" and not lossy:
        result["webp_lossless"] = "yes"
    if src.photometric == PhotometricInterp.ycbcr:
        result["photometric"] = "ycbcr"
    return {"compress": method, **result}


def cog_compression_of(src) -> dict:
    """Return `compression_of` a source as the COG driver names it; deflate where it has no such."""
    own = compression_of(src)
    method = own["compress"] or "none"
    if method not in COG_METHODS:
        return {"compress": "deflate"}
    quality = own.get("jpeg_quality") or own.get("webp_level")
    result = {
        "compress": method,
        "quality": "100" if "webp_lossless" in own else quality,
        "predictor": COG_PREDICTORS.get(str(own.get("predictor"))),
        "max_z_error": own.get("max_z_error"),
    }
    return {name: value for name, value in result.items() if value}


def needs_mask(src, options, cog: bool = False) -> bool:
    """Tell whether creation options have losses that would change nodata or alpha."""
    own = cog_compression_of(src) if cog else compression_of(src)
    return _tells_holes_by_values(src) and _has_losses({**own, **_lower(options)}, cog)


def _has_losses(options, cog):
    """Tell whether values change by options of the GTiff driver, or the COG driver's."""
    method = str(options.get("compress") or "none").lower()
    if "discard_lsb" in options or method == "jpeg":
        return True
    if method == "webp":
        lossless = str(options.get("quality")) == "100" if cog else options.get("webp_lossless")
        return not (lossless is True or is_on(lossless))
    if method == "jxl":
        return not is_on(options.get("jxl_lossless", "yes"))
    return method.startswith("lerc") and bool(str(options.get("max_z_error", "")).strip("0."))


def _tells_holes_by_values(src):
    """Tell whether numbers of the bands say what is valid: losses would change what they say."""
    return src.nodata is not None or ColorInterp.alpha in src.colorinterp


def is_on(option) -> bool:
    """Tell whether a creation option says yes."""
    return str(option).lower() in ("yes", "true", "on", "1")


def _lower(options):
    return {name.lower(): value for name, value in options.items()}


def has_premultiplied_alpha(src) -> bool:
    """Tell whether a TIFF's colors are multiplied by its alpha, of which GDAL does not tell."""
    return ColorInterp.alpha in src.colorinterp and ASSOCIATED in _said_of_colors(src)[1]


def _photometric_of(src):
    """Return the creation option of colors that GDAL reads as they are and does not write so."""
    if is_min_is_white(src):
        return "miniswhite"
    is_known = src.colorinterp[0] not in (ColorInterp.cyan, ColorInterp.undefined)
    return None if is_known else PHOTOMETRICS.get(_said_of_colors(src)[0])


def _said_of_colors(src):
    """Return TIFF's PhotometricInterpretation and ExtraSamples; nothing of what is no such file."""
    if src.driver == "GTiff" and os.path.exists(src.name):
        with suppress(ValueError), open(src.name, "rb") as file:
            (page,) = read_directories(file, 1)
            return page.number(PHOTOMETRIC), extra_samples(page)
    return None, ()


def copy_metadata(src, dst, scale: int, region) -> None:
    """Give a raster the tags, texts, colors and place of what it is made from.

    Ground control points and RPCs are in pixels, and so move with the region's corner and grow with
    the scale; the transform is the profile's. See `profile_of` for the parameters.
    """
    texts = TextMetadata(src)
    for band in (0, *src.indexes):  # 0 is the dataset
        for namespace in (None, *src.tag_namespaces(band)):
            if namespace not in OWN_NAMESPACES:
                tags = texts.tags(band, namespace)
                dst.update_tags(band, ns=namespace, **_own_tags(tags, namespace))
    dst.colorinterp = src.colorinterp
    dst.descriptions = texts.descriptions
    if any(texts.units):
        dst.units = [unit or "" for unit in texts.units]
    if set(src.scales) != {1.0} or set(src.offsets) != {0.0}:
        dst.scales, dst.offsets = src.scales, src.offsets
    points, crs = src.gcps
    if points:
        dst.gcps = [_scaled_point(point, scale, region) for point in points], crs or CRS()
    rpcs = rpcs_of(src)
    if rpcs:
        dst.rpcs = _scaled_rpcs(rpcs, scale, region)
    elif src.tags(ns="RPC"):
        logger.warning("%s has RPCs that are incomplete; the result has none", src.name)


def _own_tags(tags, namespace):
    """Return tags as rasterio takes them, but for statistics, which the result has others of."""
    if (namespace or "").startswith("xml:"):  # one text, which GDAL wants as NAME=VALUE
        return dict(text.split("=", 1) for text in tags.values() if "=" in text)
    return {name: value for name, value in tags.items() if not name.startswith("STATISTICS_")}


def _scaled_point(point, scale, region):
    (top, _), (left, _) = region
    row, col = (point.row - top) * scale, (point.col - left) * scale
    return GroundControlPoint(row, col, point.x, point.y, point.z, point.id, point.info)


def _scaled_rpcs(rpcs, scale, region):
    rpcs = copy(rpcs)
    for axis, (first, _) in zip(("line", "samp"), region):  # 0 is the first pixel's center
        offset, extent = (getattr(rpcs, f"{axis}_{kind}") for kind in ("off", "scale"))
        setattr(rpcs, f"{axis}_off", (offset - first + 0.5) * scale - 0.5)
        setattr(rpcs, f"{axis}_scale", extent * scale)
    return rpcs


class TextMetadata:
    """Descriptions, units and tags of a raster, in UTF-8, as GDAL takes them for, or Latin-1.

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
