"""The only door to MXNet: its import, thread count, engine and context.

``from gluon_enhance.framework import mx`` imports MXNet with the shims in place; the rest of this
module works without it.
"""

from __future__ import annotations

import glob
import importlib.util
import math
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Optional

from gluon_enhance.errors import EngineError, plural

INSTALL_HINT = (
    "MXNet is not installed: training, get_model(), export, LPIPS and DISTS need it. "
    "Install it with: pip install 'gluon-enhance[cpu]' (Python 3.9 to 3.12)"
)


if TYPE_CHECKING:  # so that editors know what it is that `__getattr__` gives
    import mxnet as mx
else:

    def __getattr__(name):
        if name != "mx":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()["mx"] = module = import_mxnet()
        return module


def physical_cores(root: str = "/") -> int:
    """Count the physical cores this process may use, at least 1.

    Hyper-threads of one core count once where the kernel tells them apart. A control group's quota,
    such as a container's ``--cpus``, counts as so many whole cores, rounded up.

    Parameters
    ----------
    root : path
        Where ``proc`` and ``sys`` lie.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = Path(root, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.add(_read(siblings) or cpu)
    return max(1, math.ceil(min(len(cores), _quota(Path(root)))))


def _quota(root):
    """Return how many cores' time the control groups of this process allow it; inf without any.

    Every group from a process's own up to the topmost may limit it. In a container the own one is
    often mounted as the topmost, and the path to it is the host's.
    """
    cores = math.inf
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 1 mounts controllers apart, and names them; "cpu" is a link where two are as one.
        mounted = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        own = mounted / path.strip("/")
        cores = min([cores, *(_group_quota(group) for group in (own, *own.parents))])
    return cores


def _group_quota(group):
    """Return what one control group, of version 2 or 1, allows in cores."""
    text = _read(group / "cpu.max") or " ".join(
        _read(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")
    )
    numbers = re.fullmatch(r"(\d+) (\d+)", text)  # none is "max" in version 2, -1 in version 1
    return int(numbers[1]) / int(numbers[2]) if numbers else math.inf


def _read(path):
    try:
        return path.read_text().strip()
    except OSError:
        return None


def is_mxnet_installed() -> bool:
    """Tell whether MXNet is there, without importing it."""
    return importlib.util.find_spec("mxnet") is not None


def import_mxnet() -> ModuleType:
    """Import MXNet 1.9.1 with what it needs on current Pythons and NumPys.

    Environment and engine stay as they are for others: see `compute_in_caller`.

    Raises
    ------
    EngineError
        If MXNet is not installed, or cannot be imported; the message says what to install.
    """
    if not is_mxnet_installed():
        raise EngineError(INSTALL_HINT)
    import gluon_enhance_mxnet  # noqa: F401  numpy.bool

    # A server of distributed training would serve inside the import; training.distributed does it.
    changes: dict[str, Optional[str]] = {"DMLC_ROLE": None}
    if not _threads_are_given():
        # MXNet takes half of the processors it sees (it assumes hyper-threading) unless told.
        changes["MXNET_OMP_MAX_THREADS"] = str(physical_cores())
    try:
        with environment(changes):
            import mxnet
    except (ImportError, AttributeError, OSError) as error:
        raise EngineError(
            f"MXNet is installed but cannot be imported ({error}). It needs NumPy below 2 and, on "
            "Python 3.12, setuptools; mxnet-cu112 also needs the CUDA 11 libraries: "
            "pip install 'gluon-enhance[cpu]' or 'gluon-enhance[cu112]'"
        ) from error
    if _in_caller:
        _start_in_caller(mxnet)
    return mxnet


def _threads_are_given():
    return "OMP_NUM_THREADS" in os.environ or "MXNET_OMP_MAX_THREADS" in os.environ


@contextmanager
def environment(changes: Mapping[str, Optional[str]]) -> Iterator[None]:
    """Set variables, or take them away where they are None, for a while."""
    former = {name: os.environ.get(name) for name in changes}
    _set_variables(changes)
    try:
        yield
    finally:
        _set_variables(former)


def _set_variables(values):
    for name, value in values.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


_in_caller = False


def compute_in_caller() -> None:
    """Have operators run in the thread that calls them, from now on, in all of this process.

    MXNet's default hands them to threads of its own, which on a CPU only compete with the caller
    for the cores: a training step of many small operators takes half as long again. But without
    these threads a process that forks, such as for a `DataLoader`, hangs. So this is for scripts
    and commands, in processes of their own, before MXNet has computed anything.

    Nothing changes with a GPU or in servers of distributed training, which need the threads, nor
    where ``MXNET_ENGINE_TYPE`` is set.
    """
    global _in_caller
    _in_caller = True
    if "mxnet" in sys.modules:
        _start_in_caller(sys.modules["mxnet"])


def _start_in_caller(mxnet):
    needs_threads = os.environ.get("DMLC_ROLE") or glob.glob("/dev/nvidia[0-9]*")
    if needs_threads or "MXNET_ENGINE_TYPE" in os.environ:
        return
    # The first call starts the engine, which says so on standard error.
    sys.stderr.flush()
    shown, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with environment({"MXNET_ENGINE_TYPE": "NaiveEngine"}):
            mxnet.nd.waitall()
    finally:
        os.dup2(shown, 2)
        os.close(shown)
        os.close(nowhere)
    if not _threads_are_given():
        mxnet.base.check_call(mxnet.base._LIB.MXSetNumOMPThreads(physical_cores()))


def refuse_numpy_mode() -> None:
    """Refuse to compute while MXNet imitates NumPy.

    Raises
    ------
    EngineError
        If ``npx.set_np()`` is in force: layers then call other operators than those of ``mx.nd``,
        which the nets are written with.
    """
    if sys.modules[__name__].mx.util.is_np_array():
        raise EngineError(
            "npx.set_np() is in force, and the nets here are of mx.nd's operators: call "
            "mx.npx.reset_np(), and give arrays of mx.np by their as_nd_ndarray()"
        )


def constant(params, name, value):
    """Return a constant parameter of ``params``, as its ``get_constant`` does, in silence.

    MXNet registers a constant's initializer under the constant's address in memory, and warns
    where an earlier constant, long freed, had the same name and address.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*New initializer .*constant_", UserWarning)
        return params.get_constant(name, value)


