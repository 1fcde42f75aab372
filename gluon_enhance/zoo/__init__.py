"""The zoo: every model by name, and ``get_model`` to build one.

Importing this module does not import MXNet; building a net does.
"""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Optional

import numpy as np

from gluon_enhance.errors import WeightsError
from gluon_enhance.framework import refuse_numpy_mode
from gluon_enhance.weights import store
from gluon_enhance.weights.interpolation import interpolate_states
from gluon_enhance.weights.load import load_state, read_weights, unwrapped
from gluon_enhance.zoo.cards import (
    OF_BLOCKS,
    card_of,
    model_of_card,
    spec_from_card,
    trained_spec,
)
from gluon_enhance.zoo.community import (
    add_model,
    community_files,
    community_rows,
    model_of,
    unknown_model,
)
from gluon_enhance.zoo.recognition import built_spec, model_name, recognized_spec
from gluon_enhance.zoo.spec import ModelSpec
from gluon_enhance.zoo.table import MODELS

if TYPE_CHECKING:
    from gluon_enhance.framework import mx

__all__ = [
    "MODELS",
    "ModelSpec",
    "add_model",
    "community_files",
    "community_rows",
    "convert",
    "find_weights",
    "get_model",
    "get_spec",
    "interpolate",
    "known_spec",
    "list_models",
    "model_name",
    "model_of",
    "recognized_spec",
    "shipped_spec",
    "spec_from_card",
    "trained_spec",
]


def get_spec(name: str) -> ModelSpec:
    """Return the row of a model; upper and lower case are the same.

    Raises
    ------
    UnknownModelError
        If there is none; the message names the near ones.
    """
    try:
        return MODELS[name.lower()]
    except KeyError:
        raise unknown_model(name, MODELS) from None


def list_models(pattern: str = "*", pretrained: Optional[bool] = None) -> list[str]:
    """List the names of models, in the table's order.

    Parameters
    ----------
    pattern : str
        Shell pattern, such as ``'rrdb*'`` or ``'*_x4'``.
    pretrained : bool, optional
        Only models with weights, shipped or official (True), or without (False).

    Examples
    --------
    >>> list_models("edsr_lite*", pretrained=True)
    ['edsr_lite_x2']
    """
    return [
        name
        for name, spec in MODELS.items()
        if fnmatch.fnmatchcase(name, pattern.lower())
        and (pretrained is None or pretrained == (spec.weights_kind != "none"))
    ]


def get_model(
    name: Optional[str] = None,
    pretrained: bool | str | os.PathLike | Mapping[str, np.ndarray] = False,
    ctx: Optional[mx.Context | Sequence[mx.Context]] = None,
    root: Optional[str | os.PathLike] = None,
    **kwargs: Any,
) -> mx.gluon.HybridBlock:
    """Build a model of the zoo, as ``gluon.model_zoo.vision.get_model`` does.

    Parameters
    ----------
    name : str, optional
        Needed unless a file is given, whose weights tell the net. With a name they must be of its
        class and scale; the sizes are theirs.
    pretrained : bool, path or mapping
        True for the zoo's weights; or a ``.params``, ``.pth``, ``.pt``, ``.ckpt``,
        ``.safetensors``, ``.t7``, ``.index`` or ncnn's ``.bin`` file; or arrays by name, such as
        `interpolate` gives. Without weights the net comes uninitialized, as Gluon's do: call
        ``net.initialize()``.
    ctx : mxnet.Context or list, optional
        Where to put the weights; default the CPU.
    root : path, optional
        Cache for downloaded weights; default ``MXNET_HOME/models``, else ``~/.mxnet/models``.
    **kwargs
        For the net's class, in place of those in the table, and of those that the card beside a
        file of weights says it was trained with, or which were read off the weights.

    Returns
    -------
    HybridBlock
        Its ``spec`` attribute is the `ModelSpec`, with the kwargs it was built with, its own size,
        scale, halo and tiling.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    WeightsError
        If the weights cannot be had, or do not fit.
    EngineError
        If MXNet is not installed, or ``npx.set_np()`` is in force: the net is of ``mx.nd``.
    TypeError
        If the net's class has no such option as is among `kwargs`.

    Examples
    --------
    >>> net = get_model("srcnn_x4", pretrained=True)
    >>> net.spec.scale, net.spec.parameters
    (4, 57281)
    """
    if name is None and pretrained in (True, False):
        raise ValueError("get_model needs a name, or a file as pretrained")
    spec = None if name is None else get_spec(name)
    if not pretrained:
        return _built(spec, kwargs)
    if isinstance(pretrained, Mapping):
        return load_state(_built(spec, kwargs), pretrained, "the mapping given", ctx)
    path = find_weights(spec, pretrained, root)
    state = read_weights(path)
    if name is not None and pretrained is True:
        spec = shipped_spec(name)
    else:
        spec = recognized_spec(state, path, spec)
    return load_state(_built(spec, kwargs, path), state, path, ctx)


