"""Several machines that train together, over MXNet's own key-value store.

MXNet sums for ever: when a worker dies, the others wait for its part. So every process watches
the others' heartbeats, and ends when they stop: the scheduler sees the workers' and servers', these
see the scheduler's. A death ends all within three times PS_HEARTBEAT_TIMEOUT (5 s).
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import threading

from gluon_enhance.errors import TrainingError
from gluon_enhance.framework import mx

logger = logging.getLogger(__name__)

VARIABLES = (
    "DMLC_ROLE",
    "DMLC_PS_ROOT_URI",
    "DMLC_PS_ROOT_PORT",
    "DMLC_NUM_WORKER",
    "DMLC_NUM_SERVER",
)
HEARTBEATS = {"PS_HEARTBEAT_INTERVAL": "1", "PS_HEARTBEAT_TIMEOUT": "5"}
"""In seconds. MXNet's default is to have none; the environment overrides these."""

# Groups of processes, as ps-lite numbers them.
SCHEDULER = 1
SERVERS_AND_WORKERS = 2 + 4


def role() -> str:
    """What this process is to do: ``worker``, ``server`` or ``scheduler``."""
    return os.environ.get("DMLC_ROLE", "worker")


def serve() -> None:
    """Be the server or the scheduler, until the workers are done."""
    store = _create_store()
    watch = _Watch(store, SERVERS_AND_WORKERS if role() == "scheduler" else SCHEDULER)
    mx.kvstore.kvstore_server.KVStoreServer(store).run()
    watch.stop()


class Machines:
    """The workers of a run, which all wait here until the last one has come.

    A process that ends without `leave` does so at once, whatever it was waiting for.

    Attributes
    ----------
    store : mxnet.kvstore.KVStore
        What they share.
    rank, count : int
        Number of this worker, and how many there are.

    Raises
    ------
    TrainingError
        If the environment does not say who the others are.
    """

    def __init__(self):
        logger.info("waiting for the other machines")
        self.store = _create_store()
        self.rank, self.count = self.store.rank, self.store.num_workers
        self._watch = _Watch(self.store, SCHEDULER)

    def leave(self) -> None:
        """Wait until all workers are here; server and scheduler then end."""
        self._watch.stop()
        mx.base.check_call(mx.base._LIB.MXKVStoreFree(self.store.handle))
        self.store.handle = None  # or its destructor would free it again


def _create_store():
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise TrainingError(f"--kvstore dist_sync needs {', '.join(missing)} in the environment")
    for name, value in HEARTBEATS.items():
        os.environ.setdefault(name, value)
    return mx.kv.create("dist_sync")


class _Watch:
    """End the process when another one's heartbeats stop."""

    def __init__(self, store, group):
        self._store = store
        self._group = group
        self._timeout = int(os.environ["PS_HEARTBEAT_TIMEOUT"])
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)
        self._thread.start()
        atexit.register(self._end)

    def stop(self):
        self._stopped.set()
        self._thread.join()
        atexit.unregister(self._end)

    def _run(self):
        while not self._stopped.wait(1):
            if self._count_dead():
                logger.error(
                    "error: a process of this run has ended or cannot be reached; the last "
                    "checkpoint stays: start all of them again, with --resume"
                )
                self._end()

    def _count_dead(self):
        dead = ctypes.c_int()
        count = mx.base._LIB.MXKVStoreGetNumDeadNode
        mx.base.check_call(
            count(self._store.handle, self._group, ctypes.byref(dead), self._timeout)
        )
        return dead.value

    @staticmethod
    def _end():
        # A store cannot be torn down while it waits for others; only this always ends.
        logging.shutdown()
        os._exit(1)
