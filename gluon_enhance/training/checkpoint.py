"""Whole checkpoints: a folder written beside its final name and renamed when complete."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from gluon_enhance.atomic import sync
from gluon_enhance.errors import TrainingError, WeightsError
from gluon_enhance.training import optimizer_states
from gluon_enhance.training.checkpoint_files import (
    STATE,
    checksum,
    load_arrays,
    read_state,
    save_arrays,
)
from gluon_enhance.training.gradients import are_finite
from gluon_enhance.training.steps import net_arrays

logger = logging.getLogger(__name__)


def save_checkpoint(
    folder: str | Path,
    step,
    count: int,
    config: dict,
    history: list,
    photos: str = "",
    keep: int = 2,
) -> Path:
    """Write nets, averaged net, optimizers, config and log as ``step-COUNT``.

    A kill or a full disk leaves the former checkpoints whole; the newest `keep` stay. `photos` is
    a fingerprint of the files that the run learns from.

    Raises
    ------
    TrainingError
        If a net's weights are not finite.
    OSError
        If it cannot be written.
    """
    folder = Path(folder)
    nets = {name: net_arrays(net) for name, net in step.nets.items()}
    for name, arrays in nets.items():
        _check_finite(name, list(arrays.values()), count, folder)
    for unfinished in folder.glob(".step-*"):  # of a run that was killed while it wrote
        shutil.rmtree(unfinished)
    final = folder / f"step-{count:07d}"
    part = folder / f".{final.name}"
    try:
        part.mkdir(parents=True)
        best = {"best": step.best.arrays} if step.best and step.best.arrays else {}
        for name, arrays in {**nets, "average": step.average.arrays, **best}.items():
            save_arrays(part / f"{name}.params", arrays)
        for name, trainer in step.trainers.items():
            save_arrays(part / f"{name}.states", optimizer_states.moments(trainer, step.nets))
        state = {
            "count": count,
            "averaged": step.average.count,
            "updates": {n: trainer.optimizer.num_update for n, trainer in step.trainers.items()},
            "balance": step.balance and step.balance.state,
            "collapse": step.collapse.state,
            "skipped": step.skipped,
            "best": step.best.state if step.best else {},
            "photos": photos,
            "config": config,
            "history": history,
            "checksums": {path.name: checksum(path) for path in part.iterdir()},
        }
        (part / STATE).write_text(json.dumps(state))
        for path in part.iterdir():
            sync(path)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    _remove(final)
    part.replace(final)
    # Newer ones could not be read when the run went on from an older one.
    older = [path for path in list_checkpoints(folder) if path < final]
    for path in set(list_checkpoints(folder)) - {final, *older[: keep - 1]}:
        _remove(path)
    return final


def _check_finite(name, arrays, count, folder):
    if not are_finite(arrays):
        raise TrainingError(
            f"a weight of the {name} is not finite at step {count}; {way_on(folder)}"
        )


def way_on(folder: str | Path) -> str:
    """Say how a run goes on whose numbers have become useless."""
    if list_checkpoints(folder):
        return (
            "the last checkpoint stays: go on with --resume --change and a lower --learning-rate, "
            "or with --clip-norm"
        )
    return "nothing had been saved yet: start again with a lower --learning-rate"


def _remove(path):
    """Remove a checkpoint; a kill leaves none that is half there."""
    if path.exists():
        hidden = path.with_name(f".{path.name}.old")
        path.replace(hidden)
        shutil.rmtree(hidden)


def list_checkpoints(folder: str | Path) -> list[Path]:
    """List a folder's checkpoints, the newest first."""
    return sorted(Path(folder).glob("step-*"), reverse=True)


