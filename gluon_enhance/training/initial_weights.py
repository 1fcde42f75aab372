"""How nets start: from a rule, from weights of a file, or both."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable

import numpy as np

from gluon_enhance.errors import WeightsError, plural
from gluon_enhance.framework import mx
from gluon_enhance.weights.load import load_state, load_weights, read_weights, unwrapped
from gluon_enhance.weights.store import find_shipped, given, model_zoo_folder

logger = logging.getLogger(__name__)

OF_NETS = ("paper", "identity", "interpolator")
"""Starts that nets have a method ``initialize_as_NAME`` for."""

RANDOM: dict[str, Callable] = {
    "xavier": mx.init.Xavier,
    "kaiming_uniform": lambda: mx.init.Xavier("uniform", "in", 6),
    "kaiming_normal": lambda: mx.init.Xavier("gaussian", "in", 2),
}
"""Starts of any net [1]_ [2]_, and of its discriminators.

.. [1] Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
   networks", AISTATS 2010.
.. [2] He et al., "Delving Deep into Rectifiers", ICCV 2015. https://arxiv.org/abs/1502.01852
"""
STARTS = (*OF_NETS, *RANDOM)


def start(net, config, ctx, key=()) -> None:
    """Initialize a generator as ``--start`` says: by default near what it shall do, if it can.

    Nets without a special start get Gluon's.

    Parameters
    ----------
    net : HybridBlock
    config : TrainingConfig
    ctx : list of mxnet.Context
    key : tuple of int
        Of its random numbers beside the seed, where there are several nets.

    Raises
    ------
    ValueError
        If the net has no such start.
    """
    rng = np.random.default_rng((config.seed, *key) if key else config.seed)
    if config.start in RANDOM:
        net.initialize(RANDOM[config.start](), ctx, force_reinit=True)
    elif config.start:
        if not hasattr(net, f"initialize_as_{config.start}"):
            known = [name for name in OF_NETS if hasattr(net, f"initialize_as_{name}")]
            raise ValueError(
                f"--start is {config.start}, which {type(net).__name__} does not have; give one of "
                f"{', '.join([*known, *RANDOM])}"
            )
        getattr(net, f"initialize_as_{config.start}")(rng, ctx)
    else:
        _start_near(net, rng, ctx)
    net.hybridize(static_alloc=True)


def _start_near(net, rng, ctx):
    for name in ("interpolator", "identity"):
        if hasattr(net, f"initialize_as_{name}"):
            try:
                return getattr(net, f"initialize_as_{name}")(rng, ctx)
            except ValueError as error:  # not at this size
                logger.info("%s; Gluon's start is taken", error)
    return net.initialize(ctx=ctx, force_reinit=True)


def start_critic(net, negative_slope: float, config, ctx) -> None:
    """Initialize a discriminator: Kaiming's start for its rectifiers, or a random ``--start``."""
    rule = RANDOM.get(config.start)
    net.initialize(rule() if rule else mx.init.MSRAPrelu(slope=negative_slope), ctx)


def given_weights(config, nets: Sequence[str] = ()) -> dict[str, Path]:
    """Find the files of ``--init``.

    Parameters
    ----------
    config : TrainingConfig
        Each of its `init` is a file or the name of a shipped model, for the generator, or
        ``NET=FILE`` for any net. Its `START_MODELS` are the script's own concern.
    nets : sequence of str
        Names of the nets, the generator's first; without, names are not checked.

    Returns
    -------
    dict of str to Path
        By net, "" for the generator where its name is not known.

    Raises
    ------
    WeightsError
        If a file is not there.
    ValueError
        If there is no such net.
    """
    files = {}
    for text in config.init:
        name, separator, file = text.partition("=")
        if name.lower() in config.START_MODELS:
            continue
        if not separator or Path(text).is_file():
            name, file = (nets[0] if nets else ""), text
        elif nets and name not in nets:
            raise ValueError(f"--init is {text}; the nets here are {', '.join(nets)}")
        shipped = (model_zoo_folder() / file / "card.json").is_file()
        files[name] = find_shipped(file, ".params") if shipped else given(file)
    return files


def has_start(config) -> bool:
    """Tell whether ``--init`` has weights for the generator."""
    return any("=" not in text or Path(text).is_file() for text in config.init)


def load_start(net, path: Path, partial: bool = False) -> None:
    """Load weights to start from; the net is initialized already if `partial`.

    Parameters
    ----------
    net : HybridBlock
    path : path
    partial : bool
        Take what fits, and log what was taken and left; else all must.

    Raises
    ------
    WeightsError
        If the file cannot be read, does not fit, or holds a number that is not finite.
    """
    if not partial:
        load_weights(net, path)
        check_finite(net, path)
        return
    state = unwrapped(read_weights(path))
    parameters = net._collect_params_with_prefix()
    fitting = {
        name: array
        for name, array in state.items()
        if name in parameters and getattr(array, "shape", None) == parameters[name].shape
    }
    if not fitting:
        raise WeightsError(f"nothing in {path} fits {type(net).__name__} by name and shape")
    own = {name: p.list_data()[0].asnumpy() for name, p in parameters.items()}
    load_state(net, {**own, **fitting}, path)
    check_finite(net, path)
    _log_partial(path, parameters, state, fitting)


def _log_partial(path, parameters: Mapping, state: Mapping, fitting: Mapping):
    left = [name for name in state if name not in fitting]
    kept = [name for name in parameters if name not in fitting]
    for what, names in (
        ("taken", list(fitting)),
        ("left in the file", left),
        ("as they were, not in the file", kept),
    ):
        logger.info(
            "%s: %s %s: %s", path, plural(len(names), "array"), what, ", ".join(names) or "none"
        )


def check_finite(net, source: Path) -> None:
    """Raise WeightsError, naming the file, if a net's number is not finite."""
    for name, parameter in net._collect_params_with_prefix().items():
        if not np.isfinite(parameter.list_data()[0].asnumpy()).all():
            raise WeightsError(
                f"{source} cannot be started from: {name} has a number that is not finite"
            )
