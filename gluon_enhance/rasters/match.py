"""Histogram matching of rasters of any size: windows are counted, then looked up."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from gluon_enhance.atomic import temporary_folder
from gluon_enhance.errors import ImageError, plural
from gluon_enhance.imaging.histogram import Curves, Matcher
from gluon_enhance.imaging.quantiles import Table
from gluon_enhance.rasters.creation_options import try_creation_options
from gluon_enhance.rasters.io import (
    Raster,
    bits_of,
    check_same_white,
    check_shared,
    check_uniform,
    color_bands,
    gdal_environment,
    leave_nodata,
    limits_of,
    naming_errors,
    opened,
    read_bands,
    reopened,
    rgb_bands,
)
from gluon_enhance.rasters.metadata import needs_mask
from gluon_enhance.rasters.names import absolute_name
from gluon_enhance.rasters.parts import keep_part, read_part, step_counter
from gluon_enhance.rasters.write import check_out, created, fill_invalid

logger = logging.getLogger(__name__)

SAMPLES = 3 << 20
"""Samples read at a time, of all bands together; but one block of the file at least."""
GROUP = 16
"""Windows counted at once; what comes of it is as large as a window."""
TABLES = "tables.npz"
"""Name of the file that workers read the tables from, by which values are looked up."""

Run = Callable[[Callable, Iterable], Iterable[tuple[int, Any]]]


def match_rasters(
    source: Raster,
    reference: Raster,
    out: str | os.PathLike,
    *,
    match_proportion: float = 1.0,
    color_space: str = "RGB",
    bands: Optional[Sequence[int]] = None,
    creation_options: Optional[Mapping[str, str]] = None,
    trust: bool = False,
    run: Optional[Run] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> dict[str, Curves]:
    """Write a raster with the distribution of values of another: `match_histograms` on files.

    What is masked (by nodata, a mask or alpha; band by band where they differ), NaN or infinite is
    not counted and stays. A valid value that would become nodata takes the next value to it. All
    else is kept: bands that are not matched, alpha, georeference, control points, tags,
    descriptions, color interpretation, scales and units, tiling, compression. Not kept: overviews
    and statistics, which would be wrong.

    Parameters
    ----------
    source, reference : path, URL or name, open rasterio dataset, MemoryFile or DataArray
        Names are of what GDAL reads. The last is an ``xarray.DataArray`` after the conventions of
        rioxarray. Of the same number of bands besides alpha, unless `bands` are given. Dtypes may
        differ as in `match_histograms`.
    out : path
        GeoTIFF. It gets its name when it is complete.
    match_proportion, color_space
        As in `match_histograms`. Color spaces other than 'RGB' take the bands interpreted as red,
        green and blue, or else the first three.
    bands : sequence of int, optional
        Bands to match, from 1; channels 1 to 3 of other color spaces. Default: all but alpha.
    creation_options : mapping, optional
        Of GDAL's GTiff driver. Without ``compress`` the source's compression is kept, or deflate
        taken for one with losses that would change nodata or alpha. Where these options have such
        losses, a mask tells what is valid instead: in all bands, if these differ. What GDAL does
        not obey is an error.
    trust : bool
        Follow links: rasters of any format that GDAL opens by its content, and a VRT's sources
        outside its folder. Only for files of people you trust.
    run : callable, optional
        Takes a function and what to call it with, one after the other; yields the index and the
        result of each, as they come: `gluon_enhance.cluster.Cluster.run`. What workers make is
        kept in a folder beside `out` until it is written. Default: the work is done here.
    progress : callable, optional
        Called with the number of windows done and of all.

    Returns
    -------
    dict
        Name of each band or channel that was matched -> its `Curves`.

    Raises
    ------
    ImageError
        If a file cannot be read or written, or `out` is one of the inputs.
    ValueError
        If bands, dtypes, values or options do not fit.

    Examples
    --------
    >>> list(match_rasters("scene.tif", "reference.tif", "out.tif"))
    ['band 1', 'band 2', 'band 3']
    """
    out, options = Path(out), creation_options or {}
    with gdal_environment(), opened(source, trust) as src, opened(reference, trust) as ref:
        check_out(out, src, ref)
        for dataset in (src, ref) if run else ():
            check_shared(dataset)
        plan = _plan_matching(src, ref, color_space, bands)
        matcher = plan.matcher()
        try_creation_options(src, out, options, {})
        with created(out, src, options, is_masked=needs_mask(src, options)) as dst:
            # The whole of both is counted before the first value is looked up.
            groups = [*_window_groups("source", src), *_window_groups("reference", ref)]
            windows = _block_windows(src, dst)
            total = sum(len(group) for _, group in groups) + len(windows)
            step = step_counter(progress, total)
            count = partial(
                _count_windows, plan, None if run else {"source": src, "reference": ref}
            )
            for index, counted in (run or _call_here)(count, groups):
                matcher.merge(counted)
                for _ in groups[index][1]:
                    step()
            matcher.solve(match_proportion)
            for name, *pair in zip(plan.names, matcher.source, matcher.reference):
                logger.info("%s: source %s, reference %s", name, *pair)
            if run:
                made = _match_there(run, plan, matcher, windows, out.absolute().parent)
            else:
                made = (_match_window(plan, matcher, src, window) for window in windows)
            for window, pixels in zip(windows, made):
                if dst.is_masked:
                    pixels = fill_invalid(pixels, _valid_in_all(src, window), color_bands(src))
                dst.write(pixels, window)
                step()
            if dst.is_masked or [MaskFlags.per_dataset] in src.mask_flag_enums:
                _copy_mask(src, dst, windows)
    return dict(zip(plan.names, matcher.curves()))


class _MatchPlan(NamedTuple):
    """What is matched to what; it goes to other machines as it is.

    Attributes
    ----------
    files : dict
        'source' and 'reference' -> what opens them in any folder.
    dtypes : (str, str)
        Of the source and of the reference.
    color_space : str
    bands : dict
        'source' and 'reference' -> the bands, from 1, that are read.
    channels : list of int
        Which of the bands read, or of the color space's channels that they make, are matched;
        from 0.
    names : list of str
        What the channels are called.
    """

    files: dict[str, str]
    dtypes: tuple[str, str]
    color_space: str
    bands: dict[str, list[int]]
    channels: list[int]
    names: list[str]

    def matcher(self) -> Matcher:
        """Return a matcher that has counted nothing yet."""
        return Matcher(*self.dtypes, self.channels, self.color_space)


def _plan_matching(src, ref, color_space, bands):
    """Return the plan, or refuse rasters or bands that do not fit together."""
    for dataset in (src, ref):
        check_uniform(dataset)
    check_same_white(src, ref)
    files = {"source": absolute_name(src.name), "reference": absolute_name(ref.name)}
    fixed = files, (src.dtypes[0], ref.dtypes[0]), color_space
    if color_space.upper() != "RGB":
        bands = bands or [1, 2, 3]
        _check_bands(bands, [1, 2, 3], f"channels of {color_space}")
        channels = [band - 1 for band in bands]
        both = {"source": rgb_bands(src), "reference": rgb_bands(ref)}
        return _MatchPlan(*fixed, both, channels, [color_space[c : c + 1] for c in channels])
    choices = color_bands(src), color_bands(ref)
    if not bands and len(choices[0]) != len(choices[1]):
        raise ImageError(
            f"{src.name} has {plural(len(choices[0]), 'band')} besides alpha, {ref.name} "
            f"{len(choices[1])}; choose bands that both have (--bands)"
        )
    for dataset, choice in zip((src, ref), choices):
        _check_bands(bands or choice, choice, f"bands of {dataset.name}")
    own, other = (list(bands), list(bands)) if bands else choices
    both = {"source": own, "reference": other}
    return _MatchPlan(*fixed, both, list(range(len(own))), [f"band {band}" for band in own])


def _check_bands(bands, choices, kind):
    if len(set(bands)) < len(bands) or not set(bands) <= set(choices):
        raise ValueError(
            f"bands are {','.join(map(str, bands))}; the {kind} are {','.join(map(str, choices))}"
        )


def _block_windows(*datasets):
    """Divide the first dataset into windows of whole blocks of all, which none then reads twice."""
    block_height, block_width = np.max([dataset.block_shapes[0] for dataset in datasets], axis=0)
    rows, columns, pixels = datasets[0].height, datasets[0].width, SAMPLES // datasets[0].count
    # As wide as `SAMPLES` allows first, then as high, and one block at least.
    width = min(columns, max(1, pixels // block_height // block_width) * block_width)
    height = max(1, pixels // width // block_height) * block_height
    return [
        Window(left, top, min(width, columns - left), min(height, rows - top))
        for top in range(0, rows, height)
        for left in range(0, columns, width)
    ]


def _window_groups(role, dataset):
    """Divide the windows of a raster into groups to count; its role goes with each."""
    windows = _block_windows(dataset)
    return [(role, windows[k : k + GROUP]) for k in range(0, len(windows), GROUP)]


def _call_here(function, items):
    """Do what a cluster's `run` does, in this process."""
    return enumerate(map(function, items))


