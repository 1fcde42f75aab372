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

from gluon_enhance.errors import TrainingError
from gluon_enhance.training.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from gluon_enhance.training.config import TrainingConfig
from gluon_enhance.training.plots import plot_curves

logger = logging.getLogger(__name__)


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
        If a logged value is not finite (the last checkpoint stays), or the folder holds another
        run's checkpoints.
    """
    out = Path(config.out)
    checkpoints = out / "checkpoints"
    count, history = 0, []
    newest = newest_checkpoint(checkpoints)
    if newest and not config.resume:
        raise TrainingError(
            f"{checkpoints} holds a run already; go on with --resume, or give another --out"
        )
    if newest:
        count, history = load_checkpoint(newest, step, rng, config.fixed())
        logger.info("resumed from %s", newest)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(asdict(config), indent=1))
    began = time.time() - (history[-1]["seconds"] if history else 0)
    stop = _StopSignals()
    sums, since = {}, 0
    with stop, tqdm(total=config.iterations, initial=count, unit="step") as bar:
        while count < config.iterations and not stop.requested:
            step.trainer.set_learning_rate(schedule(count))
            logged = step(sample())
            count, since = count + 1, since + 1
            # MXNet computes in the background; waiting keeps the bar and Ctrl-C honest.
            values = {name: float(value.asscalar()) for name, value in logged.items()}
            _check_finite(values, count)
            sums = {name: sums.get(name, 0) + value for name, value in values.items()}
            bar.update()
            if count % config.log_every == 0 or count == config.iterations:
                row = {
                    "step": count,
                    "seconds": round(time.time() - began, 1),
                    "learning_rate": step.trainer.learning_rate,
                }
                row.update({name: value / since for name, value in sums.items()})
                if count % config.validate_every == 0 or count == config.iterations:
                    row.update(validate())
                history.append(row)
                bar.set_postfix({k: f"{v:.4g}" for k, v in row.items() if k != "step"})
                _write_log(out, history)
                sums, since = {}, 0
            if count % config.save_every == 0 or count == config.iterations or stop.requested:
                save_checkpoint(checkpoints, step, count, rng, config.fixed(), history)
    return count


def _check_finite(values, count):
    for name, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"{name} is {value} at step {count}; the last checkpoint stays: go on with "
                "--resume and a lower --learning-rate"
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
