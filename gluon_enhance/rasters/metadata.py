"""What a raster has of the one it is made from: layout, compression, georeference, tags."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Optional

import rasterio
from rasterio import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, PhotometricInterp

from gluon_enhance.photos import tiff
from gluon_enhance.photos.deep import ASSOCIATED, extra_samples
from gluon_enhance.rasters.output import Output
from gluon_enhance.rasters.raster import bits_of, draft_of, is_min_is_white, named, rpcs_of
from gluon_enhance.rasters.regions import Region, region_of
from gluon_enhance.rasters.texts import Texts

logger = logging.getLogger(__name__)

#: Creation options that a file tells under the same name.
COMPRESSION_DETAILS = ("PREDICTOR", "JPEG_QUALITY", "WEBP_LEVEL", "MAX_Z_ERROR")
COG_METHODS = ("none", "lzw", "deflate", "lzma", "zstd", "jpeg", "webp", "lerc")
#: Predictor of the GTiff driver -> of the COG driver.
COG_PREDICTORS = {"2": "STANDARD", "3": "FLOATING_POINT"}
#: Metadata that GDAL makes itself, or that names another file's overviews.
OWN_NAMESPACES = ("IMAGE_STRUCTURE", "SUBDATASETS", "DERIVED_SUBDATASETS", "RPC", "OVERVIEWS")
PHOTOMETRICS = {5: "cmyk", 8: "cielab", 9: "icclab", 10: "itulab"}


@contextmanager
def created(
    out: Path,
    src,
    options,
    scale: int = 1,
    region: Optional[Region] = None,
    is_masked: bool = False,
    is_straight: bool = False,
) -> Iterator[Output]:
    """Create a temporary raster that becomes `out` on success, else vanishes.

    It has the source's extent, or that of a region of it, its dtype, bands and metadata, and
    `scale` times its size. With `is_masked` a mask says what is valid instead of nodata, with
    `is_straight` its alpha is not premultiplied.
    """
    region = region or region_of(src)
    out.parent.mkdir(parents=True, exist_ok=True)
    profile = _profile(src, options, scale, region)
    if is_masked:
        profile["nodata"] = None
    if has_premultiplied_alpha(src) and not is_straight:
        profile.setdefault("alpha", "premultiplied")
    with (
        draft_of(out, may_lack=lambda *block: output.may_lack(*block)) as draft,
        named("written", out),
        rasterio.open(draft, "w", **profile) as dst,
    ):
        _copy_metadata(src, dst, scale, region)
        output = Output(dst, is_masked, is_on(profile.get("sparse_ok")))
        yield output


def is_on(option) -> bool:
    """Tell whether a creation option says yes."""
    return str(option).lower() in ("yes", "true", "on", "1")


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
    return src.nodata is not None or ColorInterp.alpha in src.colorinterp


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
            (page,) = tiff.read_directories(file, 1)
            return page.number(tiff.PHOTOMETRIC), extra_samples(page)
    return None, ()


def _lower(options):
    return {name.lower(): value for name, value in options.items()}


def _profile(src, options, scale, region):
    """Return what to create the output with."""
    (top, bottom), (left, right) = region
    options = _lower(options)
    profile = {
        **{key: src.profile[key] for key in ("dtype", "nodata", "count", "crs")},
        "width": (right - left) * scale,
        "height": (bottom - top) * scale,
        "driver": "GTiff",
        "bigtiff": "if_safer",
    }
    points, _ = src.gcps
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


def compression_of(src):
    """Return the creation options of a GeoTIFF that is compressed as the source.

    Deflate where the source is none, or has losses that would change nodata or alpha.
    """
    structure = src.tags(ns="IMAGE_STRUCTURE")
    method = src.profile.get("compress")
    lossy = method == "jpeg" or "WEBP_LEVEL" in structure or "MAX_Z_ERROR" in structure
    if src.driver != "GTiff" or (lossy and _tells_holes_by_values(src)):
        return {"compress": "deflate"}
    result = {key.lower(): structure[key] for key in COMPRESSION_DETAILS if key in structure}
    if method == "webp" and not lossy:
        result["webp_lossless"] = "yes"
    if src.photometric == PhotometricInterp.ycbcr:
        result["photometric"] = "ycbcr"
    return {"compress": method, **result}


def cog_compression_of(src):
    """Return `compression_of` a source as the COG driver names it; deflate where it has no such."""
    own = compression_of(src)
    method = own["compress"] or "none"
    if method not in COG_METHODS:
        return {"compress": "deflate"}
    quality = own.get("jpeg_quality") or own.get("webp_level")
    result = {
        "compress": method,
        "quality": "100" if "webp_lossless" in own else quality,
        "predictor": COG_PREDICTORS.get(own.get("predictor")),
        "max_z_error": own.get("max_z_error"),
    }
    return {name: value for name, value in result.items() if value}


def _copy_metadata(src, dst, scale, region):
    texts = Texts(src)
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


def _own_tags(tags, namespace):
    if (namespace or "").startswith("xml:"):  # one text, which GDAL wants as NAME=VALUE
        return dict(text.split("=", 1) for text in tags.values() if "=" in text)
    return {name: value for name, value in tags.items() if not name.startswith("STATISTICS_")}