def _built(spec, kwargs, path=None):
    """Build a net, and say in its spec what it is."""
    refuse_numpy_mode()
    module, _, class_name = spec.net.partition(".")
    net_class = getattr(importlib.import_module(f"gluon_enhance.models.{module}"), class_name)
    options = {**spec.kwargs, **kwargs}
    _refuse_others(spec.name, kwargs, net_class)
    try:
        net = net_class(**options)
    except (TypeError, ValueError) as error:
        if kwargs.keys() - set(OF_BLOCKS) or spec == MODELS.get(spec.name):
            raise
        raise WeightsError(
            f"{path}, or the card beside it, has options that {spec.name} does not take: {error}"
        ) from error
    net.spec = built_spec(spec, net, options)
    return net


def _refuse_others(name, kwargs, net_class):
    """Refuse options that a net does not have, by their names; Gluon's block would name itself."""
    ours = (kind for kind in net_class.__mro__ if kind.__module__.startswith("gluon_enhance."))
    names = (key for kind in ours for key in inspect.signature(kind).parameters)
    known = [key for key in dict.fromkeys(names) if key not in (*OF_BLOCKS, "kwargs")]
    others = sorted(kwargs.keys() - {*known, *OF_BLOCKS})
    if others:
        raise TypeError(
            f"{name} has no option {', '.join(others)}; {net_class.__name__} takes "
            f"{', '.join(known)}"
        )


def find_weights(
    spec: Optional[ModelSpec],
    pretrained: Literal[True] | str | os.PathLike = True,
    root: Optional[str | os.PathLike] = None,
) -> Path:
    """Return the file of a model's weights: shipped, official or, if `pretrained` is a path, that.

    Raises
    ------
    WeightsError
        If the model has none, or they cannot be had.
    """
    if pretrained is not True:
        return store.given(pretrained)
    if spec is None:
        raise ValueError("weights of no model are asked for; give a name or a file")
    if spec.weights_kind == "shipped":
        return store.find_shipped(spec.name, ".params", root)
    if not spec.weights:
        raise WeightsError(
            f"{spec.name} has no trained weights; give a file of your own "
            f"(-m {spec.name}=FILE, pretrained=FILE), or train it with train_scripts"
        )
    return store.find(spec.weights, root)