def _count_windows(plan, datasets, group):
    """Return a matcher that has counted a group of windows; on workers no dataset is open."""
    (role, windows), matcher = group, plan.matcher()
    count = {"source": matcher.count_source, "reference": matcher.count_reference}[role]
    with gdal_environment(), reopened(plan.files[role], datasets and datasets[role]) as dataset:
        for window in windows:
            count(*read_bands(dataset, plan.bands[role], window))
    return matcher


def _match_window(plan, matcher, src, window):
    """Return all bands (C, h, w) of a window, of which the plan's are matched."""
    bands = plan.bands["source"]
    block, valid = read_bands(src, bands, window)
    matcher.apply(block, valid)
    if bits_of(src):
        np.clip(block, *limits_of(src), out=block)
    leave_nodata(block, valid, src)
    with naming_errors("read", src.name):
        pixels = src.read(window=window)
    pixels[[band - 1 for band in bands]] = np.moveaxis(block, 2, 0)
    return pixels


def _copy_mask(src, dst, windows):
    """Write the mask when all bands are: blocks then lie in the same order in every run."""
    for window in windows:
        if dst.is_masked:
            mask = _valid_in_all(src, window)
        else:
            with naming_errors("read", src.name):
                mask = src.read_masks(1, window=window)
        dst.write_mask(mask, window)


