"""Where a step is computed: one context or several, on one machine or many, and its batches."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Callable

import numpy as np

from gluon_enhance.data.epochs import Turn
from gluon_enhance.framework import context, mx
from gluon_enhance.training.distributed import Machines
from gluon_enhance.training.gradients import learned

AHEAD = 2
"""Batches that each thread which draws them may be ahead of the training."""


class Devices:
    """Share batches among contexts and machines, and sum their gradients.

    A step is then what one device would do with the joint batch, to the rounding of sums, but for
    what is computed over a batch: batch normalization (SRResNet, PLSR, discriminators of SRGAN and
    ESRGAN) and relativistic losses (ESRGAN) see each device's share alone. Give these a batch that
    leaves every device enough, and know that another number of devices is another training.

    Parameters
    ----------
    names : str
        Contexts of this machine, such as ``cpu`` or ``gpu(0),gpu(1)``.
    batch_size : int
        Samples of a step, on all contexts of all machines together.
    kvstore : {'device', 'dist_sync'}
        This machine alone, or all those that the ``DMLC_*`` variables tell of.

    Attributes
    ----------
    contexts : list of mxnet.Context
    share : (int, int)
        This machine's rank, and the number of machines.

    Raises
    ------
    EngineError
        If a context is not there.
    ValueError
        If the batch cannot be shared equally.
    TrainingError
        If the ``DMLC_*`` variables are not set.
    """

    def __init__(self, names: str, batch_size: int, kvstore: str = "device"):
        self.contexts = [context(name) for name in names.split(",")]
        self.batch_size = batch_size
        self._machines = Machines() if kvstore == "dist_sync" else None
        self.share = (self._machines.rank, self._machines.count) if self._machines else (0, 1)
        self._count = self.share[1] * len(self.contexts)
        if batch_size % self._count:
            raise ValueError(
                f"batch_size is {batch_size}; it must be a multiple of the {self._count} devices: "
                f"{names!r} on each of {self.share[1]} machines"
            )
        self._store = self._machines.store if self._machines else mx.kv.create(kvstore)
        self._keys: set[str] = set()

    @property
    def is_first(self) -> bool:
        """Whether this is the machine that writes files, or the only one."""
        return self.share[0] == 0

    def split(self, batch, pieces: int = 1) -> list[tuple]:
        """Put an equal share of the arrays (N, ...) on every context; of each piece in turn.

        Parameters
        ----------
        batch : tuple of ndarray of shape (N, ...)
            N is this machine's share of the batch.
        pieces : int
            How many the batch is computed in, one after the other.

        Returns
        -------
        list of tuple of NDArray
            First the first piece's shares, one for each context; then the second's; and so on.
        """
        pieced = zip(*(np.split(array, pieces) for array in batch)) if pieces > 1 else [batch]
        return [
            share
            for piece in pieced
            for share in zip(*(mx.gluon.utils.split_and_load(a, self.contexts) for a in piece))
        ]

    def check_pieces(self, pieces: int) -> None:
        """Raise ValueError if the batch is not equal pieces on every context."""
        if self.batch_size % (self._count * pieces):
            raise ValueError(
                f"--batch-size is {self.batch_size}; with --accumulate {pieces} it must be a "
                f"multiple of {self._count * pieces}"
            )

    def trainer(
        self,
        nets,
        learning_rate: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        weight_decay: float = 0.0,
    ):
        """Make an Adam trainer of all parameters of some nets; the decay is that of L2."""
        parameters = mx.gluon.ParameterDict()
        for net in nets:
            parameters.update(net.collect_params())
        options = {"learning_rate": learning_rate, "beta1": beta1, "beta2": beta2}
        options["wd"] = weight_decay
        # A store of each trainer's own would use the same keys as the others'.
        return mx.gluon.Trainer(parameters, "adam", options, kvstore=None)

    def update(self, name: str, trainer, prepare: Callable | None = None) -> bool:
        """Sum a trainer's gradients over the devices, and let it take its step.

        `prepare` is given the trainer in between; where it returns False there is no step, and
        False is returned.
        """
        if self._count > 1:
            for index, parameter in enumerate(learned(trainer)):
                self._sum(f"{name}/{index}", parameter.list_grad(), priority=-index)
        if prepare and not prepare(trainer):
            return False
        trainer.update(self.batch_size)
        return True

    def mean(self, key: str, values: Sequence[dict]) -> dict:
        """Average values {name: NDArray} of each context, over samples, contexts and machines.

        Parameters
        ----------
        key : str
            One for each place that this is called from.
        values : sequence of dict
            One of each share that `split` made.

        Returns
        -------
        dict of str to NDArray of shape (1,)
        """
        rows = (mx.nd.concat(*(array.mean() for array in v.values()), dim=0) for v in values)
        total = sum(row.as_in_context(mx.cpu()) for row in rows) / (len(values) * self.share[1])
        if self._machines:
            self._sum(f"mean/{key}", [total])
        return {name: total[k : k + 1] for k, name in enumerate(values[0])}

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """Tell of each flag whether it is set on any machine; all have as many."""
        if not self._machines:
            return list(flags)
        counts = mx.nd.array(flags)
        self._sum(f"any/{len(flags)}", [counts])
        return [count > 0 for count in counts.asnumpy()]

    def agree(self, text: str) -> bool:
        """Tell whether all machines have the same text."""
        if not self._machines:
            return True
        own = zlib.crc32(text.encode()) % 2**24  # what float32 holds exactly
        first = mx.nd.array([own])
        self._take_first("text", [first])
        return not any(self.any([first.asscalar() != own]))

    def take_weights(self, trainers: dict) -> None:
        """Replace the weights that trainers learn by the first machine's."""
        if self._machines:
            for name, trainer in trainers.items():
                for index, parameter in enumerate(learned(trainer)):
                    self._take_first(f"{name}/{index}", parameter.list_data())
            mx.nd.waitall()

    def leave(self) -> None:
        """End the work with other machines; wait for them first."""
        if self._machines:
            self._machines.leave()

    def _sum(self, key, arrays, priority=0):
        """Sum arrays, one on each context, over contexts and machines, in place."""
        if key not in self._keys:
            self._store.init(key, arrays[0])
            self._keys.add(key)
        self._store.push(key, arrays, priority)
        self._store.pull(key, arrays, priority)

    def _take_first(self, key, arrays):
        self._store.init(key, arrays[0])
        self._keys.add(key)
        self._store.pull(key, arrays)


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
    by_epochs: bool = False,
) -> Generator[tuple[np.ndarray, ...], None, None]:
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
        This machine's rank, and the number of machines: each draws an equal share of the batch.
    by_epochs : bool
        Whether `draw` also takes a `gluon_enhance.data.epochs.Turn`, which tells the item.

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
    size = batch_size // machines

    def sample(step, index):
        turn = (Turn(seed, step * batch_size + index),) if by_epochs else ()
        return draw(sample_rng(seed, step, index), *turn)

    def batch(step):
        samples = [sample(step, index) for index in range(rank * size, (rank + 1) * size)]
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
