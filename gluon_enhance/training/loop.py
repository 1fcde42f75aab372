"""The training loop: counting, logging, validation, checkpoints. It knows no net and no loss."""

from __future__ import annotations

import csv
import json
import logging
import math
import signal
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict
from itertools import compress
from pathlib import Path
from typing import Callable

from tqdm import tqdm

from gluon_enhance.errors import TrainingError, TrainingInterruptedError
from gluon_enhance.files import Photo, write_image
from gluon_enhance.imaging.pictures import picture_table
from gluon_enhance.training.batches import batches
from gluon_enhance.training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from gluon_enhance.training.config import TrainingConfig
from gluon_enhance.training.plots import plot_curves
from gluon_enhance.training.schedule import make_schedule
from gluon_enhance.training.whole_files import whole_file

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What asks a run to end: Ctrl-C, and what ``kill`` and job schedulers send."""


def fit(
    step,
    draw: Callable,
    validate: Callable[[], tuple],
    config: TrainingConfig,
    photos: str = "",
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
        Returns scores by name, and rows of pictures to look at, (H, W, 3) by heading; the net
        then holds its averaged parameters.
    config : TrainingConfig
    photos : str
        Fingerprint of the files that `draw` reads; a resumed run warns if it is another.

    Returns
    -------
    list of dict
        The rows of the log.

    Raises
    ------
    TrainingInterruptedError
        If Ctrl-C or SIGTERM, here or on another machine, has ended the run before the last
        iteration. The step under way has been done, and a checkpoint saved.
    TrainingError
        If a logged value is not finite or the generator's output is flat (the last checkpoint
        stays), a file cannot be written, or the folder holds another run's checkpoints.
    """
    out, devices, schedule = Path(config.out), step.devices, make_schedule(config)
    count, history = _start(step, out / CHECKPOINTS, config, photos)
    log = _Log(out, config, history, photos) if devices.is_first else None
    stopping = None
    source = batches(
        draw,
        config.batch_size,
        config.seed,
        count,
        config.iterations,
        config.workers,
        devices.share,
    )
    bar = tqdm(
        total=config.iterations,
        initial=count,
        unit="step",
        dynamic_ncols=True,
        disable=not devices.is_first,
    )
    with _StopSignals() as stop, bar, closing(source):
        while count < config.iterations and not stopping:
            step.learning_rate = schedule(count)
            began = time.perf_counter()
            batch = next(source)
            waited = time.perf_counter() - began
            # MXNet computes in the background; reading the values keeps bar and Ctrl-C honest.
            values = {name: float(value.asscalar()) for name, value in step(batch).items()}
            count += 1
            _check_finite(values, count)
            step.collapse.check(values, count)
            requested = devices.any([stop.requested == one for one in SIGNALS])
            stopping = next(compress(SIGNALS, requested), None)
            if log:
                log.add(values, waited, time.perf_counter() - began)
                _write(log, step, count, validate, config, bar, stopping)
            bar.update()
    devices.leave()
    if count < config.iterations:
        raise TrainingInterruptedError(
            f"stopped at step {count} of {config.iterations}; go on with --resume", stopping
        )
    return history


def _start(step, checkpoints, config, photos):
    count, history = 0, []
    if list_checkpoints(checkpoints):
        if not config.resume:
            raise TrainingError(
                f"{checkpoints} holds a run already; go on with --resume, or give another --out"
            )
        count, history = load_checkpoint(checkpoints, step, config.fixed(), photos)
    if not step.devices.agree(json.dumps([count, config.fixed()])):
        raise TrainingError(
            f"the machines differ in their options, or in the step they go on from (here {count}); "
            "give all the same options, and an --out that they share"
        )
    step.devices.take_weights(step.trainers)
    return count, history


def _write(log, step, count, validate, config, bar, stopping):
    """Write what is due after a step."""
    last = count == config.iterations
    validating = count % config.validate_every == 0 or last
    try:
        if count % config.log_every == 0 or validating:
            scores = {}
            if validating:
                with step.average.applied():
                    scores, pictures = validate()
                _write_sample(log.out / "samples", count, pictures)
            row = log.row(count, step.learning_rate, scores)
            bar.set_postfix({k: f"{v:.4g}" for k, v in row.items() if k != "step"})
        if count % config.save_every == 0 or last or stopping:
            folder = log.out / CHECKPOINTS
            save_checkpoint(folder, step, count, config.fixed(), log.history, log.photos)
    except OSError as error:
        raise TrainingError(
            f"{log.out} cannot be written at step {count} ({error}); the last checkpoint stays: "
            "make room and go on with --resume"
        ) from error


class _Log:
    """Means of what steps return, as rows of ``metrics.csv``; with scores, ``curves.png`` too."""

    def __init__(self, out, config, history, photos):
        self.out = out
        self.photos = photos
        self.history = history
        self._began = time.time() - (history[-1]["seconds"] if history else 0)
        self._clear()
        out.mkdir(parents=True, exist_ok=True)
        with whole_file(out / "config.json") as part:
            part.write_text(json.dumps(asdict(config), indent=1))

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
        self.history.append(row)
        self._clear()
        columns = list(dict.fromkeys(name for row in self.history for name in row))
        with whole_file(self.out / "metrics.csv") as part, open(part, "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.history)
        if scores:
            plot_curves(self.history, self.out / "curves.png")
        return row


def _write_sample(folder, count, rows):
    if not rows:
        return
    folder.mkdir(exist_ok=True)
    write_image(folder / f"step-{count:07d}.png", Photo(picture_table(rows)))


def _check_finite(values, count):
    for name, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"{name} is {value} at step {count}; the last checkpoint stays: go on with "
                "--resume and a lower --learning-rate"
            )


class _StopSignals:
    """Turn signals into a request to stop after the step under way.

    Attributes
    ----------
    requested : int, optional
        The signal that came, the last one of several.
    """

    def __init__(self):
        self.requested = None

    def __enter__(self):
        self._former = {s: signal.signal(s, self._request) for s in SIGNALS}
        return self

    def _request(self, number, _):
        self.requested = number

    def __exit__(self, *_):
        for number, handler in self._former.items():
            signal.signal(number, handler)
