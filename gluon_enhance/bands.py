"""Nets that need statistics of the whole image, run on it band by band.

A net with instance norms cannot be tiled: a norm needs the mean and the variance of its input over
the whole image, of each channel or of all. It is cut into parts at its norms instead
(`gluon_enhance.exporting.parts`). One part after the other runs over the image in bands of whole
rows and keeps what later parts need, in 16 bits, in memory and in temporary files, while the mean
and the variance of every row are taken. When all bands are done, these give the next norm's gain
and shift. The result is the whole image's, as far as 16 bits hold.

A band is treated as an image of its own: a map at 1/4 of the image's size has 2 rows for 8 of the
image, wherever the band lies. Only rows near its cut edges are wrong, which the halo drops.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Callable

import numpy as np

from gluon_enhance.errors import WeightsError
from gluon_enhance.features import FeatureRows, ImageRows, row_axis, row_moments
from gluon_enhance.imaging.tiling import plan_axis

TABLE = "parts.json"
"""The archive's table of parts: what they take and give, halos, norms, and the rate of each map.

The rate is a map's rows for as many rows of the image as the net's `multiple`. It has some more or
fewer in all, wherever layers pad or crop.
"""


MEMORY = 1_250_000_000
"""Bytes of features that are kept in memory; what is beyond them goes to files."""

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
    memory : int
        Bytes of features that stay in memory; others go into temporary files.
    """

    def __init__(self, path: str | os.PathLike, load: Callable, pixels: int, memory: int = MEMORY):
        self._path, self._load, self._pixels, self._memory = Path(path), load, pixels, memory
        with self._checked(), zipfile.ZipFile(path) as archive:
            # Stored as they are, members cannot unpack to more than the file.
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise ValueError("it is compressed")
            if any(info.compress_size > self._path.stat().st_size for info in archive.infolist()):
                raise ValueError("a member has more bytes than the file")
            plan = json.loads(archive.read(TABLE))
            self._parts, self._rates = plan["parts"], plan["rates"]
            self._multiple = plan["multiple"]
            self._normed = {norm["map"] for part in self._parts for norm in part["norms"]}
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
        return self.run_rows(ImageRows(batch), batch.shape[2:], _image_room, on_band).image

    def run_rows(
        self,
        image,
        size: tuple[int, int],
        make_room: Callable,
        on_band: Callable[[], None] = lambda: None,
    ):
        """Run one image of which nobody holds all rows.

        Parameters
        ----------
        image : object with the `height` and the `read` of `ImageRows`
        size : (int, int)
            H and W, multiples of the net's.
        make_room : callable
            Takes the height of the result and a band of it, (1, 3, h, W * scale); gives an object
            with the `write` of `ImageRows`.
        on_band : callable, optional
            Called when a band is done.

        Returns
        -------
        object
            That `make_room` gave, with all rows written.

        Raises
        ------
        ImageError, WeightsError
            As `run`.
        """
        with self._checked():
            maps, moments = {self._parts[0]["inputs"][0]: image}, {}
            for k, part in enumerate(self._parts):
                later = self._parts[k + 1 :]
                needed = {name for one in later for name in one["inputs"]}
                spare = [one for name, one in maps.items() if name not in needed]
                made = self._run_part(part, maps, moments, spare, size, make_room, on_band)
                maps = {name: one for name, one in {**maps, **made}.items() if name in needed}
            return made[part["outputs"][0]]

    def _run_part(self, part, maps, moments, spare, size, make_room, on_band):
        engine, made = self._engine(part), {}
        is_last = part is self._parts[-1]
        norms = [array for norm in part["norms"] for array in gain_and_shift(norm, moments)]
        rows = {name: [] for name in part["outputs"] if name in self._normed}
        kept, out = {}, [None, None]

        def room(height, band):
            if is_last:
                return make_room(height, band)
            maps_now = [*maps.values(), *made.values()]
            return _feature_room(height, band, spare, maps_now, self._memory)

        # Outputs may go to where the inputs come from: a band is stored when the next one, which
        # reads its last rows too, is computed. Both take all threads, and so take turns.
        threads = engine.describe()["threads"]
        with ThreadPoolExecutor(threads) as pool:
            store = partial(_store, made=made, rows=rows, pool=pool, pieces=2 * threads)
            for k, (read, keep) in enumerate(self._bands(part, *size)):
                inputs = [*self._read(part, maps, read, size[0]), *norms]
                outputs = out[k % 2] = engine.compute(inputs, not is_last, out[k % 2])
                store(kept)
                for name, output in zip(part["outputs"], outputs):
                    height = self._height(name, output, read, size[0])
                    if name not in made:
                        made[name] = room(height, output)
                    kept[name] = self._kept(name, output, read, keep, size[0], height)
                on_band()
            store(kept)
        for name, found in rows.items():
            moments[name] = [np.concatenate(one) for one in zip(*found)]
        return made

    def _engine(self, part):
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(self._path) as archive:
            return self._load(archive.extract(part["file"], folder))

    def _bands(self, part, height, width):
        # A band of fewer rows than its halos would cost more than it yields.
        rows = max(self._pixels // width, 2 * part["halo"], 1)
        return plan_axis(height, rows, part["halo"], self._multiple)[1]

    def _read(self, part, maps, read, image_height):
        def window(name):
            more = maps[name].height - self._first_row(name, image_height)
            first, stop = (self._first_row(name, row) for row in (read.start, read.stop))
            return maps[name].read(first, stop + more)

        return [window(name) for name in part["inputs"]]

    def _height(self, name, output, read, image_height):
        """Count the rows of the whole map of which a band is there."""
        missing = self._first_row(name, image_height - read.stop + read.start)
        return missing + output.shape[row_axis(output)]

    def _kept(self, name, output, read, keep, image_height, height):
        """Return the first row that a band yields, and its rows."""
        first, start = (self._first_row(name, row) for row in (read.start, keep.start))
        stop = height if keep.stop == image_height else self._first_row(name, keep.stop)
        rows = (slice(None),) * row_axis(output) + (slice(start - first, stop - first),)
        return start, output[rows]

    def _first_row(self, name, image_row):
        return image_row // self._multiple * self._rates[name]


def gain_and_shift(norm: dict, moments: dict) -> Iterable[np.ndarray]:
    """Give what a norm multiplies with and adds, each (1, 1, 1, C) float32, or one for all C.

    Parameters
    ----------
    norm : dict
        A norm of the table of parts. With a single gamma it is over all channels together.
    moments : dict
        Map -> the means and the variances of its rows, (H, C) each.
    """
    means, variances = moments[norm["map"]]
    axes = 0 if len(norm["gamma"]) > 1 else None
    mean, variance = means.mean(axes), variances.mean(axes) + means.var(axes)
    gain = np.array(norm["gamma"]) / np.sqrt(variance + norm["epsilon"])
    shift = np.array(norm["beta"]) - gain * mean
    return (array.astype(np.float32).reshape(1, 1, 1, -1) for array in (gain, shift))


def _image_room(height, band):
    return ImageRows(np.empty((*band.shape[:2], height, band.shape[3]), band.dtype))


def _feature_room(height, band, spare, maps, memory):
    """Make room for the map of a band, where one was that nobody needs any more."""
    shape = (height, *band.shape[2:])
    for k, old in enumerate(spare):
        if isinstance(old, FeatureRows) and (old.shape, old.dtype) == (shape, band.dtype):
            return spare.pop(k)
    used = sum(one.memory for one in maps if isinstance(one, FeatureRows))
    return FeatureRows(shape, band.dtype, max(memory - used, 0))


def _store(kept, made, rows, pool, pieces):
    """Write the rows that a band yields, and take their moments meanwhile."""
    writing = [pool.submit(made[name].write, *one) for name, one in kept.items()]
    for name in rows.keys() & kept.keys():
        _, band = kept[name]
        rows[name] += pool.map(row_moments, filter(len, np.array_split(band[0], pieces)))
    for one in writing:
        one.result()