def convert(name: Optional[str], checkpoint: str | os.PathLike, out: str | os.PathLike) -> Path:
    """Convert an official checkpoint, or any file that `get_model` takes, to a ``.params`` file.

    Parameters
    ----------
    name : str or None
        The model whose weights they are; None to read it off them.
    checkpoint : path
        Any file of weights that `get_model` takes.
    out : path
        A ``.params`` file to write, replaced only when the new one is whole.

    Returns
    -------
    Path
        Of the file written.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    WeightsError
        If the checkpoint cannot be read or does not fit the model, or `out` cannot be written; or
        if it was trained with options that `out`, which has no card, would lose.

    Examples
    --------
    >>> convert("esrgan_x4", "ESRGAN.pth", "esrgan.params")               # doctest: +SKIP
    PosixPath('esrgan.params')
    """
    net = get_model(name, pretrained=Path(checkpoint))
    arrays = _arrays(net)
    try:
        again = recognized_spec(arrays, out, get_spec(name) if name else None)
    except WeightsError:
        again = None
    if again is None or (again.net, again.kwargs) != (net.spec.net, net.spec.kwargs):
        source = f"{net.spec.name}={checkpoint}" if name else checkpoint
        raise WeightsError(
            f"{checkpoint} was trained with {net.spec.kwargs}, which weights alone do not tell: "
            f"use it as it is, or export {source}"
        )
    from gluon_enhance.weights.readers.gluon import write_params

    return write_params(out, arrays)


def interpolate(
    weights_a: str | os.PathLike, weights_b: str | os.PathLike, alpha: float
) -> dict[str, np.ndarray]:
    """Interpolate between two nets of one architecture: ``(1 - alpha) a + alpha b``.

    It makes sense between a net and one that was trained on from it, as ESRGAN's was from its
    PSNR-trained twin [1]_. The denoising strength of Real-ESRGAN's general model is an alpha from
    ``realesr_general_wdn_x4`` to ``realesr_general_x4``.

    Parameters
    ----------
    weights_a, weights_b : str or path
        Names of models that have weights, or files; of official files, two with the same names
        for their weights.
    alpha : float
        Share of b, within [0, 1].

    Returns
    -------
    dict of str to ndarray, float32
        For `get_model`, as ``pretrained``.

    Raises
    ------
    ValueError
        If `alpha` is not within [0, 1].
    WeightsError
        If weights cannot be had, or the two are not of one architecture.

    References
    ----------
    .. [1] https://arxiv.org/abs/1809.00219, section 3.4.

    Examples
    --------
    >>> weights = interpolate("rrdb_lite_x4", "esrgan_lite_x4", 0.8)
    >>> net = get_model("esrgan_lite_x4", pretrained=weights)
    """
    _check_architectures(weights_a, weights_b)
    return interpolate_states(_state(weights_a), _state(weights_b), alpha)


def _check_architectures(*weights):
    """Refuse nets whose layers differ though their weights may fit, where both are known."""
    a, b = map(known_spec, weights)
    if a and b and (a.net, a.kwargs) != (b.net, b.kwargs):
        raise WeightsError(
            f"{weights[0]} and {weights[1]} are of different architectures, {a.net} {a.kwargs} and "
            f"{b.net} {b.kwargs}; give two of one"
        )


def shipped_spec(name: str) -> ModelSpec:
    """Return the row of a model, if it is shipped with the options of its card in ``model_zoo``.

    Raises
    ------
    UnknownModelError
        If there is none.
    WeightsError
        As `trained_spec`.
    """
    spec = get_spec(name)
    return trained_spec(spec, store.model_zoo_folder() / spec.name / f"{spec.name}.params")


def known_spec(weights: str | os.PathLike) -> Optional[ModelSpec]:
    """Return the spec of a net as it was trained.

    Parameters
    ----------
    weights : str or path
        The name of a model, or a file of weights, whose card lies beside it.

    Returns
    -------
    ModelSpec or None
        None if it is a file that no card of a model of the zoo speaks of.

    Raises
    ------
    WeightsError
        As `trained_spec`.
    """
    if _is_name(weights):
        return shipped_spec(str(weights))
    card = card_of(weights)
    spec = MODELS.get(model_of_card(card)) if card else None
    return spec and trained_spec(spec, weights)


def _is_name(weights):
    return str(weights).lower() in MODELS and not Path(weights).is_file()


def _state(weights):
    if _is_name(weights):
        return _arrays(get_model(str(weights), pretrained=True))
    return unwrapped(read_weights(store.given(weights)))


def _arrays(net):
    parameters = net._collect_params_with_prefix()
    return {name: parameter.data().asnumpy() for name, parameter in parameters.items()}
