"""MXNet itself: the reference that the other engines are held to."""

from __future__ import annotations

import numpy as np

from gluon_enhance.engines import cuda_name, gpu_of
from gluon_enhance.framework import context, mx, physical_cores
from gluon_enhance.models.norms import moment_norms


class MXNetEngine:
    """Run a HybridBlock, hybridized with static memory and shapes; see `gluon_enhance.engines`."""

    def __init__(self, model, precision, device, threads):
        self._threads = threads or physical_cores()
        gpu = gpu_of(device)
        self._ctx = context("cpu" if gpu is None else f"gpu({gpu})")
        self._net = model
        self._net.collect_params().reset_ctx(self._ctx)
        # In training mode MXNet takes kernels of oneDNN whose layout norms can quickly convert.
        self._mode = mx.autograd.train_mode if moment_norms(model) else mx.autograd.predict_mode
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
        mx.base._LIB.omp_set_num_threads(self._threads)  # of the thread that calls
        with self._mode():
            return self._net(mx.nd.array(batch, ctx=self._ctx)).asnumpy()