def _valid_in_all(src, window):
    """Read which pixels (h, w) of a window are valid in all bands."""
    return read_bands(src, color_bands(src), window)[1].all(axis=2)


def _match_there(run, plan, matcher, windows, beside):
    """Yield what `_match_window` makes of each window, on workers."""
    with temporary_folder(beside) as folder:
        tables = folder / TABLES
        np.savez(tables, *(array for table in matcher.tables for array in table))
        paths = [folder / f"{k:07d}.tif" for k in range(len(windows))]
        done = run(partial(_keep_window, plan, tables), zip(windows, paths))
        for index in _in_order(index for index, _ in done):
            yield read_part(paths[index], windows[index])
            paths[index].unlink()


def _keep_window(plan, tables, item):
    """Match a window, and write it to a file: item is both."""
    window, path = item
    matcher = plan.matcher()
    matcher.tables = _load_tables(tables)
    with gdal_environment(), reopened(plan.files["source"]) as src:
        keep_part(path, _match_window(plan, matcher, src, window))


@lru_cache(maxsize=1)
def _load_tables(path):
    with np.load(path) as file:
        arrays = list(file.values())
    return [Table(*pair) for pair in zip(arrays[::2], arrays[1::2])]


def _in_order(indices: Iterable[int]) -> Iterator[int]:
    """Yield indices from 0 on, each once it and all before it have come."""
    ahead, following = set(), 0
    for index in indices:
        ahead.add(index)
        while following in ahead:
            yield following
            following += 1
