"""Nets that MXNet saved as a pair of files, ``NAME-symbol.json`` and ``NAME-0000.params``."""

from __future__ import annotations

import ast
import glob
import json
import math
import os
import re
from pathlib import Path
from typing import Optional

import numpy as np

from gluon_enhance import framework
from gluon_enhance.errors import WeightsError
from gluon_enhance.exporting import run_net
from gluon_enhance.exporting.graphs import read_graph
from gluon_enhance.exporting.maps import refuse_out_of_proportion
from gluon_enhance.exporting.mending import has_instance_norms
from gluon_enhance.files import read_image
from gluon_enhance.imaging.arrays import to_float
from gluon_enhance.weights.params import read_params
from gluon_enhance.weights.store import model_zoo_folder
from gluon_enhance.zoo.spec import ModelSpec

SUFFIX = "-symbol.json"

MULTIPLES = (1, 2, 4, 8, 16, 32)
"""Tried in turn for what height and width must be multiples of."""

REDUCING = ("Convolution", "Pooling")
"""MXNet's operators whose strides make maps smaller."""

HALOS = (4, 8, 12, 16, 24, 32, 48, 64)
"""Tried in turn, in input pixels; a net that needs more is taken to need the whole image."""

SIDE, START, END = 320, 96, 192
"""The photo's side that halos are tried on, and where the tile lies in it: multiples of all of
`MULTIPLES`."""

ENOUGH = 0.5 / 255
"""Largest difference that a halo may leave: half of what a tile may differ from the whole."""


def split_pair(model: str | os.PathLike) -> Optional[tuple[Path, Path, tuple[float, float]]]:
    """Take ``X-symbol.json`` or ``X-symbol.json=LOW,HIGH`` apart.

    Returns
    -------
    symbol, params : Path
    values : (float, float)
        The range of values that the net takes and gives. None in all if it is no such text.

    Raises
    ------
    ValueError
        If what follows the file's name is not a range.
    WeightsError
        If one of the two files is missing.
    """
    match = re.fullmatch(rf"(.*){re.escape(SUFFIX)}(?:=(.*))?", str(model))
    if not match:
        return None
    symbol, text = Path(f"{match[1]}{SUFFIX}"), match[2] or "0,1"
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = 0
    if not low < high < math.inf:
        raise ValueError(f"{text!r} is no range of values; give {symbol}=LOW,HIGH, such as =0,255")
    files = sorted(glob.glob(f"{glob.escape(match[1])}-[0-9][0-9][0-9][0-9].params"))
    if not symbol.is_file() or not files:
        raise WeightsError(f"{symbol} and {match[1]}-0000.params are a pair, and one is missing")
    return symbol, Path(files[-1]), (low, high)  # of the last epoch


def load_pair(
    symbol: Path, params: Path, values: tuple[float, float] = (0, 1), trust: bool = False
):
    """Load a net from its two files.

    Parameters
    ----------
    symbol, params : Path
    values : (float, float)
        The range of values that the net takes and gives.
    trust : bool
        Take any operators, in any proportion: the file is a program, of someone who is trusted.

    Returns
    -------
    SymbolBlock
        Takes and gives [0, 1].

    Raises
    ------
    WeightsError
        If a file cannot be read, the two do not fit, the net is not one from image to image, or
        it has or needs what no image net does; see `read_graph` and `refuse_out_of_proportion`.
    """
    mx = framework.mx
    text = read_graph(symbol, trust)
    weights = {name.partition(":")[2]: array.shape for name, array in read_params(params).items()}
    try:
        graph = mx.sym.load_json(text)
        inputs = [name for name in graph.list_inputs() if name not in weights]
        if len(inputs) != 1 or len(graph.list_outputs()) != 1:
            raise WeightsError(
                f"{symbol} has inputs {', '.join(inputs) or 'none'} that {params.name} does not "
                f"hold, and {len(graph.list_outputs())} outputs; need one image and one image"
            )
        if not trust:
            refuse_out_of_proportion(graph, inputs[0], weights)
        image, (low, high) = mx.sym.var("data", dtype="float32"), values
        if (low, high) == (0, 1):
            graph = graph(**{inputs[0]: image})
        else:
            graph = (graph(**{inputs[0]: image * (high - low) + low}) - low) / (high - low)
        net = mx.gluon.SymbolBlock(graph, image)
        # float16 becomes float32: few processors compute in it.
        net.collect_params().load(str(params), cast_dtype=True, dtype_source="current")
    except (mx.MXNetError, AssertionError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1][:300]
        raise WeightsError(f"{symbol} with {params.name} is no net: {reason}") from error
    net.hybridize()
    return net


