"""The parts of an enhanced raster put together: one GeoTIFF, with overviews or as COG if wanted."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rasterio.env import GDALVersion

from gluon_enhance.errors import ImageError
from gluon_enhance.geotiff.metadata import OWN_NAMESPACES, cog_compression_of, created
from gluon_enhance.geotiff.parts import Work, read_part, window_of, write_part
from gluon_enhance.geotiff.raster import check_sidecars, draft_of, named

BLOCK = 256
"""Side of the output's blocks in pixels, and of its smallest overview."""


def assemble(work: Work, src, out: Path, options: Mapping, overviews: bool, cog: bool) -> None:
    """Write all parts as one raster, which gets its name when it is complete."""
    with draft_of(out, Path(work.folder)) as draft:
        _put_together(work, src, draft, whole_options(options, cog))
        if overviews or cog:
            _add_overviews(draft)
        if cog:
            _to_cog(src, draft, options)


def whole_options(options: Mapping, cog: bool) -> dict:
    """Return what to write the whole raster with; a COG is a copy of it, so losses come there."""
    own = {"compress": "deflate"} if cog else {name.lower(): options[name] for name in options}
    return {"tiled": "yes", "blockxsize": BLOCK, "blockysize": BLOCK, **own}


def block_sides(options: Mapping) -> tuple[int, int]:
    """Return height and width of the blocks of the whole raster."""
    return int(options["blockysize"]), int(options["blockxsize"])


def try_options(src, out: Path, options: Mapping, cog: bool) -> None:
    """Write a block with the creation options: hours of work should not end with their error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, out.name)
        size = {"width": BLOCK, "height": BLOCK}
        try:
            with created(path, src, {**whole_options(options, cog), **size}) as dst:
                dst.write(np.zeros((src.count, BLOCK, BLOCK), src.dtypes[0]))
            if cog:
                _to_cog(src, path, options)
            check_sidecars(path, out)
        except ImageError as error:
            raise ImageError(
                f"{src.name} cannot be written with these creation options: {error}"
            ) from error


def _put_together(work, src, whole, options):
    with created(whole, src, options, work.scale, work.region) as dst:
        for index in range(work.count):
            write_part(dst, read_part(work.path(index)), window_of(work.target(index)))


def _add_overviews(path):
    with named("written", path), rasterio.open(path, "r+") as dataset:
        levels = [2**k for k in range(1, 20) if max(dataset.shape) > BLOCK * 2 ** (k - 1)]
        dataset.build_overviews(levels, Resampling.average)


def _to_cog(src, path, options):
    """Put a cloud-optimized copy in a raster's place."""
    own = {"bigtiff": "if_safer"}
    options = {name.lower(): options[name] for name in options}
    if "compress" not in options:
        own.update(cog_compression_of(src))
    with draft_of(path) as copy, named("written", path):
        if _has_namespaces(path) and GDALVersion.runtime().at_least("3.8"):
            own["copy_src_mdd"] = "yes"
            _write_band_tags(path, copy)
        rasterio.shutil.copy(path, copy, driver="COG", **{**own, **options})


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
