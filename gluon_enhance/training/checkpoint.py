"""Whole checkpoints: a folder written beside its final name and renamed when complete."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from gluon_enhance.errors import WeightsError
from gluon_enhance.framework import mx

KEPT = 2


def save_checkpoint(folder: str | Path, step, count: int, rng, config: dict, history: list) -> Path:
    """Write net, averaged net, optimizer, random state, config and log as ``step-COUNT``.

    A kill at any moment leaves the former checkpoints whole; only the newest two are kept.
    """
    folder = Path(folder)
    final = folder / f"step-{count:07d}"
    for unfinished in folder.glob(".step-*"):  # of a run that was killed while it wrote
        shutil.rmtree(unfinished)
    part = folder / f".{final.name}"
    part.mkdir(parents=True)
    mx.nd.save(str(part / "net.params"), {k: p.data() for k, p in step.parameters.items()})
    mx.nd.save(str(part / "ema.params"), step.ema)
    step.trainer.save_states(str(part / "trainer.states"))
    state = {"count": count, "rng": rng.bit_generator.state, "config": config, "history": history}
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


def load_checkpoint(path: Path, step, rng, config: dict) -> tuple[int, list]:
    """Put a checkpoint's state into the step and the generator.

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
    step._set(mx.nd.load(str(path / "net.params")))
    step.ema = mx.nd.load(str(path / "ema.params"))
    step.trainer.load_states(str(path / "trainer.states"))
    rng.bit_generator.state = state["rng"]
    return state["count"], state["history"]
