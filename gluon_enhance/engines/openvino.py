"""OpenVINO: the fastest engine on CPUs, with bf16 where the processor has it."""

from __future__ import annotations

import io
import json
import math
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from gluon_enhance.engines import bfloat16, checked, gpu_of
from gluon_enhance.engines.compiled_models import CompiledModels
from gluon_enhance.engines.telemetry import import_openvino
from gluon_enhance.errors import EngineError
from gluon_enhance.framework import physical_cores
from gluon_enhance.imaging.check_pictures import SIDE, agreement, check_pictures

MIN_AGREEMENT = 50.0
"""PSNR in dB, for a range of 1, that bf16 must keep to fp32 on each of the check pictures to be
chosen by 'auto'."""

LARGE = 1 << 20
"""Pixels of an image from which a net with norms, which runs on it whole, is compiled for any size:
OpenVINO's plan for a fixed one holds 4 maps of DPED at once, where 3 do. Nets with many skips hold
more without a plan."""

FORM = 5
"""Number of the way in which nets are changed before they are compiled and kept, and checked."""


class OpenVINOEngine:
    """Run an ONNX file with OpenVINO; see `gluon_enhance.engines` for the contract."""

    def __init__(self, model, *, precision, device, threads, cache, trusted, shapes):
        openvino = import_openvino()
        if gpu_of(device) is not None:
            raise EngineError("engine openvino has no CUDA; use --engine onnxruntime")
        self._graph = None if trusted else checked(model, shapes)
        self._openvino = openvino
        self._core = openvino.Core()
        self._path = str(model)
        computes_sizes = self._graph and self._graph.computes_sizes
        self._whole = None if computes_sizes else self._read(self._path)
        self._kept = CompiledModels(cache, Path(model), self._maker())
        self._threads = threads or physical_cores()
        self._requests = {}
        self._precision, self._reason = self._choose_precision(precision)

    def describe(self) -> dict:
        """Name the engine, its version, precision, device and threads.

        Where 'auto' did not take the bf16 that the processor has, ``precision_reason`` says why.
        """
        return {
            "engine": "openvino",
            "version": self._openvino.__version__.split("-")[0],
            "precision": self._precision,
            **({"precision_reason": self._reason} if self._reason else {}),
            "device": "cpu",
            "threads": self._threads,
        }

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run (N, 3, H, W) float32 tiles."""
        return self.compute([np.ascontiguousarray(batch)])[0]

    def compute(self, arrays: list, as_features: bool = False, out: list | None = None) -> list:
        """Run any inputs, in the file's order, and give its outputs."""
        signature = tuple((array.shape, array.dtype.str) for array in arrays)
        request = self._request(signature, as_features)
        with self._refusing("run"):
            for k, array in enumerate(arrays):
                request.set_input_tensor(k, self._tensor(array))
            for k, array in enumerate(out or ()):
                request.set_output_tensor(k, self._tensor(array))
            request.infer(share_outputs=True)
        if out is None:
            out = [tensor.data.copy() for tensor in request.output_tensors]
        # OpenVINO gives bfloat16 as if it were float16.
        return [array.view(self._features) for array in out] if as_features else out

    def _tensor(self, array):
        if array.dtype == np.uint16:
            openvino = self._openvino
            return openvino.Tensor(array, openvino.Shape(array.shape), openvino.Type.bf16)
        return self._openvino.Tensor(array, shared_memory=True)

    @property
    def _features(self):
        return np.float16 if self._precision == "fp32" else np.uint16

    @contextmanager
    def _refusing(self, what):
        """Say of which file it is, in one line, that OpenVINO cannot do something."""
        try:
            yield
        except (RuntimeError, ValueError, IndexError) as error:
            reason = str(error).strip().splitlines()[-1][:200]
            raise EngineError(
                f"{self._path} is not a model that OpenVINO can {what}: {reason}"
            ) from error

    def _request(self, signature, as_features):
        key = signature, as_features
        if key not in self._requests:
            if self._graph:  # also where an earlier run, which may have trusted it, compiled it
                self._graph.check(shape for shape, _ in signature)
            if len(self._requests) == 2:  # a shape and its transpose; each holds its feature maps
                self._requests.clear()
            with self._refusing("compile"):
                self._requests[key] = self._compiled(*key).create_infer_request()
        return self._requests[key]

    def _maker(self):
        properties = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
        cpu = [self._core.get_property("CPU", name) for name in properties]
        return f"openvino {self._openvino.__version__} {cpu} {FORM}"

    def _compiled(self, signature, as_features):
        """Compile, or take what an earlier run has compiled."""
        options = self._options(self._precision)
        details = (signature, as_features, options, self._graph is None)
        kept = self._kept.get(*details)
        if kept:
            with suppress(RuntimeError):  # OpenVINO refuses it, and is asked to compile
                return self._core.import_model(kept, "CPU", options)
        compiled = self._compile(signature, self._precision, as_features)
        if self._kept:
            stream = io.BytesIO()
            compiled.export_model(stream)
            self._kept.put(stream.getvalue(), *details)
        return compiled

    def _compile(self, signature, precision, as_features=False):
        shapes = [shape for shape, _ in signature]
        whole = self._whole_for(shapes, precision)
        runs_whole = any(op.get_type_name() == "MVN" for op in whole.get_ops())
        model = whole.clone()
        if not runs_whole or math.prod(shapes[0][2:]) < LARGE:
            model.reshape(dict(enumerate(map(list, shapes))))
        if precision != "fp32" and not as_features:
            bfloat16.keep_last_sums(self._openvino, model)
        model = self._with_types(model, [dtype for _, dtype in signature], as_features)
        return self._core.compile_model(model, "CPU", self._options(precision))

    def _whole_for(self, shapes, precision):
        """Return the net as it is read; another's one is checked for these shapes."""
        if self._graph is None:
            return self._whole if precision == "fp32" else self._rounded
        whole = self._checked(shapes)
        return whole if precision == "fp32" else self._with_rounded_kernels(whole)

    def _checked(self, shapes):
        """Read another's net; OpenVINO must find the shapes in it that were checked."""
        self._graph.check(shapes)
        made = self._graph.file_for(shapes)
        model = self._read(made) if made else self._whole or self._read(self._path)
        fixed = model.clone()
        with self._refusing("compile"):
            fixed.reshape(dict(enumerate(map(list, shapes))))
        for output in (output for op in fixed.get_ops() for output in op.outputs()):
            shape = output.partial_shape
            found = tuple(shape.to_shape()) if shape.is_static else None
            self._graph.compare(shapes, dict.fromkeys(output.names, found))
        return fixed if made else model

    def _read(self, source):
        """Read a file by its name, or what bytes hold."""
        with self._refusing("read"):
            return self._core.read_model(source)

    @cached_property
    def _rounded(self):
        return self._with_rounded_kernels(self._whole)

    def _with_rounded_kernels(self, model):
        return bfloat16.with_rounded_kernels(self._openvino, model)

    def _with_types(self, model, dtypes, as_features):
        """Have a model take and give features in 16 bits."""
        from openvino.preprocess import PrePostProcessor

        types = {"<f2": self._openvino.Type.f16, "<u2": self._openvino.Type.bf16}
        process = PrePostProcessor(model)
        for k, dtype in enumerate(dtypes):
            if dtype in types:
                process.input(k).tensor().set_element_type(types[dtype])
        if as_features:
            for k in range(len(model.outputs)):
                kind = types[np.dtype(self._features).str]
                process.output(k).tensor().set_element_type(kind)
        return process.build()

    def _options(self, precision):
        return {
            "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16",
            "INFERENCE_NUM_THREADS": self._threads,
            "PERFORMANCE_HINT": "LATENCY",
            # Pinned threads take the first cores, and those of other processes do too.
            "ENABLE_CPU_PINNING": self._threads >= physical_cores(),
        }

    def _choose_precision(self, precision):
        has_bf16 = self._has_bf16()
        if precision == "bf16" and not has_bf16:
            raise EngineError("precision is 'bf16', which this processor lacks; use fp32 or auto")
        if precision != "auto":
            return precision, None
        reason = self._reason_against_bf16() if has_bf16 else None
        return "bf16" if has_bf16 and not reason else "fp32", reason

    def _reason_against_bf16(self):
        kept = self._kept.get("agreements")
        if not kept:
            kept = json.dumps(self._agreements()).encode()
            self._kept.put(kept, "agreements")
        agreements = json.loads(kept)
        worst = min(agreements, key=agreements.get)
        if agreements[worst] >= MIN_AGREEMENT:
            return None
        return f"bf16 keeps {agreements[worst]:.1f} dB to it on a picture of kind {worst}"

    def _has_bf16(self):
        return "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    def _agreements(self):
        """PSNR between bf16 and fp32 on each of the check pictures."""
        pictures = {kind: picture[None] for kind, picture in check_pictures().items()}
        signature = (((1, 3, SIDE, SIDE), "<f4"),)
        with self._refusing("compile"):
            nets = [self._compile(signature, precision) for precision in ("fp32", "bf16")]
            return {k: agreement(*(net(x)[0] for net in nets)) for k, x in pictures.items()}
