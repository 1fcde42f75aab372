"""Find the convolutions of a net that can have 8 bits, so that it stays near to fp32."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
from PIL import Image

from gluon_enhance import engines
from gluon_enhance.data.folders import find_images, read_photo
from gluon_enhance.engines.bfloat16 import with_folded_scales
from gluon_enhance.engines.telemetry import import_openvino
from gluon_enhance.errors import EngineError, ImageError, plural
from gluon_enhance.exporting.eight_bit_graphs import EightBitGraph, Ranges
from gluon_enhance.exporting.float16 import LARGE
from gluon_enhance.exporting.openvino_files import save_graph
from gluon_enhance.imaging.arrays import to_nchw
from gluon_enhance.imaging.check_pictures import SIDE, agreement, check_pictures, soft_pictures
from gluon_enhance.weights.store import model_zoo_folder

PHOTOS_AT_LEAST, DRAWINGS_AT_LEAST = 38.0, 25.0
"""dB of PSNR to fp32. Nets draw lines and dots anew, so that small errors grow there: what 8 bits
make of them is another drawing, not a worse one."""
DRAWINGS = ("text", "hatch", "halftone")
"""Of the check pictures, those of lines and dots."""
PIECES = "pieces"
"""What the pieces of photos are called beside the check pictures."""

MIN_GAIN = 1.3
"""Ratio of times; what gains less is not worth its errors."""
TILE, REPEATS = 128, 3
"""Side of the tile that is timed, and how often."""

BLOCKS = 12
"""Parts of a net, one of which after the other keeps its precision until the net is near enough."""

PHOTOS, CROP, QUALITY = 12, 96, 75
"""How many photos are taken at most, the side of their pieces for ranges, and the quality of the
built-in photo's JPEG: most of what is enlarged was one."""


class Pieces(NamedTuple):
    """Pieces of photos, (1, 3, H, W) float32 in [0, 1].

    Attributes
    ----------
    of_ranges : list of ndarray
        Ranges of maps are taken from them.
    of_checks : list of ndarray of shape (1, 3, SIDE, SIDE)
        Nets are checked with them; they lie elsewhere.
    """

    of_ranges: list[np.ndarray]
    of_checks: list[np.ndarray]


@dataclass(frozen=True)
class EightBits:
    """A net in 8 bits, as it was measured.

    Attributes
    ----------
    xml : Path
        With its ``.bin`` beside it.
    agreement_db : dict of str to float
        PSNR to fp32 on each kind of pictures.
    gain : float
        Its speed, of that of the engine's usual precision.
    usual_precision : str
        'bf16' or 'fp32'.
    rounded, convolutions : int
        How many convolutions have 8 bits, and how many there are.
    """

    xml: Path
    agreement_db: dict[str, float]
    gain: float
    usual_precision: str
    rounded: int
    convolutions: int


