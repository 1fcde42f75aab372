"""Files that users give as models, made folders in the cache that run: once for each content."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from math import lcm
from pathlib import Path
from typing import Optional

import numpy as np

from gluon_enhance import __version__, engines, zoo
from gluon_enhance.atomic import sync
from gluon_enhance.errors import WeightsError
from gluon_enhance.exporting.folder import export, kept_folder, require_mxnet
from gluon_enhance.exporting.measure import measured_halo, measured_sizes
from gluon_enhance.weights.manifest import fingerprint, read_card, sha256, write_card
from gluon_enhance.weights.store import cache_folder
from gluon_enhance.zoo.community import companions_of
from gluon_enhance.zoo.spec import ModelSpec

logger = logging.getLogger(__name__)

STRIDE = 8
"""At its multiples tiles of an ONNX file begin: nets seldom halve sizes more often than thrice."""

WHOLE = (b"InstanceNormalization", b"GlobalAveragePool")
"""Operators of which the whole image's statistics come."""


def folder_of_weights(file: Path, name: Optional[str] = None) -> Path:
    """Export the net that a file of weights is of into the cache, and return the folder.

    Parameters
    ----------
    file : Path
    name : str, optional
        Of the zoo's model that the user says it is.

    Raises
    ------
    WeightsError, EngineError
        As `gluon_enhance.get_model` and `export`.
    """

    def make(folder):
        require_mxnet(file)
        prefix = f"{zoo.get_spec(name).name if name else zoo.model_name(file)}_"
        net = zoo.get_model(name, pretrained=file, prefix=prefix)
        export(net, folder, ("symbol", "onnx"))

    card = file.with_name("card.json")
    beside = sha256(card) if card.is_file() else ""
    return _kept(file, f"{name} {beside}", make)


def folder_of_onnx(file: Path, trust: bool = False) -> Path:
    """Find out by trial how to run an ONNX file, and keep both in the cache.

    Parameters
    ----------
    file : Path
    trust : bool
        Run it whatever its operators.

    Raises
    ------
    EngineError
        If no engine runs it.
    WeightsError
        If it does not make RGB images of such, of the same size or enlarged by a whole number.
    """
    return _kept(file, "", partial(_measure, file, trust))


def _measure(file, trust, folder):
    name = zoo.model_name(file)
    engine = engines.load(engines.choose(), file, precision="fp32", trusted=trust)
    sizes = measured_sizes(engine.run)
    if sizes is None:
        engine.run(np.zeros((1, 3, 64, 64), np.float32))  # which may say why
        raise WeightsError(
            f"{file} does not make an RGB image of one, of the same size or enlarged by a whole "
            "number, whatever the size"
        )
    data = file.read_bytes()
    needs_whole = any(operator in data for operator in WHOLE)
    unit = lcm(sizes.multiple, STRIDE)
    halo = None if needs_whole else measured_halo(engine.run, sizes.scale, unit)
    spec = ModelSpec(
        name=name,
        method="ONNX",
        net="",
        kwargs={},
        parameters=0,
        halo=halo or 0,
        paper="",
        licence="not stated",
        stride=STRIDE,
        tiling="exact" if halo else "global_statistics",
        **sizes._asdict(),
    )
    folder.mkdir()
    copy = folder / f"{name}.onnx"
    shutil.copyfile(file, copy)
    sync(copy)
    write_card(folder, {**asdict(spec), "files": {copy.name: fingerprint(copy)}})


def _kept(file: Path, how: str, make: Callable[[Path], None]) -> Path:
    """Make a folder of a file and its companions, unless it is in the cache."""
    parts = [file, *companions_of(file)]
    text = " ".join([__version__, file.name, how, *map(sha256, parts)])
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = cache_folder() / "given" / f"{zoo.model_name(file)}-{digest}"

    def anew(made):
        make(made)
        logger.warning("%s", said(file, read_card(made)))

    return kept_folder(folder, anew)


def said(file: Path, card: dict) -> str:
    """Say in a line what was read off a file, and how it will be run."""
    sizes = {k: v for k, v in card.get("kwargs", {}).items() if k != "scale"}
    options = "".join(f", {key} {value}" for key, value in sizes.items())
    tiles = f"tiles read {card['halo']} pixels around them"
    if card["tiling"] != "exact":
        tiles = "it needs the whole image"
    by = f" ({card['halo_by']})" if "halo_by" in card else ""
    return f"{file} is of a net {card['method']}, x{card['scale']}{options}; {tiles}{by}"
