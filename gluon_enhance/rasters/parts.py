"""The files that the parts of a raster are kept in until all are there, and are put together.

They lie in a folder beside the output, which is one run's at a time. Parts that an earlier run has
left are gone on with if they are whole. What is no part is nobody else's to delete.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Callable, Optional

import filelock
import numpy as np
import rasterio
from rasterio.windows import Window

from gluon_enhance.atomic import PREFIX, clear_once, write_bytes
from gluon_enhance.errors import ImageError, plural
from gluon_enhance.photos.tiff_tags import HEADS as TIFF_HEADS
from gluon_enhance.rasters.io import color_bands, gdal_environment, naming_errors, valid_in_all
from gluon_enhance.rasters.metadata import is_on, needs_mask
from gluon_enhance.rasters.plan import RasterPlan, window_of
from gluon_enhance.rasters.write import (
    OVERVIEW_OPTIONS,
    add_overviews,
    created,
    draft_of,
    fill_invalid,
    to_cog,
    whole_options,
)
from gluon_enhance.small_files import read_small

logger = logging.getLogger(__name__)

RECORD = "plan.json"
"""Name of the file that has the plan, which the parts are of."""
OWN = re.compile(rf"(\d{{7,}}|net(-\d+)+)-[0-9a-f]{{12}}\.tif|{RECORD}|{re.escape(PREFIX)}.*")
"""Names of what runs put into the folder: parts, a net's answers, the plan, drafts of these."""
CHECKSUM = struct.Struct("<8sQI")
"""What ends a file, where GDAL does not look: `MAGIC`, the number of bytes before, their CRC-32."""
MAGIC = b"\nsealed\n"
CHECKED_AT_ONCE = 1 << 20
"""Bytes of a file that are read at a time for its checksum."""


def keep_part(path: Path, made: np.ndarray) -> None:
    """Write bands (C, h, w), the mask as the last one if there is one, whole or not at all."""
    profile = {"driver": "GTiff", "dtype": made.dtype, "compress": "deflate", "zlevel": 1}
    count, height, width = made.shape
    size = {"count": count, "height": height, "width": width}
    with gdal_environment(), draft_of(path) as draft, naming_errors("written", path):
        with rasterio.open(draft, "w", **size, **profile) as dst:
            dst.write(made)
        append_checksum(draft)


@contextmanager
def opened_part(path: Path) -> Iterator[rasterio.DatasetReader]:
    """Open what was kept in a run's folder, as the GeoTIFF that it was written as.

    Text in its place could have GDAL read any file, and has a right checksum if it was forged.
    """
    with naming_errors("read", path), rasterio.open(path, driver="GTiff") as part:
        yield part


def read_part(path: Path, window: Window) -> np.ndarray:
    """Read the bands (C, h, w) that `keep_part` has kept of a window.

    Raises
    ------
    ImageError
        If they are of another size.
    """
    with opened_part(path) as part:
        if part.shape != (window.height, window.width):
            raise ImageError(
                f"{path} has {part.width}x{part.height} pixels, and the part that it should be "
                f"{window.width}x{window.height}; delete it, and give --resume again"
            )
        return part.read()


