"""Whole checkpoints: a folder written beside its final name and renamed when complete."""

from __future__ import annotations

import json
import logging
import os
import shutil
import zlib
from pathlib import Path

from gluon_enhance.errors import TrainingError, WeightsError
from gluon_enhance.framework import mx
from gluon_enhance.training.whole_files import AT_ONCE, net_arrays, save_arrays

logger = logging.getLogger(__name__)

STATE = "state.json"


def save_checkpoint(
    folder: str | Path, step, count: int, config: dict, history: list, photos: str = ""
) -> Path:
    """Write nets, averaged net, optimizers, config and log as ``step-COUNT``.

    A kill or a full disk leaves the former checkpoints whole; the newest two are kept. `photos` is
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
        _check_finite(name, list(arrays.values()), count)
    for unfinished in folder.glob(".step-*"):  # of a run that was killed while it wrote
        shutil.rmtree(unfinished)
    final = folder / f"step-{count:07d}"
    part = folder / f".{final.name}"
    try:
        part.mkdir(parents=True)
        for name, arrays in {**nets, "average": step.average.arrays}.items():
            save_arrays(part / f"{name}.params", arrays)
        for name, trainer in step.trainers.items():
            trainer.save_states(str(part / f"{name}.states"))
        state = {
            "count": count,
            "averaged": step.average.count,
            "balance": step.balance and step.balance.state,
            "collapse": step.collapse.state,
            "photos": photos,
            "config": config,
            "history": history,
            "checksums": {path.name: _checksum(path) for path in part.iterdir()},
        }
        (part / STATE).write_text(json.dumps(state))
        for path in part.iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    _remove(final)
    part.replace(final)
    # Newer ones could not be read when the run went on from an older one.
    older = [path for path in list_checkpoints(folder) if path < final]
    for path in set(list_checkpoints(folder)) - {final, *older[:1]}:
        _remove(path)
    return final


def _check_finite(name, arrays, count):
    parts = (arrays[k : k + AT_ONCE] for k in range(0, len(arrays), AT_ONCE))
    if not all(mx.nd.multi_all_finite(*p, num_arrays=len(p)).asscalar() for p in parts):
        raise TrainingError(
            f"a weight of the {name} is not finite at step {count}; the last checkpoint stays: "
            "go on with --resume and a lower --learning-rate"
        )


def _checksum(path):
    return zlib.crc32(path.read_bytes())


def _remove(path):
    """Remove a checkpoint; a kill leaves none that is half there."""
    if path.exists():
        hidden = path.with_name(f".{path.name}.old")
        path.replace(hidden)
        shutil.rmtree(hidden)


def list_checkpoints(folder: str | Path) -> list[Path]:
    """List a folder's checkpoints, the newest first."""
    return sorted(Path(folder).glob("step-*"), reverse=True)


def load_checkpoint(folder: str | Path, step, config: dict, photos: str = "") -> tuple[int, list]:
    """Put the state of a folder's newest checkpoint into the step; damaged ones are passed over.

    There is a warning if the photos are not those of the checkpoint.

    Returns
    -------
    count : int
        Steps done so far.
    history : list of dict
        The log so far.

    Raises
    ------
    WeightsError
        If the config of the run differs from the checkpoint's in more than its length, or no
        checkpoint is whole.
    """
    path, state = _newest_whole(folder)
    logger.info("going on from %s", path)
    changed = [
        f"{key} was {state['config'][key]!r}, is {value!r}"
        for key, value in config.items()
        if state["config"].get(key, value) != value  # it may be older than an option
    ]
    if changed:
        raise WeightsError(
            f"{path} does not fit this run: {'; '.join(changed)}. "
            "Give the same options, or another --out"
        )
    if state.get("photos", photos) != photos:
        logger.warning(
            "the photos of --data are not those that %s was trained on: files have come, gone or "
            "changed; the run goes on, but not as it would have",
            path,
        )
    for name, net in step.nets.items():
        net.load_parameters(str(path / f"{name}.params"), ctx=step.devices.contexts)
    for name, trainer in step.trainers.items():
        trainer.load_states(str(path / f"{name}.states"))
    step.average.arrays = mx.nd.load(str(path / "average.params"))
    step.average.count = state["averaged"]
    if step.balance:
        step.balance.state = state["balance"]
    step.collapse.state = state.get("collapse", {})
    return state["count"], state["history"]


def _newest_whole(folder):
    for path in list_checkpoints(folder):
        try:
            state = json.loads((path / STATE).read_text())
            changed = [n for n, own in state["checksums"].items() if _checksum(path / n) != own]
            if not changed:
                return path, state
            reason = f"{', '.join(changed)} changed since it was written"
        except (OSError, ValueError, KeyError) as error:
            reason = f"{STATE} or a file that it names: {error}"
        logger.warning("%s is damaged (%s); the one before it is taken", path, reason)
    raise WeightsError(f"no checkpoint in {folder} is whole; start again with another --out")
