"""The training loop: counting, logging, validation, checkpoints. It knows no net and no loss."""

from __future__ import annotations

import csv
import json
import logging
import math
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Callable

from tqdm import tqdm

from gluon_enhance.training.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from gluon_enhance.training.config import TrainingConfig
from gluon_enhance.training.plots import plot_curves

logger = logging.getLogger(__name__)


class TrainingError(RuntimeError):
    """A run that cannot go on, such as a loss that is not a number."""


def fit(
    step,
    sample: Callable[[], tuple],
    validate: Callable[[], dict],
    rng,
    schedule: Callable[[int], float],
    config: TrainingConfig,
) -> int:
    """Repeat a step until the config's iterations are done.

    The folder `config.out` gets ``metrics.csv``, ``curves.png`` and ``checkpoints/``.

    Parameters
    ----------
    step : object
        Called with a batch of NumPy arrays, returns a dict of scalar NDArrays; has `trainer`,
        `parameters` and `ema` for the checkpoint.
    sample : callable
        Returns the next batch as NumPy arrays; draws only from `rng`.
    validate : callable
        Returns a dict of scores.
    rng : numpy.random.Generator
        Saved and restored with the checkpoint, so that a resumed run equals an uninterrupted one.
    schedule : callable
        Step count -> learning rate.
    config : TrainingConfig

    Returns
    -------
    int
        Steps done: fewer than asked for if the run was interrupted.

    Raises
    ------
    TrainingError
        If a logged value is not finite; the last checkpoint stays.
    """
    out = Path(config.out)
    checkpoints = out / "checkpoints"
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(asdict(config), indent=1))
    count, history = 0, []
    newest = newest_checkpoint(checkpoints)
    if config.resume and newest:
        count, history = load_checkpoint(newest, step, rng, config.fixed())
        logger.info("resumed from %s", newest)
    began = time.time() - (history[-1]["seconds"] if history else 0)
    stop = _StopSignals()
    sums, since = {}, 0
    with stop, tqdm(total=config.iterations, initial=count, unit="step") as bar:
        while count < config.iterations and not stop.requested:
            step.trainer.set_learning_rate(schedule(count))
            logged = step(sample())
            count, since = count + 1, since + 1
            for name, value in logged.items():
                # MXNet computes in the background; waiting keeps the bar and Ctrl-C honest.
                sums[name] = sums.get(name, 0) + float(value.asscalar())
            bar.update()
            if count % config.log_every == 0 or count == config.iterations:
                row = {
                    "step": count,
                    "seconds": round(time.time() - began, 1),
                    "learning_rate": step.trainer.learning_rate,
                }
                row.update({name: value / since for name, value in sums.items()})
                _check_finite(row)
                if count % config.validate_every == 0 or count == config.iterations:
                    row.update(validate())
                history.append(row)
                bar.set_postfix({k: f"{v:.4g}" for k, v in row.items() if k != "step"})
                _write_log(out, history)
                sums, since = {}, 0
            if count % config.save_every == 0 or count == config.iterations or stop.requested:
                save_checkpoint(checkpoints, step, count, rng, config.fixed(), history)
    return count


def _check_finite(row):
    for name, value in row.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"{name} is {value} at step {row['step']}; the last checkpoint "
                "stays. Resume with a lower --learning-rate"
            )


def _write_log(out, history):
    columns = list(dict.fromkeys(name for row in history for name in row))
    part = out / ".metrics.csv.part"
    with open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history)
    part.replace(out / "metrics.csv")
    plot_curves(history, out / "curves.png")


class _StopSignals:
    """Turn Ctrl-C and SIGTERM into a request to stop after the step under way."""

    def __init__(self):
        self.requested = False

    def __enter__(self):
        signals = (signal.SIGINT, signal.SIGTERM)
        self._former = {s: signal.signal(s, self._request) for s in signals}

    def _request(self, *_):
        self.requested = True

    def __exit__(self, *_):
        for number, handler in self._former.items():
            signal.signal(number, handler)
