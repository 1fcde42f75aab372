"""Make a folder of a model in 8 bits."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

from gluon_enhance import __version__, engines
from gluon_enhance.atomic import sync
from gluon_enhance.errors import EngineError
from gluon_enhance.exporting.folder import (
    copy_license,
    refuse_what_no_export_wrote,
    replacing,
)
from gluon_enhance.exporting.quantize import needed_agreements, pieces_of, quantize_net
from gluon_enhance.inference.resolve import resolve
from gluon_enhance.weights.manifest import fingerprint, write_card
from gluon_enhance.weights.store import EIGHT_BITS, note_as_made_here


def quantize(
    model: str | os.PathLike,
    folder: str | os.PathLike,
    calibrate: Optional[str | os.PathLike] = None,
    at_least: Optional[float] = None,
    trust: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write a model as a folder that runs in 8 bits, if it stays near to fp32 and gets faster.

    Parameters
    ----------
    model : str or path
        As `gluon_enhance.Enhancer` takes it.
    folder : path
        It appears when it is whole. One that is there must be empty or an earlier export, which
        the new one replaces.
    calibrate : path, optional
        A folder of photos like those that the model is for: the ranges of its maps are taken from
        pieces of them, and it is checked with others. Default: the built-in photo, as a JPEG.
    at_least : float, optional
        dB of PSNR to fp32 that each kind of pictures must keep. Default: see
        `gluon_enhance.exporting.quantize.needed_agreements`.
    trust : bool
        Run the model's graph unchecked, of any operators.
    tell : callable
        Called with a line on what was done.

    Returns
    -------
    dict
        ``model``, ``folder``, ``agreement_db`` by kind of pictures, ``at_least_db``, ``gain`` over
        ``usual_precision``, ``rounded`` of ``convolutions``.

    Raises
    ------
    FileExistsError
        If the folder holds what no export wrote.
    ValueError, ImageError
        If there are no photos where they should be, or one cannot be read.
    UnknownModelError, WeightsError
        If the model or its weights cannot be had.
    EngineError
        If OpenVINO is not installed, or the model takes statistics of the whole image, cannot be
        had near enough to fp32, or not faster; nothing is kept then.

    Examples
    --------
    >>> quantize("rrdb_lite_x4", "in_8_bits", calibrate="photos")["gain"]      # doctest: +SKIP
    1.6
    """
    folder = Path(folder).expanduser().resolve()
    refuse_what_no_export_wrote(folder)
    engines.choose("openvino")
    needed = needed_agreements(at_least)
    pieces = pieces_of(None if calibrate is None else Path(calibrate).expanduser())
    spec, source = resolve(model, trust=trust)
    if spec.tiling == "global_statistics":
        raise EngineError(
            f"{spec.name} takes statistics of the whole image, which rounding shifts, and runs "
            "large ones in strips, which have no 8 bits; take --precision auto"
        )
    onnx = source.find(".onnx")
    with tempfile.TemporaryDirectory() as work:
        made = quantize_net(spec.name, onnx, Path(work), pieces, needed, source.trusted, tell)
        about = {key: value for key, value in asdict(made).items() if key != "xml"}
        card = {**asdict(spec), "range": [0, 1], "version": __version__, "scores": {}}
        with replacing(folder) as draft:
            shutil.copyfile(onnx, draft / f"{spec.name}.onnx")
            for suffix, file in zip(EIGHT_BITS, (made.xml, made.xml.with_suffix(".bin"))):
                shutil.copyfile(file, draft / f"{spec.name}{suffix}")
            copy_license(onnx.parent, draft)
            files = {path.name: fingerprint(path) for path in sorted(draft.iterdir())}
            write_card(draft, {**card, "files": files, "precision": "int8", "int8": about})
            for path in draft.iterdir():
                sync(path)
    if source.trusted:
        for suffix in EIGHT_BITS:
            note_as_made_here(files[f"{spec.name}{suffix}"]["sha256"])
    return {"model": spec.name, "folder": str(folder), "at_least_db": needed, **about}
