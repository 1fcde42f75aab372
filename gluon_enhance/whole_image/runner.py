"""Nets that need statistics of the whole image, run on it strip by strip.

A net with instance norms cannot be tiled: a norm needs the mean and the variance of its input over
the whole image, of each channel or of all. So it is cut into segments at its norms instead
(`gluon_enhance.whole_image.split`). One segment after the other runs over the image in strips, of
whole rows unless these are long, and keeps what later segments need, in 16 bits, in memory and in
temporary files, while the mean and the variance of each strip are taken. When all strips are done,
these give the next norm's gain and shift. The result is the whole image's, as far as 16 bits hold.

::

    image ->  segment 0  -> features, mean, variance -> norm -> segment 1 -> ... -> result
              strip 0 = rows 0 to 40 (reads 0 to 45)
              strip 1 = rows 40 to 80 (reads 35 to 85: 5 rows of halo at each cut edge)
              ...

A strip is treated as an image of its own: a map at 1/4 of the image's size has 2 rows for 8 of the
image, wherever the strip lies. Only what is near its cut edges is wrong, which the halo drops. If
the image's sides are no multiples of what the net divides them by, the strips' leave the same rest:
layers then round the sides of the strips' maps as they round the image's.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Callable

import numpy as np

from gluon_enhance.atomic import temporary_folder
from gluon_enhance.errors import WeightsError
from gluon_enhance.imaging.tiling import plan_axis
from gluon_enhance.whole_image.maps import (
    ImageRows,
    feature_room,
    features_of,
    gain_and_shift,
    merged_moments,
    row_axis,
    row_moments,
)

TABLE = "segments.json"
"""The archive's table of segments: what they take and give, halos, norms, and the rate of each map.

