"""What a raster has of the one it is made from: layout, compression, georeference, tags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Optional

import rasterio
from rasterio import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, PhotometricInterp

from gluon_enhance.geotiff.raster import bits_of, draft_of, named
from gluon_enhance.geotiff.regions import Region, region_of

#: Creation options that a file tells under the same name.
COMPRESSION_DETAILS = ("PREDICTOR", "JPEG_QUALITY", "WEBP_LEVEL", "MAX_Z_ERROR")
COG_METHODS = ("none", "lzw", "deflate", "lzma", "zstd", "jpeg", "webp", "lerc")
#: Predictor of the GTiff driver -> of the COG driver.
COG_PREDICTORS = {"2": "STANDARD", "3": "FLOATING_POINT"}
#: Metadata that GDAL makes itself.
OWN_NAMESPACES = ("IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "RPC")


@contextmanager
def created(
    out: Path, src, options, scale: int = 1, region: Optional[Region] = None
) -> Iterator[rasterio.io.DatasetWriter]:
    """Create a temporary raster that becomes `out` on success, else vanishes.

    It has the source's extent, or that of a region of it, its dtype, bands and metadata, and
    `scale` times its size.
    """
    region = region or region_of(src)
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        draft_of(out) as draft,
        named("written", out),
        rasterio.open(draft, "w", **_profile(src, options, scale, region)) as dst,
    ):
        _copy_metadata(src, dst, scale, region)
        yield dst


def _profile(src, options, scale, region):
    """Return what to create the output with."""
    (top, bottom), (left, right) = region
    options = {name.lower(): value for name, value in options.items()}
    profile = {
        **{key: src.profile[key] for key in ("dtype", "nodata", "count", "crs")},
        "width": (right - left) * scale,
        "height": (bottom - top) * scale,
        "driver": "GTiff",
        "bigtiff": "if_safer",
    }
    points, _ = src.gcps
    if not src.transform.is_identity or (src.crs and not points and not src.rpcs):
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
    return {**profile, **options}


def compression_of(src):
    """Return the creation options of a GeoTIFF that is compressed as the source.

    Deflate where the source is none, or has losses that would change nodata or alpha.
    """
    structure = src.tags(ns="IMAGE_STRUCTURE")
    method = src.profile.get("compress")
    lossy = method == "jpeg" or "WEBP_LEVEL" in structure or "MAX_Z_ERROR" in structure
    exact = src.nodata is not None or ColorInterp.alpha in src.colorinterp
    if src.driver != "GTiff" or (lossy and exact):
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
    for band in (0, *src.indexes):  # 0 is the dataset
        for namespace in (None, *src.tag_namespaces(band)):
            if namespace not in OWN_NAMESPACES:
                dst.update_tags(band, ns=namespace, **_tags(src, band, namespace))
    dst.colorinterp = src.colorinterp
    dst.descriptions = src.descriptions
    if any(src.units):
        dst.units = [unit or "" for unit in src.units]
    if set(src.scales) != {1.0} or set(src.offsets) != {0.0}:
        dst.scales, dst.offsets = src.scales, src.offsets
    points, crs = src.gcps
    if points:
        dst.gcps = [_scaled_point(point, scale, region) for point in points], crs
    if src.rpcs:
        dst.rpcs = _scaled_rpcs(src.rpcs, scale, region)


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


def _tags(src, band, namespace):
    tags = src.tags(band, ns=namespace)
    if (namespace or "").startswith("xml:"):  # one text, which GDAL wants as NAME=VALUE
        return dict(text.split("=", 1) for text in tags.values() if "=" in text)
    return {name: value for name, value in tags.items() if not name.startswith("STATISTICS_")}
