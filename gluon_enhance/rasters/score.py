"""Errors of a raster against another, band by band, where both are valid."""

from __future__ import annotations

import math
from typing import Optional

import numpy as np
from rasterio.windows import Window

from gluon_enhance.errors import ImageError, plural
from gluon_enhance.rasters.io import (
    Raster,
    check_same_white,
    color_bands,
    gdal_environment,
    opened,
    read_bands,
)

SAMPLES = 1 << 22
"""Samples of a band read at a time."""


def score_rasters(
    image: Raster,
    reference: Raster,
    crop_border: int = 0,
    data_range: Optional[float] = None,
    trust: bool = False,
) -> list[dict]:
    """Score a raster against a reference, band by band, in bounded memory.

    Parameters
    ----------
    image, reference : path, URL or name, open rasterio dataset, MemoryFile or DataArray
        Names are of what GDAL reads. The last is an ``xarray.DataArray`` after the conventions of
        rioxarray. Of the same size, place and number of bands besides alpha; dtypes may differ.
    crop_border : int
        Pixels left out at each side.
    data_range : float, optional
        The peak that PSNR takes. Default: the span of the reference's integer dtype, or of its
        values for floats.
    trust : bool
        Follow links: rasters of any format that GDAL opens by its content, and a VRT's sources
        outside its folder. Only for files of people you trust.

    Returns
    -------
    list of dict
        For each band: ``band``, ``valid`` (the share of pixels that are valid in both), ``bias``
        (mean of image - reference), ``rmse``, both in the rasters' numbers, and ``psnr`` in dB;
        these three are NaN for a band in which nothing is valid in both.

    Raises
    ------
    ImageError
        If a file cannot be read, the rasters do not fit, or nothing is valid in both in any band.

    Examples
    --------
    >>> [row["bias"] for row in score_rasters("scene.tif", "scene.tif")]
    [0.0, 0.0, 0.0]
    """
    with gdal_environment(), opened(image, trust) as own, opened(reference, trust) as ref:
        bands = color_bands(own)
        if own.shape != ref.shape or len(bands) != len(color_bands(ref)):
            raise ImageError(
                f"{own.name} is {own.width}x{own.height} of {plural(len(bands), 'band')}, "
                f"{ref.name} {ref.width}x{ref.height} of {len(color_bands(ref))}; they must be "
                "alike"
            )
        _check_place(own, ref)
        check_same_white(own, ref)
        pairs = zip(bands, color_bands(ref))
        rows = [_score_band(own, ref, pair, crop_border, data_range) for pair in pairs]
    if not any(row["valid"] for row in rows):
        raise ImageError(f"{own.name} has no pixel that is valid in both, in any band")
    return rows


def _check_place(own, ref):
    """Refuse rasters that are both placed on Earth, and more than a tenth of a pixel apart."""
    if any(dataset.crs is None or dataset.transform.is_identity for dataset in (own, ref)):
        return
    corners = [_corners(dataset) for dataset in (own, ref)]
    sides = np.linalg.norm(np.reshape(ref.transform, (3, 3))[:2, :2], axis=0)  # of a pixel
    if own.crs == ref.crs and np.allclose(*corners, rtol=0, atol=sides.min() / 10):
        return
    bounds = [_listed([*places.min(axis=0), *places.max(axis=0)]) for places in corners]
    message = "; ".join(
        f"{dataset.name} covers {covered} in {dataset.crs.to_string()}"
        for dataset, covered in zip((own, ref), bounds)
    )
    message += ": they must be of one place"
    if bounds[0] == bounds[1]:
        transforms = (_listed(dataset.transform[:6]) for dataset in (own, ref))
        message += f", and their transforms, {' and '.join(transforms)}, are not alike"
    raise ImageError(message)


def _corners(dataset):
    """Return where a raster's corners lie, (4, 2): turned ones may have the same bounds."""
    corners = [(column, row, 1) for column in (0, dataset.width) for row in (0, dataset.height)]
    return (corners @ np.reshape(dataset.transform, (3, 3)).T)[:, :2]


def _listed(numbers):
    return ", ".join(f"{n:.9g}" for n in numbers)


def _score_band(own, ref, bands, crop_border, data_range):
    """Score a band of one raster against a band of the other: bands are the numbers of both."""
    count, total, squares = 0, 0.0, 0.0
    low, high = math.inf, -math.inf
    windows = list(_inner_windows(ref, crop_border))
    for window in windows:
        (a, a_valid), (b, b_valid) = (
            read_bands(dataset, [band], window) for dataset, band in zip((own, ref), bands)
        )
        valid = np.isfinite(a) & np.isfinite(b)
        for other in (a_valid, b_valid):
            valid &= True if other is None else other
        if not valid.any():
            continue
        truth = b[valid].astype(np.float64)
        errors = a[valid].astype(np.float64) - truth
        count, total = count + errors.size, total + errors.sum()
        squares += np.square(errors).sum()
        low, high = min(low, truth.min()), max(high, truth.max())
    if not count:
        return {"band": bands[0], "valid": 0.0, **dict.fromkeys(("bias", "rmse", "psnr"), math.nan)}
    peak = data_range or _peak(ref.dtypes[0], low, high)
    mse = squares / count
    return {
        "band": bands[0],
        "valid": count / sum(window.width * window.height for window in windows),
        "bias": total / count,
        "rmse": math.sqrt(mse),
        "psnr": 10 * math.log10(peak**2 / mse) if mse else math.inf,
    }


def _peak(dtype, low, high):
    """Return the peak of a PSNR: the span of an integer dtype, or of values from low to high."""
    if np.dtype(dtype).kind == "f":
        return high - low
    return float(np.iinfo(dtype).max) - np.iinfo(dtype).min


def _inner_windows(dataset, crop_border):
    """Yield windows of whole rows, but for a border."""
    width, bottom = dataset.width - 2 * crop_border, dataset.height - crop_border
    if width < 1 or bottom <= crop_border:
        raise ImageError(f"{dataset.name} has no pixel left inside a border of {crop_border}")
    rows = max(1, SAMPLES // width)
    for top in range(crop_border, bottom, rows):
        yield Window(crop_border, top, width, min(rows, bottom - top))
