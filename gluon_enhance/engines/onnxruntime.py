"""ONNX Runtime: runs nearly everywhere, and on GPUs that MXNet cannot use."""

from __future__ import annotations

from contextlib import redirect_stdout
from functools import cached_property
from io import StringIO

import numpy as np

from gluon_enhance.engines import checked, cuda_name, gpu_of
from gluon_enhance.engines.telemetry import import_onnxruntime
from gluon_enhance.errors import EngineError
from gluon_enhance.framework import physical_cores

CUDA = "CUDAExecutionProvider"


class ONNXRuntimeEngine:
    """Run an ONNX file with ONNX Runtime; see `gluon_enhance.engines` for the contract."""

    def __init__(self, model, *, precision, device, threads, cache, trusted, shapes):
        onnxruntime = import_onnxruntime()
        has_cuda = CUDA in onnxruntime.get_available_providers()
        gpu = gpu_of(device)
        if gpu is not None and not has_cuda:
            raise EngineError(
                f"device is {device!r}, but this ONNX Runtime has no CUDA; "
                "pip install 'gluon-enhance[gpu]', or use --device cpu"
            )
        self._graph = None if trusted else checked(model, shapes)
        self._path = str(model)
        self._version = onnxruntime.__version__
        self._threads = threads or physical_cores()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 4  # errors are raised
        provider = "CPUExecutionProvider"
        if has_cuda and device != "cpu":
            _load_cuda(onnxruntime)
            settings = {
                "device_id": gpu or 0,
                "use_tf32": int(precision != "fp32"),
                # Else each new size is tried with every algorithm, for most of a second.
                "cudnn_conv_algo_search": "HEURISTIC",
                # Else memory is taken in powers of two.
                "arena_extend_strategy": "kSameAsRequested",
            }
            provider = (CUDA, settings)
        self._start = lambda source: onnxruntime.InferenceSession(
            source, options, providers=[provider]
        )
        self._sessions: dict = {}
        session = self._session_for(self._graph.first_shapes) if self._graph else self._whole
        # Where a GPU, its driver or a library is missing, ONNX Runtime takes the processor instead.
        is_on_gpu = CUDA in session.get_providers()
        self._device = cuda_name(gpu or 0) if is_on_gpu else "cpu"
        if gpu is not None and not is_on_gpu:
            which = f"GPU {gpu}" if gpu else "a GPU"
            raise EngineError(
                f"device is {device!r}, but ONNX Runtime cannot use {which} here: it needs an "
                "NVIDIA GPU, its driver, and the CUDA and cuDNN that it was built for (pip install "
                "'onnxruntime-gpu[cuda,cudnn]'); or use --device cpu"
            )
        if precision == "tf32" and not is_on_gpu:
            raise EngineError("precision is 'tf32', which processors lack; use fp32, or a GPU")
        self._precision = "tf32" if is_on_gpu and precision != "fp32" else "fp32"
        self._inputs = [one.name for one in session.get_inputs()]

    def describe(self) -> dict:
        """Name the engine, its version, precision, device and threads."""
        return {
            "engine": "onnxruntime",
            "version": self._version,
            "precision": self._precision,
            "device": self._device,
            "threads": self._threads,
        }

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run (N, 3, H, W) float32 tiles."""
        return self.compute([batch])[0]

    def compute(self, arrays: list, as_features: bool = False, out: list | None = None) -> list:
        """Run any inputs, in the file's order, and give its outputs."""
        shapes = tuple(array.shape for array in arrays)
        session = self._session_for(shapes) if self._graph else self._whole
        floats = (array.astype(np.float32, copy=False) for array in arrays)
        try:
            outputs = session.run(None, dict(zip(self._inputs, floats)))
        except Exception as error:  # its exceptions share no base but Exception
            reason = str(error).strip().splitlines()[-1][-200:]
            raise EngineError(f"ONNX Runtime cannot run {self._path}: {reason}") from error
        return [output.astype(np.float16) for output in outputs] if as_features else outputs

    def _session_for(self, shapes):
        """Return what runs another's file on inputs of these shapes, for which it is checked."""
        if shapes not in self._sessions:
            self._graph.check(shapes)
            made = self._graph.file_for(shapes)
            if len(self._sessions) == 2:  # a shape and its transpose
                self._sessions.clear()
            self._sessions[shapes] = self._loaded(made) if made else self._whole
        return self._sessions[shapes]

    @cached_property
    def _whole(self):
        return self._loaded(self._path)

    def _loaded(self, source):
        """Load a file by its name, or what bytes hold."""
        try:
            return self._start(source)
        except Exception as error:  # as above
            reason = str(error).strip().splitlines()[-1][:200]
            raise EngineError(f"ONNX Runtime cannot load {self._path}: {reason}") from error


def _load_cuda(onnxruntime):
    """Load the libraries that pip installed; our errors say what fails, so nothing is printed."""
    onnxruntime.set_default_logger_severity(4)
    if hasattr(onnxruntime, "preload_dlls"):  # from 1.21
        with redirect_stdout(StringIO()):
            onnxruntime.preload_dlls()
