"""The same work on a cluster of Dask's workers; of those that enhance, each loads the model once.

Workers read inputs and write outputs themselves, so that files must lie where all see them. What
travels are names of files, plans, numbers of parts, and reports.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Callable, Optional

from gluon_enhance.errors import GluonEnhanceError
from gluon_enhance.framework import physical_cores
from gluon_enhance.inference.kernel import load

LOOPBACK = "127.0.0.1"
"""Where the processes of ``local`` are to be reached: who reaches them can have them run code."""
TIMEOUT = 30
"""Seconds in which a scheduler must answer, and have a worker."""
_one_at_a_time = threading.Lock()
"""Of a worker's process, for its engine."""


class Cluster:
    """Workers; a context manager.

    Parameters
    ----------
    address : str
        ``local`` or ``local:N`` for N processes here (default: one for each core), or the address
        of a Dask scheduler, such as ``tcp://host:8786``. Its messages are pickles: who can reach it
        can run any code on it, on its workers and here.

    Attributes
    ----------
    threads : int, optional
        Cores for each of the processes here; None for workers of a scheduler.

    Raises
    ------
    GluonEnhanceError
        If Dask is not installed, or the scheduler does not answer or has no worker.
    """

    threads: Optional[int] = None

    def __init__(self, address: str):
        try:
            import distributed
        except ImportError as error:
            raise GluonEnhanceError(
                "--cluster needs Dask; pip install 'gluon-enhance[cluster]'"
            ) from error
        self._distributed = distributed
        self._local = None
        kind, _, count = address.partition(":")
        if kind == "local":
            workers = _worker_count(address, count)
            self.threads = max(1, physical_cores() // workers)
            self._local = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host=LOOPBACK,
                dashboard_address=f"{LOOPBACK}:0",
                worker_dashboard_address=f"{LOOPBACK}:0",
            )
        self._address = address
        self._client = self._connected()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.close()
        if self._local:
            self._local.close()

    def run(self, function: Callable, items: Iterable) -> Iterator[tuple[int, Any]]:
        """Call ``function(item)`` on the workers.

        An item whose worker dies goes to another one. The first error ends the work.

        Yields
        ------
        index : int
            Of the item.
        result
            As soon as it is there.
        """
        # Tasks of one group wait at the scheduler for a worker that is free; others are dealt out.
        tasks = self._client.map(function, list(items), pure=False)
        futures = {future: k for k, future in enumerate(tasks)}
        try:
            for future in self._distributed.as_completed(list(futures)):
                index, result = futures.pop(future), future.result()
                future.release()  # a result that is held is made again when its worker dies
                yield index, result
        except self._distributed.KilledWorker as error:
            raise GluonEnhanceError(
                "workers died one after another of the same work; have they memory enough?"
            ) from error
        except CancelledError as error:
            _silence_reconnection()
            raise GluonEnhanceError(
                f"the Dask scheduler at {self._address} is gone; start it, and run again; enhance "
                "goes on with --resume (rasters) or --skip-existing (photos)"
            ) from error
        finally:
            self._client.cancel(list(futures))

    def _connected(self):
        try:
            client = self._distributed.Client(self._local or self._address, timeout=TIMEOUT)
        except (OSError, ValueError) as error:
            raise GluonEnhanceError(
                f"no Dask scheduler answers at {self._address}: {error}; give local, local:N or "
                "tcp://HOST:PORT"
            ) from error
        try:
            client.wait_for_workers(1, timeout=TIMEOUT)
        except self._distributed.TimeoutError as error:
            client.close()
            raise GluonEnhanceError(
                f"the Dask scheduler at {self._address} has no worker; start some: dask worker "
                f"{self._address} --nthreads 1"
            ) from error
        return client


class ModelCluster(Cluster):
    """Workers that have a model each; a context manager.

    Parameters
    ----------
    address : str
        As of `Cluster`.
    model : str or path
    options : mapping
        Those of `gluon_enhance.inference.kernel.load`. With 'auto' each worker chooses by its own
        processor.

    Raises
    ------
    GluonEnhanceError
        As `Cluster`.
    """

    def __init__(self, address: str, model: str | os.PathLike, options: Mapping):
        super().__init__(address)
        options = {**options, "threads": options.get("threads") or self.threads}
        self._model, self._options = _absolute_name(model), tuple(sorted(options.items()))

    def run(self, function: Callable, items: Iterable) -> Iterator[tuple[int, Any]]:
        """Call ``function(item, enhancer)`` on the workers; see `Cluster.run`."""
        return super().run(partial(_call_with_model, function, self._model, self._options), items)


def _call_with_model(function, model, options, item):
    """Call a function of an item and the worker's model, on the worker."""
    with _one_at_a_time:  # a worker may have several threads, and an engine serves one
        return function(item, _loaded(model, options))


@lru_cache(maxsize=1)
def _loaded(model, options):
    """Load a model, once for all items that the worker gets; options are pairs, to be hashed."""
    return load(model, **dict(options))


def _silence_reconnection():
    """Keep Dask from telling, with a traceback, that it gives up looking for its scheduler."""
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)


def _absolute_name(model):
    """Return what names a model in any folder that a worker runs in."""
    text = str(model)
    path, symbol, values = text.partition("-symbol.json")
    name, equals, file = text.partition("=")
    if Path(text).is_dir():
        return os.path.abspath(text)
    if symbol:
        return os.path.abspath(path) + symbol + values
    return name + equals + os.path.abspath(file) if file else text


def _worker_count(address, count):
    """Return N of ``local:N``, or the number of cores where it is not said."""
    if not count:
        return physical_cores()
    if not count.isdigit() or int(count) < 1:
        raise GluonEnhanceError(f"cluster is {address!r}; give local:N with N from 1")
    return int(count)
