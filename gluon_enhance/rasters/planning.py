"""How the work on a raster is divided: into parts, tiles and groups of bands."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np
from rasterio.enums import MaskFlags

from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.block_means import MARGIN
from gluon_enhance.inference.kernel import Baseline
from gluon_enhance.rasters.assembling import BLOCK
from gluon_enhance.rasters.metadata import has_premultiplied_alpha
from gluon_enhance.rasters.names import absolute_name
from gluon_enhance.rasters.parts import Work, round_up
from gluon_enhance.rasters.ranges import InputRange, ranges_of
from gluon_enhance.rasters.raster import RGB, color_bands, rgb_bands

PART_SAMPLES = 16 << 20
"""Samples of a part, of all bands together, unless one tile or block has more."""
WINDOW = 512
"""Side of a part's tile, of a net that has run over the whole raster before."""
PROBE = 64
"""Side of a picture that a model is told by."""


def plan_parts(
    src,
    out: Path,
    enhancer,
    blocks: tuple[int, int],
    region,
    multiplies: bool,
    input_range: Optional[InputRange],
    unconstrained: bool,
    rgb: Optional[Sequence[int]],
    others: str,
) -> Work:
    """Divide the work on a raster, once for all that do it.

    Parameters
    ----------
    src : rasterio dataset
    out : path
    enhancer : Enhancer
    blocks : (int, int)
        Height and width of the output's blocks.
    region : Region
        What is enhanced.
    multiplies : bool
        Whether the result's colors are multiplied by its alpha where the source's are.
    input_range, unconstrained, rgb, others
        As `gluon_enhance.rasters.enhancing.enhance_raster` takes them.

    Raises
    ------
    ImageError
        If the raster is too small for the net, or its bands need a choice.
    ValueError
        If options do not fit.
    """
    spec, scale = enhancer.spec, enhancer.scale
    if scale != int(scale):
        raise ValueError(f"outscale is {scale:g}; rasters take whole numbers")
    if min(src.shape) < spec.min_size:
        raise ImageError(
            f"{spec.name} needs {spec.min_size} pixels a side, and {src.name} has "
            f"{src.width} x {src.height}"
        )
    sides = [side // math.gcd(side, scale) for side in blocks]
    unit = math.lcm(*sides, spec.unit)
    tile = round_up(enhancer.tile, math.lcm(BLOCK // math.gcd(BLOCK, scale), spec.unit))
    needs_whole = spec.tiling == "global_statistics"
    in_bands = needs_whole and src.height * src.width > enhancer.tile**2
    if needs_whole:
        tile = round_up(WINDOW if in_bands else max(src.height, src.width), unit)
    side = round_up(tile, unit)
    tile = round_up(-(-side // -(-side // tile)), spec.unit)
    across = max(1, PART_SAMPLES // (src.count * (side * scale) ** 2))
    kernel = enhancer.kernel if isinstance(enhancer, Baseline) else None
    through_net, resized = _divide_bands(src, rgb, others, kernel)
    constrained = scale > 1 and not (unconstrained or kernel)
    ranges = ranges_of(src, through_net, input_range)
    premultiplied = has_premultiplied_alpha(src)
    status = os.stat(src.name) if os.path.exists(src.name) else None
    return Work(
        source=absolute_name(src.name),
        stamp=(status.st_size, status.st_mtime_ns) if status else None,
        folder=str(out.resolve().with_name(f".{out.name}.parts")),
        size=(src.height, src.width),
        scale=scale,
        tile=tile,
        # Tiles may end where a cell of `unit` pixels does not.
        halo=round_up(enhancer.halo + MARGIN * constrained + spec.unit - spec.multiple, spec.unit)
        + _shift(region, spec.unit),
        multiple=spec.multiple,
        unit=spec.unit,
        part=(side, side * across),
        region=region,
        ranges=ranges,
        through_net=through_net,
        resized=resized,
        kernel=kernel or "bicubic",
        has_mask=[MaskFlags.per_dataset] in src.mask_flag_enums,
        constrained=constrained,
        in_bands=in_bands,
        premultiplied=premultiplied,
        multiplies=premultiplied and multiplies,
        model=_identify(enhancer),
    )


def _shift(region, multiple):
    """Return by how much tiles that start at a region may have to start before it."""
    return multiple if any(start % multiple for start, _ in region) else 0


def _divide_bands(src, rgb, others, kernel):
    """Return groups of bands that go through the net, and bands that are resized."""
    if kernel:
        return (), tuple(src.indexes)
    color = color_bands(src)
    alpha = tuple(band for band in src.indexes if band not in color)
    if rgb:
        if len(rgb) != 3 or len(set(rgb)) < 3 or not set(rgb) <= set(color):
            raise ValueError(
                f"rgb is {','.join(map(str, rgb))}; give three of the bands "
                f"{','.join(map(str, color))} of {src.name}"
            )
        together = tuple(rgb)
    elif others == "each":
        together = ()
    elif len(color) == 3 or set(RGB) <= set(src.colorinterp):
        together = tuple(rgb_bands(src))
    elif len(color) == 1:
        together = tuple(color)
    else:
        raise ImageError(
            f"{src.name} has {len(color)} bands; say which are red, green and blue (--rgb 4,3,2), "
            "or run each by itself (--bands each)"
        )
    rest = tuple(band for band in color if band not in together)
    groups = ((together,) if together else ()) + tuple((b,) for b in rest if others == "each")
    return groups, alpha if others == "each" else rest + alpha


def _identify(enhancer):
    """Say what the model is; weights may differ under one name, and then their answers do."""
    side = round_up(PROBE, enhancer.spec.multiple)
    probe = np.random.default_rng(0).random((1, 3, side, side), np.float32)
    answer = np.ascontiguousarray(enhancer.run(probe))
    described = {**enhancer.describe(), "probe": hashlib.sha256(answer).hexdigest()}
    described.pop("precision_reason", None)  # the same as if fp32 had been asked for
    return json.dumps(described, sort_keys=True)
