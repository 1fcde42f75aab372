"""How long the work on a raster will take, and how much there will be."""

from __future__ import annotations

import time
from typing import NamedTuple, Optional

import numpy as np

from gluon_enhance.rasters.parts import Work, round_up

LEAST = 32
"""Tiles from which on an estimate is made: it takes the time of two."""
SIDE = 512
"""Of the picture that nets which need the whole image are timed on."""
BANDED = 1.75
"""Time that such a net takes for a pixel in bands, where a whole image takes 1."""


class Estimate(NamedTuple):
    """What to expect of a run.

    Attributes
    ----------
    seconds : float
        Of this machine, for what the net has still to do.
    size : (int, int)
        Height and width of the result.
    nbytes : int
        Of the result before compression; its parts take as much while it is made.
    """

    seconds: float
    size: tuple
    nbytes: int


def estimate(work: Work, src, enhancer, net=None) -> Optional[Estimate]:
    """Time the net, and return what to expect of a run; None if it is short.

    Parameters
    ----------
    work : Work
    src : rasterio dataset
    enhancer : Enhancer
    net : StripNet, optional
        What runs the net over the whole raster before its parts are made. It does so on the
        processor, of which a GPU's time says nothing: then there is no estimate.
    """
    if net and enhancer.describe().get("device", "cpu") != "cpu":
        return None
    shape, runs = _runs_in_bands(work) if net else _runs_in_tiles(work)
    if runs < LEAST:
        return None
    height, width = ((stop - start) * work.scale for start, stop in work.region)
    nbytes = height * width * src.count * np.dtype(src.dtypes[0]).itemsize
    return Estimate(runs * _seconds(enhancer, shape), (height, width), nbytes)


def _runs_in_tiles(work):
    """Return the shape of tiles, and how many are to be computed."""
    tiles = work.tiles(0)
    missing = sum(not work.path(k).exists() for k in range(work.count))
    groups = len(work.through_net) or -(-len(work.resized) // 3)
    return tiles[0][0].shape, missing * sum(map(len, tiles)) * groups


def _runs_in_bands(work):
    """Return the shape of a picture, and to how many the net's work comes."""
    side = round_up(min(SIDE, *work.size), work.multiple)
    groups = sum(not work.answer(bands).exists() for bands in work.through_net)
    return (side, side), BANDED * groups * work.size[0] * work.size[1] / side**2


def _seconds(enhancer, shape):
    """Time the net on a picture; the first run compiles it."""
    batch = np.random.default_rng(0).random((1, 3, *shape), np.float32)
    enhancer.run(batch)
    began = time.perf_counter()
    enhancer.run(batch)
    return time.perf_counter() - began
