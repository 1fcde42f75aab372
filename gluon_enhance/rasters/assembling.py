"""The parts of an enhanced raster put together: one GeoTIFF, with overviews or as COG if wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import Interleaving, Resampling
from rasterio.env import GDALVersion

from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.metadata import (
    OWN_NAMESPACES,
    cog_compression_of,
    created,
    is_on,
    needs_mask,
)
from gluon_enhance.rasters.output import fill_hidden, has_something
from gluon_enhance.rasters.parts import Work, read_part, window_of, write_part
from gluon_enhance.rasters.raster import (
    block_ends,
    color_bands,
    draft_of,
    named,
    valid_in_all,
)

BLOCK = 256
"""Side of the output's blocks in pixels, and of its smallest overview."""
OVERVIEW_OPTIONS = ("resampling", "overview_resampling", "overview_count")
"""Of the COG driver, for overviews that it makes itself."""


def assemble(work: Work, src, out: Path, options: Mapping, overviews: bool, cog: bool) -> None:
    """Write all parts as one raster, which gets its name when it is complete."""
    options = {name.lower(): options[name] for name in options}
    is_sparse = is_on(options.get("sparse_ok"))
    with draft_of(out, Path(work.folder), may_lack=lambda *_: is_sparse) as draft:
        is_masked = needs_mask(src, options, cog)
        _put_together(work, src, draft, whole_options(options, cog), is_masked)
        if overviews or (cog and not set(options) & set(OVERVIEW_OPTIONS)):
            _add_overviews(draft)
        if cog:
            to_cog(src, draft, options)


def whole_options(options: Mapping, cog: bool) -> dict:
    """Return what to write the whole raster with; a COG is a copy of it, so losses come there."""
    own = {"compress": "deflate"} if cog else {name.lower(): options[name] for name in options}
    return {"tiled": "yes", "blockxsize": BLOCK, "blockysize": BLOCK, **own}


def block_sides(options: Mapping) -> tuple[int, int]:
    """Return height and width of the blocks of the whole raster."""
    return int(options["blockysize"]), int(options["blockxsize"])


def _put_together(work, src, whole, options, is_masked):
    is_straight = work.premultiplied and not work.multiplies
    with created(whole, src, options, work.scale, work.region, is_masked, is_straight) as output:
        for index in range(work.count):
            made = read_part(work.path(index))
            if is_masked:
                bands, masks = made[: src.count], made[src.count :]
                valid = valid_in_all(bands, src) & (masks != 0).all(axis=0)
                made = np.concatenate([fill_hidden(bands, valid, color_bands(src)), [valid]])
            write_part(output, made, window_of(work.target(index)))


def _add_overviews(path):
    with named("written", path), rasterio.open(path, "r+") as dataset:
        levels = [2**k for k in range(1, 20) if max(dataset.shape) > BLOCK * 2 ** (k - 1)]
        dataset.build_overviews(levels, Resampling.average)


def to_cog(src, path: Path, options: Mapping) -> None:
    """Put a cloud-optimized copy in a raster's place."""
    own = {"bigtiff": "if_safer"}
    if "compress" not in options:
        own.update(cog_compression_of(src))
    is_sparse = is_on(options.get("sparse_ok"))
    with draft_of(path, may_lack=lambda *_: is_sparse) as copy, named("written", path):
        if _has_namespaces(path) and GDALVersion.runtime().at_least("3.8"):
            own["copy_src_mdd"] = "yes"
            _write_band_tags(path, copy)
        rasterio.shutil.copy(path, copy, driver="COG", **{**own, **options})
        if is_sparse:
            _check_left_out(path, copy)


def _check_left_out(path, copy):
    """Look for something in the blocks that a sparse copy lacks, as on a full disk it may."""
    with rasterio.open(path) as whole, rasterio.open(copy) as sparse:
        for (band, row, column), end in block_ends(sparse):
            window = sparse.block_window(1, row, column)
            bands = [band] if sparse.interleaving == Interleaving.band else sparse.indexes
            if not end and has_something(whole.read(bands, window=window), whole.nodata).any():
                raise ImageError(f"{path} cannot be written: it is incomplete; is the disk full?")


def _has_namespaces(path):
    with rasterio.open(path) as dataset:
        namespaces = [dataset.tag_namespaces(band) for band in (0, *dataset.indexes)]
    return not set(sum(namespaces, [])) <= {*OWN_NAMESPACES, "xml:XMP", "COLOR_PROFILE"}


def _write_band_tags(path, copy):
    """Put tags of bands beside a copy: with all namespaces GDAL 3.10 copies all but these."""
    root = ElementTree.Element("PAMDataset")
    with rasterio.open(path) as dataset:
        for band in filter(dataset.tags, dataset.indexes):
            own = ElementTree.SubElement(root, "PAMRasterBand", band=str(band))
            tags = ElementTree.SubElement(own, "Metadata")
            for name, value in dataset.tags(band).items():
                ElementTree.SubElement(tags, "MDI", key=name).text = value
    if len(root):
        ElementTree.ElementTree(root).write(f"{copy}.aux.xml", encoding="utf-8")
