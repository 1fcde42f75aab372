"""Nets that need statistics of the whole image, run on it band by band.

A net with instance norms cannot be tiled: a norm needs the mean and the variance of its input over
the whole image, of each channel or of all. It is cut into parts at its norms instead
(`gluon_enhance.exporting.parts`). One part after the other runs over the image in bands of whole
rows and writes what later parts need, as float16, into temporary files, together with the mean and
the variance of every row. When all bands are done, these give the next norm's gain and shift. The
result is the whole image's, as far as float16 holds.

A band is treated as an image of its own: a map at 1/4 of the image's size has 2 rows for 8 of the
image, wherever the band lies. Only rows near its cut edges are wrong, which the halo drops.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import zipfile
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

import numpy as np

from gluon_enhance.errors import ImageError, WeightsError
from gluon_enhance.imaging.tiling import plan_axis

TABLE = "parts.json"
"""The archive's table of parts: what they take and give, halos, norms, and the rate of each map.

The rate is a map's rows for as many rows of the image as the net's `multiple`. It has some more or
fewer in all, wherever layers pad or crop.
"""


MAX_ROWS = 4096
"""Of a halo, of the size that inputs are multiples of, and of a map for that."""

DAMAGE = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError,
    NotImplementedError, OSError, zipfile.BadZipFile,
)  # fmt: skip
"""What a table of other contents leads to."""


class BandedNet:
    """A net cut into parts, with the `run` of an engine for an image of any size.

    Parameters
    ----------
    path : path
        What `gluon_enhance.exporting.parts.split_onnx` wrote.
    load : callable
        Takes the path of an ONNX file, gives an engine; see `gluon_enhance.engines`.
    pixels : int
        Of the image, that a band yields, about.
    """

    def __init__(self, path: str | os.PathLike, load: Callable, pixels: int):
        self._path, self._load, self._pixels = Path(path), load, pixels
        with self._checked(), zipfile.ZipFile(path) as archive:
            # Stored as they are, members cannot unpack to more than the file.
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise ValueError("it is compressed")
            if any(info.compress_size > self._path.stat().st_size for info in archive.infolist()):
                raise ValueError("a member has more bytes than the file")
            plan = json.loads(archive.read(TABLE))
            self._parts, self._rates = plan["parts"], plan["rates"]
            self._multiple = plan["multiple"]
            halos = [part["halo"] for part in self._parts]
            for number in (self._multiple - 1, *halos, *self._rates.values()):
                if type(number) is not int or not 0 <= number <= MAX_ROWS:
                    raise ValueError(f"{number!r} is no number of rows")

    @contextmanager
    def _checked(self):
        """Name the file where its contents do not fit together: it may come from anyone."""
        try:
            yield
        except DAMAGE as error:
            raise WeightsError(
                f"{self._path} is damaged or not what an export wrote "
                f"({type(error).__name__}: {error!s:.200}); export the model again"
            ) from error

    def count(self, height: int, width: int) -> int:
        """Count the bands of all parts for an image of this size."""
        return sum(len(self._bands(part, height, width)) for part in self._parts)

    def run(self, batch: np.ndarray, on_band: Callable[[], None] = lambda: None) -> np.ndarray:
        """Run one image.

        Parameters
        ----------
        batch : ndarray of shape (1, 3, H, W), float32
            H and W are multiples of the net's.
        on_band : callable, optional
            Called when a band is done.

        Returns
        -------
        ndarray of shape (1, 3, H * scale, W * scale), float32

        Raises
        ------
        ImageError
            If there is no room for the temporary files.
        WeightsError
            If the parts do not fit together.
        """
        with self._checked():
            maps = {self._parts[0]["inputs"][0]: batch[0]}
            for k, part in enumerate(self._parts):
                needed = {name for later in self._parts[k + 1 :] for name in _needs(later)}
                spare = [one for name, one in maps.items() if name not in needed]
                made = self._run_part(part, maps, spare, batch.shape[2:], on_band)
                maps = {name: one for name, one in {**maps, **made}.items() if name in needed}
            return made[part["outputs"][0]][None]

    def _run_part(self, part, maps, spare, size, on_band):
        made = {}
        engine = self._engine(part)
        norms = [array for norm in part["norms"] for array in gain_and_shift(norm, maps)]
        bands = self._bands(part, *size)
        inputs = self._read(part, maps, bands[0][0], size[0])
        for k, (read, keep) in enumerate(bands):
            outputs = engine.compute([*inputs, *norms])
            if k + 1 < len(bands):  # before the outputs go to where the inputs come from
                inputs = self._read(part, maps, bands[k + 1][0], size[0])
            for name, output in zip(part["outputs"], outputs):
                rows = self._first_row(name, size[0] - read.stop + read.start) + output.shape[2]
                if name not in made:
                    made[name] = _allocate((output.shape[1], rows, output.shape[3]), output, spare)
                first = self._first_row(name, read.start)
                start = self._first_row(name, keep.start)
                stop = rows if keep.stop == size[0] else self._first_row(name, keep.stop)
                made[name][:, start:stop] = output[0, :, start - first : stop - first]
            on_band()
        return made

    def _engine(self, part):
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(self._path) as archive:
            return self._load(archive.extract(part["file"], folder))

    def _bands(self, part, height, width):
        # A band of fewer rows than its halos would cost more than it yields.
        rows = max(self._pixels // width, 2 * part["halo"], 1)
        return plan_axis(height, rows, part["halo"], self._multiple)[1]

    def _read(self, part, maps, read, height):
        def window(name):
            more = maps[name].shape[1] - self._first_row(name, height)
            first, stop = (self._first_row(name, row) for row in (read.start, read.stop))
            return np.array(maps[name][:, first : stop + more])[None]

        return [window(name) for name in part["inputs"]]

    def _first_row(self, name, image_row):
        return image_row // self._multiple * self._rates[name]


def gain_and_shift(norm: dict, maps: dict[str, np.ndarray]) -> Iterable[np.ndarray]:
    """Give what a norm multiplies with and adds, each (1, C, 1, 1) float32, or one for all C.

    Parameters
    ----------
    norm : dict
        A norm of the table of parts. With a single gamma it is over all channels together.
    maps : dict
        Its entries ``NAME.mean`` and ``NAME.variance``, (C, H, 1), are those of each row.
    """
    means, variances = (
        maps[f"{norm['map']}.{moment}"].astype(np.float64) for moment in ("mean", "variance")
    )
    axes = 1 if len(norm["gamma"]) > 1 else (0, 1)
    mean, variance = means.mean(axes), variances.mean(axes) + means.var(axes)
    gain = np.reshape(norm["gamma"], (-1, 1)) / np.sqrt(variance + norm["epsilon"])
    shift = np.reshape(norm["beta"], (-1, 1)) - gain * mean
    return (array.astype(np.float32).reshape(1, -1, 1, 1) for array in (gain, shift))


def _needs(part):
    moments = [f"{norm['map']}.{m}" for norm in part["norms"] for m in ("mean", "variance")]
    return [*part["inputs"], *moments]


def _allocate(shape, output, spare):
    """Make room for a map: float16 ones in a file, in place of one that is not needed any more."""
    if output.dtype != np.float16:
        return np.empty(shape, output.dtype)
    for k, old in enumerate(spare):
        if (old.shape, old.dtype) == (shape, output.dtype):
            return spare.pop(k)
    size = math.prod(shape) * output.itemsize
    with tempfile.TemporaryFile(prefix="gluon-enhance-") as file:  # lives as long as its map
        try:
            if hasattr(os, "posix_fallocate"):  # else a full disk would kill the process later
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float16, "w+", shape=shape)
        except OSError as error:
            raise ImageError(
                f"there is no room in {tempfile.gettempdir()} for {size / 1e9:.1f} GB of features "
                f"({error.strerror}); name a folder on a larger disk in the variable TMPDIR"
            ) from error