def pieces_of(folder: Optional[Path] = None) -> Pieces:
    """Cut pieces out of photos.

    Parameters
    ----------
    folder : Path, optional
        Of photos, of which up to `PHOTOS` are taken, spread evenly. Default: the built-in photo.

    Raises
    ------
    ValueError
        If the folder is none, or holds no photo.
    ImageError
        If a photo cannot be read, or is smaller than a piece.
    """
    if folder is None:
        photos = {model_zoo_folder() / "sample.png": 6}
    else:
        found = find_images(folder)
        count = min(len(found), PHOTOS)
        photos = dict.fromkeys([found[k * len(found) // count] for k in range(count)], 1)
    pieces = Pieces([], [])
    for path, count in photos.items():
        photo = read_photo(path)
        if min(photo.shape[:2]) < CROP:
            height, width = photo.shape[:2]
            raise ImageError(
                f"{path} has {width} x {height} pixels, less than a piece of {CROP} x {CROP}; take "
                "it out, or give other photos"
            )
        photo = photo if folder else _as_jpeg(photo)
        for k in range(count):
            place = (k + 1) / (count + 1)
            pieces.of_ranges.append(_piece(photo, CROP, place, place))
            pieces.of_checks.append(_piece(photo, SIDE, place, 1 - place / 2))
    return pieces


def needed_agreements(at_least: Optional[float] = None) -> dict[str, float]:
    """Return the dB of PSNR that each kind of pictures must keep.

    Parameters
    ----------
    at_least : float, optional
        Of every kind. Default: `DRAWINGS_AT_LEAST` of lines and dots, else `PHOTOS_AT_LEAST`.
    """
    usual = {
        kind: DRAWINGS_AT_LEAST if kind in DRAWINGS else PHOTOS_AT_LEAST
        for kind in (PIECES, *check_pictures())
    }
    return usual if at_least is None else dict.fromkeys(usual, at_least)


def quantize_net(
    name: str,
    onnx: Path,
    work: Path,
    pieces: Pieces,
    needed: Mapping[str, float],
    trusted: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> EightBits:
    """Give 8 bits to as many convolutions as can have them, after the net's training.

    The first and the last two keep their precision, whose errors nothing averages out, and small
    ones. If the rest is too far from fp32, parts of the net keep theirs, too: first the part that
    alone would be the farthest off.

    Parameters
    ----------
    name : str
        Of the net, for messages.
    onnx : Path
    work : Path
        A folder for files, the net's in 8 bits among them.
    pieces : Pieces
    needed : mapping of str to float
        As of `needed_agreements`.
    trusted : bool
        As of `gluon_enhance.engines.load`.
    tell : callable
        Called with a line on what was done.

    Returns
    -------
    EightBits

    Raises
    ------
    EngineError
        If the net cannot be had near enough to fp32 while it gains `MIN_GAIN`, has no convolution
        that 8 bits are for, or a file of it cannot be written.
    """
    search = _Search(name, onnx, work, pieces, trusted)
    return search.result(needed, tell)


_FILE = "net{}.xml"
"""Of the net with so many blocks in 8 bits."""


def _refuse_computed(onnx):
    """Refuse another's graph that OpenVINO is to run in its own form, and not as it was checked."""
    if engines.checked(onnx, None).computes_sizes:
        raise EngineError(
            f"{onnx} computes with the size of its image, which 8 bits are not for; "
            f"{engines.WAY_OUT}"
        )


class _Search:
    def __init__(self, name, onnx, work, pieces, trusted):
        if not trusted:
            _refuse_computed(onnx)
        self._work, self._name = work, name
        self._usual = engines.load("openvino", onnx, precision="auto", trusted=trusted)
        self._exact = engines.load("openvino", onnx, precision="fp32", trusted=trusted)
        self._precision = self._usual.describe()["precision"]
        self._pieces = pieces
        openvino = import_openvino()
        model = openvino.Core().read_model(str(onnx))
        self._graph = EightBitGraph(openvino, with_folded_scales(model))
        self._weights = self._graph.convolutions()
        self._blocks = self._divided()

    def result(self, needed, tell):
        """Leave out one block after the other until the rest is near enough."""
        count = sum(map(len, self._blocks))
        if not count:
            raise EngineError(
                f"{self._name} has no convolution that 8 bits are for: each has under {LARGE} "
                "weights, or is the first or one of the last two"
            )
        self._ranges = self._graph.even_channels(self._measured_ranges())
        tell(f"ranges of the maps of {len(self._weights)} convolutions are known")
        blocks = list(self._blocks)
        net = self._rounded(blocks, _FILE.format(len(blocks)))
        gain = full_gain = self._gain(net)
        self._refuse_slow(gain)
        kept = self._agreements(net)
        while lacking := {kind: db for kind, db in needed.items() if kept[kind] < db}:
            rounded = plural(sum(map(len, blocks)), "convolution")
            tell(f"{rounded} in 8 bits: {said(kept)} dB to fp32, where {said(lacking)} are needed")
            blocks.remove(max(blocks, key=lambda block: self._harm(block, lacking)))
            if self._expected_gain(blocks, full_gain) < MIN_GAIN:
                raise EngineError(
                    f"{self._name} keeps {said(kept)} dB to fp32 with {rounded} in 8 bits, where "
                    f"{said(lacking)} are needed, and with fewer it gets less than {MIN_GAIN} "
                    f"times as fast as in {self._precision}; nothing was kept: take --precision "
                    "auto, which needs no files of 8 bits, or a lower --at-least"
                )
            net = self._rounded(blocks, _FILE.format(len(blocks)))
            kept = self._agreements(net)
        if blocks != self._blocks:
            gain = self._gain(net)
            self._refuse_slow(gain)
        xml, rounded = self._work / _FILE.format(len(blocks)), sum(map(len, blocks))
        return EightBits(xml, kept, gain, self._precision, rounded, len(self._weights))

    def _refuse_slow(self, gain):
        if gain < MIN_GAIN:
            raise EngineError(
                f"{self._name} in 8 bits is only {gain:.2f} times as fast as in {self._precision} "
                f"on this processor, where at least {MIN_GAIN} are asked for; nothing was kept: "
                "take --precision auto, which needs no files of 8 bits"
            )

    def _divided(self):
        """Divide the convolutions that can have 8 bits into blocks, but no dense block."""
        able = [name for name in [*self._weights][1:-2] if self._weights[name].size >= LARGE]
        units = [[name for name in unit if name in able] for unit in self._graph.units()]
        units = [unit for unit in units if unit]
        ends = [len(units) * k // BLOCKS for k in range(BLOCKS + 1)]
        parts = [units[first:end] for first, end in zip(ends, ends[1:])]
        return [tuple(name for unit in part for name in unit) for part in parts if part]

    def _measured_ranges(self) -> Ranges:
        names, probe = self._graph.probe()
        # Ranges need no more than bf16, which the rest of a net in 8 bits has where it can.
        run = self._loaded(probe, "probe.xml", "int8").compute
        sides: dict[str, tuple] = {}
        for picture in [*self._pieces.of_ranges, *soft_pictures(contrast=1)]:
            found = [array.reshape(-1) for array in run([np.float32(picture)])]
            for name, low, high in zip(names, found[::2], found[1::2]):
                least, most = sides.get(name, (low, high))
                sides[name] = np.minimum(least, low), np.maximum(most, high)
        return sides

    def _rounded(self, blocks, file):
        names = {name for block in blocks for name in block}
        return self._loaded(self._graph.rounded(self._ranges, names), file, "int8")

    def _loaded(self, model, file, precision):
        path = self._work / file  # of its own, as the weights are read when they are needed
        save_graph(model, path)
        return engines.load("openvino", path, precision=precision, trusted=True)

    def _harm(self, block, lacking):
        """Sum up a block's errors, when it alone has 8 bits, as shares of what is allowed."""
        errors = self._errors_of_blocks[block]
        return sum(errors[kind] * 10 ** (least / 10) for kind, least in lacking.items())

    @cached_property
    def _errors_of_blocks(self):
        errors = {}
        for k, block in enumerate(self._blocks):
            kept = self._agreements(self._rounded([block], f"block{k}.xml"))
            errors[block] = {kind: 10 ** (-db / 10) for kind, db in kept.items()}
        return errors

    def _expected_gain(self, blocks, full_gain):
        """Return the gain that a part of the blocks has if all of them have the full one."""
        share = sum(map(len, blocks)) / sum(map(len, self._blocks))
        return 1 / (1 - share * (1 - 1 / full_gain))

    @cached_property
    def _pictures(self):
        of_kinds = {kind: [picture[None]] for kind, picture in check_pictures().items()}
        return {PIECES: self._pieces.of_checks, **of_kinds}

    @cached_property
    def _expected(self):
        return {kind: _answers(self._exact, of) for kind, of in self._pictures.items()}

    def _agreements(self, net):
        return {
            kind: round(agreement(self._expected[kind], _answers(net, of)), 1)
            for kind, of in self._pictures.items()
        }

    def _gain(self, net):
        """Return the ratio of the best times of the usual precision and of 8 bits, in turns."""
        tile = np.random.default_rng(0).random((1, 3, TILE, TILE), np.float32)
        contenders, best = (self._usual, net), [math.inf, math.inf]
        for engine in contenders:  # compiles it
            engine.run(tile)
        for _ in range(REPEATS):
            for k, engine in enumerate(contenders):
                began = time.perf_counter()
                engine.run(tile)
                best[k] = min(best[k], time.perf_counter() - began)
        return round(best[0] / best[1], 2)


def said(decibels: Mapping[str, float]) -> str:
    """Say agreements in a line."""
    return ", ".join(f"{kind} {value:.1f}" for kind, value in decibels.items())


def _answers(engine, pictures):
    return np.concatenate([engine.run(picture) for picture in pictures])


def _piece(photo, side, down, right):
    """Cut a square out of a photo; the shares of its room say where."""
    top, left = (int((n - side) * at) for n, at in zip(photo.shape[:2], (down, right)))
    return to_nchw(photo[top : top + side, left : left + side])


def _as_jpeg(photo):
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(stream))