def append_checksum(path: Path) -> None:
    """Add the checksum of a file to it: it tells damage by a full disk or a crash, no forgery.

    Raises
    ------
    ImageError
        If it cannot be written: GDAL may not have noticed that the disk is full.
    """
    try:
        with open(path, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.write(CHECKSUM.pack(MAGIC, size, _checksum(file, size)))
    except OSError as error:
        raise ImageError(f"{path} cannot be written ({error.strerror}); make room") from error


def is_intact(path: Path) -> bool:
    """Tell whether a file is there, and as it was when it got its checksum."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END) - CHECKSUM.size
            if size < 0:
                return False
            file.seek(size)
            return file.read() == CHECKSUM.pack(MAGIC, size, _checksum(file, size))
    except OSError:
        return False


def _checksum(file, size):
    """Return the CRC-32 of a file's first bytes; the file's position stays."""
    position, checksum = file.tell(), 0
    file.seek(0)
    for first in range(0, size, CHECKED_AT_ONCE):
        checksum = zlib.crc32(file.read(min(CHECKED_AT_ONCE, size - first)), checksum)
    file.seek(position)
    return checksum


@contextmanager
def parts_kept(plan: RasterPlan, out: Path, resume: bool) -> Iterator[None]:
    """Have a folder for the parts of a raster, which vanishes when the work on it ends well.

    Raises
    ------
    ImageError
        If another run is at it, its parts are of another plan, or it is no such folder.
    """
    with _only_one(plan, out):
        _prepare(plan, resume)
        try:
            yield
        except BaseException:
            done = sum(plan.part_path(k).exists() for k in range(plan.count))
            if done:
                kept = f"kept in {plan.folder}: {done} of {plural(plan.count, 'part')}"
                logger.warning("%s; --resume goes on from there", kept)
            raise
        _remove(Path(plan.folder))


def step_counter(
    progress: Optional[Callable[[int, int], None]], total: int, done: int = 0
) -> Callable[[], None]:
    """Return what to call after each of so many steps; it tells `progress` the number done."""
    counts = iter(range(done + 1, total + 1))
    return lambda: progress(next(counts), total) if progress else None


@contextmanager
def _only_one(plan, out):
    """Keep other runs away from the parts; a killed one's lock is gone with it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    clear_once(out.parent.resolve())
    lock = filelock.FileLock(f"{plan.folder}.lock", timeout=0)
    try:
        with lock:
            yield
    except filelock.Timeout as error:
        raise ImageError(f"another run is writing {out}; wait for it, or name another") from error
    Path(lock.lock_file).unlink(missing_ok=True)


def _prepare(plan, resume):
    """Make the folder of parts, or find that the one there is of the same plan."""
    folder, record = Path(plan.folder), Path(plan.folder, RECORD)
    _check_own(folder)
    now = json.dumps(asdict(plan), indent=1).encode()
    if resume and record.exists():
        if read_small(record) != now:
            raise ImageError(
                f"{folder} is of another source, model or options; run with the same, or without "
                "--resume"
            )
        _drop_damaged(plan)
        return
    if record.exists():
        logger.warning("%s of an earlier run is deleted, as --resume is not given", folder)
    _remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(record, now)


def _check_own(folder):
    """Refuse a folder that is another's, or a link to one."""
    is_folder = folder.is_dir() and not folder.is_symlink()
    if not is_folder and (folder.exists() or folder.is_symlink()):
        raise ImageError(f"{folder} is needed for parts, and is there; move it")
    foreign = [path.name for path in _contents(folder) if not OWN.fullmatch(path.name)]
    if foreign:
        raise ImageError(
            f"{folder} is needed for parts, and has {sorted(foreign)[0]}, which is none; move it"
        )


def _drop_damaged(plan):
    """Delete parts that are not as they were written; they are made again."""
    parts = [path for path in _contents(Path(plan.folder)) if path.suffix == ".tif"]
    damaged = [path for path in parts if not is_intact(path) or not _is_tiff(path)]
    for path in damaged:
        path.unlink()
    if damaged:
        count = f"{len(damaged):,} of {plural(len(parts), 'file')}"
        logger.warning("%s in %s made again: damaged", count, plan.folder)


def _is_tiff(path):
    with open(path, "rb") as file:
        return file.read(4) in TIFF_HEADS


def _remove(folder):
    """Remove what runs have put into a folder, and it, if there is nothing else."""
    for path in _contents(folder):
        if not OWN.fullmatch(path.name):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    try:
        folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        logger.warning("%s stays, as it has other files", folder)


def _contents(folder):
    return list(folder.iterdir()) if folder.is_dir() else []


def assemble(
    plan: RasterPlan, src, out: Path, options: Mapping, overviews: bool, cog: bool
) -> None:
    """Write all parts as one raster, which gets its name when it is complete."""
    options = {name.lower(): options[name] for name in options}
    is_sparse = is_on(options.get("sparse_ok"))
    with draft_of(out, Path(plan.folder), may_lack=lambda *_: is_sparse) as draft:
        is_masked = needs_mask(src, options, cog)
        _put_together(plan, src, draft, whole_options(options, cog), is_masked)
        if overviews or (cog and not set(options) & set(OVERVIEW_OPTIONS)):
            add_overviews(draft)
        if cog:
            to_cog(src, draft, options)


def _put_together(plan, src, whole, options, is_masked):
    """Write all parts into one GeoTIFF; with `is_masked` a mask tells what is valid."""
    is_straight = plan.premultiplied and not plan.multiplies
    with created(whole, src, options, plan.scale, plan.region, is_masked, is_straight) as output:
        for index in range(plan.count):
            window = window_of(plan.target(index))
            made = read_part(plan.part_path(index), window)
            if is_masked:
                bands, masks = made[: src.count], made[src.count :]
                valid = valid_in_all(bands, src) & (masks != 0).all(axis=0)
                made = np.concatenate([fill_invalid(bands, valid, color_bands(src)), [valid]])
            output.write_with_mask(made, window)
