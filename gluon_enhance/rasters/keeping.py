"""The folder that the parts of a raster are kept in until all are there: one run's at a time.

Parts that an earlier run has left are gone on with if they are whole. What is no part is nobody
else's to delete.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import filelock

from gluon_enhance.atomic import PREFIX, clear_once, write_bytes
from gluon_enhance.errors import ImageError
from gluon_enhance.rasters.parts import Work
from gluon_enhance.rasters.seals import is_sealed
from gluon_enhance.small_files import read_small

logger = logging.getLogger(__name__)

RECORD = "work.json"
OWN = re.compile(rf"(\d{{7,}}|net(-\d+)+)-[0-9a-f]{{12}}\.tif|{RECORD}|{re.escape(PREFIX)}.*")
"""Names of what runs put there."""


@contextmanager
def parts_kept(work: Work, out: Path, resume: bool) -> Iterator[None]:
    """Have a folder for the parts of a raster, which vanishes when the work on it ends well.

    Raises
    ------
    ImageError
        If another run is at it, its parts are of other work, or it is no such folder.
    """
    with _only_one(work, out):
        _prepare(work, resume)
        try:
            yield
        except BaseException:
            done = sum(work.path(k).exists() for k in range(work.count))
            if done:
                kept = f"{done} of {work.count} parts are kept in {work.folder}"
                logger.warning("%s; --resume goes on with them", kept)
            raise
        _remove(Path(work.folder))


@contextmanager
def _only_one(work, out):
    """Keep other runs away from the parts; a killed one's lock is gone with it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    clear_once(out.parent.resolve())
    lock = filelock.FileLock(f"{work.folder}.lock", timeout=0)
    try:
        with lock:
            yield
    except filelock.Timeout as error:
        raise ImageError(f"another run is writing {out}; wait for it, or name another") from error
    Path(lock.lock_file).unlink(missing_ok=True)


def _prepare(work, resume):
    """Make the folder of parts, or find that it is of the same work."""
    folder, record = Path(work.folder), Path(work.folder, RECORD)
    _check_own(folder)
    now = json.dumps(asdict(work), indent=1).encode()
    if resume and record.exists():
        if read_small(record) != now:
            raise ImageError(
                f"{folder} is of another source, model or options; run with the same, or without "
                "--resume"
            )
        _drop_damaged(work)
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


def _drop_damaged(work):
    """Delete parts that are not as they were written; they are made again."""
    parts = [path for path in _contents(Path(work.folder)) if path.suffix == ".tif"]
    damaged = [path for path in parts if not is_sealed(path)]
    for path in damaged:
        path.unlink()
    if damaged:
        some = f"{len(damaged)} of {len(parts)} files in {work.folder}"
        logger.warning("%s are damaged, and are made again", some)


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
