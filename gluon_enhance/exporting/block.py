"""Nets that come as blocks of Gluon: those of the zoo have a spec, others are measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gluon_enhance import framework
from gluon_enhance.errors import WeightsError
from gluon_enhance.exporting.measure import NO_ENLARGING, measured_spec
from gluon_enhance.zoo.cards import CARD_NUMBERS, spec_from_card
from gluon_enhance.zoo.recognition import model_name
from gluon_enhance.zoo.spec import ModelSpec

FIELDS = ("name", "method", "purpose", "paper", "license", *CARD_NUMBERS)
"""What may be said of a net; the rest of its spec is read off it."""

UNKNOWN = ModelSpec(
    name="",
    method="",
    net="",
    kwargs={},
    scale=1,
    parameters=0,
    halo=0,
    paper="",
    license="not stated",
)
"""What is said of a net of which nothing is."""


def with_spec(net, folder: Path, known: Mapping[str, Any]):
    """Give a net the spec that its card is written from.

    Parameters
    ----------
    net : HybridBlock
    folder : Path
        Its name is the net's, if none is given.
    known : mapping
        What the user says of the net, by `FIELDS`.

    Returns
    -------
    HybridBlock
        The net, whose ``spec`` attribute is the `ModelSpec`.

    Raises
    ------
    ValueError
        If it is no HybridBlock, of one input and one output, from RGB to RGB; or if something else
        is said of it, or something that cannot be.
    WeightsError
        If it has no weights.
    """
    kind = type(net).__name__
    if not isinstance(net, framework.mx.gluon.HybridBlock):
        raise ValueError(f"{kind} is no HybridBlock: MXNet exports these alone")
    framework.refuse_numpy_mode()
    unknown = sorted(known.keys() - set(FIELDS))
    if unknown:
        raise ValueError(f"spec has {', '.join(unknown)}; give some of {', '.join(FIELDS)}")
    own = getattr(net, "spec", None)
    said = replace(own or replace(UNKNOWN, name=model_name(folder)), **known)
    try:
        spec_from_card(asdict(said))
    except WeightsError as error:
        raise ValueError(f"spec cannot be written: {error}") from error
    if own is None:
        refuse_without_weights(net, said.name)
        said = measured_spec(net, _nodes(net, kind), said.name, known)
    if said is None:
        raise ValueError(f"{kind} {NO_ENLARGING}")
    net.spec = said
    return net


def refuse_without_weights(net, name: str) -> None:
    """Refuse a net that is not initialized.

    Raises
    ------
    WeightsError
    """
    try:
        for parameter in net.collect_params().values():
            parameter.list_ctx()
    except RuntimeError as error:
        raise WeightsError(
            f"{name} has no weights yet: load or train some, or call net.initialize()"
        ) from error


def _nodes(net, kind):
    """Trace a net of one input and one output, and list the nodes of its graph."""
    output = net(framework.mx.sym.var("data"))
    if isinstance(output, (list, tuple)) or len(output.list_outputs()) != 1:
        raise ValueError(f"{kind} gives several arrays; need one image of one image")
    return json.loads(output.tojson())["nodes"]
