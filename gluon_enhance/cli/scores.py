"""Scores of image pairs, as ``score`` and ``evaluate`` print them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import click
import numpy as np

from gluon_enhance.cli import printable
from gluon_enhance.imaging.metrics import psnr, ssim


def protocol(crop_border: int) -> str:
    """Say how the numbers are made."""
    return (
        f"{crop_border} pixels cropped at each side; psnr_y, ssim_y: Y of BT.601 (16-235), for "
        "8-bit images rounded as MATLAB's rgb2ycbcr does; psnr, ssim: RGB; SSIM: 11x11 Gaussian, "
        "sigma 1.5, valid area"
    )


def raster_protocol(crop_border: int) -> str:
    """Say how the numbers of rasters are made."""
    return (
        f"{crop_border} pixels cropped at each side; valid: share of pixels valid in both, which "
        "count; bias: mean of image - reference; bias and rmse in the rasters' numbers; nan where "
        "none is valid"
    )


def score_raster(
    name: str, image, reference, crop_border: int, data_range=None, trust=False
) -> Iterator[dict]:
    """Score a raster, and yield a row for each band."""
    from gluon_enhance.geotiff.scoring import score_rasters

    for row in score_rasters(image, reference, crop_border, data_range, trust):
        yield {"image": f"{name} band {row.pop('band')}", **row}


def score_pair(
    image: np.ndarray, reference: np.ndarray, crop_border: int, y_only=False, per_band=False
) -> dict:
    """Score one image; gray images have one channel, which counts as Y.

    With `per_band` also the bias (mean of image - reference) and the root mean square of the error
    of each channel, in the image's numbers.
    """
    if image.shape != reference.shape or image.dtype != reference.dtype:
        raise ValueError(
            f"the image is {_text(image)}, the reference {_text(reference)}; they must be alike"
        )
    is_color = image.ndim == 3
    scores = {
        "psnr_y": psnr(image, reference, crop_border=crop_border, y_channel=is_color),
        "ssim_y": ssim(image, reference, crop_border=crop_border, y_channel=is_color),
    }
    if not y_only:
        scores["psnr"] = psnr(image, reference, crop_border=crop_border)
        scores["ssim"] = ssim(image, reference, crop_border=crop_border)
    return {**scores, **_errors(image, reference, crop_border)} if per_band else scores


def _errors(image, reference, border):
    inner = np.s_[border : image.shape[0] - border, border : image.shape[1] - border]
    errors = np.atleast_3d(image[inner].astype(np.float64) - reference[inner])
    result = {}
    for channel in range(errors.shape[2]):
        own = errors[..., channel]
        result[f"bias_{channel + 1}"] = float(own.mean())
        result[f"rmse_{channel + 1}"] = float(np.sqrt(np.square(own).mean()))
    return result


def _text(image):
    return (
        f"{image.shape[1]}x{image.shape[0]} {'gray' if image.ndim == 2 else image.shape[2]} "
        f"{image.dtype}"
    )


def summary(protocol: str, rows: list) -> dict:
    """Return rows of scores with their mean, and how they are made; NaN means there is no score."""
    names = [name for name in rows[0] if name != "image"] if rows else []
    mean = {name: float(np.nanmean([row[name] for row in rows])) for name in names}
    return {"protocol": protocol, "images": rows, "mean": mean}


def print_scores(model, photos: dict, rasters: dict, as_json: bool) -> None:
    """Print a `summary` of photos and one of rasters, as tables or as one JSON object."""
    if as_json:
        report = {"model": model, **photos, **({"rasters": rasters} if rasters["images"] else {})}
        click.echo(json.dumps(_finite(report), indent=1))
        return
    for scores in (photos, rasters):
        if scores["images"]:
            mean = {"image": "mean", **scores["mean"]}
            print_table(scores["protocol"], [*scores["images"], mean])


def print_table(protocol: str, rows: list) -> None:
    """Print rows of scores under the protocol that they were made with."""
    names = [name for name in rows[0] if name != "image"]
    click.echo(protocol)
    click.echo(f"{'image':32}" + "".join(f"{name:>9}" for name in names))
    for row in rows:
        values = "".join(f"{row[n]:9.4f}" if "ssim" in n else f"{row[n]:9.3f}" for n in names)
        click.echo(f"{printable(row['image'])[-32:]:32}{values}")


def _finite(value):
    """JSON has no infinity and no NaN: the PSNR of equal images becomes null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