def measured_pair(
    symbol: Path, params: Path, values: tuple[float, float] = (0, 1), trust: bool = False
):
    """Load a net from its two files, and find out by trial how to run it.

    The parameters are those of `load_pair`.

    Returns
    -------
    SymbolBlock
        Its ``spec`` attribute is the `ModelSpec`.

    Raises
    ------
    WeightsError
        As `load_pair`, or if the net does not enlarge RGB images by a whole number.
    """
    net = load_pair(symbol, params, values, trust)
    multiple = next((m for m in MULTIPLES if all(_scale(net, 64 + k * m) for k in (1, 3))), None)
    if multiple is None:
        raise WeightsError(
            f"{symbol} does not make an RGB image of one, of the same size or enlarged by a whole "
            f"number, whatever the size; tried multiples of {', '.join(map(str, MULTIPLES))}"
        )
    scale = _scale(net, 64 + multiple)
    sizes = (multiple << k for k in range(7))
    nodes = json.loads(read_graph(symbol, trust))["nodes"]
    stride, halo = _stride(nodes), None
    if not has_instance_norms(nodes):
        halo = _halo(net, scale, math.lcm(multiple, stride))
    net.spec = ModelSpec(
        name=symbol.name[: -len(SUFFIX)],
        method="",
        net="",
        kwargs={},
        scale=scale,
        parameters=sum(p.data().size for p in net.collect_params().values()),
        halo=halo or 0,
        paper="",
        licence="not stated",
        multiple=multiple,
        stride=stride,
        min_size=next(size for size in sizes if _scale(net, size)),
        tiling="exact" if halo else "global_statistics",
    )
    return net


def _scale(net, size):
    """Return how many times larger a square image of this side comes out; 0 if it does not."""
    try:
        _, channels, height, width = run_net(net, np.zeros((1, 3, size, size), np.float32)).shape
    except (framework.mx.MXNetError, ValueError):
        return 0
    return height // size if channels == 3 and height == width and height % size == 0 else 0


def _stride(nodes):
    """Multiply the strides on the way to each map, and return the largest product."""
    ratios = []
    for node in nodes:
        text = node.get("attrs", {}).get("stride") if node["op"] in REDUCING else None
        own = max(ast.literal_eval(text), default=1) if text else 1
        ratios.append(own * max((ratios[one] for one, *_ in node["inputs"]), default=1))
    return max(ratios)


def _halo(net, scale, unit):
    """Find the least halo at which a tile agrees with the whole photo; None if none does."""
    photo = to_float(read_image(model_zoo_folder() / "sample.png").pixels).transpose(2, 0, 1)[None]
    whole = run_net(net, photo[..., :SIDE, :SIDE])
    whole = whole[..., START * scale : END * scale, START * scale : END * scale]
    for halo in (-(-halo // unit) * unit for halo in HALOS):
        read = slice(START - halo, END + halo)
        kept = slice(halo * scale, (halo + END - START) * scale)
        tile = run_net(net, photo[..., read, read])[..., kept, kept]
        if np.abs(tile - whole).max() <= ENOUGH:
            return halo
    return None
