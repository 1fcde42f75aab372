"""Nets that MXNet saved as a pair of files, ``NAME-symbol.json`` and ``NAME-0000.params``."""

from __future__ import annotations

import glob
import json
import math
import os
import re
from pathlib import Path

import numpy as np

from gluon_enhance import framework
from gluon_enhance.errors import WeightsError
from gluon_enhance.exporting import run_net
from gluon_enhance.exporting.measure import NO_ENLARGING, measured_spec
from gluon_enhance.exporting.symbol_graph import read_graph
from gluon_enhance.exporting.symbol_shapes import SymbolCheck
from gluon_enhance.weights.readers.gluon import read_params

SUFFIX = "-symbol.json"
PAIR = re.compile(rf"(.*){re.escape(SUFFIX)}(?:=(.*))?")


def is_pair(model: str | os.PathLike) -> bool:
    """Tell whether a text is of the form that `split_pair` takes."""
    return bool(PAIR.fullmatch(str(model)))


def split_pair(model: str | os.PathLike) -> tuple[Path, Path, tuple[float, float]]:
    """Take ``X-symbol.json`` or ``X-symbol.json=LOW,HIGH`` apart.

    Returns
    -------
    symbol, params : Path
    values : (float, float)
        The range of values that the net takes and gives.

    Raises
    ------
    ValueError
        If it is no such text, or what follows the file's name is not a range.
    WeightsError
        If one of the two files is missing.
    """
    match = PAIR.fullmatch(str(model))
    if not match:
        raise ValueError(f"{model} is no name of a file that ends in {SUFFIX}")
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
        Takes and gives [0, 1]. Unless it is trusted, it is a `CheckedNet`.

    Raises
    ------
    WeightsError
        If a file cannot be read, the two do not fit, the net is not one from image to image, or
        it has or needs what no image net does; see `read_graph` and `SymbolCheck`.
    """
    return _net_of(read_graph(symbol, trust), symbol, params, values, trust)


def _net_of(text, symbol, params, values, trust):
    mx = framework.mx
    weights = {name.partition(":")[2]: array.shape for name, array in read_params(params).items()}
    try:
        graph = mx.sym.load_json(text)
        inputs = [name for name in graph.list_inputs() if name not in weights]
        if len(inputs) != 1 or len(graph.list_outputs()) != 1:
            raise WeightsError(
                f"{symbol} has inputs {', '.join(inputs) or 'none'} that {params.name} does not "
                f"hold, and {len(graph.list_outputs())} outputs; need one image and one image"
            )
        check = None if trust else SymbolCheck(graph, inputs[0], weights)
        image, (low, high) = mx.sym.var("data", dtype="float32"), values
        if (low, high) == (0, 1):
            graph = graph(**{inputs[0]: image})
        else:
            graph = (graph(**{inputs[0]: image * (high - low) + low}) - low) / (high - low)
        net = _block(graph, image, symbol, check)
        # float16 becomes float32: few processors compute in it.
        net.collect_params().load(str(params), cast_dtype=True, dtype_source="current")
    except (mx.MXNetError, AssertionError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1][:300]
        raise WeightsError(f"{symbol} with {params.name} is no net: {reason}") from error
    net.hybridize()
    return net


def _block(graph, image, symbol, check):
    if check is None:
        return framework.mx.gluon.SymbolBlock(graph, image)
    from gluon_enhance.exporting.symbol_net import CheckedNet

    return CheckedNet(graph, image, symbol, check)


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
    EngineError
        If it takes no image of a size that is tried, for a reason of its own; see `SymbolCheck`.
    """
    text = read_graph(symbol, trust)
    net = _net_of(text, symbol, params, values, trust)
    spec = measured_spec(net, json.loads(text)["nodes"], symbol.name[: -len(SUFFIX)])
    if spec is None:
        run_net(net, np.zeros((1, 3, 64, 64), np.float32))  # which may say why
        raise WeightsError(f"{symbol} {NO_ENLARGING}")
    net.spec = spec
    return net
