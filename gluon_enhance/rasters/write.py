"""Rasters written whole or not at all, with the metadata of another; overviews and COGs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import Interleaving, Resampling
from rasterio.env import GDALVersion

from gluon_enhance.atomic import publish, sync, temporary_folder
from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.nearest_fill import fill_holes
from gluon_enhance.rasters.data_arrays import read_array
from gluon_enhance.rasters.io import is_data_array, naming_errors
from gluon_enhance.rasters.metadata import (
    OWN_NAMESPACES,
    cog_compression_of,
    copy_metadata,
    has_premultiplied_alpha,
    is_on,
    profile_of,
)
from gluon_enhance.rasters.names import TIFF

BLOCK = 256
"""Side of the output's blocks in pixels, and of its smallest overview at most."""
OVERVIEW_OPTIONS = ("resampling", "overview_resampling", "overview_count")
"""Of the COG driver, for overviews that it makes itself."""
SIDECARS = (".aux.xml", ".msk", ".ovr")
"""Ends of the files that GDAL puts beside a raster, after the raster's whole name."""


def check_out(out: Path, *inputs) -> None:
    """Refuse an output that is no GeoTIFF by its name, or that an input dataset is read from."""
    if out.suffix.lower() not in TIFF:
        raise ImageError(f"{out} has the suffix {out.suffix!r}; choose .tif or .tiff")
    files = (path for dataset in inputs for path in dataset.files) if out.exists() else ()
    if any(os.path.exists(path) and out.samefile(path) for path in files):
        raise ImageError(f"{out} is an input too; choose another name for the output")


@contextmanager
def destination(out, raster) -> Iterator[tuple[Path, Callable[[], Any]]]:
    """Give the path to write to, and what then returns the result.

    Without an output an ``xarray.DataArray`` becomes one, by way of a temporary file.
    """
    if out is not None:
        yield Path(out), lambda: Path(out)
    elif is_data_array(raster):
        with temporary_folder() as folder:
            path = Path(folder, "result.tif")
            yield path, lambda: read_array(path, raster)
    else:
        raise ImageError("out is None, which only an xarray.DataArray goes with; name a .tif file")


@contextmanager
def created(
    out: Path,
    src,
    options,
    scale: int = 1,
    region: Optional[tuple[tuple[int, int], tuple[int, int]]] = None,
    is_masked: bool = False,
    is_straight: bool = False,
) -> Iterator[Output]:
    """Create a temporary raster that becomes `out` on success, else vanishes.

    It has the source's dtype, bands and metadata.

    Parameters
    ----------
    out : path
    src : rasterio dataset
    options : mapping
        Creation options of GDAL's GTiff driver.
    scale : int
        Ratio of the output's size to the source's.
    region : ((int, int), (int, int)), optional
        First row and the one after the last, and the same of columns, of the source that the
        output is of. Default: all.
    is_masked : bool
        Whether a mask tells what is valid, instead of nodata.
    is_straight : bool
        Whether colors are not multiplied by alpha, though the source's are.
    """
    region = region or ((0, src.height), (0, src.width))
    out.parent.mkdir(parents=True, exist_ok=True)
    profile = profile_of(src, options, scale, region)
    if is_masked:
        profile["nodata"] = None
    if has_premultiplied_alpha(src) and not is_straight:
        profile.setdefault("alpha", "premultiplied")
    with (
        draft_of(out, may_lack=lambda *block: output.may_lack(*block)) as draft,
        naming_errors("written", out),
        rasterio.open(draft, "w", **profile) as dst,
    ):
        copy_metadata(src, dst, scale, region)
        output = Output(dst, is_masked, is_on(profile.get("sparse_ok")))
        yield output


