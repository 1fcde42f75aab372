"""The training loop: it repeats a step, logs, validates and saves checkpoints."""

from __future__ import annotations

import csv
import json
import logging
import math
import signal
import time
from collections import Counter
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, replace
from itertools import compress
from pathlib import Path
from typing import Callable

from filelock import FileLock, Timeout
from tqdm import tqdm

from gluon_enhance.atomic import whole_file, write_text
from gluon_enhance.errors import TrainingError, TrainingInterruptedError, plural
from gluon_enhance.imaging.pictures import picture_table
from gluon_enhance.photos import Photo, write_image
from gluon_enhance.training.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
    way_on,
)
from gluon_enhance.training.checkpoint_files import save_arrays
from gluon_enhance.training.config import TrainingConfig
from gluon_enhance.training.devices import batches
from gluon_enhance.training.plots import plot_curves
from gluon_enhance.training.schedule import make_schedule
from gluon_enhance.training.tensorboard import EventFiles

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
MOST_SKIPPED = 10
"""Steps that ``--on-nan skip`` leaves out of a run; more are no accident: the run diverges."""
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
    and ``checkpoints/``; where the options ask for them, ``weights/`` of each validation and
    ``tensorboard/`` too. A resumed run equals an uninterrupted one, bit for bit on the CPU: every
    sample has a random generator of its own, and a checkpoint holds all else that counts.

    Parameters
    ----------
    step : Step
    draw : callable
        Takes a generator of random numbers, and with ``--sampling epochs`` a turn, which tells the
        item; gives one sample: arrays (3, h, w).
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
    WeightsError
        If a run cannot go on from its checkpoints: none is whole, or options differ.
    ValueError
        If the batch cannot be shared equally among devices and ``--accumulate``.
    """
    out, devices, schedule = config.folder, step.devices, make_schedule(config)
    step.take_options(config)
    with _locked(out, config) if devices.is_first else nullcontext():
        count, history = _start(step, out / CHECKPOINTS, config, photos)
        log = _Log(out, config, history, photos, count) if devices.is_first else None
        source = batches(
            draw,
            config.batch_size,
            config.seed,
            count,
            config.iterations,
            config.workers,
            devices.share,
            config.sampling == "epochs",
        )
        with closing(source), closing(log) if log else nullcontext():
            count, stopping = _repeat(step, source, validate, schedule, config, log, count)
        devices.leave()
    if count < config.iterations:
        raise TrainingInterruptedError(
            f"stopped at step {count} of {config.iterations}; go on with --resume", stopping
        )
    return history


def _repeat(step, source, validate, schedule, config, log, count):
    """Take the steps; return how many are done, and the signal that has ended them."""
    stopping = None
    bar = tqdm(
        total=config.iterations,
        initial=count,
        unit="step",
        dynamic_ncols=True,
        disable=not log,
    )
    with _StopSignals() as stop, bar:
        while count < config.iterations and not stopping:
            step.learning_rate = schedule(count)  # of the next step; `count` are done
            began = time.perf_counter()
            batch = next(source)
            waited = time.perf_counter() - began
            values = _take(step, batch, count + 1, config)
            count += 1
            if values is not None:
                step.collapse.check(values, count)
            # A signal reaches one machine, at any time; all must end after the same step, or those
            # that go on would wait for the others' gradients for ever.
            requested = step.devices.any([stop.requested == one for one in SIGNALS])
            stopping = next(compress(SIGNALS, requested), None)
            if log:
                log.add(values or {}, waited, time.perf_counter() - began)
                _write(log, step, count, validate, config, bar, stopping)
            bar.update()
    return count, stopping


def _take(step, batch, number, config):
    """Take a step; return what it logs, or None if ``--on-nan skip`` has left it out."""
    step.refused = False
    # Batch normalization's, which a forward pass changes before its loss is known.
    statistics = step.running_statistics() if config.on_nan == "skip" else ()
    # MXNet computes in the background; reading the values keeps bar and Ctrl-C honest.
    values = {name: float(value.asscalar()) for name, value in step(batch).items()}
    wrong = [name for name, value in values.items() if not math.isfinite(value)]
    if not wrong and not step.refused:
        return values
    what = f"{wrong[0]} is {values[wrong[0]]}" if wrong else "a gradient is not finite"
    if config.on_nan == "stop" or step.skipped == MOST_SKIPPED:
        more = f", after {plural(step.skipped, 'step')} left out" if step.skipped else ""
        folder = Path(config.out, CHECKPOINTS)
        raise TrainingError(f"{what} at step {number}{more}; {way_on(folder)}")
    for array, copy in statistics:
        copy.copyto(array)
    step.skipped += 1
    logger.warning(
        "%s at step %d, which is left out: %d of at most %d",
        *(what, number, step.skipped, MOST_SKIPPED),
    )
    return None


@contextmanager
def _locked(out, config):
    """Hold the lock of a run's folder, which is made for a new run."""
    if config.resume and not (
        list_checkpoints(out / CHECKPOINTS) or (out / "config.json").exists()
    ):
        raise TrainingError(
            f"{out} holds no run to go on from; correct --out, or leave out --resume to begin there"
        )
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise TrainingError(
            f"another run is writing to {out}; wait for it, or give another --out"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _start(step, checkpoints, config, photos):
    count, history = 0, []
    if list_checkpoints(checkpoints):
        if not config.resume:
            raise TrainingError(
                f"{checkpoints} holds a run already; go on with --resume, or give another --out"
            )
        count, history, former = load_checkpoint(
            checkpoints, step, config.fixed(), photos, config.change, config.formerly()
        )
        _check_length(count, former.get("iterations"), config)
    if not step.devices.agree(json.dumps([count, config.fixed()])):
        raise TrainingError(
            f"the machines differ in their options, or in the step they go on from (here {count}); "
            "give all the same options, and an --out that they share"
        )
    step.devices.take_weights(step.trainers)
    return count, history


def _check_length(count, former, config):
    """Refuse a length that is over already, and tell what another one does to the rate."""
    if count > config.iterations:
        raise TrainingError(
            f"{config.out} is at step {count} already, and --iterations is {config.iterations}; "
            "give more, or another --out"
        )
    if type(former) is not int or not 0 < former != config.iterations:
        return
    rate = make_schedule(config)(count)
    before = make_schedule(replace(config, iterations=former))(min(count, former - 1))
    if not math.isclose(rate, before, rel_tol=0.01):  # a rise or fall that curves would show
        logger.warning(
            "--iterations was %d and is %d: the learning rate goes on at %.3g, where it was %.3g",
            *(former, config.iterations, rate, before),
        )


def _write(log, step, count, validate, config, bar, stopping):
    """Write what is due after a step."""
    last = count == config.iterations  # which always ends in a row, a validation, a checkpoint
    validating = count % config.validate_every == 0 or last
    validating |= count == 1 and config.validate_first
    try:
        if count % config.log_every == 0 or validating:
            scores = {}
            if validating:
                with step.average.applied():
                    scores, pictures = validate()
                log.write_samples(count, pictures)
                if step.best:
                    step.best.offer(scores, count, step.average.arrays)
                if config.keep_weights:
                    _write_weights(log.out / "weights", count, step.average)
            row = log.row(count, step.learning_rate, scores)
            bar.set_postfix({k: f"{v:.4g}" for k, v in row.items() if k != "step"})
        if count % config.save_every == 0 or last or stopping:
            folder = log.out / CHECKPOINTS
            options = {**config.fixed(), "iterations": config.iterations}
            save_checkpoint(folder, step, count, options, log.history, log.photos, config.keep)
    except OSError as error:
        kept = list_checkpoints(log.out / CHECKPOINTS)
        way = "the last checkpoint stays: make room and go on with --resume"
        raise TrainingError(
            f"{log.out} cannot be written at step {count} ({error}); "
            + (way if kept else "make room and start again")
        ) from error


def _write_weights(folder, count, average):
    """Write the averaged net, and the net as it is, ``.raw``."""
    folder.mkdir(exist_ok=True)
    for suffix, arrays in ((".params", average.arrays), (".raw.params", average.net_arrays())):
        with whole_file(folder / f"step-{count:07d}{suffix}") as part:
            save_arrays(part, arrays)


class _Log:
    """Means of what steps return, as rows of ``metrics.csv``; with scores, ``curves.png`` too."""

    def __init__(self, out, config, history, photos, count):
        self.out = out
        self._events = EventFiles(out, count) if config.tensorboard else None
        self.photos = photos
        self.history = history
        self._began = time.time() - (history[-1]["seconds"] if history else 0)
        self._clear()
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / "config.json", json.dumps(asdict(config), indent=1))

    def _clear(self):
        self._sums, self._counts = Counter(), Counter()

    def add(self, values, waited, seconds):
        # A step may leave values out: discriminators do not learn in all. So each has its count.
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
        if self._events:
            self._events.add_row(row)
        return row

    def write_samples(self, count, rows):
        if not rows:
            return
        picture = picture_table(rows)
        (self.out / "samples").mkdir(exist_ok=True)
        write_image(self.out / "samples" / f"step-{count:07d}.png", Photo(picture))
        if self._events:
            self._events.add_samples(picture, count)

    def close(self):
        if self._events:
            self._events.close()


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
