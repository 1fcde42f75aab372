"""MXNet itself: the reference that the other engines are held to."""

from __future__ import annotations

import ctypes
from contextlib import contextmanager

import numpy as np

from gluon_enhance.engines import cuda_name, gpu_of
from gluon_enhance.errors import EngineError
from gluon_enhance.forms import FAST, needs_whole_image, set_form
from gluon_enhance.framework import context, mx, physical_cores


class MXNetEngine:
    """Run a HybridBlock, hybridized with static memory and shapes; see `gluon_enhance.engines`."""

    def __init__(self, model, *, precision, device, threads, cache, trusted, shapes):
        self._threads = threads or physical_cores()
        gpu = gpu_of(device)
        self._ctx = context("cpu" if gpu is None else f"gpu({gpu})")
        self._net = model
        self._net.collect_params().reset_ctx(self._ctx)
        # In training mode MXNet takes kernels of oneDNN whose layout norms can quickly convert.
        self._mode = (
            mx.autograd.train_mode if needs_whole_image(model) else mx.autograd.predict_mode
        )
        set_form(self._net, FAST)
        self._net.hybridize(static_alloc=True, static_shape=True)

    def describe(self) -> dict:
        """Name the engine, its version, precision, device and threads."""
        return {
            "engine": "mxnet",
            "version": mx.__version__,
            "precision": "fp32",
            "device": "cpu" if self._ctx.device_type == "cpu" else cuda_name(self._ctx.device_id),
            "threads": self._threads,
        }

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run (N, 3, H, W) float32 tiles."""
        try:
            with self._mode(), _threads(self._threads):
                return self._net(mx.nd.array(batch, ctx=self._ctx)).asnumpy()
        except mx.MXNetError as error:
            reason = str(error).strip().splitlines()[-1][-200:]
            raise EngineError(f"MXNet cannot run images of {batch.shape}: {reason}") from error


@contextmanager
def _threads(count):
    """Have MXNet's operators run on so many threads, and afterwards on as many as before."""
    former = _set_threads(count)
    try:
        yield
    finally:
        _set_threads(former)


def _set_threads(count):
    """Set the number in the thread that runs operators, where alone it counts; return the former.

    It is MXNet's own, or the caller's after `gluon_enhance.framework.compute_in_caller`.
    """
    library, former = mx.base._LIB, []

    def swap(*_):
        former.append(library.omp_get_max_threads())
        library.omp_set_num_threads(count)

    swap_in_c = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(swap)
    cpu = (ctypes.c_int * 2)(mx.Context.devstr2type["cpu"], 0)
    written = mx.nd.zeros(1)  # what can be waited for
    handles = (ctypes.c_void_p * 1)(written.handle)
    push = library.MXEnginePushSyncND
    mx.base.check_call(push(swap_in_c, None, None, cpu, None, 0, handles, 1, None, 0, None))
    written.wait_to_read()
    return former[0]
