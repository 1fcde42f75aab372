"""The only door to MXNet: NumPy and Python shims, thread count, context choice.

``from gluon_enhance.framework import mx`` imports MXNet with the shims in place; the rest of this
module works without it.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import sys
import warnings

import numpy as np

from gluon_enhance.errors import EngineError

INSTALL_HINT = (
    "MXNet is not installed: training, get_model() and export need it. "
    "Install it with: pip install 'gluon-enhance[cpu]' (Python 3.9 to 3.12)"
)


def __getattr__(name):
    if name != "mx":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["mx"] = module = import_mxnet()
    return module


def physical_cores() -> int:
    """Count the physical cores this process may run on, at least 1.

    Hyper-threads of one core count once where the kernel tells them apart.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as file:
                cores.add(file.read())
        except OSError:
            cores.add(cpu)
    return len(cores)


def is_mxnet_installed() -> bool:
    """Tell whether MXNet is there, without importing it."""
    return importlib.util.find_spec("mxnet") is not None


def import_mxnet():
    """Import MXNet 1.9.1 with what it needs on current Pythons and NumPys.

    Raises
    ------
    EngineError
        If MXNet is not installed, or cannot be imported; the message says what to install.
    """
    if not is_mxnet_installed():
        raise EngineError(INSTALL_HINT)
    # MXNet takes half of the processors it sees (it assumes hyper-threading) unless told.
    os.environ.setdefault("OMP_NUM_THREADS", str(physical_cores()))
    # numpy.bool left in NumPy 1.24; MXNet 1.9.1 reads it when imported and in its fallbacks.
    if "bool" not in vars(np):
        np.bool = np.bool_
    # A server of distributed training would serve inside the import; training.machines does it.
    role = os.environ.pop("DMLC_ROLE", None)
    try:
        if sys.version_info >= (3, 12):
            # distutils left in Python 3.12; setuptools puts its own copy in place when imported.
            import setuptools  # noqa: F401
        import mxnet
    except (ImportError, AttributeError, OSError) as error:
        raise EngineError(
            f"MXNet is installed but cannot be imported ({error}). It needs NumPy below 2 and, on "
            "Python 3.12, setuptools; mxnet-cu112 also needs the CUDA 11 libraries: "
            "pip install 'gluon-enhance[cpu]' or 'gluon-enhance[cu112]'"
        ) from error
    finally:
        if role:
            os.environ["DMLC_ROLE"] = role
    if not role and not glob.glob("/dev/nvidia[0-9]*"):
        _compute_at_once(mxnet)
    return mxnet


def _compute_at_once(mxnet):
    """Have operators run in the thread that calls them.

    MXNet's default hands them to threads of its own, which on a CPU only compete with the caller
    for the cores: a training step of many small operators takes half as long again. GPUs and
    servers of distributed training need these threads.
    """
    if "MXNET_ENGINE_TYPE" in os.environ:
        return
    os.environ["MXNET_ENGINE_TYPE"] = "NaiveEngine"
    # The first call starts the engine, which says so on standard error.
    sys.stderr.flush()
    shown, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        mxnet.nd.waitall()
    finally:
        os.dup2(shown, 2)
        del os.environ["MXNET_ENGINE_TYPE"]  # which processes started from here would inherit
        os.close(shown)
        os.close(nowhere)


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


def context(name: str = "cpu"):
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
            raise EngineError(f"ctx is {name!r}, but MXNet sees {count} GPUs. {GPU_LIMITS}")
        try:
            (mx.nd.ones((1,), ctx=ctx) + 1).wait_to_read()
        except mx.MXNetError as error:
            reason = str(error).strip().splitlines()[-1]
            raise EngineError(f"{name} cannot compute ({reason}). {GPU_LIMITS}") from error
    return ctx
