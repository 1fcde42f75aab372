"""Several machines that train together, over MXNet's own key-value store.

MXNet sums for ever: when a worker dies, the others wait for its part. So every process watches
the others' heartbeats, and ends when they stop: the scheduler sees the workers' and servers', these
see the scheduler's. A death ends all within 10 s and twice PS_HEARTBEAT_TIMEOUT (5 s). There are no
heartbeats before all have joined: who waits for longer than JOIN_TIMEOUT says, ends too.
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

JOIN_TIMEOUT, JOIN_SECONDS = "GLUON_ENHANCE_JOIN_TIMEOUT", 300
"""Variable with the seconds to wait for the other processes to start, and its default."""

SILENT_LOOKS = 3
"""In how many looks in a row, a second apart, others must be silent before they count as dead.

After a machine has slept, all heartbeats are old at the first look, and new at the second.
"""

# Groups of processes, as ps-lite numbers them.
SCHEDULER = 1
SERVERS_AND_WORKERS = 2 + 4

NO_AGE = -1_000_000
"""Of heartbeats, in seconds: all are older, so that all count as dead which have ever joined."""


def role() -> str:
    """What this process is to do: ``worker``, ``server`` or ``scheduler``."""
    return os.environ.get("DMLC_ROLE", "worker")


def serve() -> None:
    """Be the server or the scheduler, until the workers are done."""
    heartbeats = _Heartbeats(SERVERS_AND_WORKERS if role() == "scheduler" else SCHEDULER)
    mx.base.check_call(mx.base._LIB.MXKVStoreRunServer(heartbeats.store.handle, _ignore, None))
    heartbeats.stop()


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _ignore(*_):
    """Take a command of a worker. MXNet's own server unpickles an optimizer; ours only sums."""


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
    ValueError
        If it says no number of seconds to wait for them.
    """

    def __init__(self):
        logger.info("waiting for the other machines")
        self._heartbeats = _Heartbeats(SCHEDULER)
        self.store = self._heartbeats.store
        self.rank, self.count = self.store.rank, self.store.num_workers

    def leave(self) -> None:
        """Wait until all workers are here; server and scheduler then end."""
        self._heartbeats.stop()
        mx.base.check_call(mx.base._LIB.MXKVStoreFree(self.store.handle))
        self.store.handle = None  # or its destructor would free it again


def _check_environment():
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise TrainingError(f"--kvstore dist_sync needs {', '.join(missing)} in the environment")
    for name, value in HEARTBEATS.items():
        os.environ.setdefault(name, value)


def _join_seconds():
    text = os.environ.get(JOIN_TIMEOUT, str(JOIN_SECONDS))
    if not text.isdecimal() or not int(text):
        raise ValueError(f"{JOIN_TIMEOUT} is {text!r}; give a whole number of seconds")
    return int(text)


class _Heartbeats:
    """Join a run, and end the process when others do not come, or their heartbeats stop.

    Attributes
    ----------
    store : mxnet.kvstore.KVStore
    """

    def __init__(self, group):
        _check_environment()
        self._group = group
        self._timeout = int(os.environ["PS_HEARTBEAT_TIMEOUT"])
        self._joining = threading.Timer(_join_seconds(), self._give_up)
        self._joining.daemon = True
        self._joining.start()
        self.store = mx.kv.create("dist_sync")  # a worker waits here, the others later
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)
        self._thread.start()
        atexit.register(self._end)

    def stop(self):
        self._stopped.set()
        self._thread.join()
        self._joining.cancel()
        atexit.unregister(self._end)

    def _run(self):
        silent = 0
        while not self._stopped.wait(1):
            if self._count_dead(NO_AGE):
                self._joining.cancel()
            silent = silent + 1 if self._count_dead(self._timeout) else 0
            if silent == SILENT_LOOKS:
                logger.error(
                    "error: a process of this run has ended or cannot be reached; the last "
                    "checkpoint stays: start all of them again, with --resume"
                )
                self._end()

    def _count_dead(self, seconds):
        dead = ctypes.c_int()
        count = mx.base._LIB.MXKVStoreGetNumDeadNode
        mx.base.check_call(count(self.store.handle, self._group, ctypes.byref(dead), seconds))
        return dead.value

    def _give_up(self):
        logger.error(
            "error: not all processes of this run have come within %d seconds (%s says how many): "
            "look at the others' messages, and start all of them again",
            _join_seconds(),
            JOIN_TIMEOUT,
        )
        self._end()

    @staticmethod
    def _end():
        # A store cannot be torn down while it waits for others; only this always ends.
        logging.shutdown()
        os._exit(1)
