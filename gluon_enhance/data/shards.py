"""Shards: samples in files, with what a frozen net makes of their truths computed once.

The files are those of the Gluon variant of PLSR: ``trainx_0.params, trainx_1.params, ...`` with the
inputs and ``trainy_0.params, ...`` with the features, each a list of one array, by ``nd.save``.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import struct
from pathlib import Path
from typing import Callable

import filelock
import numpy as np

from gluon_enhance.atomic import whole_file, write_text
from gluon_enhance.data.epochs import Turn
from gluon_enhance.errors import TrainingError, plural
from gluon_enhance.framework import mx
from gluon_enhance.small_files import read_small

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Truths that the frozen net is given at a time."""

HEADER = struct.Struct("<3Q I2i 4q 3i")
"""Before the numbers of a list of one 4-D array, in MXNet's format; its names, 0 of them, follow.

List, reserved, arrays; NDArray, storage, axes; shape; CPU, its number, float32.
"""
NAMES_BYTES = 8


class Shards:
    """A data set of the samples in a folder of shards, read from the disk one by one.

    Parameters
    ----------
    folder : path
    count : int
        Pairs of files.
    samples : int
        Samples in each.
    """

    NAMES: tuple[str, ...] = ("trainx_{}.params", "trainy_{}.params")
    """Of the files of a shard, one for each array of a sample; the shard's number is put in."""

    def __init__(self, folder: str | Path, count: int, samples: int):
        self._folder = Path(folder)
        self._count = count
        self._samples = samples
        self._parts: list = []

    def complete(self, draw: Callable, features_of: Callable, seed: int, made_of: dict) -> None:
        """Make the shards that are missing, and open all.

        Each is written to a temporary file and renamed, and has generators of its own: making
        them can be interrupted and gone on with. Machines that share the folder make them once:
        one of them does, while the others wait.

        Parameters
        ----------
        draw : callable
            Takes a generator; returns an input and a truth, (3, h, w) each.
        features_of : callable
            Takes truths, NDArray (N, 3, H, W); returns their features, (N, C, h', w').
        seed : int
        made_of : dict
            What `draw` and `features_of` depend on, for JSON: it must be the same for all shards.

        Raises
        ------
        TrainingError
            If the folder's shards were made of something else, or one is not whole, or there is no
            room for those that are missing.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        shards = [
            [self._folder / name.format(k) for name in self.NAMES] for k in range(self._count)
        ]
        with filelock.FileLock(self._folder / ".lock"):
            self._check({**made_of, "seed": seed, "samples": self._samples})
            missing = [k for k, paths in enumerate(shards) if not all(p.exists() for p in paths)]
            if missing:
                self._announce(len(missing), self._sample_bytes(draw, features_of))
            for shard in missing:
                logger.info("making shard %d of %d", shard + 1, self._count)
                for path, array in zip(shards[shard], self._make(shard, draw, features_of, seed)):
                    self._save(path, array)
            self._parts += [[self._mapped(path) for path in paths] for paths in shards]

    def draw(self, rng: np.random.Generator, turn: Turn | None = None) -> tuple[np.ndarray, ...]:
        """Draw an input, (3, h, w), and the features of its truth, (C, h', w').

        A turn tells which sample is drawn.
        """
        count = self._count * self._samples
        index = int(rng.integers(count)) if turn is None else turn.of(count)
        shard, sample = divmod(index, self._samples)
        return tuple(array[sample] for array in self._parts[shard])

    def _announce(self, shards, sample_bytes):
        """Say how much room shards take before they are made, and refuse what there is none for."""
        room, needed = shutil.disk_usage(self._folder).free, shards * self._samples * sample_bytes
        said = f"{needed / 1e9:.2f} GB for {plural(shards, 'shard')} of {self._samples} samples"
        if needed > room:
            raise TrainingError(
                f"{self._folder} has room for {room / 1e9:.2f} GB, not {said}; make room, or give "
                "another folder, fewer samples or smaller patches"
            )
        logger.info("%s takes %s; %.2f GB are free", self._folder, said, room / 1e9)

    @staticmethod
    def _sample_bytes(draw, features_of):
        small, truth = draw(np.random.default_rng(0))
        return small.nbytes + 4 * features_of(mx.nd.array(truth[None])).size

    def _check(self, made_of):
        path = self._folder / "shards.json"
        made_of = json.loads(json.dumps(made_of))
        if not path.exists():
            write_text(path, json.dumps(made_of))
        former = json.loads(read_small(path))
        if former != made_of:
            changed = sorted(k for k in {*former, *made_of} if former.get(k) != made_of.get(k))
            raise TrainingError(
                f"{self._folder} holds shards made with other options ({', '.join(changed)}); "
                "give another folder, or the same options"
            )

    def _make(self, shard, draw, features_of, seed):
        inputs = features = None
        for first in range(0, self._samples, AT_ONCE):
            last = min(first + AT_ONCE, self._samples)
            pairs = [draw(np.random.default_rng((seed, shard, k))) for k in range(first, last)]
            small, truths = (mx.nd.array(np.stack(side)) for side in zip(*pairs))
            maps = features_of(truths)
            if inputs is None:
                inputs, features = (
                    mx.nd.empty((self._samples, *part.shape[1:])) for part in (small, maps)
                )
            inputs[first:last], features[first:last] = small, maps
        return inputs, features

    def _save(self, path, array):
        try:
            with whole_file(path) as part:
                self._write(part, array)
        except OSError as error:
            raise TrainingError(
                f"{path} cannot be written ({error.strerror}): is the disk full?"
            ) from error

    @staticmethod
    def _write(path, array):
        """Write an NDArray as a shard; MXNet would not notice that the end found no room."""
        with open(path, "wb") as file:
            file.write(HEADER.pack(*_head(array.shape)))
            file.write(array.asnumpy().data)
            file.write(bytes(NAMES_BYTES))

    @staticmethod
    def _mapped(path):
        """Map a shard's array into memory: all of them may not fit."""
        with open(path, "rb") as file:
            head = file.read(HEADER.size)
        shape = HEADER.unpack(head)[6:10] if len(head) == HEADER.size else ()
        size = HEADER.size + 4 * math.prod(shape) + NAMES_BYTES
        if not shape or head != HEADER.pack(*_head(shape)) or path.stat().st_size != size:
            raise TrainingError(f"{path} is cut short or no shard; delete it, and it is made again")
        return np.memmap(path, np.float32, "r", HEADER.size, shape)


def _head(shape):
    return 0x112, 0, 1, 0xF993FAC9, 0, 4, *shape, 1, 0, 0
