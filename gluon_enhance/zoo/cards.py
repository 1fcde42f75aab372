"""What a ``card.json`` says of a model: of an exported folder, or of weights that lie beside it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from reprlib import repr  # of JSON as deep and as long as it likes
from typing import Optional

from gluon_enhance.errors import WeightsError, plural
from gluon_enhance.weights.manifest import read_card
from gluon_enhance.zoo.spec import ModelSpec

TILINGS = ("exact", "global_statistics")
CARD_NUMBERS = {
    "scale": (1, 64),
    "halo": (0, 4096),
    "multiple": (1, 4096),
    "stride": (1, 4096),
    "min_size": (1, 4096),
}
"""What may be in the card of an exported model, from and to."""

LARGEST_OPTION = 4096
LONGEST_OPTION = 16
"""Of the numbers, and lists of them, that a card may have a net built with."""

DEPTH = "num_"
"""What the names of options begin with that say how many layers, or blocks of layers, there are."""
FEWEST_ARRAYS = {"rrdbnet.RRDBNet": 30}
"""Of each of them, in nets that have more than two."""

OF_BLOCKS = ("prefix", "params")
"""Options of every block, which are no part of an architecture."""


def spec_from_card(card: Mapping) -> ModelSpec:
    """Return the spec of an exported model from its ``card.json``; its net is not known.

    Raises
    ------
    WeightsError
        If the card lacks what is needed to run the model.
    """
    known = {f.name for f in fields(ModelSpec)} - {"net", "kwargs", "weights"}
    try:
        spec = ModelSpec(net="", kwargs={}, **{k: v for k, v in card.items() if k in known})
        checks = {
            "name": isinstance(spec.name, str) and Path(spec.name).name == spec.name,
            "tiling": spec.tiling in TILINGS,
            **{key: _is_within(getattr(spec, key), key) for key in CARD_NUMBERS},
        }
    except TypeError as error:
        raise WeightsError(
            f"the card of {card.get('name')!s:.100} is incomplete: {error!s:.200}"
        ) from error
    wrong = [key for key, is_right in checks.items() if not is_right]
    if wrong:
        value = getattr(spec, wrong[0])
        raise WeightsError(f"the card of {spec.name} has {wrong[0]} {repr(value)}")
    return spec


def card_of(weights: str | os.PathLike) -> Optional[dict]:
    """Return the card that speaks of a file of weights, which lies beside it; None if none does.

    It lists the file or, as a training leaves it, lists none and the file is ``NAME.params``.

    Raises
    ------
    WeightsError
        If the card is damaged.
    """
    weights = Path(weights)
    card = read_card(weights.parent) if weights.with_name("card.json").is_file() else {}
    name = card.get("name")
    listed = card.get("files", (f"{name}.params",))
    return card if isinstance(name, str) and weights.name in listed else None


def model_of_card(card: Mapping) -> str:
    """Return the name of the zoo's model that a trained net is of: its own, unless it has another.

    A net that was trained under a name of its own says in its card which ``model`` it is.
    """
    model = card.get("model")
    return model if isinstance(model, str) else card["name"]


def trained_spec(spec: ModelSpec, weights: str | os.PathLike) -> ModelSpec:
    """Return the spec of a net as it was trained.

    Parameters
    ----------
    spec : ModelSpec
        The table's.
    weights : path
        A file of weights, with or without a card of this model (`card_of`).

    Returns
    -------
    ModelSpec
        With the name, the options, the size and the tiling of the card; as given if there is none.

    Raises
    ------
    WeightsError
        If the card is damaged, or its options are not numbers, strings or lists of numbers.
    """
    card = card_of(weights)
    if card is None or model_of_card(card) != spec.name:
        return spec
    if card["name"] != spec.name:
        spec = replace(spec, name=card["name"])
    path = Path(weights).with_name("card.json")
    kwargs = {**spec.kwargs, **_options(card.get("kwargs", {}), path)}
    if kwargs == spec.kwargs:
        return spec
    tiling, parameters = card.get("tiling"), card.get("parameters")
    if tiling not in TILINGS or type(parameters) is not int:
        raise WeightsError(
            f"{path} has tiling {repr(tiling)} and parameters {repr(parameters)}: train the net "
            "again, or move the card away if the net is the table's"
        )
    numbers = {key: card[key] for key in CARD_NUMBERS if _is_within(card.get(key), key)}
    return replace(spec, kwargs=kwargs, parameters=parameters, tiling=tiling, **numbers)


def refuse_deeper(spec: ModelSpec, arrays: int, weights: str | os.PathLike) -> None:
    """Refuse a net of more layers than a file of weights can be of: to make them takes long.

    Parameters
    ----------
    spec : ModelSpec
        As a card tells it.
    arrays : int
        In the file.
    weights : path
        Of the file.

    Raises
    ------
    WeightsError
        If it has fewer arrays than the layers need.
    """
    depths = {key: n for key, n in spec.kwargs.items() if key.startswith(DEPTH) and type(n) is int}
    if depths and FEWEST_ARRAYS.get(spec.net, 2) * math.prod(depths.values()) > arrays:
        layers = ", ".join(f"{key} {n}" for key, n in depths.items())
        raise WeightsError(
            f"{weights} does not fit the card beside it: a net with {layers} has more weights than "
            f"its {plural(arrays, 'array')}; put the card of its own training there"
        )


def _is_within(value, key):
    low, high = CARD_NUMBERS[key]
    return type(value) is int and low <= value <= high


def _options(kwargs, path):
    named = isinstance(kwargs, dict) and not set(kwargs).intersection(OF_BLOCKS)
    if not named or not all(map(_is_plain, kwargs.values())):
        raise WeightsError(
            f"{path} has options {repr(kwargs)}, of which some are none of a net: get it again"
        )
    return kwargs


def _is_plain(value):
    """Tell whether a card's option is one that a net may be built with."""
    if isinstance(value, list):
        return len(value) <= LONGEST_OPTION and all(map(_is_number, value))
    return isinstance(value, (bool, str)) or _is_number(value)


def _is_number(value):
    return type(value) in (int, float) and math.isfinite(value) and abs(value) <= LARGEST_OPTION