GPU_LIMITS = (
    "MXNet needs mxnet-cu112 (pip install 'gluon-enhance[cu112]') and a GPU from Maxwell to Ada: "
    "it has no code for Hopper, Blackwell and newer. Use cpu, or enhance with "
    "--engine onnxruntime --device cuda"
)


def context(name: str = "cpu") -> mx.Context:
    """Parse ``cpu``, ``gpu`` or ``gpu(1)`` into an MXNet context, and try it if it is a GPU.

    Raises
    ------
    EngineError
        If the name is none of these, MXNet sees no such GPU, or has no code for it.
    """
    mx = sys.modules[__name__].mx
    match = re.fullmatch(r"(cpu|gpu)(?:\((\d+)\))?", name.strip())
    if not match:
        raise EngineError(f"ctx is {name!r}; give cpu, gpu or gpu(0)")
    ctx = mx.Context(match[1], int(match[2] or 0))
    if match[1] == "gpu":
        count = mx.context.num_gpus()
        if ctx.device_id >= count:
            raise EngineError(
                f"ctx is {name!r}, but MXNet sees {plural(count, 'GPU')}. {GPU_LIMITS}"
            )
        try:
            (mx.nd.ones((1,), ctx=ctx) + 1).wait_to_read()
        except mx.MXNetError as error:
            reason = str(error).strip().splitlines()[-1]
            raise EngineError(f"{name} cannot compute ({reason}). {GPU_LIMITS}") from error
    return ctx


@contextmanager
def hidden(package: str) -> Iterator[None]:
    """Have a package count as not installed for those that are imported in this context."""
    modules: dict[str, Any] = sys.modules
    former = modules.get(package, modules)
    modules[package] = None
    try:
        yield
    finally:
        del modules[package]
        if former is not modules:
            modules[package] = former
