"""Specs of nets that weights tell of, and of nets built otherwise than the table has them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Optional

from gluon_enhance.errors import WeightsError
from gluon_enhance.forms import needs_whole_image
from gluon_enhance.weights.names.architectures import read_off
from gluon_enhance.zoo.cards import (
    OF_BLOCKS,
    card_of,
    model_of_card,
    refuse_deeper,
    trained_spec,
)
from gluon_enhance.zoo.extent import extent_of
from gluon_enhance.zoo.spec import ModelSpec
from gluon_enhance.zoo.table import MODELS


def recognized_spec(
    checkpoint: Mapping, path: str | os.PathLike, named: Optional[ModelSpec] = None
) -> ModelSpec:
    """Return the spec of the net that weights are of.

    Parameters
    ----------
    checkpoint : mapping
        As a reader gives it.
    path : path
        Of its file. A card beside it that speaks of it is believed.
    named : ModelSpec, optional
        Of the zoo's model whose weights the user says they are: of it comes what weights do not
        tell, and they must be of its class and scale.

    Returns
    -------
    ModelSpec
        With the sizes in its kwargs; what follows from these is known when the net is built.

    Raises
    ------
    WeightsError
        If no net known here has such weights, or it is another than the one named.
    """
    known = _by_card(path, named)
    if known:
        refuse_deeper(known, len(checkpoint), path)
        return known
    told = {"residual_scale": named.kwargs.get("residual_scale", 1)} if named else {}
    try:
        reading = read_off(checkpoint, path, told)
    except WeightsError:
        if named:  # which says all that is not read off; whether it fits, loading tells
            return named
        raise
    if named is None:
        return _spec(reading, path)
    scale = reading.kwargs.get("scale", named.scale)
    if (reading.net, scale) != (named.net, named.scale):
        raise WeightsError(
            f"{path} is of a net {reading.title} of scale {scale}, and {named.name} is of class "
            f"{named.net.partition('.')[2]} and scale {named.scale}; give the file without a name, "
            "or put the card.json of its training beside it"
        )
    rest = {key: value for key, value in named.kwargs.items() if key not in told}
    return replace(named, kwargs={**rest, **reading.kwargs})


def _by_card(path, named):
    # The card may be an export's, which has the net's weights under other names too.
    if Path(path).suffix.lower() != ".params" or re.search(r"-\d{4}\.params$", Path(path).name):
        return None
    card = card_of(path)
    spec = MODELS.get(model_of_card(card)) if card else None
    return trained_spec(spec, path) if spec and named in (None, spec) else None


def _spec(reading, path):
    same = [
        one for one in MODELS.values() if (one.net, one.kwargs) == (reading.net, reading.kwargs)
    ]
    kind = next(one for one in MODELS.values() if one.net == reading.net)
    return ModelSpec(
        name=model_name(path),
        method=reading.title,
        net=reading.net,
        kwargs=reading.kwargs,
        scale=reading.kwargs.get("scale", kind.scale),
        parameters=same[0].parameters if same else 0,
        halo=kind.halo,
        paper=kind.paper,
        license="not stated",
        multiple=kind.multiple if same else 1,
        stride=kind.stride,
        min_size=kind.min_size,
    )


def model_name(path: str | os.PathLike) -> str:
    """Name a model by its file: letters, digits, points, dashes and underscores of it."""
    return re.sub(r"[^\w.-]+", "_", Path(path).stem, flags=re.ASCII).strip("._") or "model"


def built_spec(spec: ModelSpec, net, options: Mapping) -> ModelSpec:
    """Return the spec of a net as it was built.

    Parameters
    ----------
    spec : ModelSpec
    net : HybridBlock
    options : mapping
        What its class was given.

    Returns
    -------
    ModelSpec
        With its size and tiling; of a net that is not a row of the table also with scale, sizes
        and the radius for a halo, as far as its graph tells them.
    """
    trained = [p for p in net.collect_params().values() if p.grad_req != "null"]
    kwargs = {key: value for key, value in options.items() if key not in OF_BLOCKS}
    row = MODELS.get(spec.name)
    is_row = row is not None and row.kwargs == kwargs
    extent = None if is_row else extent_of(net)
    if extent:
        spec = replace(
            spec,
            scale=extent.scale,
            multiple=extent.multiple,
            stride=extent.stride,
            halo=extent.radius,
            min_size=extent.min_size,
        )
    return replace(
        spec,
        kwargs=kwargs,
        parameters=sum(math.prod(parameter.shape) for parameter in trained),
        tiling="global_statistics" if needs_whole_image(net) else "exact",
    )