def load_checkpoint(
    folder: str | Path,
    step,
    config: dict,
    photos: str = "",
    change: bool = False,
    formerly: Mapping = MappingProxyType({}),
) -> tuple[int, list, dict]:
    """Put the state of a folder's newest checkpoint into the step; damaged ones are passed over.

    There is a warning if the photos are not those of the checkpoint. With `change` options may
    differ from it, and are logged. An option that the checkpoint is older than had the value that
    `formerly` has.

    Returns
    -------
    count : int
        Steps done so far.
    history : list of dict
        The log so far.
    config : dict
        The options that the checkpoint was saved with.

    Raises
    ------
    WeightsError
        If the config of the run differs from the checkpoint's in more than its length, no
        checkpoint is whole, or the newest one is an earlier version's or holds other arrays.
    """
    path, state = _newest_whole(folder)
    logger.info("going on from %s", path)
    _check_fits(path, {**state, "config": {**formerly, **state["config"]}}, step, config, change)
    if state["photos"] != photos:
        logger.warning(
            "the photos to train on are not those that %s was trained on: files have come, gone or "
            "changed, or --val, --test or --held-out-losses keeps back others; the run goes on, "
            "but not as it would have",
            path,
        )
    _restore_nets(path, step)
    for name, trainer in step.trainers.items():
        updates = state["updates"].get(name, 0)
        shapes = optimizer_states.moment_shapes(trainer, step.nets, updates)
        moments = load_arrays(path / f"{name}.states", shapes)
        optimizer_states.restore(trainer, step.nets, moments, updates)
    step.average.count = state["averaged"]
    step.collapse.state = state["collapse"]
    step.skipped = state.get("skipped", 0)
    _restore_best(path, step, state)
    if step.balance:
        _restore_balance(path, step.balance, state["balance"], change)
    return state["count"], state["history"], state["config"]


def _restore_best(path, step, state):
    best = state.get("best")
    if (
        step.best
        and best
        and best["score"] == step.best.score
        and "best.params" in state["checksums"]
    ):
        own = step.average.arrays
        arrays = load_arrays(path / "best.params", {name: own[name].shape for name in own})
        step.best.state = best
        step.best.arrays = {n: a.as_in_context(own[n].context) for n, a in arrays.items()}


def _restore_balance(path, balance, state, change):
    try:
        if change and set(state or ()) != set(balance.state):
            return  # another kind of balance, or none until now: this one begins here
        balance.state = state
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WeightsError(
            f"{path / STATE} has no 'balance' to go on from; start again with another --out"
        ) from error


def _check_fits(path, state, step, config, change):
    changed = [
        f"{key} was {state['config'][key]!r:.100}, is {value!r}"
        for key, value in config.items()
        if state["config"].get(key, value) != value
    ]
    if changed and not change:
        raise WeightsError(
            f"{path} does not fit this run: {'; '.join(changed)}. "
            "Give the same options, --change to go on with these, or another --out"
        )
    for text in changed:
        logger.info("changed at step %d: %s", state["count"], text)
    nets = [f"{name}.params" for name in (*step.nets, "average")]
    missing = {*nets, *(f"{name}.states" for name in step.trainers)} - state["checksums"].keys()
    if missing:
        raise WeightsError(
            f"{path} does not fit this run: it lacks {', '.join(sorted(missing))}; "
            "start again with another --out"
        )


def _restore_nets(path, step):
    for name, net in step.nets.items():
        parameters = net._collect_params_with_prefix()
        arrays = load_arrays(path / f"{name}.params", {n: p.shape for n, p in parameters.items()})
        for key, parameter in parameters.items():
            parameter.set_data(arrays[key])
    own = step.average.arrays
    loaded = load_arrays(path / "average.params", {name: own[name].shape for name in own})
    step.average.arrays = {name: a.as_in_context(own[name].context) for name, a in loaded.items()}


def _newest_whole(folder):
    for path in list_checkpoints(folder):
        try:
            state = read_state(path)
            changed = [n for n, own in state["checksums"].items() if checksum(path / n) != own]
            if not changed:
                return path, state
            reason = f"{', '.join(changed)} changed since it was written"
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            reason = f"{STATE} or a file that it names: {error!s:.200}"
        logger.warning("%s is damaged (%s); the one before it is taken", path, reason)
    raise WeightsError(f"no checkpoint in {folder} is whole; start again with another --out")
