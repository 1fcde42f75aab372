"""The training loop: counting, logging, validation, checkpoints. It knows no net and no loss."""

from __future__ import annotations

import csv
import json
import logging
import math
import signal
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Callable

import numpy as np
from tqdm import tqdm

from gluon_enhance.errors import TrainingError
from gluon_enhance.files import Photo, write_image
from gluon_enhance.training.batches import batches
from gluon_enhance.training.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from gluon_enhance.training.config import TrainingConfig
from gluon_enhance.training.plots import plot_curves

logger = logging.getLogger(__name__)


FLAT = 0.1
"""Share of the photos' spread under which a generator's output counts as flat."""
FLAT_STEPS = 500
"""A net fresh from its initialization is flat too, for fewer."""


def fit(
    step,
    draw: Callable,
    validate: Callable[[], tuple],
    schedule: Callable[[int], float],
    config: TrainingConfig,
) -> list[dict]:
    """Repeat a step until the config's iterations are done.

    The folder `config.out` gets ``config.json``, ``metrics.csv``, ``curves.png``, ``samples/``
    and ``checkpoints/``. A resumed run equals an uninterrupted one, bit for bit on the CPU.

    Parameters
    ----------
    step : Step
    draw : callable
        Takes a generator of random numbers, gives one sample: arrays (3, h, w).
    validate : callable
        Returns scores by name, and pictures (H, W, 3) to look at; the net then holds its
        averaged parameters.
    schedule : callable
        Step count -> learning rate.
    config : TrainingConfig

    Returns
    -------
    list of dict
        The rows of the log. The run may have been interrupted before the last iteration.

    Raises
    ------
    TrainingError
        If a logged value is not finite or the generator's output is flat (the last checkpoint
        stays), or the folder holds another run's checkpoints.
    """
    out = Path(config.out)
    checkpoints = out / "checkpoints"
    count, history = _start(step, checkpoints, config)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(asdict(config), indent=1))
    log = _Log(out, history)
    flat = _FlatGuard()
    source = batches(draw, config.batch_size, config.seed, count, config.iterations, config.workers)
    with (
        _StopSignals() as stop,
        tqdm(total=config.iterations, initial=count, unit="step", dynamic_ncols=True) as bar,
    ):
        while count < config.iterations and not stop.requested:
            step.learning_rate = schedule(count)
            began = time.perf_counter()
            batch = next(source)
            waited = time.perf_counter() - began
            # MXNet computes in the background; reading the values keeps bar and Ctrl-C honest.
            values = {name: float(value.asscalar()) for name, value in step(batch).items()}
            count += 1
            _check_finite(values, count)
            flat.check(values, count)
            log.add(values, waited, time.perf_counter() - began)
            bar.update()
            last = count == config.iterations
            if count % config.log_every == 0 or last:
                scores = {}
                if count % config.validate_every == 0 or last:
                    with step.average.applied():
                        scores, pictures = validate()
                    _write_sample(out / "samples", count, pictures)
                row = log.row(count, step.learning_rate, scores)
                bar.set_postfix({k: f"{v:.4g}" for k, v in row.items() if k != "step"})
            if count % config.save_every == 0 or last or stop.requested:
                save_checkpoint(checkpoints, step, count, config.fixed(), history)
    source.close()
    return history


def _start(step, checkpoints, config):
    newest = newest_checkpoint(checkpoints)
    if not newest:
        return 0, []
    if not config.resume:
        raise TrainingError(
            f"{checkpoints} holds a run already; go on with --resume, or give another --out"
        )
    logger.info("going on from %s", newest)
    return load_checkpoint(newest, step, config.fixed())


class _Log:
    """Means of what steps return, as rows of ``metrics.csv`` and ``curves.png``."""

    def __init__(self, out, history):
        self._out = out
        self._history = history
        self._began = time.time() - (history[-1]["seconds"] if history else 0)
        self._clear()

    def _clear(self):
        self._sums, self._counts = Counter(), Counter()

    def add(self, values, waited, seconds):
        # A step may leave values out: discriminators do not learn in all.
        self._sums.update(values, waiting=waited, computing=seconds - waited)
        self._counts.update(values.keys())

    def row(self, count, learning_rate, scores):
        waiting, computing = self._sums.pop("waiting"), self._sums.pop("computing")
        row = {
            "step": count,
            "seconds": round(time.time() - self._began, 1),
            "learning_rate": learning_rate,
            "waiting_for_data": round(waiting / (waiting + computing), 4),
            **{name: total / self._counts[name] for name, total in self._sums.items()},
            **scores,
        }
        self._history.append(row)
        self._clear()
        columns = list(dict.fromkeys(name for row in self._history for name in row))
        part = self._out / ".metrics.csv.part"
        with open(part, "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self._history)
        part.replace(self._out / "metrics.csv")
        plot_curves(self._history, self._out / "curves.png")
        return row


class _FlatGuard:
    """Stop a run whose generator paints flat colors: it does not recover."""

    def __init__(self):
        self._since = 0

    def check(self, values, count):
        spread = values.get("spread", 1.0)
        self._since = self._since + 1 if spread < FLAT else 0
        if self._since == FLAT_STEPS:
            raise TrainingError(
                f"the generator has collapsed to flat colors: up to step {count}, in {FLAT_STEPS} "
                f"steps, its output varied by under {FLAT:.0%} of what photos do (last "
                f"{spread:.2%}). Start again with a lower --learning-rate, or more weight on the "
                "losses that are not adversarial"
            )


def _write_sample(folder, count, pictures):
    if not pictures:
        return
    folder.mkdir(exist_ok=True)
    write_image(folder / f"step-{count:07d}.png", Photo(np.vstack(pictures)))


def _check_finite(values, count):
    for name, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"{name} is {value} at step {count}; the last checkpoint stays: go on with "
                "--resume and a lower --learning-rate"
            )


class _StopSignals:
    """Turn Ctrl-C and SIGTERM into a request to stop after the step under way."""

    def __init__(self):
        self.requested = False

    def __enter__(self):
        signals = (signal.SIGINT, signal.SIGTERM)
        self._former = {s: signal.signal(s, self._request) for s in signals}
        return self

    def _request(self, *_):
        self.requested = True

    def __exit__(self, *_):
        for number, handler in self._former.items():
            signal.signal(number, handler)
