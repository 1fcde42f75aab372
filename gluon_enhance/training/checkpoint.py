"""Whole checkpoints: a folder written beside its final name and renamed when complete."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from gluon_enhance.errors import WeightsError
from gluon_enhance.framework import mx

KEPT = 2


def save_checkpoint(folder: str | Path, step, count: int, config: dict, history: list) -> Path:
    """Write nets, averaged net, optimizers, config and log as ``step-COUNT``.

    A kill at any moment leaves the former checkpoints whole; only the newest two are kept.
    """
    folder = Path(folder)
    final = folder / f"step-{count:07d}"
    for unfinished in folder.glob(".step-*"):  # of a run that was killed while it wrote
        shutil.rmtree(unfinished)
    part = folder / f".{final.name}"
    part.mkdir(parents=True)
    for name, net in step.nets.items():
        net.save_parameters(str(part / f"{name}.params"))
    for name, trainer in step.trainers.items():
        trainer.save_states(str(part / f"{name}.states"))
    mx.nd.save(str(part / "average.params"), step.average.arrays)
    state = {
        "count": count,
        "averaged": step.average.count,
        "balance": step.balance and step.balance.state,
        "config": config,
        "history": history,
    }
    (part / "state.json").write_text(json.dumps(state))
    for path in part.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    shutil.rmtree(final, ignore_errors=True)
    os.replace(part, final)
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)
    return final


def newest_checkpoint(folder: str | Path) -> Path | None:
    """Return the newest whole checkpoint of a folder, or None."""
    found = sorted(Path(folder).glob("step-*"))
    return found[-1] if found else None


def load_checkpoint(path: Path, step, config: dict) -> tuple[int, list]:
    """Put a checkpoint's state into the step.

    Returns
    -------
    count : int
        Steps done so far.
    history : list of dict
        The log so far.

    Raises
    ------
    WeightsError
        If the config of the run differs from the checkpoint's in more than its length.
    """
    state = json.loads((path / "state.json").read_text())
    changed = [
        f"{key} was {state['config'].get(key)!r}, is {value!r}"
        for key, value in config.items()
        if state["config"].get(key) != value
    ]
    if changed:
        raise WeightsError(
            f"{path} does not fit this run: {'; '.join(changed)}. "
            "Give the same options, or another --out"
        )
    for name, net in step.nets.items():
        net.load_parameters(str(path / f"{name}.params"), ctx=step.devices.contexts)
    for name, trainer in step.trainers.items():
        trainer.load_states(str(path / f"{name}.states"))
    step.average.arrays = mx.nd.load(str(path / "average.params"))
    step.average.count = state["averaged"]
    if step.balance:
        step.balance.state = state["balance"]
    return state["count"], state["history"]
