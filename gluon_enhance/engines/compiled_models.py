"""Compiled models, kept between runs within a bounded room.

OpenVINO's own ``CACHE_DIR`` would keep each model for each shape of an image without an end.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Optional

from gluon_enhance.atomic import write_bytes

MAX_BYTES = 1_000_000_000
"""Of all files together; the one that was used longest ago goes first."""
MAX_MODEL_BYTES = 200_000_000
"""Larger models would fill the folder."""
SUFFIX = ".compiled"
LONGEST_WRITE = 3600
"""Seconds after which a hidden folder is one that a process left that was killed."""


class CompiledModels:
    """Bytes by what they were made of; whatever goes wrong with the files, they are made again.

    Parameters
    ----------
    folder : path or None
        None keeps nothing.
    model : path
        The model's file; its content counts, and that of a ``.bin`` beside it.
    maker : str
        What compiles, with its version and the processor.
    """

    def __init__(self, folder: Optional[Path], model: Path, maker: str):
        files = [path for path in (model, model.with_suffix(".bin")) if path.is_file()]
        is_small = sum(path.stat().st_size for path in files) <= MAX_MODEL_BYTES
        self._folder = folder if is_small else None
        self._made_of = (maker, *(_digest(path.read_bytes()) for path in files if self._folder))

    def __bool__(self) -> bool:
        """Tell whether anything is kept."""
        return self._folder is not None

    def get(self, *details: object) -> Optional[bytes]:
        """Return what was kept under these details; None if there is nothing, or it is damaged."""
        if not self:
            return None
        path = self._path(details)
        with suppress(OSError):
            data = path.read_bytes()
            os.utime(path)
            digest, content = data[:64], data[64:]
            return content if digest == _digest(content).encode() else None
        return None

    def put(self, content: bytes, *details: object) -> None:
        """Keep bytes under these details, if there is room and right to."""
        if self._folder is None:
            return
        path = self._path(details)
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_bytes(path, _digest(content).encode() + content)
            self._make_room()

    def _path(self, details):
        return self._folder / (_digest(repr((self._made_of, details)).encode()) + SUFFIX)

    def _make_room(self):
        for folder in self._folder.glob(".*"):
            if folder.stat().st_mtime < time.time() - LONGEST_WRITE:
                shutil.rmtree(folder, ignore_errors=True)
        used = sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda path: -path.stat().st_mtime)
        total = 0
        for path in used:
            total += path.stat().st_size
            if total > MAX_BYTES:
                path.unlink()


def _digest(data):
    return hashlib.sha256(data).hexdigest()