The rate is a map's rows for as many rows of the image as the net's `multiple`, and its columns for
as many columns. It has some more or fewer in all, wherever layers pad or crop.
"""

MEMORY = 1_250_000_000
"""Bytes of features that are kept in memory; what is beyond them goes to files."""

COLUMNS = 4096
"""Of the image, that a strip yields at most: memory must not grow with the width. Strips of whole
rows are not copied to be read."""

PROBE = 96
"""Side of an image that every export has tried its segments on."""

MAX_ROWS = 4096
"""Of a halo, of the size that inputs are multiples of, and of a map for that."""

DAMAGE = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError,
    NotImplementedError, OSError, zipfile.BadZipFile,
)  # fmt: skip
"""What a table of other contents leads to."""


class StripNet:
    """A net cut into segments, with the `run` of an engine for an image of any size.

    Parameters
    ----------
    path : path
        What `gluon_enhance.whole_image.split.split_onnx` wrote.
    load : callable
        Takes the path of an ONNX file and the `shapes` of its inputs, gives an engine; see
        `gluon_enhance.engines`.
    pixels : int
        Of the image, that a strip yields, about.
    memory : int
        Bytes of features that stay in memory; others go into temporary files.
    columns : int
        Of the image, that a strip yields at most.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        load: Callable,
        pixels: int,
        memory: int = MEMORY,
        columns: int = COLUMNS,
    ):
        self._path, self._load, self._memory = Path(path), load, memory
        self._pixels, self._columns = pixels, columns
        with self._checked(), zipfile.ZipFile(path) as archive:
            # Stored as they are, members cannot unpack to more than the file.
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise ValueError("it is compressed")
            if any(info.compress_size > self._path.stat().st_size for info in archive.infolist()):
                raise ValueError("a member has more bytes than the file")
            plan = json.loads(archive.read(TABLE))
            self._segments, self._rates = plan["segments"], plan["rates"]
            self._multiple = plan["multiple"]
            self._normed = {norm["map"] for segment in self._segments for norm in segment["norms"]}
            halos = [segment["halo"] for segment in self._segments]
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
        """Count the strips of all segments for an image of this size."""
        return sum(len(self._strips(segment, height, width)) for segment in self._segments)

    def run(self, batch: np.ndarray, on_strip: Callable[[], None] = lambda: None) -> np.ndarray:
        """Run one image.

        Parameters
        ----------
        batch : ndarray of shape (1, 3, H, W), float32
            Of sides that the net takes.
        on_strip : callable, optional
            Called when a strip is done.

        Returns
        -------
        ndarray of shape (1, 3, H * scale, W * scale), float32

        Raises
        ------
        ImageError
            If there is no room for the temporary files.
        WeightsError
            If the segments do not fit together.
        """
        return self.run_rows(ImageRows(batch), _image_room, on_strip).image

    def run_rows(self, image, make_room: Callable, on_strip: Callable[[], None] = lambda: None):
        """Run one image of which nobody holds all rows.

        Parameters
        ----------
        image : object with the `size` and the `read` of `ImageRows`
            Of sides that the net takes.
        make_room : callable
            Takes height and width of the result, and a strip of it, (1, 3, h, w); gives an object
            with the `write` of `ImageRows`.
        on_strip : callable, optional
            Called when a strip is done.

        Returns
        -------
        object
            That `make_room` gave, with all rows written.

        Raises
        ------
        ImageError, WeightsError
            As `run`.
        """
        maps = deque(self._run_segments(image, make_room, on_strip), maxlen=1).pop()
        return maps[self._segments[-1]["outputs"][0]]

    def feature_bytes(self, height: int, width: int) -> int:
        """Count the bytes that features of an image take at once, at most.

        Of how many channels they are, a small image tells.
        """
        size, most = (height, width), 0
        # Of the remainder that the image leaves, too: layers round what they halve.
        sides = [self._rounded_up(PROBE) + length % self._multiple for length in size]
        probe = ImageRows(np.zeros((1, 3, *sides), np.float32))
        for maps in self._run_segments(probe, _image_room, lambda: None):
            total = 0
            for name, features in features_of(maps).values():
                *of_probe, channels = features.shape
                own = [
                    count + self._first(name, length - side)
                    for count, length, side in zip(of_probe, size, sides)
                ]
                rows_ahead = self._rows_ahead(name, own[0], size)
                total += (own[0] + rows_ahead) * own[1] * channels * 2
            most = max(most, total)
        return most

    def _run_segments(self, image, make_room, on_strip):
        """Run one segment after the other, and yield the maps that there are after each."""
        with self._checked():
            maps, moments = {self._segments[0]["inputs"][0]: image}, {}
            for k, segment in enumerate(self._segments):
                later = {name for one in self._segments[k + 1 :] for name in one["inputs"]}
                for name in maps.keys() - later - set(segment["inputs"]):
                    del maps[name]
                spare = [one for name, one in maps.items() if name not in later]
                self._run_segment(segment, maps, moments, spare, image.size, make_room, on_strip)
                yield maps

    def _run_segment(self, segment, maps, moments, spare, size, make_room, on_strip):
        is_last, strips = segment is self._segments[-1], self._strips(segment, *size)
        norms = [array for norm in segment["norms"] for array in gain_and_shift(norm, moments)]
        inputs = [*self._read(segment, maps, strips[0][0], size), *norms]
        engine = self._engine(segment, [array.shape for array in inputs])
        found = {name: [] for name in segment["outputs"] if name in self._normed}
        outputs = None

        def room(name, own, strip):
            if is_last:
                return make_room(own, strip)
            shape, rows_ahead = (*own, strip.shape[3]), self._rows_ahead(name, own[0], size)
            return feature_room(shape, strip.dtype, rows_ahead, spare, maps, self._memory)

        threads = engine.describe()["threads"]
        with ThreadPoolExecutor(threads) as pool:
            for k, (read, keep) in enumerate(strips):
                if k:
                    inputs = [*self._read(segment, maps, read, size), *norms]
                outputs = engine.compute(inputs, not is_last, outputs)
                kept = {}
                for name, output in zip(segment["outputs"], outputs):
                    own = self._size(name, output, read, size)
                    if name not in maps:
                        maps[name] = room(name, own, output)
                    kept[name] = self._kept(name, output, read, keep, size, own)
                _store(kept, maps, found, pool, 2 * threads)
                on_strip()
        moments.update((name, merged_moments(of_strips)) for name, of_strips in found.items())

    def _engine(self, segment, shapes):
        with temporary_folder() as folder, zipfile.ZipFile(self._path) as archive:
            return self._load(archive.extract(segment["file"], folder), shapes=shapes)

    def _strips(self, segment, height, width):
        """List what strips read and what they keep, rows and columns each, from above."""
        return [tuple(zip(*strip)) for strip in product(*self._sides(segment, height, width))]

    def _sides(self, segment, height, width):
        """Return the rows that strips read and keep, and the columns."""
        # A strip of less than its halos would cost more than it yields.
        least = max(2 * segment["halo"], 1)
        columns = min(width, max(self._columns, least))
        rows = max(self._pixels // columns, least)
        return [
            plan_axis(length, most, segment["halo"], stride=self._multiple)[1]
            for length, most in ((height, rows), (width, columns))
        ]

    def _read(self, segment, maps, read, size):
        def side(name, own, length, one):
            beyond = self._first(name, length - one.stop + one.start)
            first = self._first(name, one.start)
            return slice(first, first + own - beyond)

        return [
            maps[name].read(*(side(name, *axis) for axis in zip(maps[name].size, size, read)))
            for name in segment["inputs"]
        ]

    def _size(self, name, output, read, size):
        """Return height and width of the whole map of which a strip is there."""
        sides = output.shape[row_axis(output) :]
        return tuple(
            self._first(name, length - one.stop + one.start) + own
            for own, length, one in zip(sides, size, read)
        )

    def _kept(self, name, output, read, keep, size, map_size):
        """Return the first row and column that a strip yields, and its features or pixels."""
        place, window = [], [slice(None)] * row_axis(output)
        for one, own, length, map_length in zip(read, keep, size, map_size):
            first, start = self._first(name, one.start), self._first(name, own.start)
            stop = map_length if own.stop == length else self._first(name, own.stop)
            place.append(start)
            window.append(slice(start - first, stop - first))
        return place, output[tuple(window)]

    def _first(self, name, pixel):
        """Return the row or column of a map that a row or column of the image begins with.

        Also by how many a map is longer than one of an image that is so many pixels shorter.
        """
        return pixel // self._multiple * self._rates[name]

    def _rounded_up(self, pixels):
        return -(-pixels // self._multiple) * self._multiple

    def _rows_ahead(self, name, map_height, size):
        """Count the rows by which a map must be ahead of one in whose place it is written."""
        strips = (rows for segment in self._segments for rows, _ in self._sides(segment, *size)[0])
        longest = max(rows.stop - rows.start for rows in strips)
        more = max(0, map_height - self._first(name, size[0]))
        return self._first(name, self._rounded_up(longest)) + more


def _image_room(size, strip):
    return ImageRows(np.empty((*strip.shape[:2], *size), strip.dtype))


def _store(kept, maps, found, pool, pieces):
    """Write what a strip yields, and take its moments meanwhile."""
    writing = [pool.submit(maps[name].write, *one) for name, one in kept.items()]
    for name in found.keys() & kept.keys():
        _, strip = kept[name]
        of_rows = pool.map(row_moments, filter(len, np.array_split(strip[0], pieces)))
        found[name].append(merged_moments(of_rows))
    for one in writing:
        one.result()
