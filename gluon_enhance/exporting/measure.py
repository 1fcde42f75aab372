"""How a net is run that no card speaks of, found out by trial."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Optional

import numpy as np

from gluon_enhance import framework
from gluon_enhance.errors import EngineError
from gluon_enhance.exporting import run_net
from gluon_enhance.exporting.onnx_fixes import has_instance_norms
from gluon_enhance.forms import needs_whole_image
from gluon_enhance.imaging.arrays import to_float
from gluon_enhance.photos import read_image
from gluon_enhance.weights.store import model_zoo_folder
from gluon_enhance.zoo.spec import ModelSpec

MULTIPLES = (1, 2, 4, 8, 16, 32)
"""Tried in turn for what height and width must be multiples of."""

NO_ENLARGING = (
    "does not make an RGB image of one, of the same size or enlarged by a whole number, whatever "
    f"the size; tried multiples of {', '.join(map(str, MULTIPLES))}"
)

HALOS = (4, 8, 12, 16, 24, 32, 48, 64)
"""Tried in turn, in input pixels."""

SIDE, START, END = 320, 96, 192
"""The photo's side that halos are tried on, and where the tile lies in it: multiples of all of
`MULTIPLES`."""

ENOUGH = 0.5 / 255
"""Largest difference that a halo may leave: half of what a tile may differ from the whole."""

REDUCING = ("Convolution", "Pooling")
"""MXNet's operators whose strides make maps smaller."""

Run = Callable[[np.ndarray], np.ndarray]


class Sizes(NamedTuple):
    """Ratio of output to input, of what the input's sides are multiples, and their least."""

    scale: int
    multiple: int
    min_size: int


def measured_sizes(run: Run) -> Optional[Sizes]:
    """Run images of several sizes; None if no multiple has the net make RGB images of all."""
    multiple = next((m for m in MULTIPLES if all(_scale(run, 64 + k * m) for k in (1, 3))), None)
    if multiple is None:
        return None
    sizes = (multiple << k for k in range(7))
    least = next(size for size in sizes if _scale(run, size))
    return Sizes(_scale(run, 64 + multiple), multiple, least)


def _scale(run, size):
    """Return how many times larger a square image of this side comes out; 0 if it does not."""
    errors = [EngineError, ValueError]
    if framework.is_mxnet_installed():
        errors.append(framework.mx.MXNetError)
    try:
        _, channels, height, width = run(np.zeros((1, 3, size, size), np.float32)).shape
    except tuple(errors):
        return 0
    return height // size if channels == 3 and height == width and height % size == 0 else 0


def measured_halo(run: Run, scale: int, unit: int, most: float = np.inf) -> Optional[int]:
    """Find the least halo at which a tile agrees with the whole of the built-in photo.

    Parameters
    ----------
    run : callable
        From (N, 3, H, W) to (N, 3, H * scale, W * scale).
    scale : int
    unit : int
        Halos are its multiples.
    most : int
        No halo beyond is tried.

    Returns
    -------
    int or None
        Input pixels; None if none does.
    """
    photo = to_float(read_image(model_zoo_folder() / "sample.png").pixels).transpose(2, 0, 1)[None]
    whole = run(photo[..., :SIDE, :SIDE])
    whole = whole[..., START * scale : END * scale, START * scale : END * scale]
    for halo in (-(-halo // unit) * unit for halo in HALOS):
        if halo > most:
            break
        read = slice(START - halo, END + halo)
        kept = slice(halo * scale, (halo + END - START) * scale)
        tile = run(photo[..., read, read])[..., kept, kept]
        if np.abs(tile - whole).max() <= ENOUGH:
            return halo
    return None


def measured_spec(
    net, nodes: list[dict], name: str, known: Mapping[str, Any] | None = None
) -> Optional[ModelSpec]:
    """Find out by trial how to run a net.

    Parameters
    ----------
    net : HybridBlock
        Initialized, of one input and one output.
    nodes : list of dict
        Of its graph, as MXNet writes it.
    name : str
    known : mapping, optional
        Fields of the spec that need no trial, or that trials cannot tell.

    Returns
    -------
    ModelSpec or None
        None if the net does not make RGB images of such, of the same size or enlarged by a whole
        number.

    Raises
    ------
    ValueError
        If the scale that is known is not the net's.
    """
    run, fields = partial(run_net, net), dict(known or {})
    if fields.keys() >= set(Sizes._fields):
        side = -(-fields["min_size"] // fields["multiple"]) * fields["multiple"]
        scale = _scale(run, side)
    else:
        sizes = measured_sizes(run)
        scale = sizes.scale if sizes else 0
        fields = {**(sizes._asdict() if sizes else {}), **fields}
    if not scale:
        return None
    if scale != fields["scale"]:
        raise ValueError(f"scale is {fields['scale']}, and the net's is {scale}")
    fields.setdefault("stride", _stride(nodes))
    needs_whole = needs_whole_image(net) or has_instance_norms(nodes)
    halo = None if needs_whole else fields.get("halo")
    if halo is None and not needs_whole:
        halo = measured_halo(run, fields["scale"], math.lcm(fields["multiple"], fields["stride"]))
    return ModelSpec(
        **{
            "name": name,
            "method": "",
            "net": "",
            "kwargs": {},
            "parameters": sum(p.list_data()[0].size for p in net.collect_params().values()),
            "paper": "",
            "license": "not stated",
            **fields,
            "halo": halo or 0,
            "tiling": "global_statistics" if halo is None else "exact",
        }
    )


def _stride(nodes):
    """Multiply the strides on the way to each map, and return the largest product."""
    ratios = []
    for node in nodes:
        text = node.get("attrs", {}).get("stride") if node["op"] in REDUCING else None
        own = max(ast.literal_eval(text), default=1) if text else 1
        ratios.append(own * max((ratios[one] for one, *_ in node["inputs"]), default=1))
    return max(ratios)