class Output:
    """A raster that is written window by window.

    With ``SPARSE_OK`` GDAL leaves out blocks that have nothing but nodata, or 0. Those that have
    something are noted, as on a full disk they may be missing too.

    Parameters
    ----------
    dataset : rasterio dataset, open for writing
    is_masked : bool
        Whether a mask tells what is valid, which nodata or alpha did in the source.
    is_sparse : bool
        Whether blocks may be left out.
    """

    def __init__(self, dataset, is_masked: bool, is_sparse: bool) -> None:
        self._dataset, self.is_masked, self._is_sparse = dataset, is_masked, is_sparse
        self.count, self.block_shapes = dataset.count, dataset.block_shapes
        self._filled: set = set()

    def write(self, bands: np.ndarray, window) -> None:
        """Write all bands (C, h, w) of a window."""
        self._dataset.write(bands, window=window)
        if self._is_sparse:
            self._note(bands, window)

    def write_mask(self, mask: np.ndarray, window) -> None:
        """Write what is valid (h, w) in a window."""
        self._dataset.write_mask(mask, window=window)

    def write_with_mask(self, planes: np.ndarray, window) -> None:
        """Write all bands (C, h, w) of a window, and the mask (h, w) after them if there is one."""
        self.write(planes[: self.count], window)
        if len(planes) > self.count:
            self.write_mask(planes[-1] != 0, window)

    def may_lack(self, band: int, row: int, column: int) -> bool:
        """Tell whether a block may be missing."""
        return self._is_sparse and (band, row, column) not in self._filled

    def _note(self, bands, window):
        """Note the blocks of a window that have something."""
        # (C, h, w) per sample; then the blocks of each axis, of whichever number of samples lie in
        # the window, become one; with all bands in one block, so do the bands.
        filled = has_something(bands, self._dataset.nodata)
        if self._dataset.interleaving != Interleaving.band:
            filled = filled.any(axis=0, keepdims=True)
        starts = window.row_off, window.col_off
        for axis, (start, side) in enumerate(zip(starts, self.block_shapes[0]), 1):
            blocks = np.arange(start, start + filled.shape[axis]) // side
            firsts = np.flatnonzero(np.diff(blocks, prepend=-1))
            filled = np.logical_or.reduceat(filled, firsts, axis=axis)
        top, left = (int(k // side) for k, side in zip(starts, self.block_shapes[0]))
        self._filled.update((b + 1, r + top, c + left) for b, r, c in np.argwhere(filled).tolist())


def has_something(bands: np.ndarray, nodata) -> np.ndarray:
    """Tell of each sample whether it is neither nodata nor, where there is none, 0."""
    nothing = 0 if nodata is None else nodata
    return ~np.isnan(bands) if np.isnan(nothing) else bands != nothing


def fill_invalid(bands: np.ndarray, valid: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Give pixels of (C, h, w) that are not valid (h, w) the values next to them, in some bands.

    Compression with losses would smear what they have into what is valid. Bands are numbered
    from 1.
    """
    own = [number - 1 for number in numbers]
    image = np.moveaxis(bands[own], 0, 2)
    result = bands.copy()
    filled = fill_holes(image, np.broadcast_to(valid[..., None], image.shape))
    result[own] = np.moveaxis(filled, 2, 0)
    return result


@contextmanager
def draft_of(
    out: Path,
    folder: Optional[Path] = None,
    may_lack: Callable[[int, int, int], bool] = lambda *_: False,
) -> Iterator[Path]:
    """Give a path to write, which becomes `out` on success, else vanishes.

    It has a folder of its own, in `folder` or beside `out`, as GDAL may write more files than one.
    `may_lack` tells of a band, row and column whether that block may be missing.
    """
    with temporary_folder(folder or out.parent) as own:
        draft = Path(own, out.name)
        yield draft
        _publish(draft, out, may_lack)


def _publish(draft, out, may_lack):
    """Give a finished file its name if it is whole, and replace what lay beside one before it."""
    _check_complete(draft, out, may_lack)
    sidecars = check_sidecars(draft, out)
    publish(draft, out)
    for suffix in SIDECARS:
        out.with_name(out.name + suffix).unlink(missing_ok=True)
    for path in sidecars:
        publish(path, out.with_name(path.name))


def check_sidecars(draft: Path, out: Path) -> list[Path]:
    """List what GDAL has put beside a draft, and refuse to replace what is another file's."""
    sidecars = [path for path in draft.parent.iterdir() if path != draft]
    for path in sidecars:
        target = out.with_name(path.name)
        if target.exists() and not out.exists() and not path.name.startswith(out.name):
            raise ImageError(
                f"{out} comes with a file {target}, which is there and may be of another; choose "
                "another name for the output"
            )
    return sidecars


def _check_complete(draft, out, may_lack):
    """Look for blocks that are missing: on a full disk GDAL closes a file without an error."""
    sync(draft)
    size = draft.stat().st_size
    with naming_errors("written", out):
        with rasterio.open(draft) as dataset:
            overviews = range(len(dataset.overviews(1)))
        for level in ({}, *({"overview_level": k} for k in overviews)):
            with rasterio.open(draft, **level) as dataset:
                for block, end in block_ends(dataset):
                    if end > size or not (end or may_lack(*block)):
                        raise ImageError(
                            f"{out} cannot be written: it is incomplete; is the disk full, or do "
                            "creation options not fit?"
                        )


def block_ends(dataset):
    """Yield band, row and column of each block, and where it ends in the file: 0 if missing."""
    planes = dataset.indexes if dataset.interleaving == Interleaving.band else [1]
    for (row, column), _ in dataset.block_windows(1):
        for band in planes:
            yield (
                (band, row, column),
                sum(
                    int(dataset.get_tag_item(f"BLOCK_{key}_{column}_{row}", "TIFF", band) or 0)
                    for key in ("OFFSET", "SIZE")
                ),
            )


def whole_options(options: Mapping, cog: bool) -> dict:
    """Return what to write the whole raster with; a COG is a copy of it, so losses come there."""
    own = {"compress": "deflate"} if cog else {name.lower(): options[name] for name in options}
    return {"tiled": "yes", "blockxsize": BLOCK, "blockysize": BLOCK, **own}


def block_sides(options: Mapping) -> tuple[int, int]:
    """Return height and width of the blocks of the whole raster."""
    return int(options["blockysize"]), int(options["blockxsize"])


def add_overviews(path: Path) -> None:
    """Add overviews, each half as large as the one before, down to one block at most."""
    with naming_errors("written", path), rasterio.open(path, "r+") as dataset:
        levels = [2**k for k in range(1, 20) if max(dataset.shape) > BLOCK * 2 ** (k - 1)]
        dataset.build_overviews(levels, Resampling.average)


def to_cog(src, path: Path, options: Mapping) -> None:
    """Put a cloud-optimized copy in a raster's place."""
    own = {"bigtiff": "if_safer"}
    if "compress" not in options:
        own.update(cog_compression_of(src))
    is_sparse = is_on(options.get("sparse_ok"))
    with draft_of(path, may_lack=lambda *_: is_sparse) as copy, naming_errors("written", path):
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
    """Put tags of bands beside a copy: with all namespaces GDAL copies all but these.

    Before GDAL 3.10 it copies none of a band's.
    """
    is_old = not GDALVersion.runtime().at_least("3.10")
    root = ElementTree.Element("PAMDataset")
    with rasterio.open(path) as dataset:
        for band in dataset.indexes:
            of_band = ElementTree.Element("PAMRasterBand", band=str(band))
            for namespace in (None, *(dataset.tag_namespaces(band) if is_old else ())):
                _append_tags(of_band, dataset.tags(band, ns=namespace), namespace)
            if len(of_band):
                root.append(of_band)
    if len(root):
        ElementTree.ElementTree(root).write(f"{copy}.aux.xml", encoding="utf-8")


def _append_tags(of_band, tags, namespace):
    if tags:
        domain = {"domain": namespace} if namespace else {}
        element = ElementTree.SubElement(of_band, "Metadata", domain)
        for name, value in tags.items():
            ElementTree.SubElement(element, "MDI", key=name).text = value
