"""Batches of a data set, drawn ahead of the training in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Callable

import numpy as np

AHEAD = 2
"""Batches that each thread may be ahead of the training."""


def sample_rng(seed: int, step: int, index: int) -> np.random.Generator:
    """Make the generator that sample `index` of step `step` is drawn with."""
    return np.random.default_rng((seed, step, index))


def batches(
    draw: Callable[[np.random.Generator], tuple],
    batch_size: int,
    seed: int,
    start: int,
    stop: int,
    workers: int = 1,
    share: tuple[int, int] = (0, 1),
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the batches of the steps from `start` up to `stop`.

    Every sample has a generator of its own, made of seed, step and place in the batch. So a
    resumed run needs no state of the sampling, and machines that share a batch draw together
    what one would draw alone.

    Parameters
    ----------
    draw : callable
        Takes a generator, returns one sample: a tuple of arrays (3, h, w).
    batch_size : int
        Samples of a step, on all machines together.
    workers : int
        Threads that draw; 0 to draw in the caller's.
    share : (int, int)
        This machine's rank, and the number of machines: each draws an equal part of the batch.

    Yields
    ------
    tuple of ndarray of shape (batch_size / machines, 3, h, w)

    Raises
    ------
    ValueError
        If the batch cannot be shared equally.
    """
    rank, machines = share
    if batch_size % machines:
        raise ValueError(f"batch_size is {batch_size}; it must be a multiple of {machines} workers")
    part = batch_size // machines

    def batch(step):
        samples = [draw(sample_rng(seed, step, i)) for i in range(rank * part, (rank + 1) * part)]
        return tuple(np.stack(arrays) for arrays in zip(*samples))

    steps = iter(range(start, stop))
    if workers == 0:
        yield from map(batch, steps)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        waiting = deque(pool.submit(batch, step) for step in islice(steps, workers * AHEAD))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(batch, step) for step in islice(steps, 1))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
